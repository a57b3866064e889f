"""What the service asked about senders, in the file and in memory."""

from __future__ import annotations

from collections import deque
from sqlite3 import Connection

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.interfaces.reputation import IQuestionStore
from twistedmilter.model.reputation import AskedQuestion, Identity, Vote
from twistedmilter.store.worker import Worker

MOST = 100_000  # questions; then the oldest go
_Row = tuple[str, str, str, float, int | None, int, float]

_DROP = (
    "DELETE FROM question WHERE expires <= ? OR rowid <="
    " (SELECT rowid FROM question ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
)


@implementer(IQuestionStore)
class SQLiteQuestionStore:
    """Questions in the file; those of a moment go there together."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[_Row] = deque()  # its methods are atomic: the worker's thread takes from it
        self._is_asked = False

    def keep(self, question: AskedQuestion) -> None:
        """See L{IQuestionStore}."""
        identity, vote = question.identity, question.vote
        row: _Row = (
            question.umis,
            identity.name,
            identity.qualifier,
            question.expires,
            None if vote is None else int(vote),
            question.number,
            question.record,
        )
        self._waiting.append(row)
        if not self._is_asked:
            self._ask()

    def _ask(self) -> None:
        def work(connection: Connection) -> None:
            rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
            connection.executemany("INSERT OR REPLACE INTO question VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        self._is_asked = True
        self._worker.run(work, patient=True, vital=False).addBoth(self._ended)

    def _ended(self, outcome: object) -> None:
        self._is_asked = False
        if isinstance(outcome, Failure):
            self._waiting.clear()  # the worker tells of its troubles
        elif self._waiting:
            self._ask()

    def questions(self, now: float) -> Deferred[list[AskedQuestion]]:
        """See L{IQuestionStore}."""

        def work(connection: Connection) -> list[AskedQuestion]:
            rows = connection.execute(
                "SELECT umis, name, qualifier, expires, vote, number, record FROM question"
                " WHERE expires > ? ORDER BY rowid",
                (now,),
            )
            return [
                AskedQuestion(umis, Identity(name, qualifier), expires, None if vote is None else Vote(vote), *voted)
                for umis, name, qualifier, expires, vote, *voted in rows
            ]

        return self._worker.run(work)

    def purge(self, now: float) -> Deferred[int]:
        """Drop what has ended, and the oldest of what is too much.

        @return: how many were dropped.
        """
        return self._worker.run(lambda connection: connection.execute(_DROP, (now, MOST)).rowcount)


@implementer(IQuestionStore)
class MemoryQuestionStore:
    """Keeps nothing: there is no other life."""

    def keep(self, question: AskedQuestion) -> None:
        """See L{IQuestionStore}."""

    def questions(self, now: float) -> Deferred[list[AskedQuestion]]:  # noqa: ARG002 - likewise
        """See L{IQuestionStore}."""
        return succeed([])
