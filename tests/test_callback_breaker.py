"""Tests of leaving destinations alone that keep failing (C15)."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter import callback_breaker
from twistedmilter.callback_breaker import MAX_PAUSE, CircuitBreakers

MX = "mail.example.com [192.0.2.1]"


class CircuitBreakersTests(SynchronousTestCase):
    """Three failures, a pause of a minute."""

    def setUp(self) -> None:
        """All are closed."""
        self.clock = Clock()
        self.breakers = CircuitBreakers(self.clock.seconds, 3, 60.0)

    def fail_often(self, times: int = 3, why: str = "no answer") -> None:
        """It fails, one after the other."""
        for _ in range(times):
            self.assertEqual(self.breakers.objection(MX), "")
            self.breakers.failed(MX, why)

    def test_opens(self) -> None:
        """After so many failures one after the other nobody calls there; the log and the status say why."""
        with capturedLogs() as events:
            self.fail_often()
        [told] = map(formatEvent, events)
        self.assertEqual(told, f"{MX} failed 3 times and is not called for 60 s: no answer")
        self.clock.advance(59)
        self.assertEqual(self.breakers.objection(MX), f"{MX} failed 3 times and is not called for 1 s: no answer")
        self.assertEqual(self.breakers.snapshot(), {MX: "3 failures, probed in 1 s: no answer"})
        self.assertEqual(self.breakers.objection("other.example.com [192.0.2.2]"), "")

    def test_a_success_between_counts(self) -> None:
        """A server that fails now and then is called."""
        for _ in range(5):
            self.fail_often(2)
            self.breakers.worked(MX)
        self.assertEqual((self.breakers.objection(MX), self.breakers.snapshot()), ("", {}))

    def test_one_probe(self) -> None:
        """When the pause is over one caller finds out for all; if it works everybody calls again."""
        self.fail_often()
        self.clock.advance(60)
        self.assertEqual(self.breakers.objection(MX), "")
        self.assertIn("while it is probed", self.breakers.objection(MX))
        with capturedLogs() as events:
            self.breakers.worked(MX)
        self.assertEqual(formatEvent(events[0]), f"{MX} works again and is called")
        self.fail_often(2)
        self.assertEqual(self.breakers.objection(MX), "")

    def test_longer_pauses(self) -> None:
        """A probe that fails doubles the pause, up to a day."""
        self.fail_often()
        pauses = []
        for pause in (60.0, 120.0, 240.0):
            self.clock.advance(pause - 1)
            self.assertIn("is not called for 1 s", self.breakers.objection(MX))
            self.clock.advance(1)
            self.assertEqual(self.breakers.objection(MX), "")
            self.breakers.failed(MX, "554 listed")
        for _ in range(20):
            self.clock.advance(MAX_PAUSE)
            pauses.append(self.breakers.objection(MX))
            self.breakers.failed(MX, "554 listed")
        self.assertEqual(set(pauses), {""})
        self.clock.advance(MAX_PAUSE - 1)
        self.assertIn("554 listed", self.breakers.objection(MX))

    def test_a_probe_nobody_waits_for(self) -> None:
        """It says nothing; the next caller probes."""
        self.fail_often()
        self.clock.advance(60)
        self.assertEqual(self.breakers.objection(MX), "")
        self.breakers.abandoned(MX)
        self.breakers.abandoned("nobody")
        self.assertEqual(self.breakers.objection(MX), "")

    def test_calls_that_were_under_way(self) -> None:
        """Those that fail after it has opened do not make the pause longer."""
        for _ in range(5):
            self.assertEqual(self.breakers.objection(MX), "")
        for _ in range(5):
            self.breakers.failed(MX, "no answer")
        self.clock.advance(60)
        self.assertEqual(self.breakers.objection(MX), "")

    def test_never(self) -> None:
        """Where every message depends on one server it is asked whatever comes of it."""
        self.breakers = CircuitBreakers(self.clock.seconds, 0, 60.0)
        self.fail_often(100)

    def test_memory_is_bounded(self) -> None:
        """The one that was not called for the longest time is forgotten."""
        self.patch(callback_breaker, "MAX_DESTINATIONS", 10)
        self.fail_often()
        for number in range(10):
            self.breakers.failed(str(number), "")
        self.assertEqual((self.breakers.objection(MX), len(self.breakers._circuits)), ("", 10))
