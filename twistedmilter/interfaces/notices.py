"""Remembering which senders were told, and what they are still to be told."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Interface


class NoticeState(StrEnum):
    """How far a notification is.

    From C{sending} on it counts as sent, whatever becomes of the process (reliability I6).
    """

    SENDING = "sending"
    QUEUED = "queued"
    DONE = "done"


class StoredNotice(Struct, frozen=True):
    """One notification; its sender is not told again before it expires.

    @ivar address: the sender, as a key; case does not matter.
    @ivar template: the name of its text.
    @ivar addressees: whom it goes to, as C{local@domain}; all of one domain.
    @ivar content: the message; empty once it is done.
    @ivar stored: when it was made; C{expires}: from then on it is as if it had never been.  [seconds since the epoch]
    @ivar tries: how often delivery was begun. @ivar next_try: when it is to be tried again. [seconds since the epoch]
    @ivar outcome: what came of the last try, for people.
    """

    address: str
    template: str
    addressees: tuple[str, ...]
    content: bytes
    stored: float
    expires: float
    state: NoticeState = NoticeState.SENDING
    tries: int = 1
    next_try: float = 0.0
    outcome: str = ""


class INoticeStore(Interface):
    """One notification for each sender; what is written is safe when the C{Deferred} fires.

    Each fails with L{TemporaryFailure<twistedmilter.errors.TemporaryFailure>} when nothing can be written or known.
    """

    def reserve(notice: StoredNotice) -> Deferred[bool]:
        """Mark a sender as told, and the notification as under way, in one step.

        @return: False if the sender was told already, and that still counts; then nothing was changed.
        """

    def release(address: str) -> Deferred[None]:
        """Forget a notification that was certainly not sent."""

    def done(address: str, outcome: str) -> Deferred[None]:
        """Nothing more is to be sent."""

    def defer(address: str, next_try: float, outcome: str, most: int) -> Deferred[bool]:
        """It was certainly not sent, and is to be tried again.

        @param most: how many may wait. @return: False if so many do; then nothing was changed.
        """

    def due(now: float, most: int) -> Deferred[list[StoredNotice]]:
        """Those whose time has come, the longest due first."""

    def claim(address: str) -> Deferred[bool]:
        """Mark one that waits as under way once more.

        @return: whether it still waited.
        """

    def waiting() -> Deferred[list[StoredNotice]]:
        """All that wait, by the time of their next try, without their content."""

    def interrupted(outcome: str) -> Deferred[int]:
        """Those that were under way when the process was killed are done: nobody knows whether they were sent.

        @return: how many there were.
        """

    def keep_last(notice: StoredNotice) -> Deferred[None]:
        """Keep what was sent as the last of its template (seed-spec G08)."""

    def last(template: str) -> Deferred[StoredNotice | None]:
        """What was sent last of a template."""

    def lasts() -> Deferred[list[StoredNotice]]:
        """What was sent last of each template, by its name, without content."""
