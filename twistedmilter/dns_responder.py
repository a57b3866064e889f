"""From datagram to datagram: all that the name server does between its sockets.

Most of what a list server is asked it was asked before, if not by the same client.  So answers are remembered by the
octets of their query behind the id, and a known question costs two dictionary lookups.  Whatever an answer depends on
besides, the access lists, is in the choice of the dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Final, TypeGuard

from msgspec import Struct

from twistedmilter.blocklist.answers import Answer, Asker, Served, ServedList, answer
from twistedmilter.blocklist.listing import Rule
from twistedmilter.blocklist.rate import ResponseKind, ResponseRateLimiter, Sending, network_of
from twistedmilter.blocklist.shortcut import Ready, Shortcut
from twistedmilter.policy.networks import NetworkSet, plain
from twistedmilter.wire.dns_cookies import ServerCookies
from twistedmilter.wire.dns_question import FormatError, Labels, Query, parse_query
from twistedmilter.wire.dns_response import TCP_SIZE, Reply, encode_error, encode_reply, udp_limit

MAX_DATAGRAM: Final = 512  # octets; a longer query is no query for a list (spec 6.9)
MAX_ANSWERS: Final = 65_536  # remembered
MAX_SEEN: Final = 65_536  # queries of which is remembered that they came once
MAX_CLIENTS: Final = 10_000  # of which is remembered what they may ask
ANSWERS_LIVE: Final = 10.0  # seconds: a rule that ends is in no answer for longer

_POSITIVE: Final = ResponseKind.POSITIVE  # looking it up in the enumeration costs as much as in the zone
_NEGATIVE: Final = ResponseKind.NEGATIVE

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


class _Rights:
    """What may be asked by all clients that are in the same access lists.

    @ivar zones: by apex; None: not that one. @ivar shortcuts: to the answers of lists among them.
    @ivar known: answers by query, ids left out. @ivar seen: hashes of queries that came once.
    """

    __slots__ = ("known", "seen", "shortcuts", "zones")

    def __init__(self, zones: Mapping[Labels, Served | None]) -> None:
        self.zones = zones
        self.shortcuts = [
            Shortcut(each) for apex, each in zones.items() if _is_plain_list(each) and _is_leaf(apex, zones)
        ]
        self.known: dict[bytes, Ready] = {}
        self.seen: set[int] = set()

    def forget(self) -> None:
        """Forget all answers."""
        self.known.clear()
        self.seen.clear()


def _is_plain_list(served: Served | None) -> TypeGuard[ServedList]:
    """Whether it is a list that is loaded, and does not expire."""
    return isinstance(served, ServedList) and served.zone is not None and not served.zone.head.expires


def _is_leaf(apex: Labels, zones: Iterable[Labels]) -> bool:
    """Whether no other zone is below it."""
    return not any(other != apex and other[-len(apex) :] == apex for other in zones)


class _Client:
    """One address that asks.

    @ivar network: of a stranger, whose answers are limited; empty: one of ours.
    @ivar known: answers for all who have the same rights.
    """

    __slots__ = ("address", "known", "network", "rights")

    def __init__(self, address: bytes, network: bytes, rights: _Rights) -> None:
        self.address = address
        self.network = network
        self.rights = rights
        self.known = rights.known


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
        self._rights: dict[tuple[bool, ...], _Rights] = {}
        self._room = MAX_ANSWERS

    def serve(self, entries: Iterable[ZoneEntry]) -> None:
        """Answer from these zones from now on."""
        self.forget()
        self._entries = tuple(entries)
        self._depths = tuple(sorted({len(each.served.authority.apex) for each in self._entries}, reverse=True))
        self._clients, self._rights = {}, {}

    def forget(self) -> None:
        """Forget the answers that are remembered, since what they rest on may have changed; count them before."""
        for rights in self._rights.values():
            for each in rights.known.values():
                if each.asked:
                    self._count(each, each.asked)
            rights.forget()
        self._room = MAX_ANSWERS

    def datagram(self, octets: bytes, host: str) -> bytes | None:
        """The answer to one datagram; None: there is none.

        @param host: the address that it came from.
        """
        client = self._clients.get(host) or self._meet(host)
        query = octets[2:]
        ready = client.known.get(query)
        if ready is None:
            ready = self._find(octets, query, client)
            if ready is None:
                return None
        ready.asked += 1
        if client.network and not ready.is_proven:
            return self._limited(octets, client, ready)
        return octets[:2] + ready.tail

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
        self._count(Ready(b"", given.kind, zone, "", given.listing), 1)
        return response

    def _meet(self, host: str) -> _Client:
        """What a client may ask; remembered."""
        if len(self._clients) >= MAX_CLIENTS:
            self._clients.clear()
        ip = plain(ip_address(host.partition("%")[0]))
        are_ours = [each.access.ours.contains(ip) for each in self._entries]
        may = tuple(ours or each.access.is_public for ours, each in zip(are_ours, self._entries, strict=True))
        if may not in self._rights:
            pairs = zip(may, self._entries, strict=True)
            self._rights[may] = _Rights({each.served.authority.apex: each.served if ok else None for ok, each in pairs})
        network = b"" if any(are_ours) else network_of(ip.packed)
        client = self._clients[host] = _Client(ip.packed, network, self._rights[may])
        return client

    def _find(self, octets: bytes, query: bytes, client: _Client) -> Ready | None:
        """Find an answer, by the short way if there is one; None: there is to be none.

        What comes a second time is remembered; so names that are made up to be asked once cost no memory.
        """
        rights, folded, ready, lasts = client.rights, octets.lower(), None, True
        for shortcut in rights.shortcuts:
            ready = shortcut.find(octets, folded)
            if ready is not None:
                break
        else:
            ready, lasts = self._by_the_long_way(octets, client)
        if ready is None:
            return None
        seen, number = rights.seen, hash(query)
        if not lasts or number not in seen:
            if len(seen) >= MAX_SEEN:
                seen.clear()
            seen.add(number)
            self._count(ready, 1)
            return ready
        if self._room <= 0:
            self.forget()
        self._room -= 1
        client.known[query] = ready
        return ready

    def _by_the_long_way(self, octets: bytes, client: _Client) -> tuple[Ready | None, bool]:
        """An answer, and whether it may be remembered."""
        try:
            query = parse_query(octets) if len(octets) <= MAX_DATAGRAM else None
        except FormatError:
            return Ready(encode_error(octets)[2:], ResponseKind.ERROR, "", ""), False
        if query is None:
            self.silent += 1
            return None, False
        zone, given = self._answer(query, client)
        cookie, is_proven = self._cookie(query, client)
        response = encode_reply(query, given.reply, udp_limit(query), cookie)
        owner = b".".join(query.labels) if given.kind is ResponseKind.POSITIVE else zone
        ready = Ready(response[2:], given.kind, zone, owner, given.listing, is_proven=is_proven)
        return ready, given.lasts and not cookie

    def _answer(self, query: Query, client: _Client) -> tuple[str, Answer]:
        """The name of the zone, empty if there is none for this client, and what it answers."""
        served = None
        for depth in self._depths:
            apex = query.labels[-depth:]
            if apex in client.rights.zones:
                served = client.rights.zones[apex]
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

    def _limited(self, octets: bytes, client: _Client, ready: Ready) -> bytes | None:
        """The answer to somebody whose address may be forged: whole, truncated or none."""
        sending = self.limiter.judge(client.network, ready.kind, ready.owner, self._seconds())
        if sending is Sending.WHOLE:
            return octets[:2] + ready.tail
        if sending is Sending.DROPPED:
            return None
        try:
            query = parse_query(octets)
        except FormatError:
            return None  # nobody reads more of it by TCP
        assert query is not None
        is_authoritative, rcode = bool(ready.tail[0] & 4), ready.tail[1] & 15
        return encode_reply(query, Reply(rcode, is_authoritative=is_authoritative), 0)

    def _count(self, ready: Ready, number: int) -> None:
        counts = self.counts.get(ready.zone)
        if counts is None:
            counts = self.counts[ready.zone] = ZoneCounts()
        if ready.kind is _POSITIVE:
            counts.positive += number
        elif ready.kind is _NEGATIVE:
            counts.negative += number
        else:
            counts.error += number
        if ready.listing is not None and number > 1:
            # the zone itself has counted the first
            key = ready.zone, ready.listing.rule
            self.hits[key] = self.hits.get(key, 0) + number - 1
