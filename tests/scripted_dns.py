"""What tests of the resolver stand on: a clock moved by hand, and a server answered from by hand, over real sockets."""

from __future__ import annotations

import select
import socket
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

import dns.message
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.resolver import Resolver
from twistedmilter.resolver_transport import Server

T = TypeVar("T")
SOA = ". 60 IN SOA . . 1 2 3 4 60"


def started(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """The coroutine as a Deferred, begun."""
    return Deferred.fromCoroutine(coroutine)


class SteppedReactor(Clock):
    """Time passes when told, and sockets are read when told."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Watch it."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Watch it no longer."""
        self.readers.remove(reader)

    def read(self) -> None:
        """Let everything that has arrived be read; loopback delivers before send() returns."""
        for reader in select.select(self.readers, [], [], 0)[0]:
            reader.doRead()


class ScriptedServer:
    """A UDP socket that a test answers from by hand."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # hundreds of questions come at once
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: Server = self.socket.getsockname()

    def questions(self) -> list[tuple[dns.message.Message, Server]]:
        """All questions that came since last asked, each with where to answer."""
        found: list[tuple[dns.message.Message, Server]] = []
        while True:
            try:
                octets, client = self.socket.recvfrom(4096)
            except BlockingIOError:
                return found
            found.append((dns.message.from_wire(octets), client))

    def question(self) -> tuple[dns.message.Message, Server]:
        """The only question that came."""
        (only,) = self.questions()
        return only

    def asked(self) -> list[str]:
        """The names that were asked for."""
        return [query.question[0].name.to_text(True) for query, _ in self.questions()]

    def answer(self, asked: tuple[dns.message.Message, Server], *lines: str, **how: Any) -> None:
        """Send a response, see L{response}."""
        self.send(response(asked[0], *lines, **how), asked[1])

    def send(self, octets: bytes, client: Server) -> None:
        """Send whatever it is."""
        self.socket.sendto(octets, client)


def response(query: dns.message.Message, *lines: str, rcode: str = "NOERROR", change: Any = None) -> bytes:
    """A response of zone file lines; without any it is a negative one.

    @param change: called with the message before it is sent.
    """
    message = dns.message.make_response(query)
    message.set_rcode(dns.rcode.from_text(rcode))
    for line in lines or ((SOA,) if rcode in ("NOERROR", "NXDOMAIN") else ()):
        name, ttl, rdclass, rdtype, data = line.split(None, 4)
        section = message.answer if rdtype != "SOA" else message.authority
        section.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data))
    if change is not None:
        change(message)
    return message.to_wire()


class ResolverTestCase(SynchronousTestCase):
    """A resolver, its clock, and two servers."""

    def setUp(self) -> None:
        """Open the servers."""
        self.reactor = SteppedReactor()
        self.first, self.second = ScriptedServer(), ScriptedServer()
        self.addCleanup(self.first.socket.close)
        self.addCleanup(self.second.socket.close)
        self.resolver = self.resolver_of(self.first)
        self.lookups: list[Deferred[Answer]] = []
        self.addCleanup(self.abandon)

    def abandon(self) -> None:
        """Cancel what a test left open."""
        for lookup in self.lookups:
            lookup.addErrback(lambda _: None)
            lookup.cancel()

    def resolver_of(self, *servers: ScriptedServer, **keys: Any) -> Resolver:
        """A resolver that asks these."""
        addresses = [server.address for server in servers]
        ids = count(1)
        return Resolver(
            self.reactor,  # type: ignore[arg-type]
            ResolverSettings(**keys),
            nameservers=addresses,
            randomness=lambda: next(ids),
        )

    def ask(self, name: str = "example.com", rdtype: RdataType = RdataType.A) -> Deferred[Answer]:
        """A lookup under way."""
        lookup = started(self.resolver.lookup(name, rdtype))
        self.lookups.append(lookup)
        return lookup

    def addresses(self, lookup: Deferred[Answer]) -> list[str]:
        """What a finished lookup brought."""
        return [record.to_text() for record in self.successResultOf(lookup).records]

    def problem(self, lookup: Deferred[Answer]) -> str:
        """Why a lookup failed."""
        return str(self.failureResultOf(lookup, TemporaryFailure).value)

    def assert_clean(self) -> None:
        """I4: no socket and no timer is left."""
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
