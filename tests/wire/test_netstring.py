"""Netstrings, however they were cut (gossip-srs-dns-spec 5.1, abuse case 31, reliability S1)."""

from __future__ import annotations

import contextlib
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.test_frames import cut
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.netstring import NetstringDecoder, encode_netstring

STRINGS = st.lists(st.binary(max_size=300), max_size=8)


def decode(pieces: list[bytes], limit: int = 10_000) -> list[bytes]:
    """All strings of a stream that came in these pieces."""
    decoder = NetstringDecoder(limit)
    strings = []
    for piece in pieces:
        decoder.receive_data(piece)
        while (octets := decoder.next_string()) is not None:
            strings.append(octets)
    return strings


class NetstringDecoderTests(SynchronousTestCase):
    """What L{NetstringDecoder} promises."""

    def test_known(self) -> None:
        """The examples of the protocol, several in one read, and an empty one."""
        self.assertEqual(
            decode([b"31:OK resolved.address@example.com,9:NOTFOUND ,0:,"]),
            [b"OK resolved.address@example.com", b"NOTFOUND ", b""],
        )

    @given(STRINGS, st.lists(st.integers(0, 3000), max_size=12))
    def test_chunking_is_invisible(self, strings: list[bytes], places: list[int]) -> None:
        """Any cut of the stream gives the strings that were encoded; S3: length counts octets."""
        stream = b"".join(map(encode_netstring, strings))
        self.assertEqual(decode(cut(stream, places)), strings)
        self.assertEqual(decode([stream[at : at + 1] for at in range(len(stream))]), strings)

    @given(st.binary(max_size=200))
    def test_garbage(self, data: bytes) -> None:
        """Garbage is a violation, or waits for more; nothing else happens."""
        with contextlib.suppress(ProtocolViolation):
            decode([data])

    def test_hostile(self) -> None:
        """Case 31: each is a violation as soon as it can be seen, before the octets that it promises."""
        for data in (
            b"99999999:",
            b"10001:",
            b"123456",
            b"9" * 5000,
            b"007:",
            b"00:,",
            b"-1:",
            b"+1:a,",
            b" 1:a,",
            b":,",
            b"1 :a,",
            b"1:a;",
            b"1:ab",
            b"\0",
            b"\x80",
            b"\xb2:aa,",
            b"GET / HTTP/1.1\r\n",
        ):
            self.assertRaises(ProtocolViolation, decode, [data])

    def test_stays_broken(self) -> None:
        """After a violation nothing is read any more, and nothing is kept."""
        decoder = NetstringDecoder()
        decoder.receive_data(b"x")
        for _ in range(3):
            self.assertRaises(ProtocolViolation, decoder.next_string)
            decoder.receive_data(b"1:a,")
        self.assertTrue(decoder.is_between)

    def test_nothing_is_allocated_from_a_length(self) -> None:
        """A length of ten thousand octets costs nothing before they come."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        decoders = [NetstringDecoder() for _ in range(100)]
        for decoder in decoders:
            decoder.receive_data(b"10000:")
            self.assertIsNone(decoder.next_string())
            self.assertFalse(decoder.is_between)
        self.assertLess(tracemalloc.get_traced_memory()[1], 200_000)
