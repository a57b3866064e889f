"""The observer that keeps the record of every message."""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.interfaces.observers import IObserver
from twistedmilter.interfaces.stores import IDecisionLog
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction


@implementer(IObserver)
class DecisionKeeper:
    """Appends each record; that a store fails is told once, and once that it works again (I9).

    @ivar lost: records that could not be kept.
    """

    _log = Logger()

    def __init__(self, decisions: IDecisionLog) -> None:
        self._decisions = decisions
        self._is_failing = False
        self.lost = 0

    def connected(self, connection: Connection) -> None:
        """Nothing to keep."""

    def greeted(self, connection: Connection) -> None:
        """Nothing to keep."""

    def mail_began(self, transaction: Transaction) -> None:
        """Nothing to keep."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Nothing to keep."""

    def ended(self, record: Record) -> None:
        """Keep it, unless it is of a test."""
        if not record.is_test:
            self._decisions.append(record).addCallbacks(self._kept, self._failed)

    def disconnected(self, connection: Connection) -> None:
        """Nothing to keep."""

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Nothing to keep."""

    def _kept(self, _: None) -> None:
        if self._is_failing:
            self._is_failing = False
            self._log.info("decisions are kept again; {lost} were lost since the start", lost=self.lost)

    def _failed(self, failure: Failure) -> None:
        self.lost += 1
        if not self._is_failing:
            self._is_failing = True
            self._log.error("decisions are not kept: {reason}", reason=failure.getErrorMessage())
