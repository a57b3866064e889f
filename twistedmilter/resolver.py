"""A caching stub resolver on the reactor (DESIGN 5; reliability A7 to A11).

Dead name servers must not delay others: a question holds one of the C{in_flight} slots for a moment only
(C{SLOW_AFTER} of L{twistedmilter.resolver_exchange}).  If it is still unanswered then it goes on waiting outside,
among at most L{SLOW_FACTOR} times as many; when there are more, the oldest of them is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from dns.rdatatype import RdataType
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from zope.interface import implementer

from twistedmilter.errors import ConfigError, ConfigProblem, TemporaryFailure
from twistedmilter.interfaces.dns import Answer, AnswerStatus, IResolver
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.resolver_cache import FAILURE_TTL, AnswerCache, KnownFailure, kept_for
from twistedmilter.resolver_exchange import Exchange
from twistedmilter.resolver_flights import Flight, Slots
from twistedmilter.resolver_transport import IResolverReactor, Server
from twistedmilter.wire.dns_query import MAX_CNAMES, Outcome, Question, Response, name_text, question

SLOW_FACTOR: Final = 2
DNS_PORT: Final = 53
RECENT: Final = 60.0  # seconds; an answer within them outweighs failures, which may be those of one domain
LOCAL_SERVER: Final = ("127.0.0.1", DNS_PORT)  # resolv.conf(5): when no server is named

_STATUS: Final = {
    Outcome.FOUND: AnswerStatus.FOUND,
    Outcome.NODATA: AnswerStatus.NODATA,
    Outcome.NXDOMAIN: AnswerStatus.NXDOMAIN,
}


@implementer(IResolver)
class Resolver:
    """Asks recursive name servers, and remembers."""

    def __init__(
        self,
        reactor: IResolverReactor,
        settings: ResolverSettings,
        *,
        nameservers: Sequence[Server],
        randomness: Callable[[], int],
    ) -> None:
        """Ready to be asked; nothing is opened before that.

        @param nameservers: address and port of each, at least one; see L{nameservers_of}.
        @param randomness: answers integers of 16 bits that outsiders cannot guess (RFC 5452 section 9.2).
        """
        self._reactor = reactor
        self._timeout = settings.timeout
        self._servers = list(nameservers)
        self._randomness = randomness
        self._cache = AnswerCache(settings.cache_entries)
        self._flights: dict[Question, Flight] = {}
        self._slots = Slots(settings.in_flight)
        self._slow: dict[Exchange, None] = {}
        self._slow_limit = settings.in_flight * SLOW_FACTOR
        self._stopped = False
        self._counts = {"lookups": 0, "cache_hits": 0, "queries": 0, "failures": 0}
        self._answered_at: float | None = None
        self._failed_since = False

    def cached(self, name: str, rdtype: RdataType) -> Answer | None:
        """The answer if it is known; see L{IResolver}."""
        entry = self._cache.get((name.lower().removesuffix("."), rdtype), self._reactor.seconds())
        return entry if isinstance(entry, Answer) else None

    async def lookup(self, name: str, rdtype: RdataType) -> Answer:
        """The answer from the cache or from the name servers; see L{IResolver}.

        A name that cannot exist is NXDOMAIN, and nobody is asked.

        @raise TemporaryFailure: names the question, each server and what was wrong with it.
        """
        key = (name.lower().removesuffix("."), rdtype)
        now = self._reactor.seconds()
        entry = self._cache.get(key, now)
        self._counts["lookups"] += 1
        self._counts["cache_hits"] += entry is not None
        if isinstance(entry, Answer):
            return entry
        if entry is not None:
            raise TemporaryFailure(entry.problem)
        if self._stopped:
            raise TemporaryFailure("the resolver has stopped")
        asked = question(name, rdtype)
        if asked is None:
            return Answer(key[0], rdtype, AnswerStatus.NXDOMAIN, (), now)
        flight = self._flights.get(asked)
        if flight is not None:
            return await flight.join()
        flight = self._flights[asked] = Flight()
        answer = flight.join()
        flight.begin(Deferred.fromCoroutine(self._resolve(key[0], asked)))
        return await answer

    async def stop(self) -> None:
        """Give up everything under way; those who wait get L{TemporaryFailure}."""
        self._stopped = True
        for flight in list(self._flights.values()):
            flight.cancel()

    async def _resolve(self, name: str, asked: Question) -> Answer:
        """Ask, and remember what comes of it."""
        key = (name, asked.rdtype)
        try:
            response = await self._follow(asked)
        except TemporaryFailure as failure:
            self._cache.put(key, KnownFailure(str(failure), self._reactor.seconds() + FAILURE_TTL))
            raise
        finally:
            del self._flights[asked]
        status = _STATUS[response.outcome]
        expires = self._reactor.seconds() + kept_for(status, response.ttl)
        answer = Answer(name, asked.rdtype, status, response.records, expires)
        self._cache.put(key, answer)
        return answer

    async def _follow(self, asked: Question) -> Response:
        """The response at the end of a CNAME chain that takes several questions (LL-03)."""
        deadline = self._reactor.seconds() + self._timeout
        seen, ttl = [asked.labels], 2**31
        while True:
            response = await self._exchange(Question(seen[-1], asked.rdtype), deadline)
            ttl = min(ttl, response.ttl)
            if response.outcome is not Outcome.ELSEWHERE:
                return Response(response.outcome, ttl, response.records)
            seen.extend(response.chain[1:])
            if len(set(seen)) < len(seen) or len(seen) > MAX_CNAMES + 1:
                raise TemporaryFailure(f"{asked}: CNAME loop or chain over {MAX_CNAMES} at {name_text(seen[-1])}")

    async def _exchange(self, asked: Question, deadline: float) -> Response:
        give_back = await self._slot(asked, deadline)
        exchange = Exchange(
            self._reactor,
            tuple(self._servers),
            self._randomness,
            asked,
            timeout=max(0.0, deadline - self._reactor.seconds()),
            became_slow=lambda: self._became_slow(exchange, give_back),
        )
        self._counts["queries"] += 1
        try:
            response = await exchange.start()
        except TemporaryFailure:
            self._counts["failures"] += 1
            self._failed_since = True
            raise
        finally:
            give_back()
            self._slow.pop(exchange, None)
        self._answered_at, self._failed_since = self._reactor.seconds(), False
        self._prefer(exchange.answered_by)
        return response

    def snapshot(self) -> dict[str, object]:
        """Counts since the start, and C{up}: whether name servers answer, as far as it was tried."""
        answered = self._answered_at
        is_recent = answered is not None and self._reactor.seconds() - answered < RECENT
        return {**self._counts, "up": is_recent or not self._failed_since}

    async def _slot(self, asked: Question, deadline: float) -> Callable[[], None]:
        turn = self._slots.take()
        if not turn.called:
            turn.addTimeout(deadline - self._reactor.seconds(), self._reactor)
        try:
            return await turn
        except DeferredTimeout as problem:
            raise TemporaryFailure(f"{asked}: not sent within {self._timeout:g} s, too many are in flight") from problem

    def _became_slow(self, exchange: Exchange, give_back: Callable[[], None]) -> None:
        self._slow[exchange] = None
        if len(self._slow) > self._slow_limit:
            next(iter(self._slow)).give_up("no answer so far, and too many questions wait for theirs")
        give_back()

    def _prefer(self, server: Server | None) -> None:
        """The server that answered is asked first from now on."""
        if server is not None and server != self._servers[0]:
            self._servers.remove(server)
            self._servers.insert(0, server)


def nameservers_of(settings: ResolverSettings, resolv_conf: str) -> list[Server]:
    """Whom to ask: those configured, else those of resolv.conf, else the local machine.

    @param resolv_conf: the text of /etc/resolv.conf; may be empty.
    @raise ConfigError: an entry of C{resolver.nameservers} is not an address, C{address:port} or
        C{[address]:port}; with all problems.
    """
    servers, problems = [], []
    for index, text in enumerate(settings.nameservers):
        try:
            servers.append(read_server(text))
        except ValueError:
            where = f"resolver.nameservers[{index}]"
            problems.append(ConfigProblem(where, f"{text!r} is not a name server", "address, address:port, [v6]:port"))
    if problems:
        raise ConfigError("configuration", problems)
    return servers or list(_listed(resolv_conf)) or [LOCAL_SERVER]


def read_server(text: str) -> Server:
    """One name server: C{192.0.2.1}, C{192.0.2.1:5353}, C{2001:db8::1}, C{[2001:db8::1]:5353}.

    @raise ValueError: it is none of these.
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if text.startswith("[") and text.endswith("]"):
        host, port = text[1:-1], str(DNS_PORT)
    elif bracketed:
        host = host[1:-1]
    elif not colon or ":" in host:
        host, port = text, str(DNS_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        message = f"{port!r} is not a port"
        raise ValueError(message)
    return str(ip_address(host)), int(port)


def _listed(resolv_conf: str) -> Iterator[Server]:
    """The usable C{nameserver} lines of resolv.conf(5)."""
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                yield str(ip_address(words[1])), DNS_PORT
