"""From datagram to datagram: all that the name server does between its sockets.

Most of what a list server is asked it was asked before, if not by the same client.  So answers are remembered by the
octets of their query behind the id, and a known question costs two dictionary lookups.  Whatever an answer depends on
besides, the access lists, is in the choice of the dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.answers import Answer, Asker, Served, answer
from twistedmilter.blocklist.listing import Rule
from twistedmilter.blocklist.rate import ResponseKind, ResponseRateLimiter, Sending, network_of
from twistedmilter.policy.networks import NetworkSet, plain
from twistedmilter.wire.dns_cookies import ServerCookies
from twistedmilter.wire.dns_question import FormatError, Labels, Query, parse_query
from twistedmilter.wire.dns_response import FORMERR, TCP_SIZE, Reply, encode_error, encode_reply, udp_limit

MAX_DATAGRAM: Final = 512  # octets; a longer query is no query for a list (spec 6.9)
MAX_ANSWERS: Final = 32_768  # remembered
MAX_CLIENTS: Final = 10_000  # of which is remembered what they may ask
ANSWERS_LIVE: Final = 10.0  # seconds: a rule that ends is in no answer for longer

Clock = Callable[[], float]


class Access(Struct, frozen=True):
    """Who may ask a zone.

    @ivar ours: those that may, and whose answers are never limited. @ivar is_public: anybody else may, too.
    """

    ours: NetworkSet
    is_public: bool = False


class ZoneEntry(Struct, frozen=True):
    """A zone, as it is now, and who may ask it."""

    served: Served
    access: Access


class ZoneCounts(Struct):
    """Answers of one zone, by kind, since the start."""

    positive: int = 0
    negative: int = 0
    error: int = 0


class _Known:
    """One answer.

    @ivar tail: the message behind the id. @ivar owner: see L{ResponseRateLimiter.judge}.
    @ivar asked: how often, since it was counted.
    @ivar is_proven: whether the client has shown that its address is its own.
    """

    __slots__ = ("asked", "is_proven", "kind", "listing", "owner", "tail", "zone")

    def __init__(self, tail: bytes, given: Answer, zone: str, owner: Hashable) -> None:
        self.tail = tail
        self.kind = given.kind
        self.listing = given.listing
        self.zone = zone
        self.owner = owner
        self.asked = 0
        self.is_proven = False


_Zones = Mapping[Labels, Served | None]


class _Client:
    """One address that asks.

    @ivar network: of a stranger, whose answers are limited; empty: one of ours.
    @ivar zones: by apex; None: it may not ask that one. @ivar known: answers for all who may ask the same zones.
    """

    __slots__ = ("address", "known", "network", "zones")

    def __init__(self, address: bytes, network: bytes, zones: _Zones, known: dict[bytes, _Known]) -> None:
        self.address = address
        self.network = network
        self.zones = zones
        self.known = known


class Responder:
    """Answers queries from zones; one for all sockets of a process.

    @param limiter: of answers over UDP to strangers.
    @param seconds: the monotonic clock. @param wall: the wall clock, for cookies and signatures.
    @ivar silent: messages that got no answer: responses, too short or too long ones.
    @ivar counts: answers by the name of their zone; what is outside all zones under the empty name.
    @ivar hits: how often each rule decided, by zone and rule; brought up to date by L{forget}.
    """

    def __init__(self, limiter: ResponseRateLimiter, cookies: ServerCookies, *, seconds: Clock, wall: Clock) -> None:
        self.limiter = limiter
        self.silent = 0
        self.counts: dict[str, ZoneCounts] = {}
        self.hits: dict[tuple[str, Rule], int] = {}
        self._cookies = cookies
        self._seconds = seconds
        self._wall = wall
        self._entries: tuple[ZoneEntry, ...] = ()
        self._depths: tuple[int, ...] = ()
        self._clients: dict[str, _Client] = {}
        self._shared: dict[tuple[bool, ...], tuple[_Zones, dict[bytes, _Known]]] = {}
        self._room = MAX_ANSWERS

    def serve(self, entries: Iterable[ZoneEntry]) -> None:
        """Answer from these zones from now on."""
        self.forget()
        self._entries = tuple(entries)
        self._depths = tuple(sorted({len(each.served.authority.apex) for each in self._entries}, reverse=True))
        self._clients, self._shared = {}, {}

    def forget(self) -> None:
        """Forget the answers that are remembered, since what they rest on may have changed; count them before."""
        for _, known in self._shared.values():
            for each in known.values():
                if each.asked:
                    self._count(each, each.asked)
            known.clear()
        self._room = MAX_ANSWERS

    def datagram(self, octets: bytes, host: str) -> bytes | None:
        """The answer to one datagram; None: there is none.

        @param host: the address that it came from.
        """
        client = self._clients.get(host) or self._meet(host)
        known = client.known.get(octets[2:])
        if known is None:
            known = self._learn(octets, client)
            if known is None:
                return None
        known.asked += 1
        if client.network and not known.is_proven:
            return self._limited(octets, client, known)
        return octets[:2] + known.tail

    def message(self, octets: bytes, host: str) -> bytes | None:
        """The answer to one message over TCP, whole and not limited; None: there is none."""
        client = self._clients.get(host) or self._meet(host)
        try:
            query = parse_query(octets)
        except FormatError:
            return encode_error(octets)
        if query is None:
            self.silent += 1
            return None
        zone, given = self._answer(query, client)
        cookie, _ = self._cookie(query, client)
        response = encode_reply(query, given.reply, TCP_SIZE, cookie)
        self._count(_Known(b"", given, zone, None), 1)
        return response

    def _meet(self, host: str) -> _Client:
        """What a client may ask; remembered."""
        if len(self._clients) >= MAX_CLIENTS:
            self._clients.clear()
        ip = plain(ip_address(host.partition("%")[0]))
        are_ours = [each.access.ours.contains(ip) for each in self._entries]
        may = tuple(ours or each.access.is_public for ours, each in zip(are_ours, self._entries, strict=True))
        if may not in self._shared:
            zones = {
                each.served.authority.apex: each.served if allowed else None
                for allowed, each in zip(may, self._entries, strict=True)
            }
            self._shared[may] = zones, {}
        network = b"" if any(are_ours) else network_of(ip.packed)
        client = self._clients[host] = _Client(ip.packed, network, *self._shared[may])
        return client

    def _learn(self, octets: bytes, client: _Client) -> _Known | None:
        """Find an answer, and remember it if it lasts; None: there is to be none."""
        try:
            query = parse_query(octets) if len(octets) <= MAX_DATAGRAM else None
        except FormatError:
            known = _Known(encode_error(octets)[2:], _UNREADABLE, "", "")
            self._count(known, 1)
            return known
        if query is None:
            self.silent += 1
            return None
        zone, given = self._answer(query, client)
        cookie, is_proven = self._cookie(query, client)
        response = encode_reply(query, given.reply, udp_limit(query), cookie)
        owner = query.labels if given.kind is ResponseKind.POSITIVE else zone
        known = _Known(response[2:], given, zone, owner)
        known.is_proven = is_proven
        if given.lasts and not cookie:
            self._remember(octets[2:], known, client)
        else:
            self._count(known, 1)
        return known

    def _remember(self, key: bytes, known: _Known, client: _Client) -> None:
        if self._room <= 0:
            self.forget()
        self._room -= 1
        client.known[key] = known

    def _answer(self, query: Query, client: _Client) -> tuple[str, Answer]:
        """The name of the zone, empty if there is none for this client, and what it answers."""
        served = None
        for depth in self._depths:
            apex = query.labels[-depth:]
            if apex in client.zones:
                served = client.zones[apex]
                break
        asker = Asker(client.network, self._seconds(), self._wall())
        zone = "" if served is None else b".".join(served.authority.apex).decode("ascii")
        return zone, answer(query, served, asker)

    def _cookie(self, query: Query, client: _Client) -> tuple[bytes, bool]:
        """The cookie to send, empty if the client has none, and whether it has one of ours."""
        if query.edns is None or not query.edns.cookie:
            return b"", False
        cookie, now = query.edns.cookie, self._wall()
        is_proven = self._cookies.are_ours(cookie, client.address, now)
        return self._cookies.whole(cookie, client.address, now), is_proven

    def _limited(self, octets: bytes, client: _Client, known: _Known) -> bytes | None:
        """The answer to somebody whose address may be forged: whole, truncated or none."""
        sending = self.limiter.judge(client.network, known.kind, known.owner, self._seconds())
        if sending is Sending.WHOLE:
            return octets[:2] + known.tail
        if sending is Sending.DROPPED:
            return None
        try:
            query = parse_query(octets)
        except FormatError:
            return None  # nobody reads more of it by TCP
        assert query is not None
        is_authoritative, rcode = bool(known.tail[0] & 4), known.tail[1] & 15
        return encode_reply(query, Reply(rcode, is_authoritative=is_authoritative), 0)

    def _count(self, known: _Known, number: int) -> None:
        counts = self.counts.setdefault(known.zone, ZoneCounts())
        if known.kind is ResponseKind.POSITIVE:
            counts.positive += number
        elif known.kind is ResponseKind.NEGATIVE:
            counts.negative += number
        else:
            counts.error += number
        if known.listing is not None and number > 1:
            # the zone itself has counted the first
            key = known.zone, known.listing.rule
            self.hits[key] = self.hits.get(key, 0) + number - 1


_UNREADABLE: Final = Answer(Reply(FORMERR), ResponseKind.ERROR)
