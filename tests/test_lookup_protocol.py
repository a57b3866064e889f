"""The connections of MTAs that look up addresses (abuse cases 31, 33 and 36, reliability S1, S6 and S7)."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.signing.test_maps import NOW, maps
from tests.wire.test_frames import cut
from twistedmilter.lookup_protocol import (
    BLOCKED,
    PER_TURN,
    LookupFactory,
    LookupProtocol,
    Lookups,
    SocketmapDialect,
    TcpTableDialect,
)
from twistedmilter.model.signing_settings import SocketmapSettings
from twistedmilter.wire.netstring import encode_netstring
from twistedmilter.wire.socketmap import Reply, encode_request

FORWARD = encode_request(b"forward", b"stuart@gathman.org")
FORWARDED = b"50:OK SRS0=IJx2ja/b=G3=gathman.org=stuart@fwd.example,"


class LookupTestCase(SynchronousTestCase):
    """MTAs on transports in memory."""

    settings = SocketmapSettings()

    def setUp(self) -> None:
        """A listener, and a clock."""
        self.clock = Clock()
        self.lookups = Lookups(self.settings, self.clock, lambda: NOW)
        self.lookups.start()
        self.addCleanup(self.lookups.stop)
        self.factory = LookupFactory(SocketmapDialect(maps(), 10_000), self.lookups)

    def connect(self, factory: LookupFactory | None = None) -> tuple[LookupProtocol, StringTransport]:
        """Another MTA."""
        protocol = (factory or self.factory).buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)  # type: ignore[no-untyped-call]
        return protocol, transport

    def ask(self, octets: bytes) -> tuple[bytes, bool]:
        """What comes back for these octets, and whether the connection was closed."""
        protocol, transport = self.connect()
        protocol.dataReceived(octets)
        return transport.value(), transport.disconnecting


class SocketmapTests(LookupTestCase):
    """Requests in, replies out."""

    def test_one(self) -> None:
        """A request has its reply, and the connection stays."""
        self.assertEqual(self.ask(FORWARD), (FORWARDED, False))
        self.assertEqual(self.lookups.snapshot(), {"connections": 1, "replies": {"OK": 1}})

    def test_framing(self) -> None:
        """Case 31: what is no netstring is told once, then the connection ends; never a bad reply for each octet."""
        for octets in (b"99999999:", b"007:", b"-1:", b":,", b"3:abc;", b"\0", b"GET / HTTP/1.1\r\n", b"10001:"):
            self.assertEqual(self.ask(octets + FORWARD), (b"19:PERM Invalid query.,", True), octets)
            self.assertEqual(self.ask(FORWARD + octets), (FORWARDED + b"19:PERM Invalid query.,", True), octets)

    def test_refused_but_in_step(self) -> None:
        """Case 31: what is framed well but makes no sense is refused, and the next request is answered."""
        for payload in (b"", b"nonsense", b"log x", FORWARD, b"\xff\xfe", b"forward a\0b@c"):
            replies, is_closed = self.ask(encode_netstring(payload) + FORWARD)
            self.assertRegex(replies, rb"^[0-9]+:PERM [A-Za-z ]+\.," + FORWARDED.replace(b"/", b"/"))
            self.assertFalse(is_closed)

    @given(st.lists(st.integers(0, 3000), max_size=12))
    def test_chunking_is_invisible(self, places: list[int]) -> None:
        """Case 31: pipelined, in any pieces."""
        protocol, transport = self.connect()
        for piece in cut(FORWARD * 9, places):
            protocol.dataReceived(piece)
        self.assertEqual(transport.value(), FORWARDED * 9)
        protocol.connectionLost()

    def test_turns(self) -> None:
        """Many requests at once do not keep others waiting."""
        protocol, transport = self.connect()
        count = PER_TURN * 2 + 1
        protocol.dataReceived(FORWARD * count)
        self.assertEqual(transport.value(), FORWARDED * PER_TURN)
        for _ in range(3):
            self.clock.advance(0)
        self.assertEqual(transport.value(), FORWARDED * count)

    def test_a_fault_of_ours(self) -> None:
        """S7, case 36: is to be tried again, in words that tell nothing of it; never not found, never refused."""
        factory = LookupFactory(BrokenDialect(maps(), 100), self.lookups)
        protocol, transport = self.connect(factory)
        protocol.dataReceived(FORWARD)
        self.assertEqual(transport.value(), b"20:TEMP Internal error.,")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class BrokenDialect(SocketmapDialect):
    """Fails by its own fault."""

    def ask(self, request: bytes, now: float) -> Reply:
        """Fail."""
        raise ZeroDivisionError


class SocketTransport(StringTransport):
    """One whose socket takes some octets at once.

    @ivar room: how many. @ivar sent: those.
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self.sent = b""

    def writeSomeData(self, octets: bytes) -> int | Exception:
        """As Twisted's: how many octets were sent, or why none."""
        if not self.room:
            return ConnectionLost()
        taken = octets[: self.room]
        self.room -= len(taken)
        self.sent += taken
        return len(taken)


class SendingTests(LookupTestCase):
    """Replies do not wait for another turn of the reactor, and are never out of order."""

    def test_at_once(self) -> None:
        """What the socket takes is sent at once; from the first that it does not take on, by the buffer."""
        for room in (0, 1, len(FORWARDED), len(FORWARDED) + 9, 10_000):
            transport = SocketTransport(room)
            protocol = self.factory.buildProtocol(None)
            protocol.makeConnection(transport)  # type: ignore[no-untyped-call]
            for _ in range(3):
                protocol.dataReceived(FORWARD)
            self.assertEqual(transport.sent + transport.value(), FORWARDED * 3)
            self.assertEqual(len(transport.sent), min(room, len(FORWARDED) * 3))


class TcpTableTests(LookupTestCase):
    """Postfix's other protocol."""

    def test_lines(self) -> None:
        """The map is that of the listener; what cannot be read is absent."""
        for name, line, reply in (
            ("forward", b"get stuart@gathman.org\n", b"200 SRS0=IJx2ja/b=G3=gathman.org=stuart@fwd.example\n"),
            ("reverse", b"get stuart@gathman.org\n", b"500 Not%20an%20SRS%20address.\n"),
            ("forward", b"put a b\n", b"500 Invalid%20query.\n"),
        ):
            protocol, transport = self.connect(LookupFactory(TcpTableDialect(maps(), name), self.lookups))
            protocol.dataReceived(line)
            self.assertEqual(transport.value(), reply)
            protocol.connectionLost()

    def test_long_line(self) -> None:
        """A line without end is told once, and ends the connection."""
        protocol, transport = self.connect(LookupFactory(TcpTableDialect(maps(), "forward"), self.lookups))
        protocol.dataReceived(b"x" * 5000)
        self.assertEqual((transport.value(), transport.disconnecting), (b"500 Invalid%20query.\n", True))


class LimitTests(LookupTestCase):
    """Who may connect, how many, and for how long."""

    settings = SocketmapSettings(max_connections=3)

    def test_too_many(self) -> None:
        """S6: a connection too many is closed; when one ends there is room again."""
        connections = [self.connect() for _ in range(4)]
        self.assertEqual([transport.disconnected for _protocol, transport in connections], [False] * 3 + [True])
        connections[0][0].connectionLost()
        self.assertFalse(self.connect()[1].disconnected)

    def named(self, uid: int | None) -> Callable[[object], int | None]:
        """A system that says who is at the other end."""
        return lambda _transport: uid

    def test_strangers(self) -> None:
        """Case 33: another user than those of the list has no answer; nor has one whom the system does not name."""
        for uid, is_closed in ((1000, False), (1001, True), (None, True)):
            factory = LookupFactory(
                self.factory.dialect, self.lookups, users=frozenset({0, 1000}), peer_uid=self.named(uid)
            )
            protocol, transport = self.connect(factory)
            protocol.dataReceived(FORWARD)
            self.assertEqual(transport.disconnected, is_closed)
            self.assertEqual(transport.value(), b"" if is_closed else FORWARDED)

    def test_slow_request(self) -> None:
        """S1: a request that is dripped in ends after ten seconds, whatever the pace."""
        protocol, transport = self.connect()
        for octet in FORWARD[:11]:
            protocol.dataReceived(bytes((octet,)))
            self.clock.advance(1.0)
        self.assertTrue(transport.disconnected)

    def test_idle(self) -> None:
        """S6: an MTA may be silent for ten minutes after its last request."""
        protocol, transport = self.connect()
        for _ in range(3):
            self.clock.pump([100.0] * 5)
            protocol.dataReceived(FORWARD)
        self.assertFalse(transport.disconnected)
        self.clock.pump([100.0] * 7)
        self.assertTrue(transport.disconnected)

    def test_blocked(self) -> None:
        """One that takes no replies is not read, has no more made for it, and is closed after a while."""
        protocol, transport = self.connect()
        protocol.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        protocol.dataReceived(FORWARD)
        self.assertEqual(transport.value(), b"")
        protocol.resumeProducing()
        self.assertEqual(transport.value(), FORWARDED)
        protocol.pauseProducing()
        self.clock.pump([1.0] * int(BLOCKED + 2))
        self.assertTrue(transport.disconnected)

    def test_stop(self) -> None:
        """At the end of the service all are closed; what comes then is not answered."""
        protocol, transport = self.connect()
        self.lookups.stop()
        protocol.dataReceived(FORWARD)
        self.assertEqual((transport.value(), transport.disconnected), (b"", True))
