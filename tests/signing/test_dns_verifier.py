"""Signed senders as the DNS asks about them (gossip-srs-dns-spec 6.5, case 45)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.signing.test_maps import NOW, maps
from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.model.durations import DAY
from twistedmilter.signing.dns_verifier import DNSVerifier


class DNSVerifierTests(SynchronousTestCase):
    """What a name server may say of a local part."""

    def setUp(self) -> None:
        """A verifier, and the maps that sign."""
        self.maps = maps(legacy=False)
        self.verifier = DNSVerifier(self.maps._rewriter)

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

    def test_fixed(self) -> None:
        """A fixed signature is good whenever it is looked up."""
        local = self.signed("news@ses.example")
        for now in (NOW, NOW + 1e9):
            until = self.verifier.valid_until(local, "ses.example", now)
            assert until is not None
            self.assertGreater(until, now)

    def test_forwarded(self) -> None:
        """A sender that we forward is not one that we vouch for; nor is an unsigned one, which may exist (45)."""
        for local, domain in (
            (self.signed("joe@gathman.org"), "fwd.example"),
            ("joe", "ses.example"),
            ("", "ses.example"),
            ("SES=FE68Q8Y4XOT6ZW5XZ=joe", "ses.example"),
        ):
            self.assertIsNone(self.verifier.valid_until(local, domain, NOW))
