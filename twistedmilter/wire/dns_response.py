"""The name server's side of the DNS protocol, without IO: what is to be said as octets.

Only the question and the zone's own names are compressed against; everything else is written out.

@see: RFC 1035 section 4.1, RFC 2308 section 3 (SOA in negative answers), RFC 6891 section 6.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from twistedmilter.wire.dns_question import CLASS_IN, HEADER_SIZE, Labels, Query

UDP_SIZE: Final = 512  # octets, without EDNS (RFC 1035 section 2.3.4)
EDNS_SIZE: Final = 1232  # octets; DNS flag day 2020
TCP_SIZE: Final = 65_535
MAX_TEXT: Final = 1_024  # octets of one TXT record

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
A, NS, SOA, TXT = 1, 2, 6, 16
ANY, AXFR, IXFR = 255, 252, 251

_QR, _AA, _TC, _RD = 0x8000, 0x0400, 0x0200, 0x0100
_TAIL: Final = struct.Struct("!HHHHH")
_RECORD: Final = struct.Struct("!HHHIH")  # owner as a pointer, type, class, TTL, length
_OWNER: Final = 0xC000 | HEADER_SIZE  # the name asked for
_A_RECORD: Final = struct.Struct("!HHHIH4s")
_OPT: Final = struct.Struct("!BHHBBHH")
_COOKIE: Final = struct.Struct("!HH")
_UNPRINTABLE: Final = bytes(octet for octet in range(256) if not 0x20 <= octet <= 0x7E)
_STRING: Final = 255  # octets of one character-string
_DO: Final = 0x8000


class Records(Struct, frozen=True):
    """Records of one section, as octets that follow the question of one message."""

    count: int = 0
    octets: bytes = b""


NO_RECORDS: Final = Records()


class Reply(Struct, frozen=True):
    """What a query gets, before it is fitted to a transport.

    @ivar rcode: over 15 only with EDNS. @ivar is_authoritative: the AA bit.
    """

    rcode: int = NOERROR
    is_authoritative: bool = False
    answers: Records = NO_RECORDS
    authority: Records = NO_RECORDS


def udp_limit(query: Query) -> int:
    """How long an answer over UDP may be: 512, or with EDNS what the client takes, at most 1232 octets."""
    if query.edns is None:
        return UDP_SIZE
    return min(max(query.edns.payload, UDP_SIZE), EDNS_SIZE)


def encode_reply(query: Query, reply: Reply, limit: int, cookie: bytes = b"") -> bytes:
    """A whole response; with TC and nothing but the question if it would be longer than C{limit}.

    @param limit: see L{udp_limit}; 0 for the answer of rate limiting, which asks to come again over TCP. [octets]
    @param cookie: client and server cookie, for the OPT record (RFC 7873 section 5.2.3).
    """
    opt = b"" if query.edns is None else _opt(reply.rcode, query.edns.is_dnssec_ok, cookie)
    answers, authority = reply.answers, reply.authority
    size = HEADER_SIZE + len(query.question) + len(answers.octets) + len(authority.octets) + len(opt)
    flags = _flags(query, reply)
    if size > limit:
        return query.ident + _TAIL.pack(flags | _TC, 1, 0, 0, 1 if opt else 0) + query.question + opt
    counts = _TAIL.pack(flags, 1, answers.count, authority.count, 1 if opt else 0)
    return b"".join((query.ident, counts, query.question, answers.octets, authority.octets, opt))


def encode_error(wire: bytes) -> bytes:
    """The answer to a message that is no query one can read: its header alone.

    It is FORMERR for standard queries and NOTIMP for other opcodes, whose contents we need not know.
    """
    opcode = wire[2] >> 3 & 0xF
    flags = _QR | opcode << 11 | (_RD if wire[2] & 1 else 0) | (NOTIMP if opcode else FORMERR)
    return wire[:2] + _TAIL.pack(flags, 0, 0, 0, 0)


def _flags(query: Query, reply: Reply) -> int:
    flags = _QR | query.opcode << 11 | reply.rcode & 0xF
    if query.wants_recursion:
        flags |= _RD
    return flags | _AA if reply.is_authoritative else flags


def _opt(rcode: int, is_dnssec_ok: bool, cookie: bytes) -> bytes:
    size = 4 + len(cookie) if cookie else 0
    head = _OPT.pack(0, 41, EDNS_SIZE, rcode >> 4, 0, _DO if is_dnssec_ok else 0, size)
    return head + _COOKIE.pack(10, len(cookie)) + cookie if cookie else head


def address_records(addresses: Sequence[bytes], ttl: int) -> Records:
    """One A record of the name asked for each address of 4 octets."""
    octets = [_A_RECORD.pack(_OWNER, A, CLASS_IN, ttl, 4, address) for address in addresses]
    return Records(len(octets), b"".join(octets))


def text_record(text: bytes, ttl: int) -> Records:
    """One TXT record of the name asked for, in strings of 255 octets.

    @param text: printable ASCII; anything else is left out, and what is beyond L{MAX_TEXT} is cut off.
    """
    octets = text.translate(None, _UNPRINTABLE)[:MAX_TEXT]
    strings = [octets[at : at + _STRING] for at in range(0, len(octets), _STRING)] or [b""]
    data = b"".join(bytes((len(string),)) + string for string in strings)
    return Records(1, _RECORD.pack(_OWNER, TXT, CLASS_IN, ttl, len(data)) + data)


class Timers(Struct, frozen=True):
    """The numbers of a SOA record, in seconds.

    @ivar negative: for how long it is remembered that a name is not there (RFC 2308 section 4).
    """

    refresh: int = 3_600
    retry: int = 600
    expire: int = 604_800
    negative: int = 300


class Authority:
    """SOA and NS records of one zone.

    @ivar apex: labels of the zone's name, lower case. @ivar apex_size: octets of its name on the wire.
    """

    def __init__(
        self, apex: Labels, servers: Sequence[Labels], contact: Labels, serial: int, timers: Timers | None = None
    ) -> None:
        """Keep what is the same in every message.

        @param servers: names of the name servers, the first of which is the primary; at least one.
        @param contact: the administrator's mailbox, its C{@} as a dot.
        """
        self.apex = apex
        self.apex_size = len(name_octets(apex))
        self.serial = serial
        self.timers = timers or Timers()
        self._servers = [_Name.relative(server, apex) for server in servers]
        self._contact = _Name.relative(contact, apex)
        self._negatives: dict[int, Records] = {}

    def negative(self, question: bytes) -> Records:
        """The SOA record of a negative answer to a question within the zone."""
        apex_at = HEADER_SIZE + len(question) - 4 - self.apex_size
        found = self._negatives.get(apex_at)
        if found is None:
            ttl = min(self.timers.refresh, self.timers.negative)
            found = self._negatives[apex_at] = Records(1, self._soa(apex_at, ttl))
        return found

    def start_of_authority(self) -> Records:
        """The SOA record, for a question about the apex."""
        return Records(1, self._soa(HEADER_SIZE, self.timers.refresh))

    def name_servers(self) -> Records:
        """The NS records, for a question about the apex."""
        names = [server.at(HEADER_SIZE) for server in self._servers]
        octets = [_RECORD.pack(_OWNER, NS, CLASS_IN, self.timers.refresh, len(name)) + name for name in names]
        return Records(len(octets), b"".join(octets))

    def _soa(self, apex_at: int, ttl: int) -> bytes:
        timers = self.timers
        numbers = (self.serial & 0xFFFFFFFF, timers.refresh, timers.retry, timers.expire, timers.negative)
        data = self._servers[0].at(apex_at) + self._contact.at(apex_at) + struct.pack("!5I", *numbers)
        return _RECORD.pack(0xC000 | apex_at, SOA, CLASS_IN, ttl, len(data)) + data


class _Name(Struct, frozen=True):
    """A name of which the end may be the end of the apex.

    @ivar start: octets of the labels that are its own.
    @ivar shared_at: where within the apex the rest stands; None: there is no rest but the root.
    """

    start: bytes
    shared_at: int | None

    @classmethod
    def relative(cls, name: Labels, apex: Labels) -> _Name:
        shared = 0
        while shared < min(len(name), len(apex)) and name[-shared - 1] == apex[-shared - 1]:
            shared += 1
        start = b"".join(bytes((len(label),)) + label for label in name[: len(name) - shared])
        if not shared:
            return cls(start, None)
        return cls(start, sum(len(label) + 1 for label in apex[: len(apex) - shared]))

    def at(self, apex_at: int) -> bytes:
        """Its octets in a message in which the apex stands there."""
        if self.shared_at is None:
            return self.start + b"\0"
        return self.start + (0xC000 | apex_at + self.shared_at).to_bytes(2, "big")


def name_octets(labels: Labels) -> bytes:
    """A name on the wire, not compressed."""
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
