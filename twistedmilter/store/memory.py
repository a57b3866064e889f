"""Stores that last as long as the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

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
from twistedmilter.model.durations import DAY
from twistedmilter.model.record import Record
from twistedmilter.observe.record_text import record_text
from twistedmilter.store.memory_notices import MemoryNoticeStore
from twistedmilter.store.memory_observations import MemoryObservationStore
from twistedmilter.store.memory_table import ExpiringTable
from twistedmilter.store.questions import MemoryQuestionStore
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
from twistedmilter.store.sorted_names import SortedNames

T = TypeVar("T")


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
        self.table: ExpiringTable[str, CallbackAnswer] = ExpiringTable(limit)

    def find(self, address: str, now: float) -> Deferred[CallbackAnswer | None]:
        """See L{ICallbackCache}."""

        def act() -> CallbackAnswer | None:
            answer = self.table.get(key_of(address))
            return answer if answer and is_valid(answer.expires, now) else None

        return self._gate.run(act)

    def keep(self, answer: CallbackAnswer) -> Deferred[None]:
        """See L{ICallbackCache}."""
        new = clean_answer(answer)

        def act() -> None:
            old = self.table.get(new.address)
            if old is None or new.stored >= old.stored:
                self.table.put(new.address, new, new.expires)

        return self._gate.run(act)


@implementer(ISenderList)
class MemorySenderList:
    """Senders with a comment; C{expiring} may be shared by lists, which C{which} tells apart."""

    def __init__(self, gate: _Gate, which: str, expiring: ExpiringTable[tuple[str, str], SenderEntry]) -> None:
        self._gate = gate
        self._which = which
        self._expiring = expiring
        self._permanent: dict[str, SenderEntry] = {}
        self._names = SortedNames()

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
            self._names.add(new.name)
            if new.expires is None:
                self._expiring.remove((self._which, new.name))
                self._permanent[new.name] = new
            else:
                self._expiring.put((self._which, new.name), new, new.expires)

        return self._gate.run(act)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        key = key_of(name)

        def act() -> bool:
            permanent = self._permanent.pop(key, None)
            return bool(self._expiring.remove((self._which, key)) or permanent)

        return self._gate.run(act)

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self._gate.run(lambda: list(self._after(None, now)))

    def page(self, now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self._gate.run(lambda: list(islice(self._after(after, now), most)))

    def _after(self, name: str | None, now: float) -> Iterator[SenderEntry]:
        entries = map(self._get, self._names.after(name))
        return (entry for entry in entries if entry is not None and is_valid(entry.expires, now))

    def tidy(self) -> Iterator[None]:
        """Forget the names of entries that are gone, a slice each step."""
        return self._names.tidy(self._get)


@implementer(IGreylistStore)
class MemoryGreylistStore:
    """Contacts of grey senders."""

    def __init__(self, gate: _Gate, limit: int) -> None:
        self._gate = gate
        self.table: ExpiringTable[str, GreylistEntry] = ExpiringTable(limit)

    def contact(self, key: str, now: float, times: GreylistTimes) -> Deferred[GreylistEntry]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def act() -> GreylistEntry:
            entry = after_contact(self.table.get(name), now, times)
            self.table.put(name, entry, greylist_expiry(entry, times))
            return entry

        return self._gate.run(act)

    def keep(self, key: str, entry: GreylistEntry, times: GreylistTimes) -> Deferred[None]:
        """See L{IGreylistStore}."""
        name = key_of(key)

        def act() -> None:
            old = self.table.get(name)
            if old is None or entry.last_seen >= old.last_seen:
                self.table.put(name, entry, greylist_expiry(entry, times))

        return self._gate.run(act)


@implementer(IAcceptedClients)
class MemoryAcceptedClients:
    """Clients whose mail was accepted, by when that is forgotten."""

    def __init__(self, gate: _Gate, limit: int) -> None:
        self._gate = gate
        self.table: ExpiringTable[str, None] = ExpiringTable(limit)

    def note(self, address: str, expires: float) -> Deferred[None]:
        """See L{IAcceptedClients}."""
        return self._gate.run(lambda: self.table.put(key_of(address), None, expires))

    def find(self, address: str, now: float) -> Deferred[bool]:
        """See L{IAcceptedClients}."""

        def act() -> bool:
            ends = self.table.end_of(key_of(address))
            return ends is not None and is_valid(ends, now)

        return self._gate.run(act)


@implementer(IDecisionLog)
class MemoryDecisionLog:
    """The last records, as JSON so that what comes out is what another store would give."""

    def __init__(self, gate: _Gate, limit: int, retention_days: float) -> None:
        self._gate = gate
        self.table: ExpiringTable[str, tuple[str, str]] = ExpiringTable(limit)
        self._retention = retention_days * DAY

    def append(self, record: Record) -> Deferred[None]:
        """See L{IDecisionLog}."""

        def act() -> None:
            if not record.is_test:
                row = (record.queue_id, record_text(record))
                self.table.put(record.id, row, record.time + self._retention)

        return self._gate.run(act)

    def find(self, reference: str) -> Deferred[Mapping[str, object] | None]:
        """See L{IDecisionLog}; a queue id is looked for one by one, the newest first."""

        def act() -> Mapping[str, object] | None:
            row = self.table.get(reference)
            if row is None and reference:
                row = next((row for row in self.table.newest() if row[0] == reference), None)
            return json.loads(row[1]) if row else None

        return self._gate.run(act)


@implementer(IStores)
class MemoryStores:
    """Everything in memory; lost at the end of the process.

    @param pause: fires when others have had their turn, within something that takes long.
    """

    trouble = ""

    def __init__(self, limits: StoreLimits = MEMORY_LIMITS, pause: Callable[[], Deferred[None]] | None = None) -> None:
        self._pause = pause or (lambda: succeed(None))
        self._gate = _Gate()
        self._senders: ExpiringTable[tuple[str, str], SenderEntry] = ExpiringTable(limits.senders)
        self.callbacks = MemoryCallbackCache(self._gate, limits.callbacks)
        self.whitelist = MemorySenderList(self._gate, "whitelist", self._senders)
        self.blacklist = MemorySenderList(self._gate, "blacklist", self._senders)
        self.bans = MemorySenderList(self._gate, "ban", self._senders)
        self.never_banned = MemorySenderList(self._gate, "never_banned", self._senders)
        self.accepted = MemoryAcceptedClients(self._gate, limits.accepted)
        self.greylist = MemoryGreylistStore(self._gate, limits.greylist)
        self.notices = MemoryNoticeStore(self._gate.run, limits.notices)
        self.decisions = MemoryDecisionLog(self._gate, limits.decisions, limits.retention_days)
        self.questions = MemoryQuestionStore()
        self.observations = MemoryObservationStore(
            lambda: self._gate.closed, limits.observations, limits.observation_days
        )

    def open(self) -> None:
        """See L{IStores}: nothing to do."""

    def purge(self, now: float) -> Deferred[int]:
        """See L{IStores}; what was too much went when it was written."""
        return Deferred.fromCoroutine(self._purge(now))

    async def _purge(self, now: float) -> int:
        total = 0
        owners = (self.callbacks, self.accepted, self.greylist, self.notices, self.decisions)
        for table in (self._senders, *(owner.table for owner in owners)):
            for dropped in table.purge(now):
                await self._gate.run(lambda: None)
                total += dropped
                await self._pause()
        for senders in (self.whitelist, self.blacklist, self.bans, self.never_banned):
            for _ in senders.tidy():
                await self._pause()
        return total + await self.observations.purge(now)

    def close(self) -> Deferred[None]:
        """See L{IStores}."""
        self._gate.closed = True
        return succeed(None)
