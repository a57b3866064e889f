"""Proving who one is to a peer (reliability P2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.gossip import Query, parse_request
from twistedmilter.wire.gossip_keys import KeyedSession, encode_hello, encode_welcome, parse_hello, welcomed
from twistedmilter.wire.umis import umis_of

KEY = b"k" * 32
OURS, THEIRS = umis_of(b"a" * 16), umis_of(b"b" * 16)
LINE = b"Q:example.com:SPF:0:u"


def session(key: bytes = KEY, name: str = "a", client: str = OURS, server: str = THEIRS) -> KeyedSession:
    """A connection."""
    return KeyedSession(key, name, client, server)


class KeyTests(SynchronousTestCase):
    """What two ends with one key say."""

    def test_handshake(self) -> None:
        """Both know then that the other has the key."""
        self.assertEqual(parse_hello(encode_hello("a", OURS).strip()), ("a", OURS))
        ours = welcomed(encode_welcome(THEIRS, session()).strip(), KEY, "a", OURS)
        self.assertEqual(session().open_request(1, ours.seal_request(1, LINE)), LINE)
        answer = b"PREPEND X-GOSSiP: u,0,0"
        self.assertEqual(ours.open_answer(1, session().seal_answer(1, answer)), answer)

    def test_who_has_another_key_is_not_welcome(self) -> None:
        """Nor who answers another hello, or with other words."""
        for other in (session(b"x" * 32), session(name="b"), session(client=THEIRS)):
            with self.assertRaises(ProtocolViolation):
                welcomed(encode_welcome(THEIRS, other).strip(), KEY, "a", OURS)
        for line in (b"", b"ERROR X-GOSSiP: REQUEST_ERROR,0,0", b"HELLO X-GOSSiP: x,y", b"\xff"):
            with self.assertRaises(ProtocolViolation):
                welcomed(line, KEY, "a", OURS)
        for line in (b"H:a", b"H:a:short", b"H:a b:" + OURS.encode(), b"H:a:" + OURS.encode() + b":x"):
            self.assertIsNone(parse_hello(line))

    def test_nothing_can_be_replayed_or_sent_back(self) -> None:
        """Not later, not on another connection, not in the other direction."""
        sealed = session().seal_request(1, LINE)
        for number, there in ((2, session()), (1, session(server=OURS)), (1, session(b"x" * 32))):
            with self.assertRaises(ProtocolViolation):
                there.open_request(number, sealed)
        with self.assertRaises(ProtocolViolation):
            session().open_answer(1, sealed)

    @given(st.integers(0, 200), st.integers(1, 255))
    def test_nothing_can_be_changed(self, place: int, difference: int) -> None:
        """Any octet that is another breaks the tag."""
        sealed = bytearray(session().seal_request(1, LINE))
        sealed[place % len(sealed)] ^= difference
        with self.assertRaises(ProtocolViolation):
            session().open_request(1, bytes(sealed))

    def test_a_plain_server_reads_a_sealed_request(self) -> None:
        """The tag is a field that it does not need."""
        request = parse_request(session().seal_request(1, LINE))
        assert isinstance(request, Query)
        self.assertEqual(request.umis, "u")

    @given(st.binary(max_size=100))
    def test_garbage(self, line: bytes) -> None:
        """Is refused."""
        for opened in (session().open_request, session().open_answer):
            with self.assertRaises(ProtocolViolation):
                opened(1, line)
        parse_hello(line)
