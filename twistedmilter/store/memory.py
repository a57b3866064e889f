"""Stores that last as long as the process."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import (
    CallbackAnswer,
    GreylistEntry,
    GreylistTimes,
    IAcceptedClients,
    ICallbackCache,
    IDecisionLog,
    IGreylistStore,
    ISenderList,
    IStores,
    SenderEntry,
)
from twistedmilter.model.record import Record
from twistedmilter.store.record_text import record_text
from twistedmilter.store.rules import (
    DAY,
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

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


class _Table(Generic[K, V]):
    """Rows in the order they were written, each with its end; the oldest goes when there are too many."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, be it valid still or not."""
        row = self.rows.get(key)
        return row[0] if row else None

    def put(self, key: K, value: V, expires: float) -> None:
        """Keep a value until then, in wall clock seconds; the oldest makes room."""
        self.rows.pop(key, None)
        self.rows[key] = (value, expires)
        if len(self.rows) > self.limit:
            self.rows.popitem(last=False)

    def purge(self, now: float) -> int:
        """Drop what has expired, and say how much that was."""
        ended = [key for key, (_, expires) in self.rows.items() if expires <= now]
        for key in ended:
            del self.rows[key]
        return len(ended)


class _Gate:
    """Open until closed: does what it is asked at once, or fails it."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, act: Callable[[], T]) -> Deferred[T]:
        if self.closed:
            return fail(TemporaryFailure("the store is closed"))
        return succeed(act())


@implementer(ICallbackCache)
class MemoryCallbackCache:
    """Answers of exchangers."""

    def __init__(self, gate: _Gate, limit: int) -> None:
        self._gate = gate
        self._table: _Table[str, CallbackAnswer] = _Table(limit)
        self.purge = self._table.purge

    def find(self, address: str, now: float) -> Deferred[CallbackAnswer | None]:
        """See L{ICallbackCache}."""

        def act() -> CallbackAnswer | None:
            answer = self._table.get(key_of(address))
            return answer if answer and is_valid(answer.expires, now) else None

        return self._gate.run(act)

    def keep(self, answer: CallbackAnswer) -> Deferred[None]:
        """See L{ICallbackCache}."""
        new = clean_answer(answer)

        def act() -> None:
            old = self._table.get(new.address)
            if old is None or new.stored >= old.stored:
                self._table.put(new.address, new, new.expires)

        return self._gate.run(act)


@implementer(ISenderList)
class MemorySenderList:
    """Senders with a comment; C{expiring} may be shared by lists, which C{which} tells apart."""

    def __init__(self, gate: _Gate, which: str, expiring: _Table[tuple[str, str], SenderEntry]) -> None:
        self._gate = gate
        self._which = which
        self._expiring = expiring
        self._permanent: dict[str, SenderEntry] = {}

    def _get(self, name: str) -> SenderEntry | None:
        return self._permanent.get(name) or self._expiring.get((self._which, name))

    def find(self, address: str, now: float) -> Deferred[SenderEntry | None]:
        """See L{ISenderList}."""

        def act() -> SenderEntry | None:
            found = (self._get(name) for name in names_of(address))
            return next((entry for entry in found if entry and is_valid(entry.expires, now)), None)

        return self._gate.run(act)

    def add(self, entry: SenderEntry) -> Deferred[None]:
        """See L{ISenderList}."""
        new = clean_entry(entry)

        def act() -> None:
            if not replaces(new, self._get(new.name)):
                return
            if new.expires is None:
                self._expiring.rows.pop((self._which, new.name), None)
                self._permanent[new.name] = new
            else:
                self._expiring.put((self._which, new.name), new, new.expires)

        return self._gate.run(act)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        key = key_of(name)

        def act() -> bool:
            permanent = self._permanent.pop(key, None)
            return bool(self._expiring.rows.pop((self._which, key), None) or permanent)

        return self._gate.run(act)

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""

        def act() -> list[SenderEntry]:
            expiring = [entry for (which, _), (entry, _) in self._expiring.rows.items() if which == self._which]
            valid = [entry for entry in expiring if is_valid(entry.expires, now)]
            return sorted([*self._permanent.values(), *valid], key=lambda entry: entry.name)

        return self._gate.run(act)


@implementer(IGreylistStore)
class MemoryGreylistStore:
    """Contacts of grey senders."""

    def __init__(self, gate: _Gate, limit: int) -> None:
        self._gate = gate
        self._table: _Table[str, GreylistEntry] = _Table(limit)
        self.purge = self._table.purge

    def contact(self, key: str, now: float, times: GreylistTimes) -> Deferred[GreylistEntry]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def act() -> GreylistEntry:
            entry = after_contact(self._table.get(name), now, times)
            self._table.put(name, entry, greylist_expiry(entry, times))
            return entry

        return self._gate.run(act)

    def keep(self, key: str, entry: GreylistEntry, times: GreylistTimes) -> Deferred[None]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def act() -> None:
            old = self._table.get(name)
            if old is None or entry.last_seen >= old.last_seen:
                self._table.put(name, entry, greylist_expiry(entry, times))

        return self._gate.run(act)


@implementer(IAcceptedClients)
class MemoryAcceptedClients:
    """Clients whose mail was accepted, by when that is forgotten."""

    def __init__(self, gate: _Gate, limit: int) -> None:
        self._gate = gate
        self._table: _Table[str, None] = _Table(limit)
        self.purge = self._table.purge

    def note(self, address: str, expires: float) -> Deferred[None]:
        """See L{IAcceptedClients}."""
        return self._gate.run(lambda: self._table.put(key_of(address), None, expires))

    def find(self, address: str, now: float) -> Deferred[bool]:
        """See L{IAcceptedClients}."""

        def act() -> bool:
            row = self._table.rows.get(key_of(address))
            return row is not None and is_valid(row[1], now)

        return self._gate.run(act)


@implementer(IDecisionLog)
class MemoryDecisionLog:
    """The last records, as JSON so that what comes out is what another store would give."""

    def __init__(self, gate: _Gate, limit: int, retention_days: float) -> None:
        self._gate = gate
        self._table: _Table[str, tuple[str, str]] = _Table(limit)
        self._retention = retention_days * DAY
        self.purge = self._table.purge

    def append(self, record: Record) -> Deferred[None]:
        """See L{IDecisionLog}."""

        def act() -> None:
            if not record.is_test:
                row = (record.queue_id, record_text(record))
                self._table.put(record.id, row, record.time + self._retention)

        return self._gate.run(act)

    def find(self, reference: str) -> Deferred[Mapping[str, object] | None]:
        """See L{IDecisionLog}; a queue id is looked for one by one, the newest first."""

        def act() -> Mapping[str, object] | None:
            row = self._table.get(reference)
            if row is None and reference:
                newest = reversed(self._table.rows.values())
                row = next((row for row, _ in newest if row[0] == reference), None)
            return json.loads(row[1]) if row else None

        return self._gate.run(act)


@implementer(IStores)
class MemoryStores:
    """Everything in memory; lost at the end of the process."""

    trouble = ""

    def __init__(self, limits: StoreLimits = MEMORY_LIMITS) -> None:
        self._gate = _Gate()
        self._senders: _Table[tuple[str, str], SenderEntry] = _Table(limits.senders)
        self.callbacks = MemoryCallbackCache(self._gate, limits.callbacks)
        self.whitelist = MemorySenderList(self._gate, "whitelist", self._senders)
        self.blacklist = MemorySenderList(self._gate, "blacklist", self._senders)
        self.bans = MemorySenderList(self._gate, "ban", self._senders)
        self.never_banned = MemorySenderList(self._gate, "never_banned", self._senders)
        self.accepted = MemoryAcceptedClients(self._gate, limits.accepted)
        self.greylist = MemoryGreylistStore(self._gate, limits.greylist)
        self.decisions = MemoryDecisionLog(self._gate, limits.decisions, limits.retention_days)

    def open(self) -> None:
        """See L{IStores}: nothing to do."""

    def purge(self, now: float) -> Deferred[int]:
        """See L{IStores}; what was too much went when it was written."""
        tables = (
            self.callbacks.purge,
            self._senders.purge,
            self.accepted.purge,
            self.greylist.purge,
            self.decisions.purge,
        )
        return self._gate.run(lambda: sum(purge(now) for purge in tables))

    def close(self) -> Deferred[None]:
        """See L{IStores}."""
        self._gate.closed = True
        return succeed(None)
