"""How much exchangers are asked, and who may ask now (reliability C3, C6, C7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from twistedmilter.errors import TemporaryFailure
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.durations import DAY, HOUR, MINUTE
from twistedmilter.policy.hourly_count import HourlyCount


@dataclass(frozen=True, slots=True)
class CallbackLimits:
    """How much may be asked, and how long an answer holds; C{[callback]} in seconds.

    @ivar total: seconds from question to outcome. @ivar connect: for each address. @ivar reply: for each reply.
    @ivar per_connection: mailboxes that are asked about on one connection.
    @ivar remembered: outcomes in memory.
    @ivar breaker_failures: after so many in a row an address is left alone, for C{breaker_pause}; 0: it never is.
    """

    port: int = 25
    total: float = 30.0
    connect: float = 10.0
    reply: float = 10.0
    connections: int = 20
    per_domain: int = 1
    per_address: int = 2
    per_connection: int = 10
    waiting: int = 200
    probes_per_hour: int = 60
    keep_valid: float = 7 * 86_400.0
    keep_invalid: float = 3 * HOUR
    keep_others: float = 900.0
    remembered: int = 100_000
    breaker_failures: int = 5
    breaker_pause: float = 900.0

    @classmethod
    def of(cls, settings: CallbackSettings) -> CallbackLimits:
        """Those of a configuration."""
        return cls(
            port=settings.port,
            total=settings.total_timeout,
            connect=settings.connect_timeout,
            reply=settings.reply_timeout,
            connections=settings.connections,
            per_domain=settings.per_domain,
            per_address=settings.per_address,
            per_connection=settings.per_connection,
            waiting=settings.waiting,
            probes_per_hour=settings.probes_per_hour,
            keep_valid=settings.keep_valid * DAY,
            keep_invalid=settings.keep_invalid * HOUR,
            keep_others=settings.keep_others * MINUTE,
            remembered=settings.remembered,
            breaker_failures=settings.breaker_failures,
            breaker_pause=settings.breaker_minutes * MINUTE,
        )


class Probes:
    """How often each domain was asked in the last hour."""

    def __init__(self, seconds: Callable[[], float], limit: int) -> None:
        """Nobody was asked yet. @param seconds: the monotonic clock. @param limit: probes in an hour."""
        self._seconds = seconds
        self._limit = limit
        self._counts = HourlyCount()

    def count(self, domain: str) -> bool:
        """Count one probe, unless it would be one too many.

        @return: whether it may be made.
        """
        now = self._seconds()
        if self._counts.total(domain, now) >= self._limit:
            return False
        self._counts.add(domain, now)
        return True


class Turns:
    """Who may connect now: a limit for each key that a holder has; nobody waits longer than they are cancelled."""

    def __init__(self, waiting: int) -> None:
        """Nobody holds anything. @param waiting: how many may wait."""
        self._max_waiting = waiting
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[dict[str, int], Deferred[None]]] = []

    async def take(self, wanted: dict[str, int]) -> None:
        """Hold each key, when fewer than its limit hold it.

        @raise TemporaryFailure: too many wait already.
        """
        if self.are_free(wanted):
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
            if entry in self._waiting and self.are_free(entry[0]):
                self._waiting.remove(entry)
                self._hold(entry[0])
                entry[1].callback(None)

    def are_free(self, wanted: dict[str, int]) -> bool:
        """Whether nobody has to wait for these keys."""
        return all(self._held.get(key, 0) < limit for key, limit in wanted.items())

    def _hold(self, wanted: dict[str, int]) -> None:
        for key in wanted:
            self._held[key] = self._held.get(key, 0) + 1
