"""DNS over UDP: draining, turns, and what may go wrong with a socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twistedmilter.dns_batches import PER_TURN, QUERY_ROOM
from twistedmilter.dns_datagrams import Datagrams, bound_socket


class Reactor:
    """Knows its readers."""

    def __init__(self) -> None:
        self.readers: set[object] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard


def echo(octets: bytes, address: bytes) -> bytes | None:
    """What came and from where; a bug, or nothing."""
    if octets == b"bug":
        raise ValueError("a bug")
    return None if octets == b"nothing" else octets + socket.inet_ntoa(address).encode()


class DatagramTests(SynchronousTestCase):
    """By hand.

    @ivar in_batches: whether datagrams are taken many at once.
    """

    in_batches = True

    def make(self, respond: Callable[[bytes, bytes], bytes | None] = echo) -> tuple[Datagrams, socket.socket]:
        """A server and a client connected to it."""
        server = Datagrams(Reactor(), bound_socket("127.0.0.1", 0), respond, in_batches=self.in_batches)
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(("127.0.0.1", server.port))
        client.setblocking(False)
        self.addCleanup(server.stop)
        self.addCleanup(client.close)
        return server, client

    def received(self, client: socket.socket) -> list[bytes]:
        """All that came back."""
        found = []
        try:
            while True:
                found.append(client.recv(4096))
        except BlockingIOError:
            return found

    def test_drained(self) -> None:
        """All that is there is answered in one turn; what has no answer gets none."""
        server, client = self.make()
        for octets in (b"1", b"nothing", b"2"):
            client.send(octets)
        server.doRead()
        self.assertEqual(self.received(client), [b"1127.0.0.1", b"2127.0.0.1"])
        server.doRead()

    def test_turns(self) -> None:
        """A flood leaves time for others."""
        server, client = self.make()
        for _ in range(PER_TURN + 5):
            client.send(b"x")
        server.doRead()
        self.assertEqual(len(self.received(client)), PER_TURN)
        server.doRead()
        self.assertEqual(len(self.received(client)), 5)

    def test_a_bug(self) -> None:
        """It is logged, and the next query is answered."""
        server, client = self.make()
        client.send(b"bug")
        client.send(b"1")
        server.doRead()
        self.assertEqual(self.received(client), [b"1127.0.0.1"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_what_cannot_be_sent(self) -> None:
        """D25: it is counted, and the rest is answered."""
        server, client = self.make(lambda octets, _host: octets * 70_000 if octets == b"1" else octets)
        client.send(b"1")
        client.send(b"2")
        server.doRead()
        self.assertEqual((self.received(client), server.unsent), ([b"2"], 1))

    def test_a_client_that_is_gone(self) -> None:
        """Its ICMP messages hurt nobody."""
        server, client = self.make()
        client.send(b"1")
        client.close()
        server.doRead()
        server.doRead()

    def test_start_and_stop(self) -> None:
        """The reactor knows it meanwhile, and the port is free afterwards."""
        server, _ = self.make()
        server.start()
        self.assertEqual(server._reactor.readers, {server})
        port = server.port
        server.stop()
        self.assertEqual((server._reactor.readers, server.fileno(), server.logPrefix()), (set(), -1, "dns"))
        bound_socket("127.0.0.1", port).close()
        server.connectionLost(Failure(ConnectionError()))

    def test_a_port_in_use(self) -> None:
        """It is refused, but for sockets that agree to share."""
        first = bound_socket("127.0.0.1", 0, is_shared=True)
        self.addCleanup(first.close)
        port = first.getsockname()[1]
        self.assertRaises(OSError, bound_socket, "127.0.0.1", port)
        bound_socket("127.0.0.1", port, is_shared=True).close()

    def test_ipv6(self) -> None:
        """An address of it is bound for itself."""
        opened = bound_socket("::1", 0)
        self.addCleanup(opened.close)
        self.assertEqual(opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 1)


class OneByOneTests(DatagramTests):
    """The same where the system has no better way."""

    in_batches = False


class BatchTests(SynchronousTestCase):
    """What only batches can get wrong."""

    def test_everybody_gets_their_own_answer(self) -> None:
        """Many clients in one turn, some of them without an answer."""
        server = Datagrams(Reactor(), bound_socket("127.0.0.1", 0), echo)
        self.addCleanup(server.stop)
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            client.settimeout(1)
            client.bind((f"127.0.0.{number % 5 + 1}", 0))
            client.sendto(b"nothing" if number % 3 == 0 else b"%d from " % number, server.address)
        server.doRead()
        server.doRead()
        for number, client in enumerate(clients):
            if number % 3:
                self.assertEqual(client.recv(100), b"%d from 127.0.0.%d" % (number, number % 5 + 1))

    def test_ipv6(self) -> None:
        """Addresses of sixteen octets."""
        server = Datagrams(Reactor(), bound_socket("::1", 0), lambda octets, address: octets + address)
        self.addCleanup(server.stop)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            for octets in (b"1", b"x" * 500, b"", b"3"):
                client.sendto(octets, server.address)
            server.doRead()
            loopback = b"\0" * 15 + b"\1"
            expected = [octets + loopback for octets in (b"1", b"x" * 500, b"", b"3")]
            self.assertEqual([client.recv(1000) for _ in range(4)], expected)

    def test_a_long_datagram(self) -> None:
        """It is cut off, and the next is not touched by it; answers of any length arrive whole."""
        server = Datagrams(Reactor(), bound_socket("127.0.0.1", 0), lambda octets, _: octets[:5] * 246)
        self.addCleanup(server.stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            for octets in (b"a" * 9000, b"bcdef", b"c" * QUERY_ROOM):
                client.sendto(octets, server.address)
            server.doRead()
            found = [client.recv(2000) for _ in range(3)]
            self.assertEqual(found, [b"a" * 1230, b"bcdef" * 246, b"c" * 1230])


class ReactorTests(TestCase):
    """With the real reactor."""

    async def test_it_is_woken(self) -> None:
        """A datagram is answered without anybody else doing anything."""
        world: Any = reactor
        server = Datagrams(world, bound_socket("127.0.0.1", 0), echo)
        server.start()
        self.addCleanup(server.stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", server.port))
            client.send(b"1")
            waited: Deferred[None] = deferLater(world, 0.05, lambda: None)
            await waited
            self.assertEqual(client.recv(100), b"1127.0.0.1")
