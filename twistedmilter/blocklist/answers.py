"""What a name server of lists says to a query: the decision table of spec 6.6.

@see: RFC 5782 section 5 (test entries), RFC 2308, RFC 8020 (NXDOMAIN means that nothing is below), RFC 8482 (ANY).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from twistedmilter.blocklist.listing import DEFAULT_CODE, DEFAULT_TTL, Listing, Rule, RuleKind
from twistedmilter.blocklist.rate import ResponseKind
from twistedmilter.blocklist.signature_zone import SignatureZone, local_part_of, may_be_part_of_a_signature
from twistedmilter.blocklist.zone import Zone, ZoneKind
from twistedmilter.wire.dns_question import CLASS_IN, Labels, Query
from twistedmilter.wire.dns_response import (
    ANY,
    AXFR,
    BADVERS,
    IXFR,
    NO_RECORDS,
    NOERROR,
    NOTIMP,
    NS,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    A,
    Authority,
    Reply,
    address_records,
    text_record,
)

_TRANSFERS: Final = frozenset((AXFR, IXFR))


class ServedList(Struct, frozen=True):
    """A list as it is served.

    @ivar zone: None until it is loaded: an empty answer would read as "not listed".
    """

    authority: Authority
    zone: Zone | None

    def is_good(self, now: float) -> bool:
        """Whether there are data, and they have not expired (D21).

        @param now: wall clock. [seconds]
        """
        return self.zone is not None and not 0 < self.zone.head.expires <= now


class ServedSignatures(Struct, frozen=True):
    """A zone of signed local parts as it is served."""

    authority: Authority
    signatures: SignatureZone


Served = ServedList | ServedSignatures


class Asker(Struct, frozen=True):
    """Who asks, and when.

    @ivar network: of a stranger; empty: one of ours. @ivar seconds: monotonic. @ivar now: wall clock.
    """

    network: bytes = b""
    seconds: float = 0.0
    now: float = 0.0


class Answer(Struct, frozen=True):
    """What is said, and what it is counted as.

    @ivar listing: what decided, if anything is listed.
    @ivar lasts: whether the same question gets the same answer, whoever asks, until data change.
    """

    reply: Reply
    kind: ResponseKind
    listing: Listing | None = None
    lasts: bool = True


def answer(query: Query, served: Served | None, asker: Asker) -> Answer:
    """What one query gets, from the zone that its name is in.

    @param served: None: the name is in no zone, or in one that the client may not ask.
    """
    if served is None or not _is_answerable(query):
        return _error(_refusal(query))
    if isinstance(served, ServedList) and not served.is_good(asker.now):
        return Answer(Reply(SERVFAIL), ResponseKind.ERROR, lasts=False)
    left = query.labels[: len(query.labels) - len(served.authority.apex)]
    if not left:
        return _apex(query, served.authority)
    if isinstance(served, ServedSignatures):
        return _signature(query, served, left, asker)
    return _list_entry(query, served, left)


def _is_answerable(query: Query) -> bool:
    """Whether the query is of a kind that is answered at all."""
    return (
        query.rdclass == CLASS_IN
        and not query.opcode
        and query.rdtype not in _TRANSFERS
        and (query.edns is None or not query.edns.version)
    )


def _refusal(query: Query) -> int:
    """The rcode for what is not answered: of another version, opcode, class or kind, or outside the zones."""
    if query.edns is not None and query.edns.version:
        return BADVERS  # RFC 6891 section 6.1.3
    return NOTIMP if query.opcode else REFUSED


def special_names(kind: ZoneKind) -> frozenset[Labels]:
    """The names left of the apex whose answers do not come from data alone: test entries, and what is above them."""
    return _ABOVE_TESTS[kind] | _TESTS[kind].keys()


def _error(rcode: int) -> Answer:
    return Answer(Reply(rcode), ResponseKind.ERROR)


def _negative(query: Query, authority: Authority, rcode: int = NOERROR, listing: Listing | None = None) -> Answer:
    """NXDOMAIN, or NODATA where the name itself is there or something may be below it."""
    reply = Reply(rcode, is_authoritative=True, authority=authority.negative(query.question))
    return Answer(reply, ResponseKind.NEGATIVE, listing)


def _apex(query: Query, authority: Authority) -> Answer:
    if query.rdtype in (SOA, ANY):
        records = authority.start_of_authority()
    elif query.rdtype == NS:
        records = authority.name_servers()
    else:
        return _negative(query, authority)
    return Answer(Reply(is_authoritative=True, answers=records), ResponseKind.POSITIVE)


def _list_entry(query: Query, served: ServedList, left: Labels) -> Answer:
    """What is said about a name left of the apex."""
    zone, authority = served.zone, served.authority
    assert zone is not None
    tests = _TESTS[zone.kind]
    listing = tests[left] if left in tests else zone.find(left)
    if listing is not None:
        return _listed(query, authority, left, listing)
    may_be_above = left in _ABOVE_TESTS[zone.kind] or zone.exists_below(left)
    return _negative(query, authority, NOERROR if may_be_above else NXDOMAIN)


def _listed(query: Query, authority: Authority, left: Labels, listing: Listing) -> Answer:
    """The data of a listing; for other types NODATA and never NXDOMAIN, since sendmail asks for AAAA first."""
    if query.rdtype in (A, ANY):
        records = address_records(listing.codes, listing.ttl)
    elif query.rdtype == TXT:
        text = listing.text(b".".join(left))
        records = NO_RECORDS if text is None else text_record(text, listing.ttl)
    else:
        records = NO_RECORDS
    if not records.count:
        return _negative(query, authority, listing=listing)
    return Answer(Reply(is_authoritative=True, answers=records), ResponseKind.POSITIVE, listing)


def _signature(query: Query, served: ServedSignatures, left: Labels, asker: Asker) -> Answer:
    """An address for a valid signature, and never who or what was signed (spec 6.5)."""
    authority = served.authority
    if local_part_of(left) is None:
        return _negative(query, authority, NOERROR if may_be_part_of_a_signature(left) else NXDOMAIN)
    if query.rdtype not in (A, ANY):
        return _negative(query, authority)  # says nothing, so it costs nothing
    ttl = served.signatures.time_to_live(left, asker.network, seconds=asker.seconds, now=asker.now)
    if ttl is None:
        return replace(_negative(query, authority), lasts=False)
    reply = Reply(is_authoritative=True, answers=address_records((DEFAULT_CODE,), ttl))
    return Answer(reply, ResponseKind.POSITIVE, lasts=False)


# RFC 5782 section 5: what every list must list, and what none may, whatever its data say
_TEST: Final = Listing((DEFAULT_CODE,), DEFAULT_TTL, Rule(RuleKind.EXACT, "RFC 5782", 0), b"Test entry (RFC 5782)")
_NAME_TESTS: Final[Mapping[Labels, Listing | None]] = {(b"test",): _TEST, (b"invalid",): None}
_MAPPED: Final = (*(b"0",) * 5, b"f", b"7", *(b"f",) * 4, *(b"0",) * 20)  # the rest of ::FFFF:7F00:x
_ADDRESS_TESTS: Final[Mapping[Labels, Listing | None]] = {
    (b"2", b"0", b"0", b"127"): _TEST,
    (b"1", b"0", b"0", b"127"): None,
    (b"2", *_MAPPED): _TEST,
    (b"1", *_MAPPED): None,
}
_TESTS: Final[Mapping[ZoneKind, Mapping[Labels, Listing | None]]] = {
    ZoneKind.RHSBL: _NAME_TESTS,
    ZoneKind.IPBL: _ADDRESS_TESTS,
    ZoneKind.MIXED: {**_NAME_TESTS, **_ADDRESS_TESTS},
}
_ABOVE_TESTS: Final[Mapping[ZoneKind, frozenset[Labels]]] = {
    kind: frozenset(name[at:] for name in tests for at in range(1, len(name))) for kind, tests in _TESTS.items()
}
