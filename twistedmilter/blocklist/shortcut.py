"""The short way to an answer, for the queries that nearly all are.

A list is asked for A or TXT of a name below its apex, by a client that sends no option or none that matters.  For such
a query this says octet for octet what L{twistedmilter.blocklist.answers} would, without building what stands between
octets and octets; for any other query it says nothing, and the long way is taken.  A test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.answers import ServedList, special_names
from twistedmilter.blocklist.listing import Listing
from twistedmilter.blocklist.rate import ResponseKind
from twistedmilter.wire.dns_question import MAX_NAME, Labels
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
_AAAA: Final = 28
_TYPES: Final[Mapping[bytes, int]] = {bytes((0, rdtype, 0, 1)): rdtype for rdtype in (A, TXT, _AAAA)}
_PAYLOADS: Final = (512, 1220, 1232, 1280, 1400, 1410, 1432, 1440, 1452, 1472, 1480, 4000, 4096, 8192, 65535)


class Ready(Struct, gc=False):
    """An answer as it is sent, and what it is counted as.

    @ivar tail: the message behind the id. @ivar zone: its name; empty outside all zones.
    @ivar owner: see L{ResponseRateLimiter.judge}.
    @ivar asked: how often, since it was counted.
    @ivar is_proven: whether the client has shown that its address is its own.
    """

    tail: bytes
    kind: ResponseKind
    zone: str
    owner: Labels | str
    listing: Listing | None = None
    asked: int = 0
    is_proven: bool = False


def _opt(payload: int, flags: int) -> bytes:
    return b"\0\0\x29" + payload.to_bytes(2, "big") + b"\0\0" + flags.to_bytes(2, "big") + b"\0\0"


# what may stand behind type and class, and what stands at the end of the answer
_OPTS: Final[Mapping[bytes, bytes]] = {
    b"": b"",
    **{_opt(payload, flags): _opt(EDNS_SIZE, flags) for payload in _PAYLOADS for flags in (0, 0x8000)},
}


class _Heads(Struct, frozen=True):
    """Flags and counts of the answers to one kind of query."""

    listed: bytes
    nodata: bytes
    nxdomain: bytes


def _heads(recursion: int, has_opt: int) -> _Heads:
    def head(rcode: int, answers: int, authority: int) -> bytes:
        return bytes((0x84 | recursion, rcode, 0, 1, 0, answers, 0, authority, 0, has_opt))

    return _Heads(head(0, 1, 0), head(0, 0, 1), head(NXDOMAIN, 0, 1))


# by flags and counts of a query: a standard one, with AD or CD or neither, with or without RD, with or without OPT
_SHAPES: Final[Mapping[bytes, _Heads]] = {
    bytes((recursion, bits, 0, 1, 0, 0, 0, 0, 0, has_opt)): _heads(recursion, has_opt)
    for recursion in (0, 1)
    for bits in (0, 0x10, 0x20, 0x30)
    for has_opt in (0, 1)
}


class Shortcut:
    """Answers the plain queries about one list.

    @ivar zone: its name.
    """

    def __init__(self, served: ServedList) -> None:
        """Get ready what does not change.

        @param served: a list that is loaded, does not expire, and below whose apex there is no other zone.
        """
        assert served.zone is not None
        self._zone = served.zone
        self._authority = served.authority
        self.zone = b".".join(served.authority.apex).decode("ascii")
        self._apex = name_octets(served.authority.apex)
        self._size = len(self._apex)
        self._special = special_names(served.zone.kind)
        self._addresses: dict[tuple[tuple[bytes, ...], int], Records] = {}

    def find(self, octets: bytes, folded: bytes) -> Ready | None:
        """The answer to a datagram; None: the long way has to be taken.

        @param folded: the datagram in lower case.
        """
        heads = _SHAPES.get(octets[2:12])
        at = folded.find(self._apex, 13)
        end = at + self._size
        if heads is None or at < 0 or end > 12 + MAX_NAME:
            return None
        rdtype, opt = _TYPES.get(octets[end : end + 4]), _OPTS.get(octets[end + 4 :])
        if rdtype is None or opt is None or (not opt) != (not octets[11]):
            return None
        labels: list[bytes] = []
        here = 12
        while here < at:
            then = here + 1 + folded[here]
            if not 1 < then - here <= 64:
                return None
            labels.append(folded[here + 1 : then])
            here = then
        left = tuple(labels)
        if here != at or left in self._special:
            return None
        return self._answer(heads, octets[12 : end + 4], left, rdtype, opt)

    def _answer(self, heads: _Heads, question: bytes, left: Labels, rdtype: int, opt: bytes) -> Ready | None:
        listing = self._zone.find(left)
        if listing is None:
            head = heads.nodata if self._zone.exists_below(left) else heads.nxdomain
            tail = b"".join((head, question, self._authority.negative(question).octets, opt))
            return Ready(tail, ResponseKind.NEGATIVE, self.zone, self.zone)
        if rdtype == A:
            records = self._addresses.get((listing.codes, listing.ttl)) or self._address_records(listing)
        elif rdtype == TXT and (text := listing.text(b".".join(left))) is not None:
            records = text_record(text, listing.ttl)
        else:
            tail = b"".join((heads.nodata, question, self._authority.negative(question).octets, opt))
            return Ready(tail, ResponseKind.NEGATIVE, self.zone, self.zone, listing)
        head = heads.listed if records.count == 1 else heads.listed[:5] + bytes((records.count,)) + heads.listed[6:]
        tail = b"".join((head, question, records.octets, opt))
        if len(tail) > UDP_SIZE - 2:
            return None
        return Ready(tail, ResponseKind.POSITIVE, self.zone, left, listing)

    def _address_records(self, listing: Listing) -> Records:
        if len(self._addresses) >= MAX_RECORDS:
            self._addresses.clear()
        records = self._addresses[listing.codes, listing.ttl] = address_records(listing.codes, listing.ttl)
        return records
