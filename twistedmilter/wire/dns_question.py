"""The name server's side of the DNS protocol, without IO: octets to queries.

A name is a tuple of labels from beginning to end, so that a label that contains a dot is never two labels.

@see: RFC 1035 section 4.1, RFC 6891 section 6 (EDNS), RFC 7873 section 4 (cookies).
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct

from twistedmilter.errors import ProtocolViolation

HEADER_SIZE: Final = 12  # octets
MAX_LABEL: Final = 63
MAX_NAME: Final = 255  # octets with length octets (RFC 1035 section 2.3.4)
CLASS_IN: Final = 1
OPCODE_QUERY: Final = 0
CLIENT_COOKIE: Final = 8  # octets

_COUNTS: Final = struct.Struct("!HHHH")
_TYPE_AND_CLASS: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_ONE_QUESTION: Final = b"\0\1\0\0\0\0\0\0"
_OPT: Final = 41
_COOKIE: Final = 10
_POINTER: Final = 0xC0
_COOKIE_SIZES: Final = frozenset((CLIENT_COOKIE, *range(16, 41)))  # RFC 7873 section 5.2.2

Labels = tuple[bytes, ...]


class FormatError(ProtocolViolation):
    """A message that cannot be read as one query: it is answered FORMERR."""


class Edns(Struct, frozen=True):
    """What the OPT record of a query says.

    @ivar payload: what the sender takes over UDP. [octets]
    @ivar is_dnssec_ok: the DO bit.
    @ivar cookie: the COOKIE option as it came, 8 or 16 to 40 octets; empty: none.
    """

    version: int
    payload: int
    is_dnssec_ok: bool
    cookie: bytes


class Query(Struct, frozen=True):
    """One query.

    @ivar ident: the two octets by which the client knows its answer.
    @ivar opcode: 0 is a standard query. @ivar wants_recursion: the RD bit, to be copied.
    @ivar question: name, type and class with the capitals that were sent, to be echoed.
    @ivar labels: of the name, lower case (ASCII only), without the root label.
    @ivar edns: None if there was no OPT record.
    """

    ident: bytes
    opcode: int
    wants_recursion: bool
    question: bytes
    labels: Labels
    rdtype: int
    rdclass: int
    edns: Edns | None = None


def parse_query(wire: bytes) -> Query | None:
    """The query of one message; None for what must not be answered at all: no header, or a response.

    @raise FormatError: not one question, a label over 63 or a name over 255 octets, a compressed name in the question,
        two OPT records or one with a name, records cut short, octets after the last of them.
    """
    if len(wire) < HEADER_SIZE or wire[2] & 0x80:
        return None
    if wire[4:6] != b"\0\1":
        raise FormatError("there is not one question", wire)
    try:
        labels, at = _question_name(wire)
        rdtype, rdclass = _TYPE_AND_CLASS.unpack_from(wire, at)
        at += 4
        edns = _additional(wire, at) if wire[4:12] != _ONE_QUESTION or len(wire) != at else None
    except (IndexError, struct.error):
        raise FormatError("the message is cut short", wire) from None
    opcode, recursion = wire[2] >> 3, bool(wire[2] & 1)
    return Query(wire[:2], opcode, recursion, wire[HEADER_SIZE:at], labels, rdtype, rdclass, edns)


def _question_name(wire: bytes) -> tuple[Labels, int]:
    """The labels of the name asked for, and where what follows it begins."""
    folded = wire.lower()  # what is no letter stays: length octets are at most 63
    labels = []
    at = HEADER_SIZE
    while size := wire[at]:
        if size > MAX_LABEL:
            raise FormatError("the question has a label over 63 octets, or a pointer", wire)
        labels.append(folded[at + 1 : at + 1 + size])
        at += 1 + size
    at += 1
    if at - HEADER_SIZE > MAX_NAME:
        raise FormatError("the name asked for is longer than 255 octets", wire)
    return tuple(labels), at


def _additional(wire: bytes, at: int) -> Edns | None:
    """The OPT record among all that follows the question.

    @raise IndexError: cut short; C{struct.error} too.
    """
    _, answers, authorities, additional = _COUNTS.unpack_from(wire, 4)
    edns = None
    for number in range(answers + authorities + additional):
        owner, at = at, _after_name(wire, at)
        rdtype, rdclass, ttl, size = _RECORD.unpack_from(wire, at)
        at += _RECORD.size + size
        if at > len(wire):
            raise IndexError
        if rdtype != _OPT:
            continue
        if edns is not None or wire[owner] or number < answers + authorities:
            raise FormatError("there are two OPT records, or one with a name or outside the additional section", wire)
        options = wire[at - size : at]
        edns = Edns(ttl >> 16 & 0xFF, rdclass, bool(ttl & 0x8000), _cookie(options))
    if at != len(wire):
        raise FormatError("there are octets after the message", wire)
    return edns


def _after_name(wire: bytes, at: int) -> int:
    """Where what follows a name begins; a pointer ends the name and is not followed."""
    while size := wire[at]:
        if size >= _POINTER:
            return at + 2
        if size > MAX_LABEL:
            raise FormatError("a label is of an unknown kind", wire)
        at += 1 + size
    return at + 1


def _cookie(options: bytes) -> bytes:
    """The first COOKIE option (RFC 7873 section 5.2); all other options are for others.

    @raise FormatError: options that overlap the record's end, or a cookie of a wrong size.
    """
    cookie, at = b"", 0
    while at < len(options):
        code, size = _TYPE_AND_CLASS.unpack_from(options, at)
        data = options[at + 4 : at + 4 + size]
        at += 4 + size
        if at > len(options):
            raise FormatError("an option goes beyond its record", options)
        if code == _COOKIE and not cookie:
            if size not in _COOKIE_SIZES:
                raise FormatError("a cookie has 8 or 16 to 40 octets", options)
            cookie = data
    return cookie
