"""How many notifications may go out: one to a sender in some days, and so many to a domain and in all in an hour."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from twistedmilter.interfaces.notices import INoticeStore, StoredNotice
from twistedmilter.model.address import Mailbox
from twistedmilter.model.dsn_settings import DsnSettings

HOUR: Final = 3_600.0  # seconds
DAY: Final = 86_400.0  # seconds
MAX_REMEMBERED: Final = 100_000  # domains in memory


@dataclass(eq=False)
class NoticeLimits:
    """Counts what goes out; all times are wall clock, in seconds since the epoch.

    @ivar store: knows who was told, over a restart; None: nobody is told, as in a scan.
    """

    settings: DsnSettings
    store: INoticeStore | None
    _in_all: deque[float] = field(default_factory=deque)
    _by_domain: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def expiry(self, now: float) -> float:
        """Until when a sender that is told now is not told again."""
        return now + self.settings.sender_days * DAY

    async def take(self, notice: StoredNotice, mailbox: Mailbox) -> str:
        """Reserve one notification to this mailbox before it is sent: whatever happens then, it counts.

        @return: why it may not go out; empty if it may, and then it is counted.
        @raise TemporaryFailure: the store does not say whether this sender was told before, or cannot remember it.
        """
        if self.store is None:
            return "nothing is remembered here"
        if why := self.objection(mailbox, notice.stored):
            return why
        times = self._count(mailbox.domain, notice.stored)  # before the store: another message may be quicker
        is_new = False
        try:
            is_new = await self.store.reserve(notice)
        finally:
            if not is_new:
                times.remove(notice.stored)
                self._in_all.remove(notice.stored)
        return "" if is_new else f"the sender was told within {self.settings.sender_days:g} days"

    def _count(self, domain: str, now: float) -> deque[float]:
        times = self._by_domain.setdefault(domain, deque())
        times.append(now)
        self._by_domain.move_to_end(domain)
        if len(self._by_domain) > MAX_REMEMBERED:
            self._by_domain.popitem(last=False)
        self._in_all.append(now)
        return times

    def objection(self, mailbox: Mailbox, now: float) -> str:
        """Why the hour has no room for this mailbox; empty if it has."""
        if len(_within_hour(self._by_domain.get(mailbox.domain, deque()), now)) >= self.settings.per_domain:
            return f"{self.settings.per_domain} notifications went to {mailbox.domain} within an hour"
        if len(_within_hour(self._in_all, now)) >= self.settings.per_hour:
            return f"{self.settings.per_hour} notifications went out within an hour"
        return ""


def _within_hour(times: deque[float], now: float) -> deque[float]:
    while times and times[0] <= now - HOUR:
        times.popleft()
    return times
