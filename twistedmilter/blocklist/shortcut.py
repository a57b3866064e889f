"""The short way to an answer, for the queries that nearly all are.

A list is asked for A or TXT of a name below its apex, by a client that sends no option or none that matters.  For such
a query this says octet for octet what L{twistedmilter.blocklist.answers} would, without building what stands between
octets and octets; for any other query it says nothing, and the long way is taken.  A test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.answers import ServedList, special_names
from twistedmilter.blocklist.listing import Listing
from twistedmilter.blocklist.rate import ResponseKind
from twistedmilter.blocklist.zone import MAX_NAME as MAX_LEFT
from twistedmilter.wire.dns_question import HEADER_SIZE, MAX_NAME
from twistedmilter.wire.dns_response import (
    EDNS_SIZE,
    NXDOMAIN,
    TXT,
    UDP_SIZE,
    A,
    Records,
    address_records,
    name_octets,
    text_record,
)

MAX_RECORDS: Final = 1_024  # record sets that are kept ready
_LONGEST: Final = 44  # octets of a label; longer ones begin with an octet that may stand in a name
_AAAA: Final = 28
_POSITIVE: Final = ResponseKind.POSITIVE  # looking it up in the enumeration costs as much as in the zone
_NEGATIVE: Final = ResponseKind.NEGATIVE
_PAYLOADS: Final = (512, 1220, 1232, 1280, 1400, 1410, 1432, 1440, 1452, 1472, 1480, 4000, 4096, 8192, 65535)
_FIT: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
# from labels as they stand in a message to labels with dots between them; what may not be in one becomes NUL
_DOTTED: Final = bytes(octet if octet in _FIT else ord(".") if 0 < octet <= _LONGEST else 0 for octet in range(256))


class Tally(Struct, gc=False):
    """How many answers of one zone and kind there were.

    @ivar zone: its name; empty outside all zones.
    """

    zone: str
    count: int = 0


class Ready(Struct, gc=False):
    """An answer as it is sent, and what it is counted as.

    @ivar tail: the message behind the id.
    @ivar tally: of all answers of its zone and kind.
    @ivar owner: see L{ResponseRateLimiter.judge}.
    @ivar asked: how often.
    @ivar is_proven: whether the client has shown that its address is its own.
    """

    tail: bytes
    kind: ResponseKind
    tally: Tally
    owner: bytes | str
    listing: Listing | None = None
    asked: int = 0
    is_proven: bool = False


def _opt(payload: int, flags: int) -> bytes:
    return b"\0\0\x29" + payload.to_bytes(2, "big") + b"\0\0" + flags.to_bytes(2, "big") + b"\0\0"


class _Shape(Struct, frozen=True):
    """Queries of one kind.

    @ivar ends: what may stand behind the name: type, class and OPT; to the type and the OPT of the answer.
    @ivar listed, nodata, nxdomain: flags and counts of the answers.
    """

    ends: Mapping[bytes, tuple[int, bytes]]
    listed: bytes
    nodata: bytes
    nxdomain: bytes


def _shape(recursion: int, has_opt: int) -> _Shape:
    def head(rcode: int, answers: int, authority: int) -> bytes:
        return bytes((0x84 | recursion, rcode, 0, 1, 0, answers, 0, authority, 0, has_opt))

    flags = (0, 0x8000)  # DO, which is copied
    opts = {_opt(size, bits): _opt(EDNS_SIZE, bits) for size in _PAYLOADS for bits in flags} if has_opt else {b"": b""}
    types = {bytes((0, rdtype, 0, 1)): rdtype for rdtype in (A, TXT, _AAAA)}
    ends = {begin + opt: (rdtype, given) for begin, rdtype in types.items() for opt, given in opts.items()}
    return _Shape(ends, head(0, 1, 0), head(0, 0, 1), head(NXDOMAIN, 0, 1))


# by flags and counts of a query: a standard one, with AD or CD or neither, with or without RD, with or without OPT
_SHAPES: Final[Mapping[bytes, _Shape]] = {
    bytes((recursion, bits, 0, 1, 0, 0, 0, 0, 0, has_opt)): _shape(recursion, has_opt)
    for recursion in (0, 1)
    for bits in (0, 0x10, 0x20, 0x30)
    for has_opt in (0, 1)
}


class Shortcut:
    """Answers the plain queries about one list.

    @ivar zone: its name.
    """

    def __init__(self, served: ServedList, tally_of: Callable[[str, ResponseKind], Tally]) -> None:
        """Get ready what does not change.

        @param served: a list that is loaded, does not expire, and below whose apex there is no other zone.
        @param tally_of: where answers of a zone and kind are counted.
        """
        assert served.zone is not None
        self.zone = b".".join(served.authority.apex).decode("ascii")
        self._listed, self._not_listed = tally_of(self.zone, _POSITIVE), tally_of(self.zone, _NEGATIVE)
        self._look = served.zone.look
        self._apex = name_octets(served.authority.apex)
        self._size = len(self._apex)
        self._special = {b".".join(name) for name in special_names(served.zone.kind)}
        self._negative = served.authority.negative
        self._addresses: dict[tuple[tuple[bytes, ...], int], Records] = {}

    def find(self, octets: bytes, folded: bytes) -> Ready | None:
        """The answer to a datagram; None: the long way has to be taken.

        @param folded: the datagram in lower case.
        """
        shape = _SHAPES.get(octets[2:12])
        at = folded.find(self._apex, 13)
        end = at + self._size
        if shape is None or at < 0 or end > HEADER_SIZE + MAX_NAME:
            return None
        known = shape.ends.get(octets[end:])
        key = folded[13:at].translate(_DOTTED)
        if known is None or b"\0" in key or len(key) > MAX_LEFT or key in self._special:
            return None
        here, count = HEADER_SIZE, key.count(b".")
        while here < at:
            size = folded[here]
            if not 0 < size <= _LONGEST:
                return None
            here += size + 1
            count -= 1
        if here != at or count != -1:
            return None  # a label has something in it that looks like the beginning of another
        return self._answer(shape, octets[HEADER_SIZE : end + 4], key, *known)

    def _answer(self, shape: _Shape, question: bytes, key: bytes, rdtype: int, opt: bytes) -> Ready | None:
        listing = self._look(key)
        if isinstance(listing, bool):
            head = shape.nodata if listing else shape.nxdomain
            tail = b"".join((head, question, self._negative(question).octets, opt))
            return Ready(tail, _NEGATIVE, self._not_listed, self.zone)
        if rdtype == A:
            records = self._addresses.get((listing.codes, listing.ttl)) or self._address_records(listing)
        elif rdtype == TXT and (text := listing.text(key)) is not None:
            records = text_record(text, listing.ttl)
        else:
            tail = b"".join((shape.nodata, question, self._negative(question).octets, opt))
            return Ready(tail, _NEGATIVE, self._not_listed, self.zone, listing)
        head = shape.listed if records.count == 1 else shape.listed[:5] + bytes((records.count,)) + shape.listed[6:]
        tail = b"".join((head, question, records.octets, opt))
        if len(tail) > UDP_SIZE - 2:
            return None
        return Ready(tail, _POSITIVE, self._listed, key, listing)

    def _address_records(self, listing: Listing) -> Records:
        if len(self._addresses) >= MAX_RECORDS:
            self._addresses.clear()
        records = self._addresses[listing.codes, listing.ttl] = address_records(listing.codes, listing.ttl)
        return records
