"""Tests of L{twistedmilter.observe.counters} and L{twistedmilter.observe.fan_out}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.observe.records import connection, full_record, record, refusal, transaction
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.address import parse_path
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.observe.counters import Counters
from twistedmilter.observe.fan_out import Observers


class CountersTests(SynchronousTestCase):
    """What is counted."""

    def test_verdicts_and_reasons(self) -> None:
        """Decisions by word, reasons of decisions and marks by check."""
        counters = Counters()
        counters.ended(record())
        counters.ended(full_record())
        counters.ended(record(decision=refusal("spf-fail")))
        snapshot = counters.snapshot()
        self.assertEqual({"continue": 1, "refuse": 2}, snapshot["verdicts"])
        self.assertEqual({"helo:spf-softfail": 1, "spf:spf-fail": 2}, snapshot["reasons"])

    def test_tests_are_apart(self) -> None:
        """A scan is in no statistics but its own."""
        counters = Counters()
        counters.ended(record(is_test=True))
        self.assertEqual(({}, 1), (counters.snapshot()["verdicts"], counters.tests))

    def test_sessions_recipients_troubles(self) -> None:
        """Sessions open and at all, recipients, troubles by place."""
        counters = Counters()
        for _ in range(2):
            counters.connected(connection())
        counters.disconnected(connection())
        counters.recipient_named(transaction(), Recipient(parse_path("<x@y>")))
        counters.trouble("", "wire", "bad frame")
        self.assertEqual((2, 1, 1), (counters.sessions, counters.sessions_open, counters.recipients))
        self.assertEqual({"wire": 1}, counters.snapshot()["troubles"])


@implementer(IObserver)
class FaultyObserver:
    """Fails at everything."""

    def connected(self, connection: Connection) -> None:
        """Fail."""
        raise RuntimeError("boom")

    greeted = disconnected = connected

    def mail_began(self, transaction: Transaction) -> None:
        """Fail."""
        raise RuntimeError("boom")

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Fail."""
        raise RuntimeError("boom")

    def ended(self, record: Record) -> None:
        """Fail."""
        raise RuntimeError("boom")

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Fail."""
        raise RuntimeError("boom")


class ObserversTests(SynchronousTestCase):
    """The fan-out."""

    def test_a_fault_is_logged_once_and_changes_nothing(self) -> None:
        """The others are told all the same, the fault is counted, its traceback is logged the first time."""
        counters = Counters()
        observers = Observers([FaultyObserver(), counters])
        for _ in range(3):
            observers.ended(record())
        self.assertEqual({"continue": 3}, dict(counters.verdicts))
        self.assertEqual(3, observers.failures)
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_every_event_is_passed_on(self) -> None:
        """No event is forgotten."""
        observers = Observers([FaultyObserver()])
        verifyObject(IObserver, observers)
        observers.connected(connection())
        observers.greeted(connection())
        observers.mail_began(transaction())
        observers.recipient_named(transaction(), Recipient(parse_path("<x@y>")))
        observers.ended(record())
        observers.disconnected(connection())
        observers.trouble("", "a", "b")
        self.assertEqual(7, len(self.flushLoggedErrors(RuntimeError)))
