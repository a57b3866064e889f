"""Names for tests as text: what L{tests.fakes.FakeResolver} and L{tests.nameserver} read.

A line is C{NAME TYPE DATA}; names need no trailing dot, C{;} begins a comment line, DATA is as in a zone file::

    ; one organisation, in order and out of it
    example.com         TXT    "v=spf1 mx -all"
    example.com         MX     10 mail.example.com
    mail.example.com    A      192.0.2.1
    www.example.com     CNAME  mail.example.com
    *.dyn.example.com   A      192.0.2.77
    slow.example.com    ANY    TIMEOUT
    broken.example.com  TXT    SERVFAIL
    large.example.com   TXT    TRUNCATED "v=spf1 -all"

Instead of DATA, or in front of it, may stand one word of L{Fault}.  The type C{ANY} with a fault is every type
that the name has no records of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdatatype import RdataType

MAX_CNAMES_SHOWN = 12


class Fault(StrEnum):
    """How a name server may fail to answer."""

    TIMEOUT = "TIMEOUT"  # silence
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    FORMERR = "FORMERR"  # to a question with EDNS only
    TRUNCATED = "TRUNCATED"  # over UDP; the whole answer over TCP
    WRONG_ID = "WRONG_ID"
    WRONG_NAME = "WRONG_NAME"  # answers another question
    QUERY = "QUERY"  # sends the question back, QR=0
    GARBAGE = "GARBAGE"
    LAME = "LAME"  # refers to somebody else


def canonical(name: str) -> str:
    """A name in lower case without the trailing dot."""
    return name.lower().removesuffix(".")


@dataclass(frozen=True)
class Found:
    """What a zone has for one question.

    @ivar chain: owner and record of each CNAME on the way.
    @ivar owner: the name at the end of the chain.
    @ivar exists: whether that name exists, with whatever types.
    """

    chain: tuple[tuple[str, dns.rdata.Rdata], ...]
    owner: str
    records: tuple[dns.rdata.Rdata, ...]
    exists: bool
    fault: Fault | None


@dataclass
class Zone:
    """Records and faults by name and type."""

    records: dict[str, dict[RdataType, list[dns.rdata.Rdata]]] = field(default_factory=dict)
    faults: dict[tuple[str, RdataType], Fault] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Zone:
        """A zone from its text.

        @raise ValueError: a line that cannot be read, with its number.
        """
        zone = cls()
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith(";"):
                continue
            try:
                zone._read_line(line)
            except Exception as problem:
                message = f"line {number}: {problem}: {line.strip()}"
                raise ValueError(message) from problem
        return zone

    def _read_line(self, line: str) -> None:
        name, type_word, data = line.split(None, 2)
        rdtype = dns.rdatatype.from_text(type_word)
        word, _, rest = data.strip().partition(" ")
        if word in Fault.__members__:
            self.fail(name, rdtype, Fault(word))
            data = rest
        if data.strip():
            self.add(name, dns.rdata.from_text(dns.rdataclass.IN, rdtype, data, origin=dns.name.root, relativize=False))

    def add(self, name: str, record: dns.rdata.Rdata) -> None:
        """Add one record."""
        self.records.setdefault(canonical(name), {}).setdefault(record.rdtype, []).append(record)

    def fail(self, name: str, rdtype: RdataType, fault: Fault) -> None:
        """Let questions for this name and type fail."""
        self.faults[canonical(name), rdtype] = fault

    def find(self, name: str, rdtype: RdataType) -> Found:
        """What there is, CNAME chains followed as far as this zone goes (a loop ends somewhere)."""
        owner, chain = canonical(name), list[tuple[str, dns.rdata.Rdata]]()
        while len(chain) < MAX_CNAMES_SHOWN:
            node = self._node(owner)
            if fault := self._fault(owner, rdtype, node):
                return Found(tuple(chain), owner, tuple(node.get(rdtype, ())), True, fault)
            if rdtype in node or RdataType.CNAME not in node:
                break
            link = node[RdataType.CNAME][0]
            chain.append((owner, link))
            owner = canonical(link.target.to_text())  # type: ignore[attr-defined]
        node = self._node(owner)
        return Found(tuple(chain), owner, tuple(node.get(rdtype, ())), bool(node) or self._has_below(owner), None)

    def _fault(self, owner: str, rdtype: RdataType, node: dict[RdataType, list[dns.rdata.Rdata]]) -> Fault | None:
        if rdtype in node:
            return self.faults.get((owner, rdtype))
        return self.faults.get((owner, rdtype)) or self.faults.get((owner, RdataType.ANY))

    def _node(self, owner: str) -> dict[RdataType, list[dns.rdata.Rdata]]:
        if owner in self.records:
            return self.records[owner]
        for wildcard in self._wildcards(owner):
            if wildcard in self.records:
                return self.records[wildcard]
        return {}

    @staticmethod
    def _wildcards(owner: str) -> Iterator[str]:
        labels = owner.split(".")
        return ("*." + ".".join(labels[index:]) for index in range(1, len(labels)))

    def _has_below(self, owner: str) -> bool:
        return any(name.endswith("." + owner) for name in self.records)
