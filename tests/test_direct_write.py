"""Writing straight to a socket: in order, nothing lost, and Twisted's names are still what they were."""

from __future__ import annotations

import socket

from twisted.internet import tcp, unix
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.direct_write import write_now


class DirectWriteTests(SynchronousTestCase):
    """One plain transport over a socket pair; its reactor only notes who wants to write."""

    def setUp(self) -> None:
        """A unix server's transport and the socket of its MTA."""
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.addCleanup(self.peer.close)
        self.addCleanup(ours.close)
        self.reactor = MemoryReactorClock()
        self.transport = unix.Server(ours, Protocol(), None, None, 1, self.reactor)

    def is_queued(self) -> bool:
        """Whether the reactor was asked to write later."""
        return self.transport in self.reactor.getWriters()

    def test_at_once(self) -> None:
        """The octets are at the MTA without a turn of the reactor."""
        write_now(self.transport, b"abc")
        self.assertEqual((self.peer.recv(10), self.is_queued()), (b"abc", False))

    def test_order_is_kept(self) -> None:
        """What was queued before goes first, also when it is in the buffer that is being sent."""
        self.transport.write(b"one ")
        write_now(self.transport, b"two")
        self.assertRaises(BlockingIOError, self.peer.recv, 10)
        self.transport.doWrite()
        self.assertEqual(self.peer.recv(10), b"one two")
        self.transport.dataBuffer = b"three "
        write_now(self.transport, b"four")
        self.transport.doWrite()
        self.assertEqual(self.peer.recv(20), b"three four")

    def test_a_full_socket_takes_the_rest_later(self) -> None:
        """Nothing is lost when the MTA does not read for a while."""
        octets = bytes(4_000_000)
        write_now(self.transport, octets)
        self.assertTrue(self.is_queued())
        arrived = 0
        while arrived < len(octets):
            arrived += len(self.peer.recv(1_000_000))
            self.transport.doWrite()
        self.assertEqual((arrived, self.is_queued()), (len(octets), False))

    def test_a_lost_mta_is_found_by_the_reactor(self) -> None:
        """A failing socket raises nothing here; the reactor's own write finds it."""
        self.peer.close()
        write_now(self.transport, b"abc")
        self.assertTrue(self.is_queued())
        self.assertIsInstance(self.transport.doWrite(), Exception)

    def test_nothing_after_the_end(self) -> None:
        """On a connection that ends, what follows is Twisted's business, as documented."""
        self.transport.loseConnection()
        self.transport.stopWriting()
        write_now(self.transport, b"abc")
        self.assertRaises(BlockingIOError, self.peer.recv, 10)

    def test_other_transports_are_written_as_documented(self) -> None:
        """Also a subclass of a plain one: it may encrypt."""

        class Encrypting(tcp.Server):
            """Says what was written to it."""

            def __init__(self) -> None:
                self.written = b""

            def write(self, data: bytes) -> None:
                """Keep it."""
                self.written += data

        other, encrypting = StringTransport(), Encrypting()
        write_now(other, b"abc")
        write_now(encrypting, b"abc")
        self.assertEqual((other.value(), encrypting.written), (b"abc", b"abc"))

    def test_names_of_twisted(self) -> None:
        """The undocumented names mean what they did; if this fails, call transport.write until it is mended."""
        transport = self.transport
        before = (transport.connected, transport.disconnecting, transport.dataBuffer, transport._tempDataBuffer)
        self.assertEqual(before, (1, 0, b"", []))
        transport.write(b"abc")
        self.assertEqual(transport._tempDataBuffer, [b"abc"])
        transport.loseConnection()
        self.assertTrue(transport.disconnecting)
        for kind in (tcp.Server, unix.Server):
            self.assertTrue(hasattr(kind, "dataBuffer") and hasattr(kind, "doWrite"), kind)
