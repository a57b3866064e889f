"""Run the tests of one module in this process, strictly, and write down what came of it.

    python -m tests.run_module MODULE REPORT SEED

Stricter than trial's own command: a warning that our code causes, and an error that only garbage collection brings
to light (a Deferred that failed with nobody listening), are failures too.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TrialRunner
from zope.interface import implementer

ROOT = Path(__file__).resolve().parent.parent
OURS = (str(ROOT / "twistedmilter"), str(ROOT / "tests"))


@dataclass
class Report:
    """What came of one module, or of one gate.

    @ivar skipped: pairs of a test's id and why it could not run.
    @ivar names: the tests that failed, as far as they have names.
    """

    passed: int = 0
    failed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Keep it where the parent reads it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report that a child wrote.

        @raise ValueError: the child died before it had one.
        """
        return cls(**json.loads(path.read_text()))


def counted(result: Any) -> Report:
    """A trial reporter's lists as a L{Report}; a module without a single test is a failure."""
    bad = [*result.errors, *result.failures, *result.unexpectedSuccesses]
    failed, names = len(bad), [test.id() for test, _ in bad]
    passed = result.successes + len(result.expectedFailures)
    skipped = [(test.id(), str(reason)) for test, reason in result.skips]
    if not (passed or failed or skipped):
        print("there is no test in this module")
        failed = 1
    return Report(passed, failed, skipped, names)


@implementer(ILogObserver)
class StrictObserver:
    """Counts what must not be logged; a test that expects a warning takes it with C{flushWarnings}.

    @ivar failures_too: whether logged failures count; while tests run, trial itself looks after them.
    """

    def __init__(self) -> None:
        """Nothing so far."""
        self.count = 0
        self.failures_too = False

    def __call__(self, event: LogEvent) -> None:
        """Take one event."""
        if "warning" in event and str(event.get("filename", "")).startswith(OURS):
            self.count += 1
            print(f"this counts as a failure: {event['warning']}")
        if self.failures_too and "log_failure" in event:
            self.count += 1
            print(event["log_failure"].getTraceback())


def run(module: str, seed: int) -> Report:
    """Run every test of one module, in an order that the seed decides."""
    settings.register_profile(
        "runner",
        deadline=None,  # two processes share the cores: time says nothing about a single example
        suppress_health_check=[HealthCheck.too_slow],
        database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples"),
        print_blob=True,
    )
    settings.load_profile("runner")
    observer = StrictObserver()
    globalLogPublisher.addObserver(observer)
    warnings.simplefilter("default")
    report = run_tests(module, random.Random(seed))
    observer.failures_too = True
    gc.collect()
    report.failed += observer.count
    return report


def any_order(order: random.Random) -> Callable[[object], tuple[float, float]]:
    """A sort key that is random, but keeps tests beside each other whose functions have the same attribute C{group}."""
    groups: defaultdict[object, float] = defaultdict(order.random)

    def key(thing: object) -> tuple[float, float]:
        group = getattr(getattr(thing, str(getattr(thing, "_testMethodName", "")), None), "group", None)
        return (order.random() if group is None else groups[group]), order.random()

    return key


def run_tests(module: str, order: random.Random) -> Report:
    """Load and run them; no test object outlives the call."""
    loader = TestLoader()
    loader.sorter = any_order(order)
    tests = loader.loadByName(module, recurse=True)
    scratch = ROOT / "_trial_temp.run" / module
    scratch.parent.mkdir(exist_ok=True)
    return counted(TrialRunner(Reporter, workingDirectory=str(scratch)).run(tests))


def main() -> None:
    """The command; its exit code says only whether a report was written."""
    module, path, seed = sys.argv[1:]
    run(module, int(seed)).write(Path(path).resolve())


if __name__ == "__main__":
    main()
