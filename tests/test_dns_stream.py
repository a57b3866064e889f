"""DNS over TCP: framing, pipelining, limits (RFC 7766; D13, D14; abuse case 50)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.dns_stream import BLOCKED, MAX_MESSAGE, PER_TURN, DNSStream, DNSStreamFactory


class Transport(StringTransport):
    """One that can be aborted, and counts no octets as taken."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to delay."""


class StreamTests(SynchronousTestCase):
    """One factory whose answer is the query in capitals; a query that begins with a hyphen has none."""

    def setUp(self) -> None:
        """The factory."""
        self.clock = Clock()
        self.factory = DNSStreamFactory(self.clock, self.respond, limit=6, per_client=4, idle=10.0)
        self.asked: list[bytes] = []

    def respond(self, octets: bytes, host: str) -> bytes | None:
        """Capitals, or nothing."""
        self.asked.append(octets)
        return None if octets.startswith(b"-") else octets.upper()

    def connect(self, host: str = "192.0.2.1") -> tuple[DNSStream, Transport]:
        """A client that is connected."""
        stream = self.factory.buildProtocol(IPv4Address("TCP", host, 1))
        assert stream is not None
        transport = Transport()
        stream.makeConnection(transport)  # type: ignore[no-untyped-call]
        return stream, transport

    def test_pipelined(self) -> None:
        """Several in one segment are answered in order; one without an answer is passed over."""
        stream, transport = self.connect()
        stream.dataReceived(b"\0\3one\0\4-two\0\5three\0")
        self.assertEqual(transport.value(), b"\0\3ONE\0\5THREE")

    @given(st.lists(st.integers(1, 12), max_size=12))
    def test_chunking_is_invisible(self, sizes: list[int]) -> None:
        """One octet at a time or all at once."""
        self.setUp()
        stream, transport = self.connect()
        octets = b"\0\3one\0\4-two\0\5three\0\1x"
        for size in sizes:
            stream.dataReceived(octets[:size])
            octets = octets[size:]
        stream.dataReceived(octets)
        self.assertEqual(transport.value(), b"\0\3ONE\0\5THREE\0\1X")
        stream.connectionLost()

    def test_many_at_once(self) -> None:
        """Others have their turn between."""
        stream, transport = self.connect()
        stream.dataReceived(b"\0\1x" * (PER_TURN * 2 + 1))
        self.assertEqual(len(self.asked), PER_TURN)
        stream.dataReceived(b"\0\1y")
        self.clock.pump([0, 0, 0])
        self.assertEqual(transport.value(), b"\0\1X" * (PER_TURN * 2 + 1) + b"\0\1Y")

    def test_half_closed(self) -> None:
        """A client that says no more still gets all its answers, then the end."""
        stream, transport = self.connect()
        stream.dataReceived(b"\0\1x" * (PER_TURN + 1))
        stream.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.clock.advance(0)
        self.assertEqual((transport.value(), transport.disconnecting), (b"\0\1X" * (PER_TURN + 1), True))

    def test_lengths_that_lie(self) -> None:
        """50: nothing, or more than a query can have."""
        for octets in (b"\0\0", (MAX_MESSAGE + 1).to_bytes(2, "big"), b"\xff\xff"):
            stream, transport = self.connect()
            stream.dataReceived(octets)
            self.assertTrue(transport.disconnected, octets)
            stream.connectionLost()

    def test_idle(self) -> None:
        """10 s without a whole message; an octet now and then does not help (slow-loris)."""
        stream, transport = self.connect()
        self.clock.advance(8)
        stream.dataReceived(b"\0\1x\0\x40")
        for _ in range(9):
            self.clock.advance(1)
            stream.dataReceived(b"x")
        self.assertFalse(transport.disconnected)
        self.clock.pump([1] * 3)
        self.assertTrue(transport.disconnected)

    def test_who_does_not_listen(self) -> None:
        """D14: nothing more is read or answered, and after a while it is the end."""
        stream, transport = self.connect()
        stream.pauseProducing()
        stream.dataReceived(b"\0\1x")
        self.assertEqual((self.asked, transport.producerState), ([], "paused"))
        stream.resumeProducing()
        self.assertEqual(transport.value(), b"\0\1X")
        stream.pauseProducing()
        self.clock.pump([1] * (int(BLOCKED) + 2))
        self.assertTrue(transport.disconnected)

    def test_limits(self) -> None:
        """So many of one client, so many of all; who leaves makes room."""
        streams = [self.connect()[0] for _ in range(4)]
        self.assertIsNone(self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)))
        streams += [self.connect(f"192.0.2.{number}")[0] for number in (2, 3)]
        self.assertIsNone(self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.4", 1)))
        self.assertEqual((len(self.factory), self.factory.turned_away), (6, 2))
        streams[0].connectionLost()
        self.connect("192.0.2.1")

    def test_nothing_is_left(self) -> None:
        """After the last client there is no timer, and none answers after its end."""
        stream, _ = self.connect()
        stream.dataReceived(b"\0\1x" * (PER_TURN + 1))
        stream.connectionLost()
        self.clock.advance(0)
        self.assertEqual((len(self.asked), self.clock.getDelayedCalls()), (PER_TURN, []))

    def test_stop(self) -> None:
        """All are closed at once."""
        transports = [self.connect()[1] for _ in range(3)]
        self.factory.stop()
        self.assertTrue(all(transport.disconnected for transport in transports))
        self.assertEqual(self.asked, [])
