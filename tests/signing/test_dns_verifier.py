"""Signed senders as the DNS asks about them (gossip-srs-dns-spec 6.5, cases 25, 44 and 45)."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.signing.test_maps import NOW, maps
from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.signing.dns_verifier import FORGERIES_A_MINUTE, DNSVerifier
from twistedmilter.signing.keys import DAY
from twistedmilter.signing.replay import LOOKUPS, ReplayBudget


class DNSVerifierTests(SynchronousTestCase):
    """What a name server may say of a local part."""

    def setUp(self) -> None:
        """A verifier, and what it tells."""
        self.told: list[str] = []
        self.maps = maps(legacy=False)
        self.verifier = DNSVerifier(self.maps._rewriter, self.told.append)

    def signed(self, sender: str) -> str:
        """The signed local part of a sender."""
        return self.maps.answer(b"forward", sender.encode(), NOW).text.decode().rpartition("@")[0]

    def test_every_kind(self) -> None:
        """SES, SRS in signing mode and BATV, in any capitals, at their own domain."""
        verifyObject(ISignatureVerifier, self.verifier)
        for domain, days in (("ses.example", 8), ("sign.example", 9), ("batv.example", 8)):
            local = self.signed(f"joe@{domain}")
            for text in (local, local.lower(), local.upper(), local.swapcase()):
                until = self.verifier.valid_until(text, domain, NOW)
                assert until is not None, text
                self.assertTrue(NOW < until <= NOW + days * DAY, text)
                self.assertIsNone(self.verifier.valid_until(text, domain, until), text)
            self.assertIsNone(self.verifier.valid_until(local, "other.example", NOW))

    def test_split_at_dots(self) -> None:
        """C{%{l=}} has put dots where C{=} was; a user may have dots anyway."""
        _ses, signature, _user = self.signed("joe.doe@ses.example").split("=")
        self.assertIsNotNone(self.verifier.valid_until(f"SES.{signature}.joe.doe", "ses.example", NOW))
        self.assertIsNotNone(self.verifier.valid_until(f"ses={signature}=joe.doe", "ses.example", NOW))
        for shape in (f"joe.{signature}.ses", f"{signature}.joe", f"ses%3d{signature}%3djoe", f"ses.{signature}"):
            self.assertIsNone(self.verifier.valid_until(shape, "ses.example", NOW))

    def test_fixed(self) -> None:
        """A fixed signature is good for ever, however often it is looked up."""
        local = self.signed("news@ses.example")
        for _ in range(LOOKUPS + 2):
            self.assertEqual(self.verifier.valid_until(local, "ses.example", NOW), math.inf)

    def test_forwarded(self) -> None:
        """A sender that we forward is not one that we vouch for; nor is an unsigned one, which may exist (45)."""
        for local, domain in (
            (self.signed("joe@gathman.org"), "fwd.example"),
            ("joe", "ses.example"),
            ("", "ses.example"),
            ("SES=FE68Q8Y4XOT6ZW5XZ=joe", "ses.example"),
        ):
            self.assertIsNone(self.verifier.valid_until(local, domain, NOW))

    def test_replay(self) -> None:
        """Case 44: one signature is good for so many lookups; then that is told, once, and others are as before."""
        local = self.signed("joe@ses.example")
        answers = [self.verifier.valid_until(local, "ses.example", NOW) for _ in range(LOOKUPS + 3)]
        self.assertEqual([each is not None for each in answers], [True] * LOOKUPS + [False] * 3)
        self.assertEqual(len(self.told), 1)
        self.assertNotIn("joe", self.told[0])
        self.assertIsNotNone(self.verifier.valid_until(self.signed("bob@ses.example"), "ses.example", NOW))

    def test_guessing(self) -> None:
        """Case 22: after thousands of forgeries in a minute nothing is verified until it is over."""
        good = self.signed("joe@ses.example")
        for _ in range(FORGERIES_A_MINUTE):
            self.verifier.valid_until("SES=FE68Q8Y4XOT6ZW5XZ=joe", "ses.example", NOW)
        self.assertIsNone(self.verifier.valid_until(good, "ses.example", NOW))
        self.assertIsNotNone(self.verifier.valid_until(good, "ses.example", NOW + 60))


class ReplayBudgetTests(SynchronousTestCase):
    """Case 25: counting has an end."""

    def test_bounded(self) -> None:
        """So many signatures are remembered, the latest used ones."""
        budget = ReplayBudget(uses=2, remembered=3)
        for name in ("a", "b", "c", "a", "d"):
            budget.spend(name, NOW + DAY, NOW)
        self.assertEqual(len(budget), 3)
        self.assertEqual([budget.spend(name, NOW + DAY, NOW) for name in ("a", "d", "b")], [-1, 0, 1])

    def test_expiry(self) -> None:
        """What has expired counts anew: the same text may be the signature of a later day."""
        budget = ReplayBudget(uses=1)
        self.assertEqual([budget.spend("a", NOW + 1, NOW), budget.spend("a", NOW + 1, NOW)], [0, -1])
        self.assertEqual(budget.spend("a", NOW + 9, NOW + 1), 0)
