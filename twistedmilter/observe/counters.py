"""How many of what, since the start; what C{twistedmilter status} shows."""

from __future__ import annotations

from collections import Counter

from zope.interface import implementer

from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction


@implementer(IObserver)
class Counters:
    """Counts sessions, messages by verdict, reasons by check, and troubles by place.

    @ivar verdicts: messages by the word of their decision; test transactions are not among them.
    @ivar reasons: deciding or marking verdicts by C{check:code}.
    @ivar troubles: by where they happened.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.sessions = 0
        self.sessions_open = 0
        self.recipients = 0
        self.tests = 0
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()

    def connected(self, connection: Connection) -> None:  # noqa: ARG002 - the interface's
        """One more session."""
        self.sessions += 1
        self.sessions_open += 1

    def greeted(self, connection: Connection) -> None:
        """Not counted."""

    def mail_began(self, transaction: Transaction) -> None:
        """Not counted; every transaction that begins also ends."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:  # noqa: ARG002
        """One more recipient."""
        self.recipients += 1

    def ended(self, record: Record) -> None:
        """One more message, with its reasons."""
        if record.is_test:
            self.tests += 1
            return
        decision = record.decision
        self.verdicts[decision.word] += 1
        if decision.verdict is not None:
            self.reasons[f"{decision.check}:{decision.verdict.reason.code}"] += 1
        for outcome in record.outcomes:
            if outcome.verdict is not None and outcome.verdict in record.marks:
                self.reasons[f"{outcome.check}:{outcome.verdict.reason.code}"] += 1

    def disconnected(self, connection: Connection) -> None:  # noqa: ARG002
        """One session less."""
        self.sessions_open -= 1

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:  # noqa: ARG002
        """One more fault or violation."""
        self.troubles[where] += 1

    def snapshot(self) -> dict[str, object]:
        """All counts as plain values, names sorted."""
        return {
            "sessions": self.sessions,
            "sessions_open": self.sessions_open,
            "recipients": self.recipients,
            "tests": self.tests,
            "verdicts": dict(sorted(self.verdicts.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "troubles": dict(sorted(self.troubles.items())),
        }
