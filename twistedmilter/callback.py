"""The verifier of callbacks on the network: connections, limits, single flight and a cache (seed-spec G09 to G18).

Nothing here asks on its own account; whoever asks, asks for one mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.callback_answers import CallbackAnswers
from twistedmilter.callback_batches import Batch, Waiter
from twistedmilter.callback_breaker import CircuitBreakers
from twistedmilter.callback_connection import CallbackProtocol, TLSRefusedError, Watcher
from twistedmilter.callback_judgement import SMTPEnd, probed, trouble_of
from twistedmilter.callback_limits import CallbackLimits, Probes, Turns
from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.exchangers import Guard, Target, find_route
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.interfaces.stores import ICallbackCache
from twistedmilter.model.address import Mailbox
from twistedmilter.model.settings import Settings
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.spf_identity import is_host_name
from twistedmilter.wire.smtp_client import Finished, SMTPClientSession, smtp_path
from twistedmilter.wire.smtp_replies import quotable


@dataclass(frozen=True, slots=True)
class Talk:
    """What is said to the exchangers of a domain, one after the other.

    @ivar open: makes a session; its argument is whether TLS is to be used where offered.
    @ivar judge: from an exchanger and the end of its session to an outcome, and whether that decides.
    @ivar told_to_wait: called when our own limits let nobody be called now.
    """

    domain: str
    open: Callable[[bool], SMTPClientSession]
    judge: Callable[[str, SMTPEnd], tuple[CallbackOutcome, bool]] = probed
    told_to_wait: Callable[[], None] = lambda: None


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
        own_addresses: Callable[[], frozenset[IPAddress]] = frozenset,
        watch: Watcher = lambda _: None,
        store: ICallbackCache | None = None,
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Ready; nothing is opened before somebody asks.

        @param own_name: for EHLO, and to know ourselves by.
        @param chance: numbers between 0 and 1, to order exchangers of equal preference.
        @param own_addresses: gives those of our interfaces as they are now; they are never called, either.
        @param watch: called with each line of each conversation.
        @param store: what outlives us; None: memory only. @param wall: seconds since the epoch, for the store.
        """
        self._reactor = reactor
        self._resolver = resolver
        self._own_name = own_name
        self._limits = limits
        self._guard = guard
        self._own_addresses = own_addresses
        self._chance = chance
        self._watch = watch
        self._answers = CallbackAnswers(reactor.seconds, limits, store, wall)
        self._turns = Turns(limits.waiting)
        self._breakers = CircuitBreakers(reactor.seconds, limits.breaker_failures, limits.breaker_pause)
        self._probes = Probes(reactor.seconds, limits.probes_per_hour)
        self._flights: dict[str, Batch] = {}  # by mailbox
        self._joinable: dict[str, Batch] = {}  # by domain

    async def verify(self, mailbox: Mailbox) -> CallbackOutcome:
        """Whether bounces for this mailbox would be taken; see L{ICallbackVerifier}."""
        try:
            smtp_path(mailbox)
        except ValueError as problem:
            return CallbackOutcome(CallbackResult.UNKNOWN, "address", text=str(problem))
        known = await self.known(mailbox)
        return known if known is not None else await self._join(mailbox)

    async def known(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What is known without asking; see L{ICallbackVerifier}."""
        return await self._answers.find(mailbox) or self._answers.of_domain(mailbox.domain)

    def snapshot(self) -> Mapping[str, object]:
        """What C{twistedmilter status} shows: the addresses that are left alone, and why."""
        return {"not_called": self._breakers.snapshot()}

    def recall(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What memory knows of a mailbox."""
        return self._answers.recall(mailbox)

    def remember(self, mailbox: Mailbox, outcome: CallbackOutcome) -> None:
        """Learn what another talk with the exchangers found out."""
        self._answers.keep(mailbox, outcome)

    async def stop(self) -> None:
        """Give up everything under way; those who wait get C{unknown}."""
        for batch in set(self._flights.values()):
            batch.work.cancel()

    async def _join(self, mailbox: Mailbox) -> CallbackOutcome:
        """One probe for all who ask about this mailbox, one connection for many mailboxes of its domain."""
        batch = self._flights.get(mailbox.key) or self._place_for(mailbox)
        if batch is None:
            return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text="the domain was asked too often this hour")
        is_new = not len(batch)
        waiter: Waiter = batch.join(mailbox, self._left)
        self._flights[mailbox.key] = batch
        if is_new:
            talk = Talk(batch.domain, batch.open, batch.judge, batch.told_to_wait)
            batch.work = Deferred.fromCoroutine(self.walk(talk))
            batch.work.addTimeout(self._limits.total, self._reactor)
            batch.work.addErrback(self._gave_up, batch).addBoth(self._landed, batch)
        return await waiter

    def _place_for(self, mailbox: Mailbox) -> Batch | None:
        """Where to ask about a mailbox that nobody has asked about; None if its domain is asked too often."""
        if not self._probes.count(mailbox.domain):
            return None
        batch = self._joinable.get(mailbox.domain)
        if batch is None or not batch.is_open or len(batch) >= self._limits.per_connection:
            batch = self._joinable[mailbox.domain] = Batch(mailbox.domain, self._own_name)
        return batch

    def _left(self, mailbox: Mailbox) -> None:
        del self._flights[mailbox.key]

    def _gave_up(self, failure: Failure, batch: Batch) -> CallbackOutcome:
        if failure.check(DeferredTimeout):
            within = f"within {self._limits.total:g} s"
            if batch.has_waited and batch.is_open:
                return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text=f"nobody could be called {within}")
            return CallbackOutcome(CallbackResult.TEMPORARY, "connection", text=f"no answer {within}")
        failure.trap(CancelledError)
        return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text="the callback was given up")

    def _landed(self, result: CallbackOutcome | Failure, batch: Batch) -> None:
        if self._joinable.get(batch.domain) is batch:
            del self._joinable[batch.domain]
        if isinstance(result, CallbackOutcome) and not batch.outcomes:
            self._answers.keep_of_domain(batch.domain, result)
        for mailbox in batch.mailboxes:
            del self._flights[mailbox.key]
            outcome = batch.outcomes.get(mailbox.key, result)
            if isinstance(outcome, CallbackOutcome):
                self._answers.keep(mailbox, outcome)
        batch.land(result)

    async def walk(self, talk: Talk) -> CallbackOutcome:
        """Talk to the exchangers of a domain until one decides, within the limits on connections."""
        guard = replace(self._guard, own_addresses=self._guard.own_addresses | self._own_addresses())
        try:
            route = await find_route(self._resolver, talk.domain, guard, self._chance)
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

    async def _ask_in_turn(self, target: Target, talk: Talk) -> tuple[CallbackOutcome, bool]:
        """The outcome of one address, and whether it decides."""
        limits = self._limits
        wanted = {"": limits.connections, f"domain {talk.domain}": limits.per_domain}
        wanted[f"address {target.ip}"] = limits.per_address
        if not self._turns.are_free(wanted):
            talk.told_to_wait()
        try:
            await self._turns.take(wanted)
        except TemporaryFailure as failure:
            return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text=str(failure)), True
        try:
            return await self._ask_unless_failing(target, talk)
        except CancelledError:
            talk.judge(str(target), "it took too long")  # what was answered before that counts
            raise
        finally:
            self._turns.give_back(wanted)

    async def _ask_unless_failing(self, target: Target, talk: Talk) -> tuple[CallbackOutcome, bool]:
        """Ask, unless the address has kept failing; whatever comes of it is learnt (reliability C15)."""
        address = str(target.ip)
        if why := self._breakers.objection(address):
            self._watch(f"* not called: {why}")
            return CallbackOutcome(CallbackResult.UNKNOWN, "limit", text=quotable(why)), False
        try:
            end = await self._ask(target, talk)
        except BaseException:
            self._breakers.abandoned(address)
            raise
        if trouble := trouble_of(end):
            self._breakers.failed(address, trouble)
        else:
            self._breakers.worked(address)
        return talk.judge(str(target), end)

    async def _ask(self, target: Target, talk: Talk) -> SMTPEnd:
        try:
            return await self._converse(target, talk, starttls=True)
        except TLSRefusedError:
            self._watch("* TLS failed; once more without")
        except (ConnectError, ConnectionClosed, ProtocolViolation, TemporaryFailure) as problem:
            return quotable(str(problem))
        try:
            return await self._converse(target, talk, starttls=False)
        except (ConnectError, ConnectionClosed, ProtocolViolation, TemporaryFailure) as problem:
            return quotable(str(problem))

    async def _converse(self, target: Target, talk: Talk, *, starttls: bool) -> Finished:
        self._watch(f"* {target}")

        def begin() -> CallbackProtocol:
            """Once connected: until then others may join."""
            return CallbackProtocol(self._reactor, talk.open(starttls), self._limits.reply, self._watch)

        factory = Factory.forProtocol(begin)
        factory.noisy = False  # or each call leaves two lines in the log
        try:
            protocol: Any = await self._endpoint(target).connect(factory)
        except ConnectingCancelledError as cancelled:  # which is no CancelledError
            raise CancelledError from cancelled
        finished: Finished = await protocol.ended
        return finished

    def _endpoint(self, target: Target) -> IStreamClientEndpoint:
        endpoint = TCP6ClientEndpoint if target.ip.version == 6 else TCP4ClientEndpoint
        return endpoint(self._reactor, str(target.ip), self._limits.port, timeout=self._limits.connect)


def own_name_of(settings: Settings, host_name: str) -> str:
    """What we call ourselves in EHLO.

    @param host_name: this host's own name, for want of a better one.
    """
    given = settings.callback.own_name or settings.server.authserv_id
    return (given if is_host_name(given) else host_name).lower().rstrip(".")


def make_verifier(
    settings: Settings,
    reactor: Any,
    resolver: IResolver,
    host_name: str,
    *,
    chance: Callable[[], float],
    own_addresses: Callable[[], frozenset[IPAddress]] = frozenset,
    watch: Watcher = lambda _: None,
    store: ICallbackCache | None = None,
    wall: Callable[[], float] = lambda: 0.0,
) -> CallbackVerifier:
    """The verifier of a configuration; the arguments are those of L{CallbackVerifier} and L{own_name_of}.

    @raise ValueError: C{own_addresses} holds what is no address.
    """
    section = settings.callback
    own_name = own_name_of(settings, host_name)
    names = {own_name, host_name, *section.own_names, *settings.helo.our_names}
    guard = Guard(
        own_names=frozenset(name.lower().rstrip(".") for name in names),
        own_addresses=frozenset(map(ip_address, section.own_addresses)),
        permit_private=section.permit_private,
    )
    return CallbackVerifier(
        reactor,
        resolver,
        own_name,
        limits=CallbackLimits.of(section),
        guard=guard,
        chance=chance,
        own_addresses=own_addresses,
        watch=watch,
        store=store,
        wall=wall,
    )
