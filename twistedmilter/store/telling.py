"""Stores that tell at once what is entered in a list, or taken out of it, by whoever uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.components import proxyForInterface

from twistedmilter.interfaces.stores import ISenderList, IStores, SenderEntry

_ListProxy: Any = proxyForInterface(ISenderList, "_original")
_StoresProxy: Any = proxyForInterface(IStores, "_original")
T = TypeVar("T")
S = TypeVar("S")


class Listener(Protocol):
    """Who is told; must be quick."""

    def entered(self, which: str, entry: SenderEntry) -> None:
        """It is in the list C{which} of the stores."""

    def removed(self, which: str, name: str) -> None:
        """It is not in that list any more."""


class TellingList(_ListProxy):  # type: ignore[misc] # it is made at run time
    """A list that tells of changes when they have been made."""

    def __init__(self, original: ISenderList, which: str, listener: Listener) -> None:
        """Tell C{listener}, by the name C{which}."""
        super().__init__(original)
        self._which = which
        self._listener = listener

    def add(self, entry: SenderEntry) -> Deferred[None]:
        """See L{ISenderList}."""
        added: Deferred[None] = self._original.add(entry)
        return added.addCallback(self._tell, self._listener.entered, entry)

    def remove(self, name: str) -> Deferred[bool]:
        """See L{ISenderList}."""
        removed: Deferred[bool] = self._original.remove(name)
        return removed.addCallback(self._tell, self._listener.removed, name)

    def _tell(self, result: T, tell: Callable[[str, S], None], what: S) -> T:
        tell(self._which, what)
        return result


class TellingStores(_StoresProxy):  # type: ignore[misc] # it is made at run time
    """Stores whose lists of unwanted senders and of clients tell of changes."""

    def __init__(self, original: IStores, listener: Listener) -> None:
        """Tell C{listener}, by the names of the lists in L{IStores}."""
        super().__init__(original)
        self._blacklist = TellingList(original.blacklist, "blacklist", listener)
        self._bans = TellingList(original.bans, "bans", listener)
        self._never_banned = TellingList(original.never_banned, "never_banned", listener)

    @property
    def blacklist(self) -> TellingList:
        """See L{IStores}."""
        return self._blacklist

    @property
    def bans(self) -> TellingList:
        """See L{IStores}."""
        return self._bans

    @property
    def never_banned(self) -> TellingList:
        """See L{IStores}."""
        return self._never_banned
