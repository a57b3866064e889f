"""Twisted's own name server over the same data, as one would write it; run by the benchmark.

python -m benchmarks.peer_names DIRECTORY PORT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.epollreactor import EPollReactor
from twisted.names import dns
from twisted.names.common import ResolverBase
from twisted.names.error import AuthoritativeDomainError
from twisted.names.server import DNSServerFactory

from benchmarks.dns_data import ADDRESSES_ZONE, NAMES_ZONE


class Listed(ResolverBase):
    """A dictionary of names."""

    def __init__(self, names: set[bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = names

    def _lookup(self, name: bytes, cls: int, type: int, timeout: object) -> Deferred[Any]:  # noqa: A002, ARG002
        if name.lower() not in self._names:
            return fail(AuthoritativeDomainError(name))
        answer = dns.RRHeader(name, dns.A, dns.IN, 300, dns.Record_A("127.0.0.2", 300), auth=True)
        return succeed(([answer], [], []))


def main(directory: Path, port: int) -> None:
    """Serve until told to end."""
    names = {f"{line}.{NAMES_ZONE}".encode() for line in (directory / "names").read_text().splitlines()[1:]}
    for line in (directory / "addresses").read_text().splitlines()[1:]:
        names.add(f"{'.'.join(reversed(line.split('.')))}.{ADDRESSES_ZONE}".encode())
    reactor = EPollReactor()
    factory = DNSServerFactory(authorities=[Listed(names)])
    protocol = dns.DNSDatagramProtocol(factory, reactor)
    reactor.listenUDP(port, protocol, interface="127.0.0.1", maxPacketSize=4096)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
