"""Who is banned, in the lists that are served: there as soon as it is entered, and no longer than it holds.

Domains of the blacklist and banned clients come from the stores (seed-spec S02, S03, S05).  Whoever enters or removes
them in this process does so through L{PublishedBans.stores}, which tells the lists; all of them are read again now and
then, since others may share the stores.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.blocklist.listing import Listing, Values, template_of
from twistedmilter.blocklist.live import LiveList
from twistedmilter.blocklist.zone import Labels, LiveNames
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores, SenderEntry
from twistedmilter.model.settings import NetworksSettings
from twistedmilter.policy.dns_lists import is_name
from twistedmilter.policy.networks import IPNetwork, NetworkSet, parse_network, plain
from twistedmilter.store.telling import TellingStores

REFRESH: Final = 60.0  # seconds between two readings of all entries
PAGE: Final = 100  # entries that are read, or taken out, before others have their turn: some milliseconds
TTL: Final = 60  # seconds that a resolver keeps a ban, which may be lifted
BLACKLIST, BANS = "blacklist", "bans"
_log = Logger()


class Ban(Struct, frozen=True, tag="ban"):
    """Something is to be listed.  @ivar which: the list of the stores it is from."""

    which: str
    entry: SenderEntry


class Lift(Struct, frozen=True, tag="lift"):
    """Something is to be listed no more."""

    which: str
    name: str


class BanLists:
    """Lists of bans, as zones have them; what is in them is said by somebody else.

    @ivar known: what is listed, by list of the stores and name.
    """

    def __init__(self, wall: Callable[[], float], *, is_on: bool = True) -> None:
        """Empty.

        @param wall: seconds since the epoch. @param is_on: C{[dns] publish_bans}; else there are no lists.
        """
        self._is_on = is_on
        self._lists = {BLACKLIST: LiveList(wall), BANS: LiveList(wall)}
        self.known: dict[str, dict[str, SenderEntry]] = {BLACKLIST: {}, BANS: {}}
        self._changed: Callable[[], object] = lambda: None
        self._told: Callable[[Ban | Lift], object] = lambda _what: None

    def when_changed(self, changed: Callable[[], object]) -> None:
        """Have this called after every change."""
        self._changed = changed

    def tell(self, told: Callable[[Ban | Lift], object]) -> None:
        """Have this told of every change."""
        self._told = told

    def all(self) -> Iterator[Ban]:
        """What is listed now."""
        return (Ban(which, entry) for which, known in self.known.items() for entry in known.values())

    def live_names(self, kind: str) -> LiveNames | None:
        """What belongs into a zone of kind C{rhsbl}, C{ipbl} or C{mixed}; None: nothing is published."""
        if not self._is_on:
            return None
        names, clients = self._lists[BLACKLIST], self._lists[BANS]
        lists: Mapping[str, LiveNames] = {"rhsbl": names, "ipbl": clients}
        return lists.get(kind) or _Both(names, clients)

    def do(self, what: Ban | Lift) -> None:
        """Do as another process says."""
        if self._put(what.which, what.entry) if isinstance(what, Ban) else self._take(what.which, what.name):
            self._changed()

    def start(self) -> Deferred[None]:
        """Begin; fires when what is banned is known, as it is here."""
        return succeed(None)

    def stop(self) -> None:
        """Nothing to do here."""

    def status(self) -> dict[str, object]:
        """What C{twistedmilter status} shows; empty if nothing is published."""
        if not self._is_on:
            return {}
        return {"domains": len(self.known[BLACKLIST]), "clients": len(self.known[BANS])}

    def _put(self, which: str, entry: SenderEntry) -> bool:
        """List an entry; whether that changes anything."""
        name, known = entry.name.lower(), self.known[which]
        if known.get(name) == entry:
            return False
        known[name] = entry
        self._lists[which].put(name, _values(which, entry), which)
        self._told(Ban(which, entry))
        return True

    def _take(self, which: str, name: str) -> bool:
        if self.known[which].pop(name, None) is None:
            return False
        self._lists[which].remove(name)
        self._told(Lift(which, name))
        return True


class PublishedBans(BanLists):
    """Bans of the stores as entries of lists.

    Published are domains and C{*.domain} of the blacklist, which holds full addresses besides, and clients that are
    banned, except those of C{networks.internal}, trusted relays, and those that are never banned.

    @ivar stores: to be used instead of those that were given.
    """

    def __init__(
        self, stores: IStores, networks: NetworksSettings, reactor: Any, wall: Callable[[], float], *, is_on: bool
    ) -> None:
        """Nothing is read yet.

        @param reactor: has timers. @param is_on: else nothing is read.
        """
        super().__init__(wall, is_on=is_on)
        self._original = stores
        self._reactor = reactor
        self._wall = wall
        entries = [
            each for each in (*networks.internal, *networks.trusted_relays) if not NetworkSet.parse([each]).names
        ]
        self._ours = NetworkSet.parse(entries)
        self._never: list[IPNetwork] = []
        self._reading: Deferred[None] | None = None
        self._first: Deferred[None] | None = None
        self._trouble = ""
        self._loop = LoopingCall(self.refresh)
        self._loop.clock = reactor
        self.stores: IStores = TellingStores(stores, self) if is_on else stores

    def start(self) -> Deferred[None]:
        """Read all entries, now and again; fires after the first reading, even if it failed."""
        if not self._is_on:
            return succeed(None)
        self._first = first = Deferred[None]()
        self._loop.start(REFRESH)
        return first

    def stop(self) -> None:
        """Read no more."""
        self._first = None
        if self._loop.running:
            self._loop.stop()
        if self._reading is not None:
            self._reading.cancel()

    def status(self) -> dict[str, object]:
        """See L{BanLists.status}; and why the stores could not be read."""
        return super().status() | ({"trouble": self._trouble} if self._is_on else {})

    def refresh(self) -> None:
        """Read all entries, unless that is under way."""
        if self._reading is None:
            self._reading = reading = Deferred.fromCoroutine(self._refresh())
            reading.addErrback(self._failed).addBoth(self._done)

    def entered(self, which: str, entry: SenderEntry) -> None:
        """Something is in a list of the stores; publish it if it is to be."""
        if which not in self._lists:
            self.refresh()
        elif self._is_published(which, entry.name) and not self._stays(which, entry) and self._put(which, entry):
            self._changed()

    def removed(self, which: str, name: str) -> None:
        """Something is not in that list any more."""
        if which not in self._lists:
            self.refresh()
        elif self._take(which, name.lower()):
            self._changed()

    async def _refresh(self) -> None:
        never = await self._original.never_banned.entries(self._wall())
        before = self._never
        self._never = [network for entry in never if (network := _network_of(entry.name)) is not None]
        anew = self._never != before
        are_changed = [await self._refresh_list(which, anew=anew) for which in self._lists]
        self._trouble = ""
        if any(are_changed):
            self._changed()

    async def _refresh_list(self, which: str, *, anew: bool) -> bool:
        """Read one list; whether anything has changed.

        @param anew: what is listed may not be published any more; else an entry that is as it was costs little.
        """
        began, found, is_changed, known = self._wall(), set[str](), False, self.known[which]
        async for entry in self._entries(which):
            name = entry.name.lower()
            if (not anew and known.get(name) == entry) or self._is_published(which, name):
                found.add(name)
                is_changed |= self._put(which, entry)
        gone = [name for name, each in known.items() if name not in found and each.stored < began]
        for number, name in enumerate(gone, 1):
            is_changed |= self._take(which, name)
            if not number % PAGE:
                await deferLater(self._reactor, 0)
        return is_changed

    async def _entries(self, which: str) -> AsyncIterator[SenderEntry]:
        """All valid entries, a page at a time."""
        after: str | None = None
        while page := await getattr(self._original, which).page(self._wall(), after, PAGE):
            for entry in page:
                yield entry
            after = page[-1].name
            if len(page) == PAGE:
                await deferLater(self._reactor, 0)

    def _stays(self, which: str, entry: SenderEntry) -> bool:
        """Whether the stores keep what they had: an entry that expires does not replace a permanent one."""
        old = self.known[which].get(entry.name.lower())
        return old is not None and old.expires is None and entry.expires is not None

    def _is_published(self, which: str, name: str) -> bool:
        if which == BLACKLIST:
            return is_name(name.lower().removeprefix("*."))
        network = _network_of(name)
        if network is None or self._ours.contains(plain(ip_address(network.network_address))):
            return False
        return not any(network.version == each.version and network.overlaps(each) for each in self._never)

    def _failed(self, failure: Failure) -> None:
        """What is published stays; the next reading tries again."""
        if failure.check(CancelledError) is not None:
            return
        trouble = failure.getErrorMessage()
        if failure.check(TemporaryFailure) is None:
            _log.failure("bans could not be read, by our own fault", failure=failure)
        elif trouble != self._trouble:
            _log.warn("dns: bans cannot be read: {trouble}; those that are published stay", trouble=trouble)
        self._trouble = trouble

    def _done(self, _result: object) -> None:
        self._reading = None
        first, self._first = self._first, None
        if first is not None:
            first.callback(None)


class _Both:
    """Two lists as one: of names and of addresses."""

    def __init__(self, *lists: LiveNames) -> None:
        self._lists = lists

    def find(self, labels: Labels, key: bytes) -> Listing | None:
        """See L{LiveNames}."""
        return next((found for each in self._lists if (found := each.find(labels, key)) is not None), None)

    def reaches_below(self, labels: Labels, key: bytes) -> bool:
        """See L{LiveNames}."""
        return any(each.reaches_below(labels, key) for each in self._lists)


def _network_of(name: str) -> IPNetwork | None:
    try:
        return parse_network(name)
    except ValueError:
        return None


def _values(which: str, entry: SenderEntry) -> Values:
    comment = entry.comment.replace("$", "$$")
    subject = "Mail from $" if which == BLACKLIST else "$"
    text = f"{subject} is banned here" + (f": {comment}" if comment else "")
    return Values(
        template=template_of(text.encode("ascii", "replace")), ttl=TTL, added=entry.stored, expires=entry.expires or 0.0
    )
