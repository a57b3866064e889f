"""How many notifications may go out: one to a sender in some days, and so many to a domain and in all in an hour."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, TypeVar

from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import CallbackAnswer, ICallbackCache
from twistedmilter.model.address import Mailbox
from twistedmilter.model.dsn_settings import DsnSettings

HOUR: Final = 3_600.0  # seconds
DAY: Final = 86_400.0  # seconds
MAX_REMEMBERED: Final = 100_000  # senders and domains in memory; the store remembers senders beyond that

V = TypeVar("V")
_KEY: Final = "told:"  # no address has a colon there


@dataclass(eq=False)
class NoticeLimits:
    """Counts what goes out; all times are wall clock, in seconds since the epoch.

    @ivar cache: remembers who was told over a restart; None: nothing does.
    """

    settings: DsnSettings
    cache: ICallbackCache | None
    _in_all: deque[float] = field(default_factory=deque)
    _by_domain: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _told: OrderedDict[str, float] = field(default_factory=OrderedDict)

    async def take(self, mailbox: Mailbox, now: float) -> str:
        """Count one notification to this mailbox.

        @return: why it may not go out; empty if it may, and then it is counted.
        @raise TemporaryFailure: the store does not say whether this sender was told before.
        """
        if why := self._objection(mailbox, now):
            return why
        if self.cache is not None and await self.cache.find(_KEY + mailbox.key, now) is not None:
            return self._told_before()
        if why := self._objection(mailbox, now):  # another message may have been quicker
            return why
        _remember(self._told, mailbox.key, now)
        times = self._by_domain.get(mailbox.domain) or deque()
        times.append(now)
        _remember(self._by_domain, mailbox.domain, times)
        self._in_all.append(now)
        return ""

    async def keep(self, mailbox: Mailbox, now: float, reply: str) -> None:
        """The notification was taken: remember that over a restart.

        @raise TemporaryFailure: the store cannot.
        """
        if self.cache is not None:
            expires = now + self.settings.sender_days * DAY
            await self.cache.keep(CallbackAnswer(_KEY + mailbox.key, CallbackResult.VALID, reply, now, expires))

    def give_back(self, mailbox: Mailbox) -> None:
        """The notification did not go out: its sender may be told another time; the hour stays as it is."""
        self._told.pop(mailbox.key, None)

    def _objection(self, mailbox: Mailbox, now: float) -> str:
        told = self._told.get(mailbox.key)
        if told is not None and now - told < self.settings.sender_days * DAY:
            return self._told_before()
        if len(_within_hour(self._by_domain.get(mailbox.domain, deque()), now)) >= self.settings.per_domain:
            return f"{self.settings.per_domain} notifications went to {mailbox.domain} within an hour"
        if len(_within_hour(self._in_all, now)) >= self.settings.per_hour:
            return f"{self.settings.per_hour} notifications went out within an hour"
        return ""

    def _told_before(self) -> str:
        return f"the sender was told within {self.settings.sender_days:g} days"


def _remember(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)


def _within_hour(times: deque[float], now: float) -> deque[float]:
    while times and times[0] <= now - HOUR:
        times.popleft()
    return times
