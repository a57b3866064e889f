"""Tests of one try to deliver a notification, and of what is remembered of it (C14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.notices import NoticeState, StoredNotice
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.model.address import Mailbox, parse_path
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.policy.notice_delivery import Fate, NoticeDelivery, wait_after
from twistedmilter.store.memory import MemoryStores

NOW = 1_764_000_000.0
HOUR = 3_600.0
DAY = 86_400.0
TAKEN = CallbackOutcome(CallbackResult.VALID, "the message", "mail.example.com", "250 queued", 250)
GREYLISTED = CallbackOutcome(CallbackResult.TEMPORARY, "RCPT", "mail.example.com", "451 later", 451)
NOBODY = CallbackOutcome(CallbackResult.INVALID, "RCPT", "mail.example.com", "550 nobody", 550)
SPAM = CallbackOutcome(CallbackResult.UNKNOWN, "the message", "mail.example.com", "554 spam", 554)
BUSY = CallbackOutcome(CallbackResult.UNKNOWN, "limit", text="too many callbacks wait already")


@implementer(INotifier)
@dataclass
class ScriptedNotifier:
    """Answers as it is told; C{None} never does."""

    outcome: CallbackOutcome | None = TAKEN
    cancelled: CancelledError = field(default_factory=CancelledError)
    sent: list[bytes] = field(default_factory=list)

    async def deliver(self, mailboxes: Sequence[Mailbox], content: bytes) -> CallbackOutcome:
        """Keep it."""
        self.sent.append(content)
        if self.outcome is None:
            await Deferred(lambda gone: gone.errback(self.cancelled))
        assert self.outcome is not None
        return self.outcome


class DeliveryTestCase(SynchronousTestCase):
    """One notification, reserved."""

    def setUp(self) -> None:
        """Nothing was tried."""
        self.stores = MemoryStores()
        self.notifier = ScriptedNotifier()
        self.now = NOW
        self.stores.notices.reserve(StoredNotice("bob@b.ex", "fail", ("bob@b.ex",), b"text", NOW, NOW + 7 * DAY))

    @property
    def notice(self) -> StoredNotice | None:
        """What the store has of it."""
        return self.stores.notices.table.get("bob@b.ex")

    def attempt(self, *, may_wait: bool = True, **settings: Any) -> Deferred[tuple[CallbackOutcome, Fate]]:
        """Try once."""
        notice = self.notice
        assert notice is not None
        delivery = NoticeDelivery(DsnSettings(**settings), self.stores.notices, self.notifier, lambda: self.now)
        trying = delivery.attempt(notice, [parse_path("bob@b.ex")], may_wait=may_wait)
        return Deferred.fromCoroutine(trying)

    def fate(self, outcome: CallbackOutcome, **settings: Any) -> Fate:
        """What became of it."""
        self.notifier.outcome = outcome
        fate: Fate = self.successResultOf(self.attempt(**settings))[1]
        return fate

    def retry(self) -> None:
        """It waited, and is claimed."""
        self.stores.notices.defer("bob@b.ex", self.now, "", 5)
        self.stores.notices.claim("bob@b.ex")


class FirstTryTests(DeliveryTestCase):
    """While the message waits for its verdict."""

    def test_taken(self) -> None:
        """It is done, and is the last of its template (G08)."""
        self.assertIs(self.fate(TAKEN), Fate.SENT)
        assert self.notice is not None
        self.assertEqual((self.notice.state, self.notice.content), (NoticeState.DONE, b""))
        last = self.successResultOf(self.stores.notices.last("fail"))
        assert last is not None
        self.assertEqual((last.content, last.outcome), (b"text", "mail.example.com said to the message: 250 queued"))

    def test_not_now(self) -> None:
        """It waits for five minutes, with what the exchanger said."""
        self.assertIs(self.fate(GREYLISTED), Fate.WAITS)
        assert self.notice is not None
        self.assertEqual((self.notice.state, self.notice.next_try), (NoticeState.QUEUED, NOW + 300))
        self.assertIn("451 later", self.notice.outcome)

    def test_full_queue(self) -> None:
        """Where it may not wait it is as if it had never been made: another message may ask for it."""
        for name in ("a", "b"):
            self.stores.notices.reserve(StoredNotice(name, "fail", (name,), b"", NOW, NOW + DAY))
        self.stores.notices.defer("a", NOW, "", 9)
        self.assertIs(self.fate(GREYLISTED, queue=1), Fate.FORGOTTEN)
        self.assertIsNone(self.notice)

    def test_refused(self) -> None:
        """Refused before it was sent: forgotten; refused when it was: not tried again, and not asked for again."""
        self.assertIs(self.fate(SPAM), Fate.ENDED)
        assert self.notice is not None
        self.assertEqual(self.notice.state, NoticeState.DONE)
        self.setUp()
        self.assertIs(self.fate(NOBODY), Fate.FORGOTTEN)
        self.assertIsNone(self.notice)

    def test_our_own_limits(self) -> None:
        """What we had no room for is not queued: there would be no end of it."""
        self.assertIs(self.fate(BUSY), Fate.FORGOTTEN)

    def test_cancelled(self) -> None:
        """Whoever goes away in the midst leaves the mark, unless nothing was sent."""
        self.notifier.outcome = None
        trying = self.attempt()
        trying.cancel()
        self.failureResultOf(trying, CancelledError)
        assert self.notice is not None
        self.assertEqual(self.notice.state, NoticeState.SENDING)
        self.notifier.cancelled = NotSentError()
        trying = self.attempt()
        trying.cancel()
        self.failureResultOf(trying, NotSentError)
        self.assertIsNone(self.notice)

    def test_store_away(self) -> None:
        """What became of it cannot be written: the mark stands, and that is told."""
        self.stores.close()
        with capturedLogs() as events:
            self.assertIs(self.fate(GREYLISTED), Fate.ENDED)
            self.assertIs(self.fate(TAKEN), Fate.SENT)
        self.assertIn("it counts as sent: the store is closed", formatEvent(events[0]))


class LaterTryTests(DeliveryTestCase):
    """Out of the queue."""

    def test_backoff(self) -> None:
        """Each wait is twice the one before, up to four hours."""
        self.assertEqual([wait_after(tries) / 60 for tries in (1, 2, 3, 6, 7, 99)], [5, 10, 20, 160, 240, 240])

    def test_end(self) -> None:
        """After two days it is given up, and its sender is not told anew within its week."""
        self.retry()
        self.now = NOW + 48 * HOUR - 601
        self.assertIs(self.fate(GREYLISTED), Fate.WAITS)
        self.stores.notices.claim("bob@b.ex")
        self.now += 600
        self.assertIs(self.fate(GREYLISTED), Fate.ENDED)
        assert self.notice is not None
        self.assertIn("given up: mail.example.com said to RCPT: 451 later", self.notice.outcome)

    def test_our_own_limits(self) -> None:
        """They are no reason to give up."""
        self.retry()
        self.assertIs(self.fate(BUSY), Fate.WAITS)

    def test_refused(self) -> None:
        """It ends, and is not forgotten."""
        self.retry()
        self.assertIs(self.fate(NOBODY), Fate.ENDED)

    def test_interrupted(self) -> None:
        """A stop before anything was sent leaves it in the queue, due at once."""
        self.retry()
        self.notifier = ScriptedNotifier(None, NotSentError())
        trying = self.attempt()
        trying.cancel()
        self.failureResultOf(trying, NotSentError)
        assert self.notice is not None
        self.assertEqual((self.notice.state, self.notice.next_try), (NoticeState.QUEUED, NOW))
