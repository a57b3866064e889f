"""Tests of the SPF policy table and of how long a temperror is waited out."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.policy.access import AccessMap, no_access
from twistedmilter.policy.keywords import Keyword, Word
from twistedmilter.policy.spf_policy import TAGS, Choice, SPFPolicy, TemperrorEpisodes

IP = ip_address("192.0.2.9")


def word(table: dict[str, str], result: SPFResult, domain: str, identity: Identity = Identity.MAIL_FROM) -> Word:
    """What the table says of one outcome."""
    return SPFPolicy.parse(table).find(SPFOutcome(result, identity, f"a@{domain}", domain), identity).keyword.word


class SPFPolicyTests(SynchronousTestCase):
    """Which keyword is taken."""

    def test_defaults(self) -> None:
        """Issue item 5: one row for each result and identity (LL-09)."""
        expected = {"fail": Word.REJECT, "permerror": Word.MARK, "temperror": Word.TEMPFAIL}
        for result in SPFResult:
            self.assertEqual(word({}, result, "a.example"), expected.get(result, Word.OK))
            helo = word({}, result, "a.example", Identity.HELO)
            self.assertEqual(helo, Word.REJECT if result is SPFResult.FAIL else Word.OK)

    def test_nearest_domain_wins(self) -> None:
        """F03: the domain, then each parent, then the bare result."""
        table = {
            "fail": "MARK",
            "fail:example.com": "HOLD",
            "fail:a.example.com": "OK",
            "Fail:.Bücher.example": "TEMPFAIL",
        }
        for domain, expected in (
            ("a.example.com", Word.OK),
            ("x.a.example.com", Word.OK),
            ("b.example.com", Word.HOLD),
            ("example.net", Word.MARK),
            ("com", Word.MARK),
            ("x.xn--bcher-kva.example", Word.TEMPFAIL),
        ):
            self.assertEqual(word(table, SPFResult.FAIL, domain), expected, domain)

    def test_ancestor_defaults(self) -> None:
        """F08: with compat the defaults are the ancestor's, one row for each tag."""
        expected = {"spf-fail": Word.REJECT, "spf-softfail": Word.CBV, "spf-permerror": Word.REJECT}
        for settings, on_none in (
            (SPFSettings(compat="seed"), Word.CBV),
            (SPFSettings(compat="seed", reject_noptr=True), Word.REJECT),
        ):
            policy = SPFPolicy.of(settings)
            for tag in TAGS:
                word = on_none if tag == "spf-none" else expected.get(tag, Word.OK)
                self.assertEqual(policy.fallback(tag, "a@b.example").keyword.word, word, tag)

    def test_lists(self) -> None:
        """F09 to F11: a list changes the default of its results for its senders."""
        settings = SPFSettings(
            accept_fail=["af.example"], accept_softfail=["as.example"], reject_neutral=["rn.example", "as.example"]
        )
        policy = SPFPolicy.of(settings)
        for domain, result, word, source in (
            ("af.example", SPFResult.FAIL, Word.CBV, "[spf] accept_fail"),
            ("as.example", SPFResult.FAIL, Word.REJECT, "default"),
            ("rn.example", SPFResult.SOFTFAIL, Word.REJECT, "[spf] reject_neutral"),
            ("rn.example", SPFResult.NEUTRAL, Word.REJECT, "[spf] reject_neutral"),
            ("as.example", SPFResult.SOFTFAIL, Word.REJECT, "[spf] reject_neutral"),
            ("rn.example", SPFResult.PASS, Word.OK, "default"),
            ("other.example", SPFResult.SOFTFAIL, Word.OK, "default"),
        ):
            outcome = SPFOutcome(result, Identity.MAIL_FROM, f"a@{domain}", domain)
            self.assertEqual(policy.find(outcome, Identity.MAIL_FROM), Choice(Keyword(word), source))
            helo = policy.find(SPFOutcome(result, Identity.HELO, f"postmaster@{domain}", domain), Identity.HELO)
            self.assertTrue(helo.is_default, "lists are about senders")

    def test_entries_beat_lists(self) -> None:
        """F12: an entry of the table or the map decides, even one for the bare result."""
        outcome = SPFOutcome(SPFResult.SOFTFAIL, Identity.MAIL_FROM, "a@as.example", "as.example")
        access = AccessMap.parse("spf-softfail: MARK", "access")
        for table, text, source in (
            ({}, "", "[spf] accept_softfail"),
            ({"softfail": "HOLD"}, "", "[spf.policy] softfail"),
            ({}, "spf-softfail:", "access:1: spf-softfail:"),
        ):
            settings = SPFSettings(accept_softfail=["as.example"], policy=table)
            policy = SPFPolicy.of(settings, (lambda: access) if text else no_access)
            self.assertEqual(policy.find(outcome, Identity.MAIL_FROM).source, source)

    def test_full_address_comes_first(self) -> None:
        """F03: the address that was judged, for the null reverse-path that of the HELO name's postmaster (E03)."""
        table = {"fail:a@b.example": "OK", "fail:b.example": "HOLD"}
        policy = SPFPolicy.parse(table)
        for sender, expected in (("A@b.example", Word.OK), ("c@b.example", Word.HOLD)):
            outcome = SPFOutcome(SPFResult.FAIL, Identity.MAIL_FROM, sender, "b.example")
            self.assertEqual(policy.find(outcome, Identity.MAIL_FROM).keyword.word, expected)
        policy = SPFPolicy.parse({"fail:postmaster@h.example": "OK"})
        null = SPFOutcome(SPFResult.FAIL, Identity.HELO, "postmaster@h.example", "h.example")
        self.assertEqual(policy.find(null, Identity.MAIL_FROM).keyword.word, Word.OK)

    @given(st.text())
    def test_any_domain_can_be_asked_about(self, domain: str) -> None:
        """A hostile domain gets the bare result's word."""
        self.assertEqual(word({"fail:a.example": "OK"}, SPFResult.FAIL, domain + "!"), Word.REJECT)


class TemperrorEpisodesTests(SynchronousTestCase):
    """How long a domain's name servers have failed."""

    def test_zero_hours(self) -> None:
        """With no time to wait it is over at once."""
        self.assertTrue(TemperrorEpisodes(0.0).is_over("a.example", IP, 5.0))

    def test_silence_ends_an_episode(self) -> None:
        """A domain not heard of for a day begins anew."""
        episodes = TemperrorEpisodes(100.0, forget=1000.0)
        self.assertFalse(episodes.is_over("a.example", IP, 0.0))
        self.assertTrue(episodes.is_over("a.example", IP, 900.0))
        self.assertFalse(episodes.is_over("a.example", IP, 1901.0))

    def test_bounded(self) -> None:
        """A stranger cannot fill our memory with domains; the oldest are forgotten."""
        episodes = TemperrorEpisodes(100.0, max_entries=3)
        for number in range(10):
            episodes.is_over(f"d{number}.example", IP, 0.0)
        self.assertEqual(len(episodes._episodes), 3)
        self.assertTrue(episodes.is_over("d9.example", IP, 200.0))
        self.assertFalse(episodes.is_over("d0.example", IP, 200.0))
