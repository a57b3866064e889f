"""One try to deliver a notification that is reserved, and what is remembered of it (reliability C14).

A notification is sent at most once: it counts as sent from the moment it is reserved, and only what was certainly not
sent is tried again or forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.notices import INoticeStore, NoticeState, StoredNotice
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.model.address import Mailbox
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.durations import HOUR

FIRST_WAIT: Final = 300.0  # seconds until the second try; each wait is twice the one before
LONGEST_WAIT: Final = 14_400.0  # seconds

# stages at which an exchanger has refused before it was told anything
_NOT_SENT: Final = frozenset({"address", "dns", "route", "limit", "banner", "EHLO", "HELO", "MAIL", "RCPT"})

_log = Logger()


class Fate(Enum):
    """What became of a notification: taken; to be tried again; not, and for now not again; not, as if never wanted."""

    SENT = 1
    WAITS = 2
    ENDED = 3
    FORGOTTEN = 4


def wait_after(tries: int) -> float:
    """How many seconds to wait after so many tries."""
    return float(min(FIRST_WAIT * 2.0 ** min(tries - 1, 20), LONGEST_WAIT))


@dataclass(frozen=True)
class NoticeDelivery:
    """Delivers, and keeps the store up to date.

    @ivar wall: seconds since the epoch.
    """

    settings: DsnSettings
    store: INoticeStore
    notifier: INotifier
    wall: Callable[[], float]

    async def attempt(
        self, notice: StoredNotice, mailboxes: Sequence[Mailbox], *, may_wait: bool
    ) -> tuple[CallbackOutcome, Fate]:
        """Try once.

        @param notice: reserved, or claimed. @param may_wait: whether it may be tried again.
        @raise CancelledError: nobody waits for it any more; it is settled all the same.
        """
        try:
            outcome = await self.notifier.deliver(mailboxes, notice.content)
        except NotSentError:
            self._back(notice)
            raise
        try:
            return outcome, await self._settle(notice, outcome, may_wait=may_wait)
        except TemporaryFailure as failure:
            _tell(failure)
            return outcome, Fate.SENT if outcome.result is CallbackResult.VALID else Fate.ENDED

    def _back(self, notice: StoredNotice) -> None:
        """As it was before this try; whoever was cancelled does not wait for it."""
        written: Deferred[Any]
        if notice.tries > 1:
            most = 2 * self.settings.queue  # it had its place there, which another may have taken
            written = self.store.defer(notice.address, self.wall(), "interrupted", most)
        else:
            written = self.store.release(notice.address)
        written.addErrback(_not_written)

    async def _settle(self, notice: StoredNotice, outcome: CallbackOutcome, *, may_wait: bool) -> Fate:
        said = outcome.explanation
        if outcome.result is CallbackResult.VALID:
            await self.store.done(notice.address, said)
            await self.store.keep_last(replace(notice, state=NoticeState.DONE, outcome=said))
            return Fate.SENT
        is_first = notice.tries == 1
        may_come = outcome.result is CallbackResult.TEMPORARY or (outcome.stage == "limit" and not is_first)
        if may_come and may_wait and await self._wait(notice, said):
            return Fate.WAITS
        if is_first and (may_come or outcome.from_cache or outcome.stage in _NOT_SENT):
            await self.store.release(notice.address)
            return Fate.FORGOTTEN
        await self.store.done(notice.address, f"given up: {said}" if may_come else said)
        return Fate.ENDED

    async def _wait(self, notice: StoredNotice, said: str) -> bool:
        """Put it into the queue, if it has time left and the queue has room."""
        now = self.wall()
        next_try = now + wait_after(notice.tries)
        if next_try > min(notice.stored + self.settings.retry_hours * HOUR, notice.expires):
            return False
        return await self.store.defer(notice.address, next_try, said, self.settings.queue)


def _not_written(failure: Failure) -> None:
    failure.trap(TemporaryFailure)
    _tell(failure.value)


def _tell(why: object) -> None:
    _log.warn("what became of a notification is not stored, so it counts as sent: {why}", why=str(why))
