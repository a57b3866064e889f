"""Stores in one SQLite file; see L{twistedmilter.store.worker} for how it is written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from sqlite3 import Connection
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import (
    CallbackAnswer,
    GreylistEntry,
    GreylistTimes,
    IAcceptedClients,
    ICallbackCache,
    IGreylistStore,
    ISenderList,
    IStores,
    SenderEntry,
)
from twistedmilter.model.record import Record
from twistedmilter.observe.record_text import record_text
from twistedmilter.store.database import DiskPolicy
from twistedmilter.store.name_filter import FilteredSenderList
from twistedmilter.store.questions import SQLiteQuestionStore
from twistedmilter.store.rules import (
    MEMORY_LIMITS,
    StoreLimits,
    after_contact,
    clean_answer,
    clean_entry,
    greylist_expiry,
    is_valid,
    key_of,
    names_of,
    replaces,
)
from twistedmilter.store.sqlite_decisions import SQLiteDecisionLog
from twistedmilter.store.sqlite_notices import SQLiteNoticeStore
from twistedmilter.store.sqlite_observations import SQLiteObservationStore
from twistedmilter.store.worker import Worker

RECENT = 10_000  # answers at hand, some 0.5 KiB each
SLICE = 1_000  # rows dropped in one go, so that others get their turn


@implementer(ICallbackCache)
class SQLiteCallbackCache:
    """Answers of exchangers; those that were asked for lately are answered without a trip to the file and back."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._recent: OrderedDict[str, CallbackAnswer] = OrderedDict()

    def find(self, address: str, now: float) -> Deferred[CallbackAnswer | None]:
        """See L{ICallbackCache}."""
        key = key_of(address)
        recent = self._recent.get(key)
        if recent is not None and now < recent.expires and self._worker.is_open:
            return succeed(recent)
        values = (key, now)

        def work(connection: Connection) -> CallbackAnswer | None:
            row = connection.execute(
                "SELECT address, result, reply, stored, expires FROM callback WHERE address = ? AND expires > ?", values
            ).fetchone()
            return CallbackAnswer(row[0], CallbackResult(row[1]), *row[2:]) if row else None

        return self._worker.run(work).addCallback(self._remember)

    def keep(self, answer: CallbackAnswer) -> Deferred[None]:
        """See L{ICallbackCache}."""
        new = clean_answer(answer)
        values = (new.address, new.result.value, new.reply, new.stored, new.expires, new.address, new.stored)

        def work(connection: Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO callback SELECT ?, ?, ?, ?, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM callback WHERE address = ? AND stored > ?)",
                values,
            )

        return self._worker.run(work, vital=False).addCallback(lambda _: self._put_at_hand(new))

    def forget(self) -> None:
        """Look into the file again: something was dropped there."""
        self._recent.clear()

    def _remember(self, answer: CallbackAnswer | None) -> CallbackAnswer | None:
        """An answer that was found, which is at hand from now on."""
        if answer is not None:
            self._put_at_hand(answer)
        return answer

    def _put_at_hand(self, answer: CallbackAnswer) -> None:
        """What is in the file by now; of two the newest (LL-19)."""
        known = self._recent.pop(answer.address, answer)
        self._recent[answer.address] = answer if answer.stored >= known.stored else known
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)


@implementer(ISenderList)
class SQLiteSenderList:
    """Senders with a comment; C{which} is the list's name in the table."""

    def __init__(self, worker: Worker, which: str) -> None:
        self._worker = worker
        self._which = which

    def _get(self, connection: Connection, name: str) -> SenderEntry | None:
        row = connection.execute(
            "SELECT name, comment, stored, expires FROM sender WHERE list = ? AND name = ?", (self._which, name)
        ).fetchone()
        return SenderEntry(*row) if row else None

    def find(self, address: str, now: float) -> Deferred[SenderEntry | None]:
        """See L{ISenderList}."""
        names = names_of(address)

        def work(connection: Connection) -> SenderEntry | None:
            found = (self._get(connection, name) for name in names)
            return next((entry for entry in found if entry and is_valid(entry.expires, now)), None)

        return self._worker.run(work)

    def add(self, entry: SenderEntry) -> Deferred[None]:
        """See L{ISenderList}."""
        new = clean_entry(entry)

        def work(connection: Connection) -> None:
            if replaces(new, self._get(connection, new.name)):
                connection.execute(
                    "INSERT OR REPLACE INTO sender VALUES (?, ?, ?, ?, ?)",
                    (self._which, new.name, new.comment, new.stored, new.expires),
                )

        return self._worker.run(work)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        values = (self._which, key_of(name))
        return self._worker.run(
            lambda connection: connection.execute("DELETE FROM sender WHERE list = ? AND name = ?", values).rowcount > 0
        )

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self.page(now, None, -1)

    def page(self, now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}; C{most} below 0 is all."""
        values = (self._which, *(() if after is None else (after,)), now, most)
        later = "" if after is None else " AND name > ?"

        def work(connection: Connection) -> list[SenderEntry]:
            rows = connection.execute(
                f"SELECT name, comment, stored, expires FROM sender WHERE list = ?{later}"  # noqa: S608 - ours
                " AND (expires IS NULL OR expires > ?) ORDER BY name LIMIT ?",
                values,
            )
            return [SenderEntry(*row) for row in rows]

        return self._worker.run(work)


@implementer(IGreylistStore)
class SQLiteGreylistStore:
    """Contacts of grey senders."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def contact(self, key: str, now: float, times: GreylistTimes) -> Deferred[GreylistEntry]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def work(connection: Connection) -> GreylistEntry:
            entry = after_contact(_get_contact(connection, name), now, times)
            _put_contact(connection, name, entry, greylist_expiry(entry, times))
            return entry

        return self._worker.run(work, vital=False)

    def keep(self, key: str, entry: GreylistEntry, times: GreylistTimes) -> Deferred[None]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def work(connection: Connection) -> None:
            old = _get_contact(connection, name)
            if old is None or entry.last_seen >= old.last_seen:
                _put_contact(connection, name, entry, greylist_expiry(entry, times))

        return self._worker.run(work, vital=False)


def _get_contact(connection: Connection, key: str) -> GreylistEntry | None:
    row = connection.execute(
        "SELECT first_seen, last_seen, tries, accepted FROM greylist WHERE key = ?", (key,)
    ).fetchone()
    return GreylistEntry(*row) if row else None


def _put_contact(connection: Connection, key: str, entry: GreylistEntry, expires: float) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO greylist VALUES (?, ?, ?, ?, ?, ?)",
        (key, entry.first_seen, entry.last_seen, entry.tries, entry.accepted, expires),
    )


@implementer(IAcceptedClients)
class SQLiteAcceptedClients:
    """Clients whose mail was accepted, by when that is forgotten."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def note(self, address: str, expires: float) -> Deferred[None]:
        """See L{IAcceptedClients}."""
        values = (key_of(address), expires)

        def work(connection: Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO accepted VALUES (?, ?)", values)

        return self._worker.run(work, vital=False)

    def find(self, address: str, now: float) -> Deferred[bool]:
        """See L{IAcceptedClients}."""
        values = (key_of(address), now)
        statement = "SELECT 1 FROM accepted WHERE address = ? AND expires > ?"
        return self._worker.run(lambda connection: connection.execute(statement, values).fetchone() is not None)


def _drop_ended(table: str) -> str:
    """Drops a slice of what has ended; its one value is the time."""
    ended = f"SELECT rowid FROM {table} WHERE expires <= ? LIMIT {SLICE}"  # noqa: S608 - the name is ours
    return f"DELETE FROM {table} WHERE rowid IN ({ended})"  # noqa: S608


def _drop_surplus(table: str) -> str:
    """Drops a slice of the oldest of what is more than allowed; its one value is how many are."""
    surplus = f"max(0, (SELECT count(expires) FROM {table}) - ?)"  # noqa: S608
    oldest = f"SELECT rowid FROM {table} WHERE expires IS NOT NULL ORDER BY rowid LIMIT min({SLICE}, {surplus})"  # noqa: S608
    return f"DELETE FROM {table} WHERE rowid IN ({oldest})"  # noqa: S608


def _rows(limits: StoreLimits, *, in_memory: bool) -> Mapping[str, int]:
    """How many rows each table may have."""
    most = {
        "callback": (limits.callbacks, MEMORY_LIMITS.callbacks),
        "sender": (limits.senders, MEMORY_LIMITS.senders),
        "accepted": (limits.accepted, MEMORY_LIMITS.accepted),
        "greylist": (limits.greylist, MEMORY_LIMITS.greylist),
        "notice": (limits.notices, MEMORY_LIMITS.notices),
        "decision": (limits.decisions, MEMORY_LIMITS.decisions),
    }
    return {table: min(each) if in_memory else each[0] for table, each in most.items()}


def _filtered(worker: Worker, which: str) -> FilteredSenderList:
    return FilteredSenderList(cast(ISenderList, SQLiteSenderList(worker, which)))


@implementer(IStores)
class SQLiteStores:
    """Everything in one file, which nobody else may have open meanwhile.

    @param wall: wall clock, for the name of a bad file. [seconds since the epoch]
    @param text_of: gives the text of a record.
    """

    def __init__(
        self,
        path: Path,
        reactor: IReactorFromThreads,
        wall: Callable[[], float],
        limits: StoreLimits | None = None,
        disk: DiskPolicy | None = None,
        *,
        text_of: Callable[[Record], str] = record_text,
    ) -> None:
        self._limits = limits = limits or StoreLimits()
        self._worker = worker = Worker(path, reactor, wall, disk)
        self.callbacks = SQLiteCallbackCache(worker)
        self.whitelist = _filtered(worker, "whitelist")
        self.blacklist = _filtered(worker, "blacklist")
        self.bans = _filtered(worker, "ban")
        self.never_banned = _filtered(worker, "never_banned")
        self._lists = (self.whitelist, self.blacklist, self.bans, self.never_banned)
        self._wall = wall
        self.accepted = SQLiteAcceptedClients(worker)
        self.greylist = SQLiteGreylistStore(worker)
        self.notices = SQLiteNoticeStore(worker)
        self.decisions = SQLiteDecisionLog(worker, path, limits.retention_days, text_of)
        self.questions = SQLiteQuestionStore(worker)
        self.observations = SQLiteObservationStore(worker, reactor, limits.observations, limits.observation_days)

    def open(self) -> None:
        """See L{IStores}; a bad file is moved aside with a line in the log."""
        self._worker.start()
        self.decisions.open()
        for each in self._lists:
            each.load(self._wall())
        self.observations.load()

    @property
    def trouble(self) -> str:
        """See L{IStores}."""
        return self._worker.trouble or self._worker.failure or self._worker.shortage

    def purge(self, now: float) -> Deferred[int]:
        """See L{IStores}; a file that could not be opened or written is tried again."""
        return Deferred.fromCoroutine(self._purge(now))

    async def _purge(self, now: float) -> int:
        if self._worker.trouble and await self._worker.try_again():
            for each in self._lists:
                each.load(now)
            self.observations.load()
        self.decisions.put_in_left()
        dropped = 0
        for table, limit in _rows(self._limits, in_memory=bool(self._worker.trouble)).items():
            dropped += await self._repeat(_drop_ended(table), now)
            dropped += await self._repeat(_drop_surplus(table), limit)
        self.callbacks.forget()
        for each in self._lists:
            each.tidy(now)
        dropped += await self.questions.purge(now)
        return dropped + await self.observations.purge(now)

    async def _repeat(self, statement: str, value: float) -> int:
        total = 0
        while dropped := await self._worker.run(lambda connection: connection.execute(statement, (value,)).rowcount):
            total += dropped
        return total

    def close(self) -> Deferred[None]:
        """See L{IStores}."""
        for each in self._lists:
            each.stop()
        self.decisions.flush()
        self.observations.stop()
        return self._worker.stop().addCallback(self._closed)

    def _closed(self, was_done: bool) -> None:
        """A file that never came back leaves the journal as it is."""
        self.decisions.close(was_done=was_done and not self._worker.trouble)
