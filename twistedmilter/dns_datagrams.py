"""DNS over UDP: a socket that is drained when it wakes us, a bounded piece at a time.

Twisted's own datagram transport takes them one by one, which costs half as much again for each query; so this is a
reader of our own.
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

from twistedmilter.dns_batches import PER_TURN, QUERY_ROOM, Answer, Batches, is_possible

WANTED_BUFFER: Final = 2**20  # octets that the kernel keeps while we are busy
_log = Logger()

Respond = Callable[[bytes, bytes], bytes | None]


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

    @param respond: from datagram and address, 4 or 16 octets, to answer.
    @param in_batches: whether many datagrams are taken with one system call; None: if this system can.
    @ivar unsent: answers that the kernel did not take (D25).
    """

    def __init__(
        self, reactor: Any, opened: socket.socket, respond: Respond, *, in_batches: bool | None = None
    ) -> None:
        self.unsent = 0
        if in_batches is None:
            in_batches = is_possible()
        self._turn = Batches(opened).turn if in_batches else self._one_by_one
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
        try:
            self.unsent += self._turn(self._answer)
        except BlockingIOError:
            return
        except OSError as error:
            self._receive_failed(error)

    def _answer(self, octets: bytes, address: bytes) -> bytes | None:
        """The answer to a datagram; None if there is none, or we cannot find it."""
        try:
            return self._respond(octets, address)
        except Exception:  # noqa: BLE001 - a bug must not end the service for all others
            _log.failure("dns: a query could not be answered by our own fault: {query}", query=octets.hex())
            return None

    def _one_by_one(self, answer: Answer) -> int:
        """As L{Batches.turn}, for systems that do not have it."""
        unsent = 0
        for _ in range(PER_TURN):
            try:
                octets, peer = self._socket.recvfrom(QUERY_ROOM)
            except BlockingIOError:
                break
            response = answer(octets, socket.inet_pton(self._socket.family, peer[0].partition("%")[0]))
            if response is not None:
                try:
                    self._socket.sendto(response, peer)
                except OSError:
                    unsent += 1
        return unsent

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
