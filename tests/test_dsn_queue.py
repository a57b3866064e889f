"""Tests of notifications that are tried again."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.test_notice_delivery import GREYLISTED, NOBODY, NOW, TAKEN, ScriptedNotifier
from twistedmilter.dsn_queue import AT_ONCE, INTERVAL, NoticeQueue
from twistedmilter.interfaces.notices import NoticeState, StoredNotice
from twistedmilter.interfaces.notifications import NotSentError
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.notice_commands import NoticeCommands
from twistedmilter.policy.notice_delivery import NoticeDelivery
from twistedmilter.store.memory import MemoryStores

DAY = 86_400.0


class QueueTestCase(SynchronousTestCase):
    """Both clocks are arguments."""

    def setUp(self) -> None:
        """One notification waits for five minutes."""
        self.clock = Clock()
        self.stores = MemoryStores()
        self.notifier = ScriptedNotifier()
        self.add("bob@b.ex", NOW + 300)

    def add(self, address: str, next_try: float) -> None:
        """One that waits."""
        whom = (address, f"postmaster@{address.partition('@')[2]}")
        self.stores.notices.reserve(StoredNotice(address, "permerror", whom, b"text", NOW, NOW + 7 * DAY))
        self.stores.notices.defer(address, next_try, "451 later", 1_000)

    def queue(self) -> NoticeQueue:
        """The queue, started."""
        delivery = NoticeDelivery(DsnSettings(), self.stores.notices, self.notifier, self.wall)
        queue = NoticeQueue(delivery, self.clock)
        queue.start()
        self.addCleanup(queue.stop)
        return queue

    def wall(self) -> float:
        """Seconds since the epoch."""
        return NOW + self.clock.seconds()

    def run_for(self, seconds: float) -> None:
        """Let time pass, look by look."""
        self.clock.pump([INTERVAL] * int(seconds / INTERVAL))

    def states(self) -> list[str]:
        """How far each is."""
        return [each.state.value for _, each in self.stores.notices.table.items()]


class NoticeQueueTests(QueueTestCase):
    """When it is tried, and how it ends."""

    def test_taken_at_last(self) -> None:
        """C14: it is tried when its time has come, again with longer waits, and once it is taken never again."""
        queue = self.queue()
        self.notifier.outcome = GREYLISTED
        self.run_for(270)
        self.assertEqual((self.notifier.sent, queue.waiting), ([], 1))
        self.run_for(30)
        self.assertEqual(len(self.notifier.sent), 1)
        self.notifier.outcome = TAKEN
        self.run_for(570)
        self.assertEqual(len(self.notifier.sent), 1)
        with capturedLogs() as events:
            self.run_for(30)
        said = "DSN: sent at try 3: permerror bob@b.ex: mail.example.com said to the message: 250 queued"
        self.assertIn(said, [formatEvent(event) for event in events])
        self.run_for(3 * DAY)
        self.assertEqual((len(self.notifier.sent), self.states(), queue.waiting), (2, ["done"], 0))

    def test_given_up(self) -> None:
        """It has an end: two days, and some 15 tries, after which nothing is left in the queue."""
        self.notifier.outcome = GREYLISTED
        queue = self.queue()
        with capturedLogs() as events:
            self.run_for(3 * DAY)
        self.assertEqual((len(self.notifier.sent), self.states(), queue.waiting), (16, ["done"], 0))
        self.assertIn("DSN: given up at try 17", formatEvent(events[-1]))

    def test_refused_later(self) -> None:
        """An exchanger that says no ends it at once."""
        self.notifier.outcome = NOBODY
        self.queue()
        self.run_for(DAY)
        self.assertEqual((len(self.notifier.sent), self.states()), (1, ["done"]))

    def test_restart(self) -> None:
        """What was under way at a kill is not sent again; what waits is tried by the next process."""
        self.add("amy@b.ex", NOW)
        self.stores.notices.claim("amy@b.ex")
        with capturedLogs() as events:
            self.queue()
        self.assertIn("1 notifications were under way when the service was killed", formatEvent(events[0]))
        self.run_for(300)
        self.assertEqual((len(self.notifier.sent), self.states()), (1, ["done", "done"]))

    def test_stop(self) -> None:
        """The tries under way are given up, and what was not sent is due when the service is there again."""
        self.notifier = ScriptedNotifier(None, NotSentError())
        queue = self.queue()
        self.run_for(300)
        self.assertEqual(self.states(), ["sending"])
        queue.stop()
        self.assertEqual(self.states(), ["queued"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_some_at_a_time(self) -> None:
        """C6: a long queue does not start all at once."""
        for number in range(3 * AT_ONCE):
            self.add(f"a{number}@b.ex", NOW)
        self.notifier.outcome = None
        self.queue()
        self.assertEqual(len(self.notifier.sent), AT_ONCE)

    def test_store_away(self) -> None:
        """A store that fails is told of once, and does not end the queue."""
        queue = self.queue()
        self.stores.close()
        with capturedLogs() as events:
            self.run_for(300)
        told = [formatEvent(event) for event in events]
        self.assertEqual(told, ["waiting notifications are not tried: the store is closed"])
        self.assertTrue(queue._loop.running)


class NoticeCommandsTests(QueueTestCase):
    """What the administrator sees (G08)."""

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer of a command."""
        commands = NoticeCommands(self.stores.notices).commands
        return self.successResultOf(Deferred.fromCoroutine(commands[command](arguments)))  # type: ignore[arg-type]

    def test_shown(self) -> None:
        """What waits, and what went out last."""
        self.assertEqual(self.stores.notices.table.get("bob@b.ex").state, NoticeState.QUEUED)  # type: ignore[union-attr]
        [waiting] = self.ask("dsn-waiting")["waiting"]
        self.assertEqual((waiting["to"][0], waiting["next_try"], waiting["tries"]), ("bob@b.ex", NOW + 300, 1))
        self.queue()
        self.run_for(300)
        found = self.ask("dsn-waiting")
        self.assertEqual((found["waiting"], [each["template"] for each in found["last"]]), ([], ["permerror"]))
        self.assertEqual(self.ask("dsn-last", template="permerror")["content"], "text")
