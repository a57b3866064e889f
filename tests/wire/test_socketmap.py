"""Requests and replies of socketmap (gossip-srs-dns-spec 5.1, abuse case 35)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.netstring import NetstringDecoder
from twistedmilter.wire.socketmap import (
    INTERNAL,
    INVALID_QUERY,
    MAX_REPLY,
    Reply,
    Request,
    Status,
    encode_reply,
    encode_request,
    found,
    not_found,
    parse_reply,
    parse_request,
)


class ReplyTests(SynchronousTestCase):
    """What goes to the MTA."""

    def test_known(self) -> None:
        """The examples of 5.1."""
        for reply, wire in (
            (found(b"resolved.address@example.com"), b"31:OK resolved.address@example.com,"),
            (not_found(), b"9:NOTFOUND ,"),
            (not_found("No domain."), b"19:NOTFOUND No domain.,"),
            (INVALID_QUERY, b"19:PERM Invalid query.,"),
            (INTERNAL, b"20:TEMP Internal error.,"),
        ):
            self.assertEqual(encode_reply(reply), wire)

    def test_never_a_bare_ok(self) -> None:
        """Which sendmail crashes on: an empty value is not found, and the blank is always there."""
        self.assertEqual(encode_reply(found(b"")), b"9:NOTFOUND ,")
        for status in Status:
            self.assertIn(b" ", Reply(status).payload)

    def test_length_counts_octets(self) -> None:
        """Case 35, and what the reference sent wrong: one octet too few for each accent."""
        self.assertEqual(encode_reply(found(b"r\xc3\xa9<@fwd.example.>")), b"21:OK r\xc3\xa9<@fwd.example.>,")

    def test_limit(self) -> None:
        """No reply is longer than an MTA takes."""
        self.assertEqual(len(Reply(Status.OK, b"x" * 9000).payload), MAX_REPLY + 3)

    @given(st.sampled_from(Status), st.binary(max_size=200))
    def test_round_trip(self, status: Status, text: bytes) -> None:
        """Any text comes back, and the stream stays in step."""
        decoder = NetstringDecoder()
        decoder.receive_data(encode_reply(Reply(status, text)) + b"1:x,")
        payload = decoder.next_string()
        assert payload is not None
        self.assertEqual(parse_reply(payload), Reply(status, text))
        self.assertEqual(decoder.next_string(), b"x")

    @given(st.binary(max_size=40))
    def test_garbage(self, payload: bytes) -> None:
        """Other words are no status."""
        if payload.partition(b" ")[0] not in {status.value for status in Status}:
            self.assertRaises(ProtocolViolation, parse_reply, payload)


class RequestTests(SynchronousTestCase):
    """What an MTA asks."""

    def test_parts(self) -> None:
        """The map ends at the first blank; a key may be empty, or missing."""
        for payload, request in (
            (b"forward a@b", Request(b"forward", b"a@b")),
            (b'forward "a b"@c', Request(b"forward", b'"a b"@c')),
            (b"forward ", Request(b"forward", b"")),
            (b"forward", Request(b"forward", None)),
            (b"", Request(b"", None)),
        ):
            self.assertEqual(parse_request(payload), request)

    def test_wire(self) -> None:
        """As Postfix sends it."""
        self.assertEqual(encode_request(b"forward", b"a@b"), b"11:forward a@b,")
