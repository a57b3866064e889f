"""Callback verification on the network: connections, limits, single flight and a cache (seed-spec G09 to G18).

Nothing here asks on its own account; whoever asks, asks for one mailbox.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.callback_judgement import SMTPEnd, probed
from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.exchangers import Guard, Target, find_route
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.address import Mailbox
from twistedmilter.wire.smtp_client import BeginTLS, Finished, Received, Send, SMTPClientSession, smtp_path
from twistedmilter.wire.smtp_replies import quotable

HOUR: Final = 3_600.0  # seconds

Watcher = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CallbackLimits:
    """How much may be asked, and how long an answer holds (reliability C3, C6, C7). Times are in seconds."""

    port: int = 25
    total: float = 30.0
    connect: float = 10.0
    reply: float = 10.0
    connections: int = 20
    per_domain: int = 1
    per_address: int = 2
    waiting: int = 200
    probes_per_hour: int = 60
    keep_valid: float = 7 * 86_400.0
    keep_invalid: float = 3 * HOUR
    keep_others: float = 900.0
    remembered: int = 100_000


@dataclass(frozen=True, slots=True)
class Talk:
    """What is said to the exchangers of a domain, one after the other.

    @ivar open: makes a session; its argument is whether TLS is to be used where offered.
    @ivar judge: from an exchanger and the end of its session to an outcome, and whether that decides.
    """

    domain: str
    open: Callable[[bool], SMTPClientSession]
    judge: Callable[[str, SMTPEnd], tuple[CallbackOutcome, bool]] = probed


class TLSRefusedError(Exception):
    """The connection was lost while TLS was being set up."""


class CallbackProtocol(Protocol):
    """One SMTP session on a transport; L{ended} fires once."""

    def __init__(self, clock: Any, session: SMTPClientSession, wait: float, watch: Watcher) -> None:
        """Not connected yet.

        @param wait: seconds for each reply. @param watch: called with each line of the conversation.
        """
        self._clock = clock
        self._session = session
        self._wait = wait
        self._watch = watch
        self._timer: Any = None
        self._in_handshake = False
        self.ended: Deferred[Finished] = Deferred(lambda _: self._close())

    def connectionMade(self) -> None:
        """Wait for the banner."""
        self._restart_timer()

    def dataReceived(self, data: bytes) -> None:
        """Let the session say what follows."""
        self._in_handshake = False
        try:
            events = self._session.receive_data(data)
        except ProtocolViolation as violation:
            self._end(Failure(violation))
            return
        self._perform(events)

    def _perform(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Send):
                self._watch(f"> {event.octets.decode().rstrip()}")
                assert self.transport is not None
                self.transport.write(event.octets)
                self._restart_timer()
            elif isinstance(event, Received):
                self._watch(f"< {event.reply.quoted}")
            elif isinstance(event, BeginTLS):
                self._watch("* TLS")
                self._in_handshake = True
                self.transport.startTLS(CertificateOptions())  # type: ignore[union-attr] # opportunistic, unverified
                self._perform(self._session.tls_started())
            else:
                self._end(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server went away; no harm if the session was over."""
        self._end(Failure(TLSRefusedError()) if self._in_handshake else reason)

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(self._wait, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _timed_out(self) -> None:
        self._end(Failure(TemporaryFailure(f"no reply to {self._session.stage} within {self._wait:g} s")))

    def _close(self) -> None:
        self._stop_timer()
        if self.transport is not None:
            if self._in_handshake or not self.ended.called:
                self.transport.abortConnection()  # type: ignore[attr-defined] # of TCP and TLS transports
            else:
                self.transport.loseConnection()

    def _end(self, result: Finished | Failure) -> None:
        if self.ended.called:
            self._stop_timer()
            return
        ended = self.ended
        ended.callback(result) if isinstance(result, Finished) else ended.errback(result)
        self._close()


class CallbackCache:
    """Outcomes by mailbox, the least recently used forgotten first."""

    def __init__(self, seconds: Callable[[], float], limits: CallbackLimits) -> None:
        """Empty. @param seconds: the monotonic clock."""
        self._seconds = seconds
        self._limits = limits
        self._entries: OrderedDict[str, tuple[float, CallbackOutcome]] = OrderedDict()

    def get(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What is remembered and still holds, marked as remembered."""
        entry = self._entries.get(mailbox.key)
        if entry is None:
            return None
        if entry[0] <= self._seconds():
            del self._entries[mailbox.key]
            return None
        self._entries.move_to_end(mailbox.key)
        return replace(entry[1], from_cache=True)

    def put(self, mailbox: Mailbox, outcome: CallbackOutcome) -> None:
        """Remember an outcome, unless it is about our own limits."""
        if outcome.stage == "limit":
            return
        limits = self._limits
        kept = {CallbackResult.VALID: limits.keep_valid, CallbackResult.INVALID: limits.keep_invalid}
        self._entries[mailbox.key] = (self._seconds() + kept.get(outcome.result, limits.keep_others), outcome)
        self._entries.move_to_end(mailbox.key)
        if len(self._entries) > limits.remembered:
            self._entries.popitem(last=False)


class _Turns:
    """Who may connect now: a limit for each key that a holder has; nobody waits longer than they are cancelled."""

    def __init__(self, waiting: int) -> None:
        self._max_waiting = waiting
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[dict[str, int], Deferred[None]]] = []

    async def take(self, wanted: dict[str, int]) -> None:
        """Hold each key, when fewer than its limit hold it.

        @raise TemporaryFailure: too many wait already.
        """
        if self._free(wanted):
            self._hold(wanted)
            return
        if len(self._waiting) >= self._max_waiting:
            raise TemporaryFailure("too many callbacks wait already")
        turn: Deferred[None] = Deferred()
        entry = (wanted, turn)
        self._waiting.append(entry)
        try:
            await turn
        except BaseException:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    def give_back(self, wanted: dict[str, int]) -> None:
        """Let others hold these keys."""
        for key in wanted:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
        for entry in list(self._waiting):
            if entry in self._waiting and self._free(entry[0]):
                self._waiting.remove(entry)
                self._hold(entry[0])
                entry[1].callback(None)

    def _free(self, wanted: dict[str, int]) -> bool:
        return all(self._held.get(key, 0) < limit for key, limit in wanted.items())

    def _hold(self, wanted: dict[str, int]) -> None:
        for key in wanted:
            self._held[key] = self._held.get(key, 0) + 1


@implementer(ICallbackVerifier)
class CallbackVerifier:
    """Asks mail exchangers about mailboxes."""

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        own_name: str,
        *,
        limits: CallbackLimits,
        guard: Guard,
        chance: Callable[[], float],
        watch: Watcher = lambda _: None,
    ) -> None:
        """Ready; nothing is opened before somebody asks.

        @param own_name: for EHLO, and to know ourselves by.
        @param chance: numbers between 0 and 1, to order exchangers of equal preference.
        @param watch: called with each line of each conversation.
        """
        self._reactor = reactor
        self._resolver = resolver
        self._own_name = own_name
        self._limits = limits
        self._guard = guard
        self._chance = chance
        self._watch = watch
        self._cache = CallbackCache(reactor.seconds, limits)
        self._turns = _Turns(limits.waiting)
        self._flights: dict[str, tuple[Deferred[CallbackOutcome], list[Deferred[CallbackOutcome]]]] = {}
        self._probes: dict[str, deque[float]] = {}

    async def verify(self, mailbox: Mailbox) -> CallbackOutcome:
        """Whether bounces for this mailbox would be taken; see L{ICallbackVerifier}."""
        try:
            smtp_path(mailbox)
        except ValueError as problem:
            return CallbackOutcome(CallbackResult.UNKNOWN, "address", text=str(problem))
        return self.recall(mailbox) or await self._join(mailbox)

    def recall(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What is known of a mailbox without asking."""
        return self._cache.get(mailbox)

    def remember(self, mailbox: Mailbox, outcome: CallbackOutcome) -> None:
        """Learn what another talk with the exchangers found out."""
        self._cache.put(mailbox, outcome)

    async def stop(self) -> None:
        """Give up everything under way; those who wait get C{unknown}."""
        for work, _ in list(self._flights.values()):
            work.cancel()

    def _join(self, mailbox: Mailbox) -> Deferred[CallbackOutcome]:
        """One probe for all who ask about this mailbox; the last who leaves ends it."""
        key = mailbox.key
        waiters = self._flights[key][1] if key in self._flights else []

        def leave(gone: Deferred[CallbackOutcome]) -> None:
            waiters.remove(gone)
            if not waiters:
                self._flights[key][0].cancel()

        waiter: Deferred[CallbackOutcome] = Deferred(leave)
        waiters.append(waiter)
        if key not in self._flights:
            work = Deferred.fromCoroutine(self.walk(self._question(mailbox)))
            work.addTimeout(self._limits.total, self._reactor)
            self._flights[key] = (work, waiters)
            work.addErrback(self._gave_up).addBoth(self._landed, mailbox)
        return waiter

    def _gave_up(self, failure: Failure) -> CallbackOutcome:
        if failure.check(DeferredTimeout):
            return CallbackOutcome(
                CallbackResult.TEMPORARY, "connection", text=f"no answer within {self._limits.total:g} s"
            )
        failure.trap(CancelledError)
        return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text="the callback was given up")

    def _landed(self, result: CallbackOutcome | Failure, mailbox: Mailbox) -> None:
        _, waiters = self._flights.pop(mailbox.key)
        if isinstance(result, CallbackOutcome):
            self._cache.put(mailbox, result)
        for waiter in waiters[:]:
            waiter.callback(result)

    def _question(self, mailbox: Mailbox) -> Talk:
        return Talk(mailbox.domain, lambda starttls: SMTPClientSession(self._own_name, [mailbox], starttls=starttls))

    async def walk(self, talk: Talk) -> CallbackOutcome:
        """Talk to the exchangers of a domain until one decides, within all limits but that on seconds in all."""
        if not self._may_probe(talk.domain):
            return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text="the domain was asked too often this hour")
        try:
            route = await find_route(self._resolver, talk.domain, self._guard, self._chance)
        except TemporaryFailure as failure:
            return CallbackOutcome(CallbackResult.TEMPORARY, "dns", text=quotable(str(failure)))
        for refused in route.refused:
            self._watch(f"* not called: {refused}")
        if route.takes_no_mail:
            return CallbackOutcome(CallbackResult.INVALID, "route", text=route.takes_no_mail)
        outcomes = [CallbackOutcome(CallbackResult.UNKNOWN, "route", text=quotable("; ".join(route.refused)))]
        for target in route.targets:
            outcome, decisive = await self._ask_in_turn(target, talk)
            if decisive:
                return outcome
            outcomes.append(outcome)
        # the words of a reply say more than those of a lost connection
        return next((outcome for outcome in reversed(outcomes) if outcome.code), outcomes[-1])

    def _may_probe(self, domain: str) -> bool:
        now = self._reactor.seconds()
        if domain not in self._probes and len(self._probes) >= self._limits.remembered:
            self._probes.pop(next(iter(self._probes)))
        times = self._probes.setdefault(domain, deque())
        while times and times[0] <= now - HOUR:
            times.popleft()
        if len(times) >= self._limits.probes_per_hour:
            return False
        times.append(now)
        return True

    async def _ask_in_turn(self, target: Target, talk: Talk) -> tuple[CallbackOutcome, bool]:
        """The outcome of one address, and whether it decides."""
        limits = self._limits
        wanted = {"": limits.connections, f"domain {talk.domain}": limits.per_domain}
        wanted[f"address {target.ip}"] = limits.per_address
        try:
            await self._turns.take(wanted)
        except TemporaryFailure as failure:
            return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text=str(failure)), True
        try:
            return talk.judge(str(target), await self._ask(target, talk))
        finally:
            self._turns.give_back(wanted)

    async def _ask(self, target: Target, talk: Talk) -> SMTPEnd:
        try:
            return await self._converse(target, talk.open(True))
        except TLSRefusedError:
            self._watch("* TLS failed; once more without")
        except (ConnectError, ConnectionClosed, ProtocolViolation, TemporaryFailure) as problem:
            return quotable(str(problem))
        try:
            return await self._converse(target, talk.open(False))
        except (ConnectError, ConnectionClosed, ProtocolViolation, TemporaryFailure) as problem:
            return quotable(str(problem))

    async def _converse(self, target: Target, session: SMTPClientSession) -> Finished:
        self._watch(f"* {target}")
        protocol = CallbackProtocol(self._reactor, session, self._limits.reply, self._watch)
        await self._endpoint(target).connect(Factory.forProtocol(lambda: protocol))
        return await protocol.ended

    def _endpoint(self, target: Target) -> IStreamClientEndpoint:
        endpoint = TCP6ClientEndpoint if target.ip.version == 6 else TCP4ClientEndpoint
        return endpoint(self._reactor, str(target.ip), self._limits.port, timeout=self._limits.connect)
