"""Decisions in the SQLite file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from twistedmilter.interfaces.stores import IDecisionLog
from twistedmilter.model.record import Record
from twistedmilter.store.decision_journal import DecisionJournal
from twistedmilter.store.record_text import record_text
from twistedmilter.store.rules import DAY, clean
from twistedmilter.store.worker import Worker

T = TypeVar("T")


@implementer(IDecisionLog)
class SQLiteDecisionLog:
    """Records as the JSON of the log.

    @param path: of the file, for the journal beside it.
    """

    def __init__(self, worker: Worker, path: Path, retention_days: float) -> None:
        self._worker = worker
        self._journal = DecisionJournal(path)
        self._retention = retention_days * DAY

    def open(self) -> None:
        """Put in what a killed process had no time for.

        @raise TemporaryFailure: there can be no journal.
        """
        rows = self._journal.open()

        def work(connection: Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO decision VALUES (?, ?, ?, ?)", rows)

        def put_in(_: None) -> None:
            for turn in (0, 1):
                self._journal.done(turn)

        self._worker.run(work).addCallbacks(put_in, lambda _failure: None)

    def close(self) -> None:
        """Give the journal back, after the worker has ended."""
        self._journal.close()

    def append(self, record: Record) -> Deferred[None]:
        """See L{IDecisionLog}."""
        if record.is_test:
            return succeed(None)
        row = (clean(record.id), clean(record.queue_id), record_text(record), record.time + self._retention)
        turn = self._journal.write(row)

        def work(connection: Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?)", row)

        def done(result: T) -> T:
            self._journal.done(turn)
            return result

        return self._worker.run(work, patient=True).addBoth(done)

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
