"""The thread that owns the connection: work goes in one by one and is committed in groups."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from twistedmilter.errors import TemporaryFailure
from twistedmilter.store.database_file import open_database

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Job = tuple["Deferred[Any]", Work[Any]]
_Result = tuple["Deferred[Any]", Any]  # what the work returned, or a TemporaryFailure

GROUP = 1_000  # jobs in one transaction, and as many patient ones
LINGER = 0.1  # seconds that a patient job waits for others
PENDING = 20_000  # jobs that wait; a disk that is slower than this is failing


class _Token(Enum):
    """What is in the queue besides jobs: patient ones are there; the end."""

    LINGER = 1
    STOP = 2


class Worker:
    """Runs work on a database in a thread of its own.

    Everything public is called in the reactor's thread.

    @param wall: wall clock. [seconds since the epoch]
    """

    _log = Logger()

    def __init__(self, path: Path, reactor: IReactorFromThreads, wall: Callable[[], float]) -> None:
        self._path = path
        self._reactor = reactor
        self._wall = wall
        self._queue: SimpleQueue[_Job | _Token] = SimpleQueue()
        self._patient: deque[_Job] = deque()  # its methods are atomic
        self._opening: SimpleQueue[str | TemporaryFailure] = SimpleQueue()
        self._ended: Deferred[None] = Deferred()
        self._pending = 0
        self._refusal = ""
        self._has_ended = False

    def start(self) -> None:
        """Open the database; this blocks, so that whoever starts knows that there is one.

        @raise TemporaryFailure: it cannot be opened: another process has it, no space, no permission.
        """
        Thread(target=self._run, name=f"store {self._path.name}", daemon=True).start()
        outcome = self._opening.get()
        if isinstance(outcome, TemporaryFailure):
            raise outcome
        if outcome:
            self._log.error("{notice}", notice=outcome)

    def run(self, work: Work[T], *, patient: bool = False) -> Deferred[T]:
        """Have work done in a transaction, together with other work.

        It may be asked for before the start, and waits for that.

        @param patient: nobody waits for it: it is done with what comes next, or after L{LINGER} seconds.  Each trip
            to the thread costs as much as ten statements, since both sides wait for the interpreter's lock.
        @param work: one statement that writes at most; called in the other thread.
        @return: what it returned, when that is committed.
        """
        if self._refusal or self._pending >= PENDING:
            return fail(TemporaryFailure(self._refusal or "the store is too slow"))
        self._pending += 1
        deferred: Deferred[T] = Deferred()
        if not patient:
            self._queue.put((deferred, work))
            return deferred
        self._patient.append((deferred, work))
        if len(self._patient) in {1, GROUP}:  # a second token ends the wait
            self._queue.put(_Token.LINGER)
        return deferred

    @property
    def is_open(self) -> bool:
        """Whether it takes work."""
        return not self._refusal

    def stop(self) -> Deferred[None]:
        """Finish what was asked for and close the database."""
        if not self._refusal:
            self._refusal = "the store is closed"
            self._queue.put(_Token.STOP)
        answer: Deferred[None] = Deferred()
        if self._has_ended:
            answer.callback(None)
        else:
            self._ended.addCallback(lambda _: answer.callback(None))
        return answer

    # In the reactor's thread, called by the other one.

    def _told_results(self, results: list[_Result]) -> None:
        self._pending -= len(results)
        for deferred, value in results:
            if isinstance(value, TemporaryFailure):
                deferred.errback(value)
            else:
                deferred.callback(value)

    def _told_end(self, reason: str) -> None:
        """The thread is gone; nothing that still waits is left without an answer."""
        self._refusal = self._refusal or reason
        failure = TemporaryFailure(reason or "the store is closed")
        jobs, _ = self._collect(_Token.LINGER, PENDING)
        self._told_results([(deferred, failure) for deferred, _work in jobs])
        self._has_ended = True
        self._ended.callback(None)

    # In the thread.

    def _run(self) -> None:
        reason = "the store is closed"
        try:
            connection, notice = open_database(self._path, self._wall())
            self._opening.put(notice)
            try:
                self._serve(connection)
            finally:
                connection.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to be told
            reason = f"{self._path}: {error}"
        self._opening.put(TemporaryFailure(reason))  # nobody reads it who was told that it is open
        self._reactor.callFromThread(self._told_end, reason)

    def _serve(self, connection: sqlite3.Connection) -> None:
        is_stopped = False
        while not is_stopped:
            first = self._queue.get()
            if first is _Token.LINGER:
                first = self._linger()
            jobs, is_stopped = self._collect(first, GROUP)
            if jobs:
                self._reactor.callFromThread(self._told_results, run_group(connection, jobs))

    def _linger(self) -> _Job | _Token:
        """What comes meanwhile, if anything."""
        try:
            return self._queue.get(timeout=LINGER)
        except Empty:
            return _Token.LINGER

    def _collect(self, first: _Job | _Token, most: int) -> tuple[list[_Job], bool]:
        """The next jobs, the patient ones first; and whether they are the last.

        @param first: what was taken from the queue already.
        @param most: jobs of the queue, and of the patient ones.
        """
        taken = [first]
        try:
            while len(taken) < most and taken[-1] is not _Token.STOP:
                taken.append(self._queue.get_nowait())
        except Empty:
            pass
        is_last = taken[-1] is _Token.STOP
        waiting = len(self._patient)
        patient = [self._patient.popleft() for _ in range(waiting if is_last else min(most, waiting))]
        if self._patient:
            self._queue.put(_Token.LINGER)
        return patient + [job for job in taken if not isinstance(job, _Token)], is_last


def run_group(connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Result]:
    """Do jobs in one transaction.

    One that fails alone is answered alone; if the transaction is lost, so are they all.
    """
    results: list[_Result] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for deferred, work in jobs:
            results.append((deferred, _outcome(connection, work)))
            if not connection.in_transaction:  # SQLite took it back: no space, an error of the disk
                raise sqlite3.OperationalError(str(results[-1][1]))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        failure = TemporaryFailure(f"store: {error}")
        return [(deferred, failure) for deferred, _ in jobs]
    return results


def _outcome(connection: sqlite3.Connection, work: Work[Any]) -> Any:
    try:
        return work(connection)
    except Exception as error:  # noqa: BLE001 - one job's fault is not its neighbours'
        return TemporaryFailure(f"store: {error}")
