"""Unix sockets without descriptors; pins what of Twisted they rest on."""

from __future__ import annotations

import os
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter.octet_port import OctetPort


class Echo(Protocol):
    """Says what it hears, and closes when it hears an end."""

    def dataReceived(self, data: bytes) -> None:
        """Say it."""
        assert self.transport is not None
        self.transport.write(data)
        if data.endswith(b"."):
            self.transport.loseConnection()


class OctetPortTests(TestCase):
    """A real socket."""

    def setUp(self) -> None:
        """A port that echoes."""
        self.path = os.path.relpath(self.mktemp())
        port = OctetPort(self.path.encode(), Factory.forProtocol(Echo), reactor=reactor)
        port.startListening()  # type: ignore[no-untyped-call]
        self.addCleanup(port.stopListening)

    def talk(self, sent: bytes, descriptors: list[int]) -> Deferred[bytes]:
        """What comes back for these octets, sent together with descriptors."""

        def run() -> bytes:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10.0)
                client.connect(self.path)
                socket.send_fds(client, [sent[:1]], descriptors)
                client.sendall(sent[1:])
                return b"".join(iter(lambda: client.recv(65536), b""))

        return deferToThread(run)

    async def test_octets(self) -> None:
        """More than a buffer goes in and comes back."""
        sent = bytes(range(40, 240)) * 5_000 + b"."
        self.assertEqual(await self.talk(sent, []), sent)

    async def test_descriptors_are_closed(self) -> None:
        """A file descriptor that comes along is dropped, and the octets are read."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.assertEqual(await self.talk(b"hello.", [writing]), b"hello.")
        os.close(writing)
        self.assertEqual(os.read(reading, 1), b"")  # nobody has the other end any more
