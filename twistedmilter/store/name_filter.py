"""Who is certainly in no list is told so without asking the file."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.store.rules import key_of, names_of


@implementer(ISenderList)
class FilteredSenderList:
    """A list of senders with its names in memory.

    Nearly every sender is in no list, and for every message somebody asks.  Names that were removed or have expired
    stay until the next start, which only costs a look into the file.  Nobody else writes to the file meanwhile.
    """

    def __init__(self, behind: ISenderList) -> None:
        self._behind = behind
        self._names: set[str] = set()
        self._is_complete = self._has_stopped = False

    def load(self, now: float) -> None:
        """Read the names; until they are there, and if they cannot be read, the file is asked.

        @param now: seconds since the epoch.
        """
        self._behind.entries(now).addCallbacks(self._loaded, lambda _failure: None)

    def stop(self) -> None:
        """Say nothing any more that the list behind does not say."""
        self._is_complete, self._has_stopped = False, True

    def find(self, address: str, now: float) -> Deferred[SenderEntry | None]:
        """See L{ISenderList}."""
        if self._is_complete and (not self._names or self._names.isdisjoint(names_of(address))):
            return succeed(None)
        return self._behind.find(address, now)

    def add(self, entry: SenderEntry) -> Deferred[None]:
        """See L{ISenderList}."""
        self._names.add(key_of(entry.name))
        return self._behind.add(entry)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        return self._behind.remove(name)

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self._behind.entries(now)

    def _loaded(self, entries: list[SenderEntry]) -> None:
        self._names.update(entry.name for entry in entries)
        self._is_complete = not self._has_stopped
