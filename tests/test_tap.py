"""What C{twistd twistedmilter} does with its options and with a configuration that cannot be used."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.tap import Options, makeService, quieten_collector, use_monotonic_time


def options(*words: str) -> Options:
    """The command line, read."""
    parsed: Any = Options()  # type: ignore[no-untyped-call]  # usage.Options has no annotations
    parsed.parseOptions(list(words))
    assert isinstance(parsed, Options)
    return parsed


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def test_config(self) -> None:
        """There is one option, and it is optional."""
        self.assertIsNone(options()["config"])
        self.assertEqual(options("--config", "a.toml")["config"], "a.toml")
        self.assertEqual(options("-c", "a.toml")["config"], "a.toml")

    def test_unknown(self) -> None:
        """What is not an option is an error of usage, which twistd prints."""
        for words in (["--confg", "a.toml"], ["a.toml"]):
            with self.subTest(words):
                self.assertRaises(usage.UsageError, options, *words)


class MonotonicTimeTests(SynchronousTestCase):
    """Timers and the wall clock (a 2 s timer did not fire for an hour after a step back)."""

    def test_timers_follow_the_monotonic_clock(self) -> None:
        """A reactor without timers is switched over."""
        clock = MemoryReactorClock()
        use_monotonic_time(clock)
        self.assertIs(clock.seconds, time.monotonic)

    def test_a_timer_that_is_set_keeps_its_clock(self) -> None:
        """A timer set in wall seconds would never fire on the monotonic clock: the reactor is left alone."""
        clock = MemoryReactorClock()
        clock.callLater(1, int)
        use_monotonic_time(clock)
        self.assertEqual(clock.seconds(), 0)


class CollectorTests(SynchronousTestCase):
    """The garbage collector's share of the time that MTAs wait."""

    def test_it_leaves_what_stays(self) -> None:
        """What was there at the start is frozen, and a message alone does not set off a collection."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        quieten_collector()
        self.assertGreater(gc.get_freeze_count(), 10_000)
        self.assertGreater(gc.get_threshold()[0], 10_000)


class MakeServiceTests(SynchronousTestCase):
    """From the command line to a service that is not started."""

    def setUp(self) -> None:
        """The reactor of the tests gets its own clock back."""
        self.patch(reactor, "seconds", reactor.seconds)

    def test_problems_are_lines(self) -> None:
        """A configuration with two mistakes ends twistd with one line for each, and no traceback."""
        path = Path(self.mktemp()).resolve()
        path.write_text('[spf]\nmode = "of"\n[resolver]\ntimeout = "soon"\n')
        stop = self.assertRaises(SystemExit, makeService, options("--config", str(path)))
        lines = str(stop.code).splitlines()
        self.assertEqual(len(lines), 2, stop.code)
        self.assertIn("spf.mode", lines[0])
        self.assertIn("resolver.timeout", lines[1])

    def test_a_file_that_is_not_there_is_one_line(self) -> None:
        """A file that was named must be there."""
        stop = self.assertRaises(SystemExit, makeService, options("--config", str(Path(self.mktemp()).resolve())))
        self.assertEqual(len(str(stop.code).splitlines()), 1)
