"""A name server on loopback that answers from zone text, or fails as the text says.

In a test, within the reactor::

    server = await NameServer.listening(reactor, Zone.parse(text))     # UDP and TCP on one port number
    self.addCleanup(server.stop)
    ... server.address ...

By hand, and for tests that need it in a process of its own::

    python -m tests.nameserver ZONEFILE PORT

which prints C{listening on 127.0.0.1:PORT} when it is ready; PORT 0 takes a free one.  The zone text is described
in L{tests.zonetext}.  The server answers recursively: it follows CNAME chains within its zone, unless
C{one_link} is set.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rrset
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.protocols.basic import Int16StringReceiver

from tests.zonetext import Fault, Found, Zone, canonical

TTL = 60
SOA = dns.rdata.from_text("IN", "SOA", ". . 1 3600 600 86400 60", relativize=False)
RCODES = {Fault.SERVFAIL: dns.rcode.SERVFAIL, Fault.REFUSED: dns.rcode.REFUSED, Fault.FORMERR: dns.rcode.FORMERR}


@dataclass
class NameServer:
    """Answers from a zone.

    @ivar asked: every question, as C{"TYPE name udp"} or C{"... tcp"}, in order.
    @ivar truncate: whether every answer over UDP is truncated.
    @ivar one_link: whether only the first CNAME of a chain is shown, as by a server that does not recurse.
    """

    zone: Zone
    truncate: bool = False
    one_link: bool = False
    asked: list[str] = field(default_factory=list)
    address: tuple[str, int] = ("127.0.0.1", 0)
    _ports: list[Any] = field(default_factory=list)

    @classmethod
    def listening(cls, reactor: Any, zone: Zone, port: int = 0, **options: Any) -> NameServer:
        """A server that listens on UDP and TCP with one port number, a free one if C{port} is 0."""
        server = cls(zone, **options)
        for _ in range(50):
            datagrams = reactor.listenUDP(port, _Datagrams(server), interface="127.0.0.1", maxPacketSize=4096)
            number = datagrams.getHost().port
            try:
                factory = Factory.forProtocol(_Stream)
                factory.server, factory.noisy = server, False  # type: ignore[attr-defined]
                streams = reactor.listenTCP(number, factory, interface="127.0.0.1")
            except CannotListenError:
                datagrams.stopListening()
                if port:
                    raise
                continue
            server._ports = [datagrams, streams]
            server.address = ("127.0.0.1", number)
            return server
        message = "no port number is free on both UDP and TCP"
        raise RuntimeError(message)

    def stop(self) -> Any:
        """Listen no longer; a Deferred."""
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])

    def stop_streams(self) -> Any:
        """Listen on TCP no longer; a Deferred."""
        return maybeDeferred(self._ports[1].stopListening)

    def answer(self, octets: bytes, transport: str) -> list[bytes]:
        """What to send for a question: nothing, one message or several."""
        query = dns.message.from_wire(octets)
        asked = query.question[0]
        name = canonical(asked.name.to_text())
        self.asked.append(f"{asked.rdtype.name} {name} {transport}")
        found = self.zone.find(_plain(asked.name), asked.rdtype)
        if found.fault is Fault.TIMEOUT:
            return []
        if found.fault is Fault.GARBAGE:
            return [octets[:2] + b"\x81\x80\xff\xff\xff"]
        if found.fault is Fault.QUERY:
            return [octets]
        wire = bytearray(self._message(query, found, transport).to_wire(max_size=65535))
        if found.fault is Fault.WRONG_ID:
            wire[0] ^= 0xFF
        return [bytes(wire)]

    def _message(self, query: dns.message.Message, found: Found, transport: str) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        asked = query.question[0]
        if found.fault in RCODES and not (found.fault is Fault.FORMERR and query.edns < 0):
            response.set_rcode(RCODES[found.fault])
        elif found.fault is Fault.LAME:
            other = dns.rdata.from_text("IN", "NS", "ns.elsewhere.example.")
            response.authority.append(dns.rrset.from_rdata(asked.name, TTL, other))
        elif transport == "udp" and (self.truncate or found.fault is Fault.TRUNCATED):
            response.flags |= dns.flags.TC
        else:
            self._fill(response, asked, found)
        if found.fault is Fault.WRONG_NAME:
            response.question = [dns.rrset.RRset(dns.name.from_text("other.example."), dns.rdataclass.IN, asked.rdtype)]
        return response

    def _fill(self, response: dns.message.Message, asked: dns.rrset.RRset, found: Found) -> None:
        chain = found.chain[:1] if self.one_link else found.chain
        owner = asked.name
        for _, link in chain:
            response.answer.append(dns.rrset.from_rdata(owner, TTL, link))
            owner = link.target  # type: ignore[attr-defined]
        if self.one_link and chain:
            return
        if found.records:
            response.answer.append(dns.rrset.from_rdata_list(owner, TTL, found.records))
            return
        if not found.exists:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_rdata(dns.name.root, TTL, SOA))


def _plain(name: dns.name.Name) -> str:
    """A name with its octets as they are, not escaped."""
    return b".".join(name.labels[:-1]).decode("latin-1")


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        for octets in self._server.answer(datagram, "udp"):
            self.transport.write(octets, addr)  # type: ignore[union-attr]


class _Stream(Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        for octets in self.factory.server.answer(string, "tcp"):
            self.sendString(octets)


def main(arguments: list[str]) -> int:
    """Serve a zone file until told to end."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m tests.nameserver ZONEFILE PORT\n")
        return 3
    from twisted.internet import reactor  # noqa: PLC0415 - only when run as a program

    server = NameServer.listening(reactor, Zone.parse(Path(arguments[0]).read_text("utf-8")), int(arguments[1]))
    print("listening on {}:{}".format(*server.address), flush=True)
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
