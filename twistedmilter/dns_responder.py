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
from twistedmilter.blocklist.shortcut import Ready, Shortcut, Tally
from twistedmilter.policy.networks import NetworkSet, plain
from twistedmilter.wire.dns_cookies import ServerCookies
from twistedmilter.wire.dns_question import FormatError, Labels, Query, parse_query
from twistedmilter.wire.dns_response import TCP_SIZE, Reply, encode_error, encode_reply, udp_limit

MAX_DATAGRAM: Final = 512  # octets; a longer query is no query for a list (spec 6.9)
MAX_ANSWERS: Final = 65_536  # remembered
SEEN: Final = 2**20  # octets, one for each of so many classes of queries that may have come before
MAX_HITS: Final = 10_000  # rules whose repeated hits are counted
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


class _Rights:
    """What may be asked by all clients that are in the same access lists.

    @ivar zones: by apex; None: not that one. @ivar shortcuts: to the answers of lists among them.
    @ivar known: answers by query, ids left out. @ivar seen: which classes of queries have come once.
    """

    __slots__ = ("known", "seen", "shortcuts", "zones")

    def __init__(self, zones: Mapping[Labels, Served | None], tally_of: Callable[[str, ResponseKind], Tally]) -> None:
        self.zones = zones
        plain_lists = [each for each in zones.values() if _is_plain_list(each)]
        self.shortcuts = [Shortcut(each, tally_of) for each in plain_lists if _is_leaf(each.authority.apex, zones)]
        self.known: dict[bytes, Ready] = {}
        self.seen = bytearray(SEEN)

    def forget(self) -> dict[bytes, Ready]:
        """Forget all answers; they come back."""
        known, self.known, self.seen = self.known, {}, bytearray(SEEN)
        return known


def _is_plain_list(served: Served | None) -> TypeGuard[ServedList]:
    """Whether it is a list that is loaded, and does not expire."""
    return isinstance(served, ServedList) and served.zone is not None and not served.zone.head.expires


def _is_leaf(apex: Labels, zones: Iterable[Labels]) -> bool:
    """Whether no other zone is below it."""
    return not any(other != apex and other[-len(apex) :] == apex for other in zones)


class _Client:
    """One address that asks.

    @ivar network: of a stranger, whose answers are limited; empty: one of ours.
    """

    __slots__ = ("address", "network", "rights")

    def __init__(self, address: bytes, network: bytes, rights: _Rights) -> None:
        self.address = address
        self.network = network
        self.rights = rights


class Responder:
    """Answers queries from zones; one for all sockets of a process.

    @param limiter: of answers over UDP to strangers.
    @param seconds: the monotonic clock. @param wall: the wall clock, for cookies and signatures.
    @ivar silent: messages that got no answer: responses, too short or too long ones.
    @ivar hits: how often a rule decided beyond what its zone has counted, by zone and rule; up to date with L{settle}.
    """

    def __init__(self, limiter: ResponseRateLimiter, cookies: ServerCookies, *, seconds: Clock, wall: Clock) -> None:
        self.limiter = limiter
        self.silent = 0
        self.hits: dict[tuple[str, Rule], int] = {}
        self._cookies = cookies
        self._seconds = seconds
        self._wall = wall
        self._entries: tuple[ZoneEntry, ...] = ()
        self._depths: tuple[int, ...] = ()
        self._tallies: dict[tuple[str, ResponseKind], Tally] = {}
        self._retired: list[dict[bytes, Ready]] = []
        self._clients: dict[bytes | str, _Client] = {}
        self._rights: dict[tuple[bool, ...], _Rights] = {}
        self._room = MAX_ANSWERS

    def serve(self, entries: Iterable[ZoneEntry]) -> None:
        """Answer from these zones from now on; L{settle} has to be called after that."""
        self.forget()
        self._entries = tuple(entries)
        self._depths = tuple(sorted({len(each.served.authority.apex) for each in self._entries}, reverse=True))
        self._clients, self._rights = {}, {}

    def forget(self) -> None:
        """Forget the answers that are remembered, since what they rest on may have changed; see L{serve}."""
        self._retired += [known for rights in self._rights.values() if (known := rights.forget())]
        self._room = MAX_ANSWERS

    def settle(self, number: int) -> bool:
        """Count so many of the answers that were forgotten, and give their memory back; whether there are more."""
        while self._retired and number > 0:
            known = self._retired[-1]
            while known and number > 0:
                number -= 1
                ready = known.popitem()[1]
                if ready.listing is not None and ready.asked > 1:
                    self._hit(ready.tally.zone, ready.listing.rule, ready.asked - 1)
            if not known:
                self._retired.pop()
        return bool(self._retired)

    def count(self, zone: str, kind: ResponseKind) -> int:
        """How many answers there were.

        @param zone: its name; empty: outside all zones.
        """
        return self._tally(zone, kind).count

    def datagram(self, octets: bytes, host: bytes | str) -> bytes | None:
        """The answer to one datagram; None: there is none.

        @param host: the address that it came from, as octets or as text.
        """
        client = self._clients.get(host) or self._meet(host)
        query = octets[2:]
        ready = client.rights.known.get(query)
        if ready is None:
            ready = self._find(octets, query, client)
            if ready is None:
                return None
        ready.asked += 1
        ready.tally.count += 1
        if client.network and not ready.is_proven:
            return self._limited(octets, client, ready)
        return octets[:2] + ready.tail

    def message(self, octets: bytes, host: bytes | str) -> bytes | None:
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
        self._tally(zone, given.kind).count += 1
        return response

    def _meet(self, host: bytes | str) -> _Client:
        """What a client may ask; remembered."""
        if len(self._clients) >= MAX_CLIENTS:
            self._clients.clear()
        ip = plain(ip_address(host.partition("%")[0] if isinstance(host, str) else host))
        are_ours = [each.access.ours.contains(ip) for each in self._entries]
        may = tuple(ours or each.access.is_public for ours, each in zip(are_ours, self._entries, strict=True))
        if may not in self._rights:
            pairs = zip(may, self._entries, strict=True)
            self._rights[may] = _Rights(
                {each.served.authority.apex: each.served if ok else None for ok, each in pairs}, self._tally
            )
        network = b"" if any(are_ours) else network_of(ip.packed)
        client = self._clients[host] = _Client(ip.packed, network, self._rights[may])
        return client

    def _find(self, octets: bytes, query: bytes, client: _Client) -> Ready | None:
        """Find an answer, by the short way if there is one; None: there is to be none.

        While there is much room every answer is remembered, then those to queries that come a second time, so that
        names that are made up to be asked once do not take the place of others.
        """
        rights, folded, ready, lasts = client.rights, octets.lower(), None, True
        for shortcut in rights.shortcuts:
            ready = shortcut.find(octets, folded)
            if ready is not None:
                break
        else:
            ready, lasts = self._by_the_long_way(octets, client)
        if ready is not None and lasts and self._room > 0:
            place = hash(query) % SEEN
            if rights.seen[place] or self._room > MAX_ANSWERS // 2:
                self._room -= 1
                rights.known[query] = ready
            rights.seen[place] = 1
        return ready

    def _by_the_long_way(self, octets: bytes, client: _Client) -> tuple[Ready | None, bool]:
        """An answer, and whether it may be remembered."""
        try:
            query = parse_query(octets) if len(octets) <= MAX_DATAGRAM else None
        except FormatError:
            return Ready(encode_error(octets)[2:], ResponseKind.ERROR, self._tally("", ResponseKind.ERROR), ""), False
        if query is None:
            self.silent += 1
            return None, False
        zone, given = self._answer(query, client)
        cookie, is_proven = self._cookie(query, client)
        response = encode_reply(query, given.reply, udp_limit(query), cookie)
        owner = b".".join(query.labels) if given.kind is ResponseKind.POSITIVE else zone
        ready = Ready(
            response[2:], given.kind, self._tally(zone, given.kind), owner, given.listing, is_proven=is_proven
        )
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

    def _tally(self, zone: str, kind: ResponseKind) -> Tally:
        found = self._tallies.get((zone, kind))
        if found is None:
            found = self._tallies[zone, kind] = Tally(zone)
        return found

    def _hit(self, zone: str, rule: Rule, number: int) -> None:
        known = self.hits.get((zone, rule), 0)
        if known or len(self.hits) < MAX_HITS:
            self.hits[zone, rule] = known + number
