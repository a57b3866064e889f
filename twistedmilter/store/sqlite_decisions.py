"""Decisions in the SQLite file."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IDecisionLog
from twistedmilter.model.durations import DAY
from twistedmilter.model.record import Record
from twistedmilter.observe.record_text import record_text
from twistedmilter.store.decision_journal import DecisionJournal, Row
from twistedmilter.store.rules import clean
from twistedmilter.store.worker import PENDING, Worker

BATCH = 512  # rows that are worth a trip to the worker's thread
_AT_ONCE = (64, 8, 1)  # rows of one statement


class _Waiting(NamedTuple):
    """A decision on its way into the database; C{turn} is the journal's."""

    row: Row
    journal: DecisionJournal
    turn: int
    kept: Deferred[None]


@implementer(IDecisionLog)
class SQLiteDecisionLog:
    """Records as the JSON of the log.

    They go into the database in batches, many with one statement: a trip to the worker's thread for each would cost
    more than all the rest that is done about a decision.

    @param path: of the file, for the journal beside it.
    @param text_of: gives the text to be kept.
    """

    _log = Logger()

    def __init__(
        self, worker: Worker, path: Path, retention_days: float, text_of: Callable[[Record], str] = record_text
    ) -> None:
        self._worker = worker
        self._path = path
        self._text_of = text_of
        self._journal = DecisionJournal(path)
        self._has_journal = self._is_told = self._is_closing = False
        self._retention = retention_days * DAY
        self._waiting: deque[_Waiting] = deque()  # its methods are atomic: the worker's thread takes from it
        self._asked = 0  # how often the worker is still to take what waits
        self._undone = 0  # decisions that could not be written at the end
        self._left: list[Row] | None = None  # what the journal had at the start
        self._is_putting_in = False

    def open(self) -> None:
        """Put in what a killed process had no time for.

        Without a journal, as on a disk that is full, decisions are kept all the same; it is tried again with
        L{put_in_left}.
        """
        self._open_journal()
        self.put_in_left()

    def _open_journal(self) -> None:
        journal = DecisionJournal(self._path)  # a new one: what is under way is told to the one that has it
        try:
            self._left = journal.open()
        except TemporaryFailure as failure:
            if not self._is_told:
                self._is_told = True
                self._log.warn("{reason}; a killed process may lose the last decisions", reason=str(failure))
            return
        self._journal, self._has_journal, self._is_told = journal, True, False

    def put_in_left(self) -> None:
        """Put in what a killed process had no time for, unless that is done; until then the journal cannot be emptied.

        What fails, as on a disk that is full, is tried when this is called again; so is a journal that failed.  Into
        memory nothing is put that is safe where it is.
        """
        if not self._has_journal:
            self._open_journal()
        if self._left is None or self._is_putting_in or self._worker.trouble:
            return
        rows, self._is_putting_in = self._left, True

        def work(connection: Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO decision VALUES (?, ?, ?, ?)", rows)

        def put_in(_: None) -> None:
            self._left = None
            for turn in (0, 1):
                self._journal.done(turn)

        def ended(_: object) -> None:
            self._is_putting_in = False

        self._worker.run(work).addCallbacks(put_in, lambda _failure: None).addCallback(ended)

    def close(self, *, was_done: bool = True) -> None:
        """Give the journal back, after the worker has ended, and say what is not in the database.

        @param was_done: whether all is in the database; if not, the disk is not touched again.
        """
        if self._undone:
            what = "wait in the journal for the next start" if self._has_journal else "are lost"
            self._log.error("{count} decisions could not be written; they {what}", count=self._undone, what=what)
        if was_done:
            self._journal.close()

    def append(self, record: Record) -> Deferred[None]:
        """See L{IDecisionLog}."""
        if record.is_test:
            return succeed(None)
        row = (clean(record.id), clean(record.queue_id), self._text_of(record), record.time + self._retention)
        refusal = self._worker.shortage or "the store is too slow" * (len(self._waiting) >= PENDING)
        if refusal:
            return fail(TemporaryFailure(refusal))
        waiting = _Waiting(row, self._journal, self._journal.write(row), Deferred())
        self._waiting.append(waiting)
        if not self._asked:
            self._ask()
        elif len(self._waiting) == BATCH:
            self._worker.hurry()
        return waiting.kept

    def flush(self) -> None:
        """Have everything written that waits, since the worker is about to be stopped.

        What cannot be written stays in the journal for the next start.
        """
        self._is_closing = True
        if self._waiting:
            self._ask()

    def _ask(self) -> None:
        """Have everything that waits written, some time soon; at once if it is much."""
        self._asked += 1
        taken: list[_Waiting] = []

        def work(connection: Connection) -> None:
            while self._waiting:
                taken.append(self._waiting.popleft())
            _insert(connection, [each.row for each in taken])

        def ended(outcome: object) -> None:
            self._asked -= 1
            self._tell(taken, outcome)
            if not self._waiting or self._asked:
                return
            if isinstance(outcome, Failure) and not taken:  # the worker did not even look
                lost = [*self._waiting]
                self._waiting.clear()
                self._tell(lost, outcome)
            else:
                self._ask()

        self._worker.run(work, patient=len(self._waiting) < BATCH).addBoth(ended)

    def _tell(self, waiting: list[_Waiting], outcome: object) -> None:
        is_undone = self._is_closing and isinstance(outcome, Failure)
        self._undone += len(waiting) * is_undone
        for each in waiting:
            if not is_undone:
                each.journal.done(each.turn)
            if isinstance(outcome, Failure):
                each.kept.errback(outcome)
            else:
                each.kept.callback(None)

    def find(self, reference: str) -> Deferred[Mapping[str, object] | None]:
        """See L{IDecisionLog}."""
        name = clean(reference)

        def work(connection: Connection) -> Mapping[str, object] | None:
            row = connection.execute("SELECT record FROM decision WHERE id = ?", (name,)).fetchone()
            if row is None and name:
                row = connection.execute(
                    "SELECT record FROM decision WHERE queue_id = ? ORDER BY rowid DESC LIMIT 1", (name,)
                ).fetchone()
            return json.loads(row[0]) if row else None

        return self._worker.run(work)


def _insert(connection: Connection, rows: list[Row]) -> None:
    """Write rows, many with one statement: each gives the interpreter's lock away, and waits to have it back."""
    start = 0
    for size in _AT_ONCE:
        statement = "INSERT OR REPLACE INTO decision VALUES " + ", ".join(["(?, ?, ?, ?)"] * size)  # noqa: S608
        while len(rows) - start >= size:
            connection.execute(statement, [value for row in rows[start : start + size] for value in row])
            start += size
