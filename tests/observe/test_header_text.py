"""Tests of L{twistedmilter.observe.header_text}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.observe.header_text import decoded_words


class DecodedWordsTests(SynchronousTestCase):
    """RFC 2047 for people."""

    def test_encoded_words(self) -> None:
        """RFC 2047 section 8: blanks between encoded-words vanish, others stay."""
        for value, text in (
            (b"plain", "plain"),
            (b"=?ISO-8859-1?Q?a?= b", "a b"),
            (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a?=\n   =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a_b?=", "a b"),
            (b"=?utf-8*en?b?w7w=?=", "ü"),
        ):
            self.assertEqual(text, decoded_words(value))

    def test_odd_ones_stay_as_they_are(self) -> None:
        """An unknown character set and broken base64 are shown undecoded."""
        for value in (b"=?x-unknown?q?a?=", b"=?utf-8?b?a?=", b"=?punycode?q?a?="):
            self.assertEqual(value.decode(), decoded_words(value))

    def test_eight_bit_values(self) -> None:
        """UTF-8 is read, other octets stay octets."""
        self.assertEqual("ü \udcff", decoded_words("ü ".encode() + b"\xff"))

    @given(st.binary(max_size=200), st.sampled_from(["q", "b", "x"]))
    def test_nothing_fails(self, octets: bytes, encoding: str) -> None:
        """Any octets give a text."""
        self.assertIsInstance(decoded_words(f"=?utf-8?{encoding}?".encode() + octets + b"?="), str)
