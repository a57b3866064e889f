"""Who is certainly in no list is told so without asking the file."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.store.rules import key_of, names_of

PAGE = 1_000  # entries that are read at once
SPARE = 10_000  # names that may have ended, some 0.1 KiB each


@implementer(ISenderList)
class FilteredSenderList:
    """A list of senders with its names in memory.

    Nearly every sender is in no list, and for every message somebody asks.  Names that were removed or have expired
    stay until there are more of them than of others, which only costs a look into the file.  Nobody else writes to the
    file meanwhile.
    """

    def __init__(self, behind: ISenderList) -> None:
        self._behind = behind
        self._names: set[str] = set()
        self._added: set[str] = set()  # since the names were asked for
        self._read = 0  # how many there were
        self._is_complete = self._has_stopped = self._is_reading = False

    def load(self, now: float) -> None:
        """Read the names; until they are there, and if they cannot be read, the file is asked.

        @param now: seconds since the epoch.
        """
        self._is_reading, self._added = True, set()
        reading = Deferred.fromCoroutine(self._read_names(now))
        reading.addCallbacks(self._loaded, lambda _failure: None).addCallback(self._has_read)

    def tidy(self, now: float) -> None:
        """Read the names again if most of them may have ended: in a process that runs for months they pile up.

        @param now: seconds since the epoch.
        """
        if self._is_complete and not self._is_reading and len(self._names) > 2 * self._read + SPARE:
            self.load(now)

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
        name = key_of(entry.name)
        self._names.add(name)
        self._added.add(name)
        return self._behind.add(entry)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        return self._behind.remove(name)

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self._behind.entries(now)

    def page(self, now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """See L{ISenderList}."""
        return self._behind.page(now, after, most)

    async def _read_names(self, now: float) -> set[str]:
        """In pages: to make a hundred thousand entries at once would hold up everybody."""
        names: set[str] = set()
        after = None
        while page := await self._behind.page(now, after, PAGE):
            names.update(entry.name for entry in page)
            after = page[-1].name
        return names

    def _loaded(self, names: set[str]) -> None:
        names |= self._added
        self._names = names
        self._read = len(self._names)
        self._is_complete = not self._has_stopped

    def _has_read(self, _: None) -> None:
        self._is_reading, self._added = False, set()
