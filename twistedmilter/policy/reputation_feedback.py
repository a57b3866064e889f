"""What becomes of messages becomes reputation of their senders (gossip spec 1.12, seed-spec J03, J10)."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.model.record import Record
from twistedmilter.model.reputation import Vote
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.policy.checks.reputation import NAME, UMIS

_WENT_ON = frozenset({"continue", "accept"})


@implementer(IObserver)
class ReputationFeedback:
    """Gives a verdict on each message that the check C{reputation} has asked about.

    A message that went on, unmarked, is ham; one that was refused for a reason that says that it was spam is spam; of
    others nothing is said, so that a bad reputation fades by itself and does not feed on itself.

    @param spam_codes: reason codes that say so.
    """

    def __init__(self, node: IReputation, spam_codes: Collection[str]) -> None:
        self._node = node
        self._spam_codes = frozenset(spam_codes)

    def ended(self, record: Record) -> None:
        """Give the verdict, if there is one."""
        vote = None if record.is_test else self.vote_of(record)
        umis = next((fact.value for fact in record.evidence if (fact.check, fact.name) == (NAME, UMIS)), "")
        if vote is not None and umis:
            Deferred.fromCoroutine(self._node.tell(umis, vote)).addErrback(self._failed)

    def vote_of(self, record: Record) -> Vote | None:
        """What the message was, by what became of it."""
        verdict = record.decision.verdict
        if verdict is not None and verdict.word not in _WENT_ON:
            return Vote.SPAM if verdict.reason.code in self._spam_codes else None
        if record.ended == "end-of-message":
            return None if record.marks else Vote.HAM
        codes = [recipient.code for recipient in record.recipients]
        return Vote.SPAM if codes and self._spam_codes.issuperset(codes) else None

    def _failed(self, failure: Failure) -> None:
        failure.trap(TemporaryFailure)  # a vote that cannot be kept now is lost

    def connected(self, connection: Connection) -> None:
        """Nothing to learn."""

    def greeted(self, connection: Connection) -> None:
        """Nothing to learn."""

    def mail_began(self, transaction: Transaction) -> None:
        """Nothing to learn."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Nothing to learn."""

    def disconnected(self, connection: Connection) -> None:
        """Nothing to learn."""

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Nothing to learn."""
