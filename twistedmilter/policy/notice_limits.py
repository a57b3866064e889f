"""How many notifications may go out: one to a sender in some days, and so many to a domain and in all in an hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twistedmilter.interfaces.notices import INoticeStore, StoredNotice
from twistedmilter.model.address import Mailbox
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.durations import DAY
from twistedmilter.policy.hourly_count import HourlyCount


@dataclass(eq=False)
class NoticeLimits:
    """Counts what goes out; all times are wall clock, in seconds since the epoch.

    @ivar store: knows who was told, over a restart; None: nobody is told, as in a scan.
    @ivar trouble: why what the store knows would be lost at a restart; empty if it would not.
    """

    settings: DsnSettings
    store: INoticeStore | None
    trouble: Callable[[], str] = str
    _in_all: HourlyCount = field(default_factory=HourlyCount)
    _by_domain: HourlyCount = field(default_factory=HourlyCount)

    def expiry(self, now: float) -> float:
        """Until when a sender that is told now is not told again."""
        return now + self.settings.sender_days * DAY

    async def take(self, notice: StoredNotice, mailbox: Mailbox) -> str:
        """Reserve one notification to this mailbox before it is sent: it counts, unless it is given back.

        @return: why it may not go out; empty if it may, and then it is counted.
        @raise TemporaryFailure: the store does not say whether this sender was told before, or cannot remember it.
        """
        if self.store is None:
            return "nothing is remembered here"
        if trouble := self.trouble():
            return f"it could not be remembered for long: {trouble}"
        if why := self.objection(mailbox, notice.stored):
            return why
        self._count(mailbox, notice.stored)  # before the store: another message may be quicker
        is_new = False
        try:
            is_new = await self.store.reserve(notice)
        finally:
            if not is_new:
                self.give_back(mailbox, notice.stored)
        return "" if is_new else f"the sender was told within {self.settings.sender_days:g} days"

    def give_back(self, mailbox: Mailbox, then: float) -> None:
        """What was taken at that time was certainly not sent: the hour has room for another."""
        self._by_domain.take_back(mailbox.domain, then)
        self._in_all.take_back("", then)

    def _count(self, mailbox: Mailbox, now: float) -> None:
        self._by_domain.add(mailbox.domain, now)
        self._in_all.add("", now)

    def objection(self, mailbox: Mailbox, now: float) -> str:
        """Why the hour has no room for this mailbox; empty if it has."""
        if self._by_domain.total(mailbox.domain, now) >= self.settings.per_domain:
            return f"{self.settings.per_domain} notifications went to {mailbox.domain} within an hour"
        if self._in_all.total("", now) >= self.settings.per_hour:
            return f"{self.settings.per_hour} notifications went out within an hour"
        return ""
