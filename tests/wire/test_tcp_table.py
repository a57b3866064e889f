"""Postfix's tcp_table protocol (gossip-srs-dns-spec 5.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.test_frames import cut
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.socketmap import INTERNAL, INVALID_QUERY, Reply, Status, found, not_found
from twistedmilter.wire.tcp_table import MAX_LINE, LineDecoder, encode_answer, encode_get, parse_get


class TcpTableTests(SynchronousTestCase):
    """Lines in, lines out."""

    def test_answers(self) -> None:
        """Found, absent, try again; what is refused for good is absent, since there is no word for it."""
        for reply, line in (
            (found(b"a+b@c.example"), b"200 a+b@c.example\n"),
            (found(b"50% \xc3\xa9"), b"200 50%25%20%C3%A9\n"),
            (not_found("No domain."), b"500 No%20domain.\n"),
            (not_found(), b"500 NOTFOUND\n"),
            (INVALID_QUERY, b"500 Invalid%20query.\n"),
            (INTERNAL, b"400 Internal%20error.\n"),
        ):
            self.assertEqual(encode_answer(reply), line)

    def test_long_answer(self) -> None:
        """What does not fit in a line is not cut, which would give another address."""
        self.assertEqual(encode_answer(Reply(Status.OK, b"\xff" * 2000)), b"400 The%20answer%20is%20too%20long.\n")

    def test_requests(self) -> None:
        """Only a readable C{get} is one."""
        for line, key in (
            (b"get a@b", b"a@b"),
            (b"get a%40b\r", b"a@b"),
            (b"get %22a%20b%22@c", b'"a b"@c'),
            (b"get ", None),
            (b"get", None),
            (b"get a%4", None),
            (b"get a%zz", None),
            (b"put a b", None),
            (b"GET / HTTP/1.1", None),
            (b"", None),
        ):
            self.assertEqual(parse_get(line), key, line)

    @given(st.lists(st.binary(min_size=1, max_size=80), max_size=8), st.lists(st.integers(0, 3000), max_size=12))
    def test_chunking_is_invisible(self, keys: list[bytes], places: list[int]) -> None:
        """Any cut of the stream gives the keys that were asked for."""
        decoder, seen = LineDecoder(), []
        for piece in cut(b"".join(map(encode_get, keys)), places):
            decoder.receive_data(piece)
            while (line := decoder.next_string()) is not None:
                seen.append(parse_get(line))
        self.assertEqual(seen, keys)
        self.assertTrue(decoder.is_between)

    def test_long_line(self) -> None:
        """A line has a limit, whether it ends or not."""
        for data in (b"x" * MAX_LINE, b"x" * MAX_LINE + b"\n"):
            decoder = LineDecoder()
            decoder.receive_data(data)
            for _ in range(2):
                self.assertRaises(ProtocolViolation, decoder.next_string)
        decoder = LineDecoder()
        decoder.receive_data(b"x" * (MAX_LINE - 1) + b"\n")
        self.assertEqual(decoder.next_string(), b"x" * (MAX_LINE - 1))
