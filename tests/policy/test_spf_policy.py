"""Tests of the SPF policy table and of how long a temperror is waited out."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.policy.keywords import Word
from twistedmilter.policy.spf_policy import SPFPolicy, TemperrorEpisodes

IP = ip_address("192.0.2.9")


def word(table: dict[str, str], result: SPFResult, domain: str, identity: Identity = Identity.MAIL_FROM) -> Word:
    """What the table says of one outcome."""
    return SPFPolicy.parse(table).find(SPFOutcome(result, identity, f"a@{domain}", domain), identity).word


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
