"""What a killed process left, on a disk that is full at the next start; the rest is in C{test_sqlite}."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.store.decision_journal import DecisionJournal
from twistedmilter.store.sqlite_decisions import SQLiteDecisionLog
from twistedmilter.store.worker import Work, Worker


class LaterWorker:
    """Does nothing before it is told to."""

    trouble = shortage = ""

    def __init__(self) -> None:
        self.asked: list[tuple[Work[Any], Deferred[Any]]] = []

    def run(self, work: Work[Any], *, patient: bool = False) -> Deferred[Any]:
        """Some time."""
        self.asked.append((work, Deferred()))
        return self.asked[-1][1]


class LeftOverTests(SynchronousTestCase):
    """Decisions that were logged are not lost, and the journal is emptied once they are in the database."""

    def test_it_is_tried_again(self) -> None:
        """One attempt at a time, until one is good."""
        path = Path(self.mktemp()) / "state.db"
        path.parent.mkdir()
        killed = DecisionJournal(path)
        killed.open()
        killed.write(("id1", "4XyZ", "{}", 1.5))
        worker = LaterWorker()
        log = SQLiteDecisionLog(cast(Worker, worker), path, 30.0)
        log.open()
        log.put_in_left()
        [(_work, waiting)] = worker.asked
        waiting.errback(TemporaryFailure("database or disk is full"))
        log.put_in_left()
        [_first, (work, waiting)] = worker.asked
        connection = sqlite3.connect(":memory:")
        self.addCleanup(connection.close)
        connection.execute("CREATE TABLE decision (id, queue_id, record, expires)")
        work(connection)
        self.assertEqual(connection.execute("SELECT id FROM decision").fetchall(), [("id1",)])
        waiting.callback(None)
        log.put_in_left()
        self.assertEqual(len(worker.asked), 2)
        log.close()
        self.assertEqual([each.stat().st_size for each in path.parent.iterdir()], [0, 0])
        killed.close()
