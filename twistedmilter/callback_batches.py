"""Mailboxes of one domain that are asked about on one connection (seed-spec G17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistedmilter.callback_judgement import SMTPEnd, probed, rcpt_outcome
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.model.address import Mailbox
from twistedmilter.wire.smtp_client import Finished, SMTPClientSession, SMTPStage

Waiter = Deferred[CallbackOutcome]


class Batch:
    """Questions about one domain; others may join until the first connection is made.

    @ivar domain: of all its mailboxes. @ivar work: the walk along the exchangers; set by who starts it.
    @ivar is_open: whether nobody was asked yet. @ivar has_waited: whether our own limits were in the way.
    """

    def __init__(self, domain: str, own_name: str) -> None:
        """No question yet."""
        self.domain = domain
        self.work: Deferred[CallbackOutcome] = Deferred()
        self.is_open = True
        self.has_waited = False
        self.outcomes: dict[str, CallbackOutcome] = {}
        self._own_name = own_name
        self._mailboxes: dict[str, Mailbox] = {}
        self._waiters: dict[str, list[Waiter]] = {}
        self._asked: Sequence[Mailbox] = ()
        self._session: SMTPClientSession | None = None

    def __len__(self) -> int:
        """How many mailboxes it is about."""
        return len(self._mailboxes)

    def __contains__(self, mailbox: Mailbox) -> bool:
        """Whether it is about this mailbox."""
        return mailbox.key in self._mailboxes

    @property
    def mailboxes(self) -> list[Mailbox]:
        """Whom it is about."""
        return list(self._mailboxes.values())

    def join(self, mailbox: Mailbox, left: Callable[[Mailbox], None]) -> Waiter:
        """Wait for the outcome of a mailbox.

        @param left: called when the last who asked about the mailbox is gone before anybody was asked about it.
        """
        key = mailbox.key

        def leave(gone: Waiter) -> None:
            self._waiters[key].remove(gone)
            if not any(self._waiters.values()):
                self.work.cancel()
            elif self.is_open and not self._waiters[key]:
                del self._mailboxes[key], self._waiters[key]
                left(mailbox)

        waiter: Waiter = Deferred(leave)
        self._mailboxes[key] = mailbox
        self._waiters.setdefault(key, []).append(waiter)
        return waiter

    def told_to_wait(self) -> None:
        """Our own limits let nobody be called now."""
        self.has_waited = True

    def open(self, starttls: bool) -> SMTPClientSession:
        """A session that asks about those who have no outcome yet."""
        self.is_open = False
        self._asked = [mailbox for key, mailbox in self._mailboxes.items() if key not in self.outcomes]
        self._session = SMTPClientSession(self._own_name, self._asked, starttls=starttls)
        return self._session

    def judge(self, exchanger: str, end: SMTPEnd) -> tuple[CallbackOutcome, bool]:
        """Note the outcomes of one exchanger, and say what is to be thought of those that it did not answer.

        @return: that, and whether nobody else is to be asked.
        """
        replies = self._session.answers if self._session is not None else ()
        for mailbox, reply in zip(self._asked, replies, strict=False):
            self.outcomes[mailbox.key] = rcpt_outcome(exchanger, reply)
        if len(self.outcomes) == len(self._mailboxes):
            return next(iter(self.outcomes.values())), True
        if isinstance(end, Finished) and end.stage is SMTPStage.RCPT:
            text = "it ended the session before it was asked"
            return CallbackOutcome(CallbackResult.TEMPORARY, "connection", exchanger, text), False
        return probed(exchanger, end)

    def land(self, others: CallbackOutcome | Failure) -> None:
        """Tell all who wait.

        @param others: what those get whom no exchanger answered.
        """
        for key, waiters in self._waiters.items():
            result = self.outcomes.get(key, others)
            for waiter in waiters[:]:
                waiter.callback(result) if isinstance(result, CallbackOutcome) else waiter.errback(result)
