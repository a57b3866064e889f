"""The thread that owns the connection: work goes in one by one and is committed in groups."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from twistedmilter.errors import TemporaryFailure
from twistedmilter.store.database import LOOK, Condition, Database, DiskPolicy, is_of_the_disk

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Job = tuple["Deferred[Any]", Work[Any]]
_Result = tuple["Deferred[Any]", Any]  # what the work returned, or a TemporaryFailure

GROUP = 1_000  # jobs in one transaction, and as many patient ones
LINGER = 0.1  # seconds that a patient job waits for others
PENDING = 20_000  # jobs that wait; a disk that is slower than this is failing


class LostError(TemporaryFailure):
    """The disk did not take what was to be written."""


class _Token(Enum):
    """What is in the queue besides jobs: patient ones are there; the file is to be tried again; the end."""

    LINGER = 1
    TRY_AGAIN = 2
    STOP = 3


class Worker:
    """Runs work on a database in a thread of its own.

    Everything public is called in the reactor's thread.

    @param reactor: has timers as well, if C{disk} has a time for closing.
    @param wall: wall clock. [seconds since the epoch]
    """

    _log = Logger()

    def __init__(
        self, path: Path, reactor: IReactorFromThreads, wall: Callable[[], float], disk: DiskPolicy | None = None
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._disk = disk or DiskPolicy()
        self._database = Database(path, wall, self._disk)
        self._queue: SimpleQueue[_Job | _Token] = SimpleQueue()
        self._patient: deque[_Job] = deque()  # its methods are atomic
        self._opening: SimpleQueue[str | TemporaryFailure] = SimpleQueue()
        self._stopping: list[Deferred[bool]] = []
        self._deadline: IDelayedCall | None = None
        self._pending: set[Deferred[Any]] = set()
        self._trying: list[Deferred[bool]] = []
        self._condition = Condition()
        self._refusal = ""
        self._was_done: bool | None = None  # once it has ended

    def start(self) -> None:
        """Open the database; this blocks, so that whoever starts knows that there is one.

        @raise TemporaryFailure: it cannot be opened: another process has it; no space, no permission, unless there
            may be a stand-in.
        """
        Thread(target=self._run, name=f"store {self._path.name}", daemon=True).start()
        outcome = self._opening.get()
        if isinstance(outcome, TemporaryFailure):
            raise outcome
        self._told_condition(self._database.condition, outcome)  # the thread waits for work

    def run(self, work: Work[T], *, patient: bool = False, vital: bool = True) -> Deferred[T]:
        """Have work done in a transaction, together with other work.

        It may be asked for before the start, and waits for that.

        @param patient: nobody waits for it: it is done with what comes next, or after L{LINGER} seconds.  Each trip
            to the thread costs as much as ten statements, since both sides wait for the interpreter's lock.
        @param vital: whether it is done even where there is little space.
        @param work: one statement that writes at most; called in the other thread.
        @return: what it returned, when that is committed.
        """
        refusal = self._refusal or self.shortage * (not vital)
        if refusal or len(self._pending) >= PENDING:
            return fail(TemporaryFailure(refusal or "the store is too slow"))
        deferred: Deferred[T] = Deferred()
        self._pending.add(deferred)
        if not patient:
            self._queue.put((deferred, work))
            return deferred
        self._patient.append((deferred, work))
        if len(self._patient) in {1, GROUP}:  # a second token ends the wait
            self._queue.put(_Token.LINGER)
        return deferred

    def hurry(self) -> None:
        """Patient work has waited long enough."""
        self._queue.put(_Token.LINGER)

    @property
    def is_open(self) -> bool:
        """Whether it takes work."""
        return not self._refusal

    @property
    def trouble(self) -> str:
        """Why everything is in memory; empty when the file is written."""
        return self._condition.trouble

    @property
    def shortage(self) -> str:
        """Why nothing is written that can be done without; empty when there is space."""
        return f"{self._path}: there is too little space" if self._condition.is_low else ""

    @property
    def failure(self) -> str:
        """Why the last writes failed; empty when they did not."""
        return f"{self._path}: {self._condition.failure}" if self._condition.failure else ""

    def try_again(self) -> Deferred[bool]:
        """Go back to the file if everything is in memory; whether it did."""
        if not self.trouble or self._refusal:
            return succeed(False)
        tried: Deferred[bool] = Deferred()
        self._trying.append(tried)
        self._queue.put(_Token.TRY_AGAIN)
        return tried

    def stop(self) -> Deferred[bool]:
        """Finish what was asked for and close the database.

        @return: whether all of it was done; it was not if the disk let us wait too long.
        """
        if not self._refusal:
            self._refusal = "the store is closed"
            self._queue.put(_Token.STOP)
            if self._disk.closing is not None:
                self._deadline = cast(IReactorTime, self._reactor).callLater(self._disk.closing, self._abandon)
        answer: Deferred[bool] = Deferred()
        if self._was_done is None:
            self._stopping.append(answer)
        else:
            answer.callback(self._was_done)
        return answer

    def _abandon(self) -> None:
        """The disk hangs: those who wait are told, and the thread is left to itself."""
        left = "{path}: the disk does not answer; {count} writes and questions are left undone"
        self._log.error(left, path=str(self._path), count=len(self._pending))
        self._end(f"{self._path}: the disk does not answer", was_done=False)

    def _end(self, reason: str, *, was_done: bool) -> None:
        """Nothing that still waits is left without an answer."""
        self._was_done = was_done
        self._refusal = self._refusal or reason
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        waiting, self._pending = self._pending, set()
        for deferred in waiting:
            deferred.errback(TemporaryFailure(reason))
        for told, value in [
            *((tried, False) for tried in self._trying),
            *((each, was_done) for each in self._stopping),
        ]:
            told.callback(value)

    # In the reactor's thread, called by the other one.

    def _told_results(self, results: list[_Result]) -> None:
        if self._was_done is not None:
            return  # too late
        for deferred, value in results:
            self._pending.discard(deferred)
            if isinstance(value, TemporaryFailure):
                deferred.errback(value)
            else:
                deferred.callback(value)

    def _told_condition(self, new: Condition, notice: str = "") -> None:
        """Say what began and what ended, each once (I9)."""
        old, self._condition = self._condition, new
        path = str(self._path)
        if notice:
            self._log.error("{notice}", notice=notice)
        if new.trouble and not old.trouble:
            self._log.error("{trouble}; everything is kept in memory until it can be written", trouble=new.trouble)
        elif old.trouble and not new.trouble:
            self._log.info("{path} is written again, with what was kept in memory", path=path)
        if new.is_low and not old.is_low:
            self._log.error(
                "{path}: too little space; lists and bans are written, decisions and caches are not", path=path
            )
        elif old.is_low and not new.is_low:
            self._log.info("{path}: there is space again, everything is written", path=path)
        if new.failure and not old.failure:
            self._log.error("{path} cannot be written: {why}", path=path, why=new.failure)
        elif old.failure and not new.failure:
            self._log.info("{path} can be written again", path=path)

    def _told_tried(self, new: Condition, notice: str) -> None:
        if self._was_done is not None:
            return
        self._told_condition(new, notice)
        trying, self._trying = self._trying, []
        for tried in trying:
            tried.callback(not new.trouble)

    def _told_end(self, reason: str) -> None:
        """The thread is gone."""
        if self._was_done is None:
            self._end(reason, was_done=True)

    # In the thread.

    def _run(self) -> None:
        reason = "the store is closed"
        try:
            self._opening.put(self._database.open())
            try:
                self._serve(self._database)
            finally:
                self._database.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to be told
            reason = f"{self._path}: {error}"
        self._opening.put(TemporaryFailure(reason))  # nobody reads it who was told that it is open
        self._reactor.callFromThread(self._told_end, reason)

    def _serve(self, database: Database) -> None:
        last: object = None
        while last is not _Token.STOP:
            first = self._next(database)
            jobs, last = self._collect(first, GROUP)
            if jobs:
                self._do(database, jobs)
            if last is _Token.STOP and database.condition.trouble:
                notice = database.try_again()
                self._reactor.callFromThread(self._told_condition, database.condition, notice)
            if last is _Token.TRY_AGAIN:
                notice = database.try_again()
                self._reactor.callFromThread(self._told_tried, database.condition, notice)

    def _do(self, database: Database, jobs: list[_Job]) -> None:
        changes = database.connection.total_changes
        results = run_group(database.connection, jobs)
        lost = next((str(value) for _, value in results if isinstance(value, LostError)), "")
        if database.note(lost, has_written=database.connection.total_changes != changes):
            self._reactor.callFromThread(self._told_condition, database.condition)
        self._reactor.callFromThread(self._told_results, results)
        database.sync_if_due()

    def _next(self, database: Database) -> _Job | _Token:
        """What comes next; meanwhile and before it is done the space is looked at, and what was written is synced."""
        while True:
            try:
                has_more = database.condition.is_low or database.is_unsynced
                first = self._queue.get(timeout=LOOK if has_more else None)
            except Empty:
                self._look(database)
                if database.is_unsynced:
                    database.sync()
                continue
            if database.is_look_due():
                self._look(database)
            return self._linger() if first is _Token.LINGER else first

    def _look(self, database: Database) -> None:
        before = database.condition
        database.look()
        if database.condition != before:
            self._reactor.callFromThread(self._told_condition, database.condition)

    def _linger(self) -> _Job | _Token:
        """What comes meanwhile, if anything."""
        try:
            return self._queue.get(timeout=LINGER)
        except Empty:
            return _Token.LINGER

    def _collect(self, first: _Job | _Token, most: int) -> tuple[list[_Job], _Job | _Token]:
        """The next jobs, the patient ones first; and what was taken last.

        @param first: what was taken from the queue already.
        @param most: jobs of the queue, and of the patient ones.
        """
        taken = [first]
        try:
            while len(taken) < most and taken[-1] is not _Token.STOP and taken[-1] is not _Token.TRY_AGAIN:
                taken.append(self._queue.get_nowait())
        except Empty:
            pass
        waiting = len(self._patient)
        most = waiting if taken[-1] is _Token.STOP else min(most, waiting)
        patient = [self._patient.popleft() for _ in range(most)]
        if self._patient:
            self._queue.put(_Token.LINGER)
        return patient + [job for job in taken if not isinstance(job, _Token)], taken[-1]


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
        failure = LostError(f"store: {error}")
        return [(deferred, failure) for deferred, _ in jobs]
    return results


def _outcome(connection: sqlite3.Connection, work: Work[Any]) -> Any:
    try:
        return work(connection)
    except Exception as error:  # noqa: BLE001 - one job's fault is not its neighbours'
        return (LostError if is_of_the_disk(error) else TemporaryFailure)(f"store: {error}")
