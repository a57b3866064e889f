"""Notifications that are to be tried again: a timer on what waits in the store (reliability C11, C14)."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.notices import NoticeState, StoredNotice
from twistedmilter.model.address import parse_path
from twistedmilter.policy.notice_delivery import Fate, NoticeDelivery

INTERVAL: Final = 30.0  # seconds between two looks
AT_ONCE: Final = 10  # tries of one look; the limits of callbacks hold besides
INTERRUPTED: Final = "the service was killed while it was sent"

_log = Logger()


class NoticeQueue:
    """Tries again what an exchanger did not take, until it does or its time is over.

    @ivar waiting: how many waited at the last look.
    """

    def __init__(self, delivery: NoticeDelivery, clock: Any) -> None:
        """Not started; nothing is tried. @param clock: a reactor's timers."""
        self._delivery = delivery
        self._store = delivery.store
        self._wall = delivery.wall
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self._under_way: Deferred[None] | None = None
        self._is_failing = False
        self.waiting = 0

    def start(self) -> None:
        """Settle what a killed process left, then try what is due, now and from then on."""
        left = self._store.interrupted(INTERRUPTED)
        left.addCallbacks(_tell_left, self._failed)
        self._loop.start(INTERVAL)

    def stop(self) -> None:
        """Give up the tries under way; what was not sent stays in the queue."""
        if self._loop.running:
            self._loop.stop()
        if self._under_way is not None:
            self._under_way.cancel()

    def _look(self) -> Deferred[None]:
        self._under_way = Deferred.fromCoroutine(self._try_due())
        return self._under_way.addErrback(self._failed)

    async def _try_due(self) -> None:
        due = await self._store.due(self._wall(), AT_ONCE)
        await gatherResults([Deferred.fromCoroutine(self._try(each)).addErrback(self._failed) for each in due])
        self.waiting = len(await self._store.waiting())
        self._is_failing = False

    async def _try(self, notice: StoredNotice) -> None:
        """One of those that are due, unless it went out meanwhile."""
        if not await self._store.claim(notice.address):
            return
        claimed = replace(notice, state=NoticeState.SENDING, tries=notice.tries + 1)
        mailboxes = [parse_path(each) for each in notice.addressees]
        outcome, fate = await self._delivery.attempt(claimed, mailboxes, may_wait=True)
        what = f"{notice.template} {notice.address}: {outcome.explanation}"
        if fate is not Fate.WAITS:
            became = "sent" if fate is Fate.SENT else "given up"
            _log.info("DSN: {became} at try {tries}: {what}", became=became, tries=claimed.tries, what=what)

    def _failed(self, failure: Failure) -> None:
        """That the store fails is told once, until it works again; a fault of ours each time."""
        if failure.check(CancelledError) is not None:
            return
        if failure.check(TemporaryFailure) is None:
            _log.failure("waiting notifications were not tried", failure=failure)
        elif not self._is_failing:
            self._is_failing = True
            _log.error("waiting notifications are not tried: {reason}", reason=failure.getErrorMessage())


def _tell_left(count: int) -> None:
    if count:
        text = "{count} notifications were under way when the service was killed: they are not sent again"
        _log.warn(text, count=count)
