"""Observations in the SQLite file, with those that are asked for lately in memory."""

from __future__ import annotations

from collections import OrderedDict
from sqlite3 import Connection
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.reputation import Change, Found, IObservationStore, MaybeFound
from twistedmilter.model.durations import DAY
from twistedmilter.model.reputation import PEER, Identity, Observations
from twistedmilter.store.identity_filter import IdentityFilter, digest
from twistedmilter.store.observation_rules import ROOM, Row, record_of, row_of
from twistedmilter.store.worker import Worker

RECENT = 20_000  # identities at hand, some 0.6 KiB each
DELAY = 0.5  # seconds that a vote waits for others before they are written
MOST_UNWRITTEN = 100_000  # identities whose votes wait for a disk that fails; then the oldest are lost
READ_AT_ONCE = 5_000  # rows, when the filter is filled
SLICE = 1_000  # rows dropped in one go, so that others get their turn
LARGE_SLICE = 20_000  # likewise, where finding them takes a look at every row

_COLUMNS = "name, qualifier, size, total, ham, nul, first_seen, last_seen"
_UPSERT = (
    f"INSERT INTO observation ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - the names are ours
    " ON CONFLICT (name, qualifier) DO UPDATE SET size = excluded.size, total = excluded.total, ham = excluded.ham,"
    " nul = excluded.nul, first_seen = excluded.first_seen, last_seen = excluded.last_seen"
)
_DROP_OLD = (
    "DELETE FROM observation WHERE rowid IN"
    " (SELECT rowid FROM observation WHERE last_seen < ? AND qualifier <> ? LIMIT ?)"
)
_DROP_LEAST_SURE = (
    "DELETE FROM observation WHERE rowid IN (SELECT rowid FROM observation WHERE qualifier <> ?"
    " ORDER BY min(total, size) * 1.0 / size * (last_seen - first_seen) / max(? - first_seen, 1.0), last_seen LIMIT ?)"
)
_NOT_AT_HAND: Final = object()


@implementer(IObservationStore)
class SQLiteObservationStore:
    """Observations; the worker's thread is asked only for those that are in the file and were not used lately.

    While the file cannot be had, what is not at hand is not known: a record that was begun then would replace the one
    in the file.  Votes on what is at hand are kept, and written when the file is back.

    @param reactor: has timers in a service; without them votes are written at once.
    @param limit: identities; then the least sure go.
    @param days: after so long without a vote an identity is forgotten.
    """

    _log = Logger()

    def __init__(self, worker: Worker, reactor: IReactorFromThreads, limit: int, days: float) -> None:
        self._worker = worker
        self._clock = reactor if IReactorTime.providedBy(reactor) else None
        self._limit = limit
        self._retention = days * DAY
        self._recent: OrderedDict[Identity, Found] = OrderedDict()
        self._unwritten: dict[Identity, Found] = {}
        self._fetching: dict[Identity, list[Deferred[Found]]] = {}
        self._filter: IdentityFilter | None = None
        self._filling: IdentityFilter | None = None
        self._due: IDelayedCall | None = None
        self._dropped = 0  # since the filter was filled: it holds them still, which costs a look into the file
        self._is_failing = self._has_stopped = False

    def load(self) -> None:
        """Learn which identities there are; until that is done, the file is asked about each."""
        if not self._worker.trouble:
            self._dropped = 0
            self._filling = IdentityFilter(self._limit)
            self._fill_from(0)

    def stop(self) -> None:
        """Have written what waits, before the worker is stopped."""
        self._has_stopped = True
        self.flush().addErrback(lambda _: None)

    def find(self, identity: Identity) -> MaybeFound:
        """See L{IObservationStore}."""
        if self._has_stopped:
            return fail(TemporaryFailure("the store is closed"))
        found = self._at_hand(identity)
        return self._fetch(identity) if found is _NOT_AT_HAND else found  # type: ignore[return-value]

    def change(self, identity: Identity, how: Change) -> MaybeFound:
        """See L{IObservationStore}."""
        if self._has_stopped:
            return fail(TemporaryFailure("the store is closed"))
        found = self._at_hand(identity)
        if found is _NOT_AT_HAND:
            return self._fetch(identity).addCallback(self._change_fetched, identity, how)
        return self._put(identity, how(found))  # type: ignore[arg-type]

    def _change_fetched(self, fetched: Found, identity: Identity, how: Change) -> Found:
        """Another change may have come between."""
        found = self._at_hand(identity)
        return self._put(identity, how(fetched if found is _NOT_AT_HAND else found))  # type: ignore[arg-type]

    def _at_hand(self, identity: Identity) -> object:
        """What is known without asking the file, or L{_NOT_AT_HAND}."""
        found = self._recent.get(identity, _NOT_AT_HAND)
        if found is not _NOT_AT_HAND:
            self._recent.move_to_end(identity)
            return found
        if self._unwritten and identity in self._unwritten:
            return self._unwritten[identity]
        if self._filter is not None and not self._filter.may_hold(digest(identity)):
            return None
        return _NOT_AT_HAND

    def _put(self, identity: Identity, new: Found) -> Found:
        self._keep_at_hand(identity, new)
        self._unwritten[identity] = new
        if new is not None:
            for each in (self._filter, self._filling):
                if each is not None:
                    each.add(digest(identity))
        self._write_later()
        return new

    def _keep_at_hand(self, identity: Identity, found: Found) -> None:
        self._recent[identity] = found
        self._recent.move_to_end(identity)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    # Reading

    def _fetch(self, identity: Identity) -> Deferred[Found]:
        """Ask the file, once for all that wait for the same identity."""
        if self._worker.trouble:
            return fail(TemporaryFailure(self._worker.trouble))
        waiting: Deferred[Found] = Deferred()
        if identity in self._fetching:
            self._fetching[identity].append(waiting)
            return waiting
        self._fetching[identity] = [waiting]
        values = (identity.name, identity.qualifier)

        def work(connection: Connection) -> Found:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM observation WHERE name = ? AND qualifier = ?",  # noqa: S608
                values,
            ).fetchone()
            return record_of(row)[1] if row else None

        self._worker.run(work).addBoth(self._fetched, identity)
        return waiting

    def _fetched(self, outcome: Found | Failure, identity: Identity) -> None:
        waiting = self._fetching.pop(identity)
        if isinstance(outcome, Failure):
            for each in waiting:
                each.errback(outcome)
            return
        if self._at_hand(identity) is _NOT_AT_HAND:
            self._keep_at_hand(identity, outcome)
        for each in waiting:
            found = self._at_hand(identity)  # one of those before may have changed it
            each.callback(outcome if found is _NOT_AT_HAND else found)  # type: ignore[arg-type]

    def of_name(self, name: str) -> Deferred[list[tuple[Identity, Observations]]]:
        """See L{IObservationStore}."""
        return self._select("WHERE name = ? ORDER BY qualifier", (name,))

    def page(self, after: Identity | None, most: int) -> Deferred[list[tuple[Identity, Observations]]]:
        """See L{IObservationStore}."""
        start = (after.name, after.qualifier) if after is not None else ("", "")
        return self._select("WHERE (name, qualifier) > (?, ?) ORDER BY name, qualifier LIMIT ?", (*start, most))

    def _select(self, which: str, values: tuple[object, ...]) -> Deferred[list[tuple[Identity, Observations]]]:
        def work(connection: Connection) -> list[tuple[Identity, Observations]]:
            rows: list[Row] = connection.execute(
                f"SELECT {_COLUMNS} FROM observation {which}",  # noqa: S608
                values,
            ).fetchall()
            return [record_of(row) for row in rows]

        return self.flush().addCallback(lambda _: self._worker.run(work))

    # Filling the filter

    def _fill_from(self, rowid: int) -> None:
        def work(connection: Connection) -> tuple[int, list[int]]:
            rows = connection.execute(
                "SELECT rowid, name, qualifier FROM observation WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (rowid, READ_AT_ONCE),
            ).fetchall()
            return rows[-1][0] if rows else 0, [digest(Identity(name, qualifier)) for _, name, qualifier in rows]

        self._worker.run(work).addCallbacks(self._filled, self._not_filled)

    def _filled(self, page: tuple[int, list[int]]) -> None:
        last, digests = page
        if self._filling is None or self._worker.trouble:
            self._filling = None
            return
        for each in digests:
            self._filling.add(each)
        if last:
            self._fill_from(last)
        else:
            self._filter, self._filling = self._filling, None

    def _not_filled(self, failure: Failure) -> None:
        self._filling = None  # the file is asked about each identity instead
        if self._worker.is_open:
            self._log.warn("identities cannot be listed: {reason}", reason=failure.getErrorMessage())

    # Writing

    def _write_later(self) -> None:
        if self._clock is None:
            self._write_now()
        elif self._due is None:
            self._due = self._clock.callLater(DELAY, self._write_now)

    def _write_now(self) -> None:
        self._due = None
        self.flush().addErrback(lambda _: None)  # told already

    def flush(self) -> Deferred[None]:
        """See L{IObservationStore}."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._unwritten:
            return succeed(None)
        if self._worker.trouble:
            self._try_later()
            return fail(TemporaryFailure(self._worker.trouble))
        writing, self._unwritten = self._unwritten, {}

        def work(connection: Connection) -> None:
            gone = [(each.name, each.qualifier) for each, known in writing.items() if known is None]
            connection.executemany("DELETE FROM observation WHERE name = ? AND qualifier = ?", gone)
            kept = (row_of(each, known) for each, known in writing.items() if known is not None)
            connection.executemany(_UPSERT, kept)

        return self._worker.run(work, vital=False).addCallbacks(
            self._written, self._not_written, errbackArgs=(writing,)
        )

    def _written(self, _: None) -> None:
        if self._is_failing:
            self._is_failing = False
            self._log.info("votes are written again")

    def _not_written(self, failure: Failure, writing: dict[Identity, Found]) -> Failure:
        """Try again later, with what has come meanwhile."""
        self._unwritten = {**writing, **self._unwritten}
        while len(self._unwritten) > MOST_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        if not self._is_failing:
            self._is_failing = True
            self._log.error("votes are not written: {reason}", reason=failure.getErrorMessage())
        self._try_later()
        return failure

    def _try_later(self) -> None:
        if self._clock is not None and not self._has_stopped:
            self._write_later()

    # Dropping

    def purge(self, now: float) -> Deferred[int]:
        """See L{IObservationStore}."""
        return Deferred.fromCoroutine(self._purge(now))

    async def _purge(self, now: float) -> int:
        if self._worker.trouble or self._worker.shortage:
            return 0  # what waits is not to be lost behind what is dropped
        await self.flush()
        dropped = 0
        while gone := await self._drop(_DROP_OLD, (now - self._retention, PEER, SLICE)):
            dropped += gone
        surplus = await self._worker.run(_count) - self._limit
        surplus += int(self._limit * ROOM) if surplus > 0 else 0
        while surplus > 0 and (gone := await self._drop(_DROP_LEAST_SURE, (PEER, now, min(surplus, LARGE_SLICE)))):
            dropped, surplus = dropped + gone, surplus - gone
        if dropped:
            self._recent.clear()
            self._dropped += dropped
        if self._dropped > self._limit * ROOM and self._filling is None:
            self.load()
        return dropped

    def _drop(self, statement: str, values: tuple[object, ...]) -> Deferred[int]:
        return self._worker.run(lambda connection: connection.execute(statement, values).rowcount)


def _count(connection: Connection) -> int:
    [number] = connection.execute("SELECT count(*) FROM observation").fetchone()
    return int(number)
