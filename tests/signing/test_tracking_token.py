"""Tests of signed addresses (G20, G21)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twistedmilter.interfaces.signing import IAddressSigner
from twistedmilter.model.durations import DAY
from twistedmilter.signing.tracking_token import HMACSigner

NOW = 1_764_000_000.0
SIGNER = HMACSigner(b"0123456789abcdef")


class HMACSignerTests(SynchronousTestCase):
    """What we signed comes back; what others made up does not."""

    def test_round_trip(self) -> None:
        """A token is found in a field, folded anywhere, in capitals, and among others."""
        verifyObject(IAddressSigner, SIGNER)
        token = SIGNER.sign("bob+x@example.com", NOW)
        self.assertRegex(token, "^[a-z0-9-]+$")
        for text in (
            f"<{token}.123@mx.example.org>",
            f"References: <a@b>\n\t<{token[:30]}\n {token[30:]}.1@x>",
            f"X-Mailer: thing ({token.upper()})",
            f"tm-1-{'0' * 32}-mfrgg {token}",
        ):
            self.assertEqual(SIGNER.find(text, NOW + DAY), "bob+x@example.com", text)

    def test_refused(self) -> None:
        """Another secret, another address, another day, too old, from the future, none."""
        token = SIGNER.sign("bob@example.com", NOW)
        other = HMACSigner(b"fedcba9876543210")
        day, mac, name = token.split("-")[1:]
        for text in (
            other.sign("bob@example.com", NOW),
            f"tm-{day}-{mac}-{'b' + name[1:]}",
            f"tm-{int(day, 16) - 1:x}-{mac}-{name}",
            "tm-",
            "",
        ):
            self.assertIsNone(SIGNER.find(text, NOW), text)
        self.assertIsNone(SIGNER.find(token, NOW + 31 * DAY))
        self.assertIsNone(SIGNER.find(token, NOW - DAY))

    def test_short_secret(self) -> None:
        """A secret that can be guessed is refused."""
        self.assertRaises(ValueError, HMACSigner, b"secret")

    @given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
    def test_any_address(self, address: str) -> None:
        """Whatever the address, it comes back as it was."""
        self.assertEqual(SIGNER.find(SIGNER.sign(address, NOW), NOW), address)
