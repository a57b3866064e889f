"""The stub resolver's side of the DNS protocol, without IO: questions to octets, octets to responses.

A response is walked by hand, because dnspython reads whole messages and so follows every pointer chain of every
record (reliability A10); the records that are wanted are then read by dnspython.

@see: RFC 1035 section 4, RFC 2308 section 5 (negative answers), RFC 6891 (EDNS).
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import Final

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.errors import ProtocolViolation

EDNS_PAYLOAD: Final = 1232  # octets; DNS flag day 2020
MAX_CNAMES: Final = 8  # links of one chain (LL-03, A10)
MAX_RECORDS: Final = 64  # used of one answer (A10)
MAX_WALKED: Final = 512  # records looked at in one response
MAX_POINTERS: Final = 16  # followed in one name (A10)
MAX_LABEL: Final = 63
MAX_NAME: Final = 255  # octets with length octets (RFC 1035 section 2.3.4)

_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_QR, _TC, _RD, _OPCODE, _RCODE = 0x8000, 0x0200, 0x0100, 0x7800, 0x000F
_IN: Final = RdataClass.IN
# the types whose names may be compressed (RFC 3597 section 4), and where the name stands
_NAME_AT: Final = {
    RdataType.NS: 0,
    RdataType.CNAME: 0,
    RdataType.SOA: 0,
    RdataType.PTR: 0,
    RdataType.MX: 2,
    RdataType.DNAME: 0,
    RdataType.SRV: 6,
}

Labels = tuple[bytes, ...]


class Question(Struct, frozen=True):
    """What is asked.

    @ivar labels: of the name, lower case, without the root label.
    """

    labels: Labels
    rdtype: RdataType

    def __str__(self) -> str:
        """The question as people write it, e.g. C{MX example.com}; odd octets are escaped."""
        return f"{self.rdtype.name} {name_text(self.labels)}"


class Outcome(Enum):
    """What a response is good for."""

    FOUND = auto()
    NODATA = auto()
    NXDOMAIN = auto()
    ELSEWHERE = auto()  # a CNAME chain whose end has to be asked for
    TRUNCATED = auto()
    EDNS_REFUSED = auto()  # FORMERR: ask again without EDNS
    UNUSABLE = auto()  # this server cannot say; another may


class Response(Struct, frozen=True):
    """One response to one question.

    @ivar ttl: how long the answer holds, as the server says. [seconds]
    @ivar records: those of the type that was asked for, at the end of the chain.
    @ivar chain: every name from the one asked for to the end of the CNAME chain.
    @ivar problem: why it is unusable, in a few words.
    """

    outcome: Outcome
    ttl: int = 0
    records: tuple[dns.rdata.Rdata, ...] = ()
    chain: tuple[Labels, ...] = ()
    problem: str = ""


def question(name: str, rdtype: RdataType) -> Question | None:
    """The question for a name; None for a name that cannot exist in the DNS.

    That is one with an empty label, a label over 63 octets, more than 255 octets in all, or characters that no
    A-label has an equivalent of.
    """
    try:
        octets = name.encode("ascii")
    except UnicodeEncodeError:
        ascii_name = a_label_form(name)
        if ascii_name is None:
            return None
        octets = ascii_name.encode("ascii")
    labels = tuple(octets.lower().removesuffix(b".").split(b"."))
    if any(not 0 < len(label) <= MAX_LABEL for label in labels):
        return None
    if sum(map(len, labels)) + len(labels) + 1 > MAX_NAME:
        return None
    return Question(labels, rdtype)


def a_label_form(name: str) -> str | None:
    """A domain name with its U-labels as A-labels (RFC 5890 section 2.3.2.1); None if there is no such form."""
    if len(name) > MAX_NAME:
        return None
    try:
        return ".".join(dns.name.IDNA_2008_UTS_46.encode(label).decode("ascii") for label in name.split("."))
    except (dns.exception.DNSException, UnicodeError):
        return None


def name_text(labels: Labels) -> str:
    """A name for people; odd octets become a backslash and three digits (RFC 1035 section 5.1)."""
    text = b".".join(labels).decode("latin-1")
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if " " < char < "\x7f" else f"\\{ord(char):03}" for char in text)


def encode_question(asked: Question, query_id: int, *, edns: bool) -> bytes:
    """One recursive query as octets.

    @param query_id: 0..65535, from a source that outsiders cannot guess (RFC 5452 section 9.2).
    """
    name = b"".join(bytes([len(label)]) + label for label in asked.labels) + b"\0"
    header = _HEADER.pack(query_id, _RD, 1, 0, 0, 1 if edns else 0)
    options = b"\0" + _RECORD.pack(RdataType.OPT, EDNS_PAYLOAD, 0, 0) if edns else b""
    return header + name + struct.pack("!HH", asked.rdtype, _IN) + options


def read_response(octets: bytes, asked: Question, query_id: int) -> Response:
    """What a response says to our question.

    @raise ProtocolViolation: it is malformed, or it answers something that we did not ask here (A9); as if it
        had not come.
    """
    try:
        return _Reader(octets).read(asked, query_id)
    except (struct.error, IndexError) as problem:
        raise ProtocolViolation("DNS response ends too early", octets) from problem


class _Record(Struct, frozen=True):
    owner: Labels
    rdtype: int
    ttl: int
    start: int  # of the rdata
    size: int


class _Reader:
    """Walks one response."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def read(self, asked: Question, query_id: int) -> Response:
        """The response; raises what the caller turns into ProtocolViolation."""
        flags, answers, authorities = self._check_header(asked, query_id)
        if flags & _TC:
            return Response(Outcome.TRUNCATED)
        rcode = Rcode(flags & _RCODE)
        if rcode is Rcode.FORMERR:
            return Response(Outcome.EDNS_REFUSED, problem="FORMERR")
        if rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            return Response(Outcome.UNUSABLE, problem=dns.rcode.to_text(rcode))
        answer = [self._record() for _ in range(min(answers, MAX_WALKED))]
        authority = [self._record() for _ in range(authorities)] if answers + authorities <= MAX_WALKED else []
        return self._judge(asked, rcode, answer, authority)

    def _check_header(self, asked: Question, query_id: int) -> tuple[int, int, int]:
        octets = self._octets
        response_id, flags, questions, answers, authorities, _ = _HEADER.unpack_from(octets)
        self._at = _HEADER.size
        if response_id != query_id or not flags & _QR or flags & _OPCODE:
            raise ProtocolViolation("DNS response is not to our query", octets)
        if questions == 0 and flags & _RCODE:
            return flags, 0, 0  # some servers leave the question out of an error
        if questions != 1:
            raise ProtocolViolation(f"DNS response has {questions} questions", octets)
        name = self._name()
        rdtype, rdclass = struct.unpack_from("!HH", octets, self._at)
        self._at += 4
        if name != asked.labels or rdtype != asked.rdtype or rdclass != _IN:
            raise ProtocolViolation("DNS response is to another question", octets)
        return flags, answers, authorities

    def _judge(self, asked: Question, rcode: Rcode, answer: list[_Record], authority: list[_Record]) -> Response:
        links = {record.owner: record for record in answer if record.rdtype == RdataType.CNAME}
        chain, ttls = [asked.labels], []
        while asked.rdtype != RdataType.CNAME and (link := links.get(chain[-1])):
            target = self._name_at(link.start)
            if target in chain or len(chain) > MAX_CNAMES:
                return Response(Outcome.UNUSABLE, problem=f"CNAME loop or chain over {MAX_CNAMES}")
            chain.append(target)
            ttls.append(link.ttl)
        wanted = [
            record
            for record in answer
            if record.owner == chain[-1] and record.rdtype == asked.rdtype and record.size  # some TXT have no string
        ]
        if wanted and rcode is Rcode.NXDOMAIN:
            return Response(Outcome.UNUSABLE, problem="NXDOMAIN with answers")
        if wanted:
            try:
                records = tuple(self._rdata(record, asked.rdtype) for record in wanted[:MAX_RECORDS])
            except (dns.exception.DNSException, ValueError):
                return Response(Outcome.UNUSABLE, problem=f"malformed {asked.rdtype.name} record")
            ttl = min(ttls + [record.ttl for record in wanted])
            return Response(Outcome.FOUND, ttl, records, tuple(chain))
        return self._nothing(rcode, tuple(chain), ttls, authority)

    def _nothing(self, rcode: Rcode, chain: tuple[Labels, ...], ttls: list[int], authority: list[_Record]) -> Response:
        """A negative answer (RFC 2308 section 2), a chain to follow, or a server that does not know."""
        soas = [record for record in authority if record.rdtype == RdataType.SOA]
        # the last field of a SOA is its MINIMUM
        ttl = min([*ttls, *(min(soa.ttl, self._uint32(soa.start + soa.size - 4)) for soa in soas)], default=0)
        if rcode is Rcode.NXDOMAIN:
            return Response(Outcome.NXDOMAIN, ttl, (), chain)
        if len(chain) > 1 and not soas:
            return Response(Outcome.ELSEWHERE, ttl, (), chain)
        if not soas and any(record.rdtype == RdataType.NS for record in authority):
            return Response(Outcome.UNUSABLE, problem="lame: it refers to other servers")
        return Response(Outcome.NODATA, ttl, (), chain)

    def _rdata(self, record: _Record, rdtype: RdataType) -> dns.rdata.Rdata:
        if (name_at := _NAME_AT.get(rdtype)) is not None:
            self._name_at(record.start + name_at)  # bounds the pointers that dnspython will follow
        return dns.rdata.from_wire(_IN, rdtype, self._octets, record.start, record.size)

    def _record(self) -> _Record:
        owner = self._name()
        rdtype, rdclass, ttl, size = _RECORD.unpack_from(self._octets, self._at)
        start = self._at + _RECORD.size
        self._at = start + size
        if self._at > len(self._octets):
            raise ProtocolViolation("DNS record is longer than its message", self._octets)
        if rdclass != _IN:
            rdtype = 0  # nobody asks for it
        return _Record(owner, rdtype, ttl if ttl <= 0x7FFFFFFF else 0, start, size)  # RFC 2181 section 8

    def _uint32(self, at: int) -> int:
        return int.from_bytes(self._octets[at : at + 4], "big")

    def _name(self) -> Labels:
        labels, self._at = self._labels(self._at)
        return labels

    def _name_at(self, at: int) -> Labels:
        return self._labels(at)[0]

    def _labels(self, at: int) -> tuple[Labels, int]:
        """The labels at a place, in lower case, and the place behind them (RFC 1035 section 4.1.4)."""
        octets, labels, size = self._octets, [], 1
        after, pointers = 0, 0
        while length := octets[at]:
            if length >= 0xC0:
                pointers += 1
                target = (length & 0x3F) << 8 | octets[at + 1]
                after = after or at + 2
                if pointers > MAX_POINTERS or target >= at:
                    raise ProtocolViolation("DNS name has a pointer loop", octets)
                at = target
                continue
            size += length + 1
            if length > MAX_LABEL or size > MAX_NAME:
                raise ProtocolViolation("DNS name is too long", octets)
            labels.append(octets[at + 1 : at + 1 + length].lower())
            at += length + 1
        return tuple(labels), after or at + 1
