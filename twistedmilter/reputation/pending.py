"""The questions that were answered and may be followed by a verdict (gossip spec 1.3, cases 2 to 4)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from twistedmilter.model.reputation import AskedQuestion, Identity, Vote

MOST_FROM_ONE = 10_000  # questions of one source that are remembered
LIFETIME = 7 * 86_400.0  # seconds that a verdict may take


@dataclass(slots=True)
class Question:
    """One question.

    @ivar source: who asked; nobody else may answer it with a verdict.
    @ivar expires: wall clock. [seconds since the epoch]
    @ivar vote: the last verdict; None before the first.
    @ivar number: which vote on the identity it was. @ivar record: when that record was begun.
    """

    identity: Identity
    source: str
    expires: float
    vote: Vote | None = None
    number: int = -1
    record: float = 0.0

    def asked(self, umis: str) -> AskedQuestion:
        """The question as it is kept."""
        return AskedQuestion(umis, self.identity, self.expires, self.vote, self.number, self.record)


class PendingQuestions:
    """Questions by UMIS; each source has its own room, so that a flood drives out only what it brought itself.

    @param most: questions of one source; then the oldest goes.
    @param lifetime: of a question. [seconds]
    """

    def __init__(self, most: int = MOST_FROM_ONE, lifetime: float = LIFETIME) -> None:
        self._most = most
        self._lifetime = lifetime
        self._questions: dict[str, Question] = {}
        self._of_source: dict[str, deque[str]] = {}

    def add(self, umis: str, identity: Identity, source: str, now: float) -> bool:
        """Remember a question.

        @param now: wall clock. [seconds since the epoch]
        @return: whether it is new; if it is not, it stays what it was.
        """
        known = self._questions.get(umis)
        if known is not None:
            if now < known.expires:
                return False
            self._of_source[known.source].remove(umis)
        self._questions[umis] = Question(identity, source, now + self._lifetime)
        order = self._of_source.get(source)
        if order is None:
            order = self._of_source[source] = deque()
        order.append(umis)
        if len(order) > self._most:
            del self._questions[order.popleft()]
        return True

    def restore(self, asked: AskedQuestion, source: str) -> None:
        """Put in what was asked in another life."""
        if self.add(asked.umis, asked.identity, source, asked.expires - self._lifetime):
            known = self._questions[asked.umis]
            known.vote, known.number, known.record = asked.vote, asked.number, asked.record

    def find(self, umis: str, now: float) -> Question | None:
        """The question of a UMIS, if it is remembered.

        @param now: wall clock. [seconds since the epoch]
        """
        known = self._questions.get(umis)
        return known if known is not None and now < known.expires else None
