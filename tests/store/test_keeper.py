"""The observer that keeps decisions."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observe.records import connection, record, transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.record import Record
from twistedmilter.store.keeper import DecisionKeeper
from twistedmilter.store.memory import MemoryStores


class FlakyDecisions:
    """Fails while C{is_down}."""

    is_down = True

    def append(self, record: Record) -> Deferred[None]:
        """Keep nothing."""
        return fail(TemporaryFailure("disk full")) if self.is_down else succeed(None)


class DecisionKeeperTests(SynchronousTestCase):
    """What is kept, and what is told of troubles."""

    def test_records_are_kept(self) -> None:
        """Each one that is no test; the other events leave nothing."""
        decisions = MemoryStores().decisions
        keeper = DecisionKeeper(decisions)
        verifyObject(IObserver, keeper)
        keeper.connected(connection())
        keeper.mail_began(transaction())
        for each in (record(id="1"), record(id="2", is_test=True)):
            keeper.ended(each)
        kept = [self.successResultOf(decisions.find(name)) is not None for name in ("1", "2")]
        self.assertEqual(kept, [True, False])

    def test_trouble_is_told_once(self) -> None:
        """One line when it begins, one when it ends (I9)."""
        lines: list[str] = []
        decisions = FlakyDecisions()
        keeper = DecisionKeeper(decisions)  # type: ignore[arg-type]
        told = cast(ILogObserver, lambda event: lines.append(event["log_format"]))
        self.patch(DecisionKeeper, "_log", Logger(observer=told))
        for is_down in (True, True, False, False):
            decisions.is_down = is_down
            keeper.ended(record())
        self.assertEqual(
            [line.partition(";")[0] for line in lines], ["decisions are not kept: {reason}", "decisions are kept again"]
        )
        self.assertEqual(keeper.lost, 2)
