"""How questions travel: a connected UDP socket for each, and TCP for what does not fit.

A socket of its own has a random source port, and the kernel hands over nothing but what comes from the server
that was asked (RFC 5452 section 9, reliability A9).  Twisted's own UDP port is not used, because it logs a line
each time one is opened and closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTCP, IReactorTime, IReadDescriptor
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

MAX_DATAGRAM: Final = 4096  # octets; servers are told 1232
MAX_READS: Final = 16  # datagrams taken from one socket in one turn of the reactor

Server = tuple[str, int]


class IResolverReactor(IReactorTime, IReactorFDSet, IReactorTCP):
    """What of a reactor the resolver uses."""


def server_text(server: Server) -> str:
    """A name server as people write it, C{192.0.2.1:53} or C{[2001:db8::1]:53}."""
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@implementer(IReadDescriptor)
class DatagramSocket:
    """A UDP socket that talks to one server only."""

    def __init__(
        self,
        reactor: IResolverReactor,
        server: Server,
        received: Callable[[bytes], None],
        failed: Callable[[str], None],
    ) -> None:
        """Open and connect it.

        @param received: called with each datagram.
        @param failed: called with a few words when the network says that the server is not there.
        @raise OSError: no socket to be had, or no route.
        """
        self._reactor = reactor
        self._received = received
        self._failed = failed
        self._open = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server)
        except OSError:
            self._socket.close()
            raise
        self._open = True
        reactor.addReader(self)

    def send(self, octets: bytes) -> None:
        """Send one datagram."""
        try:
            self._socket.send(octets)
        except BlockingIOError:
            pass  # as if lost on the way; it is sent again
        except OSError as problem:
            self._failed(words(problem))

    def close(self) -> None:
        """Close it; nothing is received any more."""
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._socket.close()

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """Take what came."""
        for _ in range(MAX_READS):
            if not self._open:
                return
            try:
                octets = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as problem:
                self._failed(words(problem))
                return
            self._received(octets)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found it broken; the socket knows why, e.g. that nobody listens there."""
        if self._open:
            problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.close()
            self._failed(words(OSError(problem, "")) if problem else reason.getErrorMessage())

    def logPrefix(self) -> str:
        """Our name in the log."""
        return "resolver"


def words(problem: OSError) -> str:
    """What the system says of a problem, e.g. C{connection refused}."""
    return os.strerror(problem.errno).lower() if problem.errno else str(problem)


class _StreamExchange(Int16StringReceiver):
    """Sends one message over a TCP connection and takes the first that comes back (RFC 1035 section 4.2.2)."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self.octets)  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        if not self.answer.called:
            self.answer.callback(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.errback(reason)


class _OneExchange(ClientFactory):
    """Connects once.  Twisted's endpoints do this, too, but load all that TLS needs, and the start waits for it."""

    noisy = False

    def __init__(self, exchange: _StreamExchange) -> None:
        self._exchange = exchange

    def buildProtocol(self, addr: object) -> _StreamExchange:  # noqa: ARG002 - Twisted's
        return self._exchange

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:  # noqa: ARG002 - Twisted's
        self._exchange.connectionLost(reason)


async def ask_over_tcp(reactor: IResolverReactor, server: Server, octets: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - Twisted's connect takes it
    """One message to a server over TCP, and the message that comes back.

    @param timeout: for the connection to be there; cancel to limit the rest. [seconds]
    @raise ConnectionClosed: it was closed instead.
    @raise ConnectError: it could not be opened.
    """
    exchange = _StreamExchange(octets)
    connector = reactor.connectTCP(server[0], server[1], _OneExchange(exchange), timeout=timeout)
    try:
        return await exchange.answer
    finally:
        connector.disconnect()
