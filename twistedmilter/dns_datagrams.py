"""DNS over UDP: a socket that is drained when it wakes us, a bounded piece at a time.

Twisted's own datagram transport costs a fifth more for each query, which is why this is a reader of our own.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

PER_TURN: Final = 64  # datagrams, below a millisecond of work; then others have their turn
RECEIVED_AT_MOST: Final = 4_096  # octets; the rest of a longer datagram is cut off, which makes no valid query of it
WANTED_BUFFER: Final = 2**20  # octets that the kernel keeps while we are busy
_log = Logger()

Respond = Callable[[bytes, str], bytes | None]


def bound_socket(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket for L{Datagrams}.

    @param is_shared: whether other sockets of this kind may be bound to the same port (SO_REUSEPORT).
    @raise OSError: it cannot be bound.
    """
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if ":" in host:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WANTED_BUFFER)
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


@implementer(IReadDescriptor)
class Datagrams:
    """Answers what comes in at one socket.

    @param respond: from datagram and address to answer.
    @ivar unsent: answers that the kernel did not take (D25).
    """

    def __init__(self, reactor: Any, opened: socket.socket, respond: Respond) -> None:
        self.unsent = 0
        self._reactor = reactor
        self._socket = opened
        self._respond = respond

    @property
    def address(self) -> tuple[str, int]:
        """What it is bound to."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def port(self) -> int:
        """The number that it is bound to."""
        return self.address[1]

    def start(self) -> None:
        """Begin to answer."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Answer no more, and close the socket."""
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor; -1 when it is closed."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """Answer what is there, up to L{PER_TURN} of it."""
        receive, send, respond = self._socket.recvfrom, self._socket.sendto, self._respond
        for _ in range(PER_TURN):
            try:
                octets, peer = receive(RECEIVED_AT_MOST)
            except BlockingIOError:
                return
            except OSError as error:
                self._receive_failed(error)
                return
            try:
                answer = respond(octets, peer[0])
            except Exception:  # noqa: BLE001 - a bug must not end the service for all others
                _log.failure("dns: a query could not be answered by our own fault: {query}", query=octets.hex())
                continue
            if answer is not None:
                try:
                    send(answer, peer)
                except OSError:
                    self.unsent += 1

    def _receive_failed(self, error: OSError) -> None:
        """An ICMP message about an answer is no trouble; anything else is told."""
        if error.errno not in {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINTR}:
            _log.error("dns: cannot receive: {error}", error=str(error))

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's
        """The reactor ends."""
        self._socket.close()

    def logPrefix(self) -> str:
        """Who speaks in the log."""
        return "dns"
