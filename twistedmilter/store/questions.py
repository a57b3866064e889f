"""What the service asked about senders, in the file and in memory."""

from __future__ import annotations

from sqlite3 import Connection

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from twistedmilter.interfaces.reputation import IQuestionStore
from twistedmilter.model.reputation import AskedQuestion, Identity, Vote
from twistedmilter.store.worker import Worker

MOST = 100_000  # questions; then the oldest go

_DROP = (
    "DELETE FROM question WHERE expires <= ? OR rowid <="
    " (SELECT rowid FROM question ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
)


@implementer(IQuestionStore)
class SQLiteQuestionStore:
    """Questions in the file; nobody waits for them to be written."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def keep(self, question: AskedQuestion) -> Deferred[None]:
        """See L{IQuestionStore}."""
        identity, vote = question.identity, question.vote
        row = (
            question.umis,
            identity.name,
            identity.qualifier,
            question.expires,
            None if vote is None else int(vote),
            question.number,
            question.record,
        )

        def work(connection: Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO question VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        return self._worker.run(work, patient=True, vital=False)

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

    def keep(self, question: AskedQuestion) -> Deferred[None]:  # noqa: ARG002 - the interface's
        """See L{IQuestionStore}."""
        return succeed(None)

    def questions(self, now: float) -> Deferred[list[AskedQuestion]]:  # noqa: ARG002 - likewise
        """See L{IQuestionStore}."""
        return succeed([])
