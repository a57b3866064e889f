"""Tests of the effective SPF result (3.6, E05 to E12, E14, E25): outcomes in, a decision out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.policy.spf_decision import Facts, effective, has_good_helo, needs_guess


def mail(result: str, domain: str = "a.example") -> SPFOutcome:
    """An outcome of the MAIL FROM identity."""
    return SPFOutcome(SPFResult(result), Identity.MAIL_FROM, f"bob@{domain}", domain, problem="wrong")


def helo(result: str, name: str = "mail.a.example") -> SPFOutcome:
    """An outcome of the HELO identity."""
    return SPFOutcome(SPFResult(result), Identity.HELO, f"postmaster@{name}", name)


class EffectiveTests(SynchronousTestCase):
    """What policy acts on."""

    def test_table(self) -> None:
        """Each way to another result, and where it does not lead there."""
        own, other = helo("pass"), helo("pass", "mail.b.example")
        rows = (
            # nothing is known beyond the official result: it stands
            *((Facts(mail(result.value)), f"{result.value} (official)") for result in SPFResult),
            # E05: a trusted forwarder passes whatever the record says
            (Facts(mail("fail"), forwarder="f.example"), "pass (trusted forwarder)"),
            (Facts(mail("temperror"), forwarder="f.example"), "pass (trusted forwarder)"),
            (Facts(mail("fail"), unsure_forwarder="f.example"), "fail (official)"),
            # E07: a lax result stands for a permerror only, if it is one
            (Facts(mail("permerror"), lax=mail("softfail")), "softfail (lax reading)"),
            (Facts(mail("permerror"), lax=mail("permerror")), "permerror (official)"),
            (Facts(mail("permerror"), lax=mail("none")), "permerror (official)"),
            (Facts(mail("fail"), lax=mail("pass")), "fail (official)"),
            # E14: a local record, whatever it says; it comes before a guess
            (Facts(mail("none"), delegate=mail("fail"), guess=mail("pass")), "fail (local record)"),
            (Facts(mail("none"), delegate=mail("none")), "none (official)"),
            # E10: a guess only ever helps
            (Facts(mail("none"), guess=mail("pass")), "pass (best guess)"),
            (Facts(mail("none"), guess=mail("neutral")), "none (official)"),
            (Facts(mail("neutral"), guess=mail("pass")), "neutral (official)"),
            # E12: HELO vouches for its own domain and those above it
            (Facts(mail("none"), own, may_vouch=True), "pass (HELO name of the domain)"),
            (Facts(mail("none"), helo("pass", "a.example"), may_vouch=True), "pass (HELO name of the domain)"),
            (
                Facts(mail("none"), helo("none"), helo_guess=own, guess=mail("neutral"), may_vouch=True),
                "pass (HELO name of the domain)",
            ),
            (Facts(mail("none"), own), "none (official)"),
            (Facts(mail("none"), other, may_vouch=True), "none (official)"),
            (Facts(mail("none"), helo("pass", "xa.example"), may_vouch=True), "none (official)"),
            (Facts(mail("none"), helo("neutral"), may_vouch=True), "none (official)"),
            (Facts(mail("softfail"), own, may_vouch=True), "softfail (official)"),
            (Facts(helo("none", "a.example"), own, may_vouch=True), "none (official)"),
            # E25: a temperror that can still pass is one
            (Facts(mail("temperror"), hope=mail("pass")), "temperror (official)"),
            (Facts(mail("temperror"), hope=mail("softfail")), "softfail (best that may still come)"),
        )
        for facts, expected in rows:
            self.assertEqual(str(effective(facts)), expected, facts)

    def test_official_is_kept(self) -> None:
        """The official outcome stays beside the effective one, untouched."""
        official = mail("none")
        chosen = effective(Facts(official, guess=mail("pass")))
        self.assertIs(chosen.official, official)
        self.assertEqual(chosen.outcome.sender, official.sender)
        self.assertFalse(chosen.is_official)

    def test_helo_is_looked_at(self) -> None:
        """E08: not when the effective result is a pass, nor while it may be one."""
        for facts, vouches in (
            (Facts(mail("none"), guess=mail("pass")), True),
            (Facts(mail("temperror")), True),
            (Facts(mail("temperror"), hope=mail("fail")), False),
            (Facts(mail("none")), False),
        ):
            self.assertEqual(effective(facts).vouches, vouches, facts)

    def test_needs_guess(self) -> None:
        """A guess is worth its questions only where there is no record at all."""
        self.assertTrue(needs_guess(Facts(mail("none"), helo("pass"), may_vouch=True)))
        self.assertFalse(needs_guess(Facts(mail("none"), delegate=mail("neutral"))))
        self.assertFalse(needs_guess(Facts(mail("neutral"))))

    def test_good_helo(self) -> None:
        """HELO passes or is guessed to; for the null reverse-path it is what was judged."""
        for facts, good in (
            (Facts(mail("fail"), helo("pass")), True),
            (Facts(mail("fail"), helo("none"), helo_guess=helo("pass")), True),
            (Facts(mail("fail"), helo("neutral")), False),
            (Facts(mail("fail")), False),
            (Facts(helo("pass")), True),
            (Facts(helo("fail")), False),
        ):
            self.assertEqual(has_good_helo(facts), good, facts)
