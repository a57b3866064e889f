"""Which clients are banned, and since when (seed-spec B10, S01).

The book is a copy of the store's list in memory, so that nothing is looked up for a client that is not banned.  What
is entered here goes to the store as well; what others change there, such as C{twistedmilter ban}, is seen within
L{REFRESH}, or later where the list is long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Final

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import ISenderList, IStores, SenderEntry
from twistedmilter.model.durations import DAY
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.hourly_count import HourlyCount
from twistedmilter.policy.networks import plain

REFRESH: Final = 10.0  # seconds
PAGE: Final = 1_000  # entries that are read at once
READ_PER_SECOND: Final = 1_000  # entries, in the long run; so a list of 100,000 is read again after 100 s
REMEMBERED: Final = 100_000  # clients whose accepted mail is noted in memory


def ban_key(ip: IPAddress) -> str:
    """What is banned for a client: its address; of IPv6 its /64, which is one customer."""
    ip = plain(ip)
    return str(IPv6Network((int(ip), 64), strict=False)) if isinstance(ip, IPv6Address) else str(ip)


class Alarm(Exception):  # noqa: N818 - it says what is to be told
    """There are too many new bans; its text says how many."""


@dataclass(eq=False)
class BanBook:
    """The bans, and the clients that are spared.

    @ivar stores: None: everything is in memory only. @ivar wall: seconds since the epoch.
    @ivar new_per_hour: at so many new bans in an hour there are no more.
    """

    stores: IStores | None
    wall: Callable[[], float]
    new_per_hour: int
    _bans: dict[str, SenderEntry] = field(default_factory=dict)
    _accepted: dict[IPAddress, float] = field(default_factory=dict)
    _recent: HourlyCount = field(default_factory=HourlyCount)
    _refreshed: float | None = None

    async def find(self, ip: IPAddress) -> SenderEntry | None:
        """The ban that holds for a client.

        @raise TemporaryFailure: the store does not give its list now.
        """
        now = self.wall()
        if self.stores is not None and not self._is_fresh(now):
            await self._refresh(self.stores, now)
        if not self._bans:
            return None
        found = (self._bans.get(key) for key in (str(plain(ip)), ban_key(ip)))
        return next((ban for ban in found if ban is not None and _holds(ban, now)), None)

    async def add(self, ip: IPAddress, comment: str, seconds: float) -> SenderEntry | None:
        """Ban a client for its conduct, unless it is spared or banned already; None if it was not.

        @param comment: what for. @param seconds: for how long.
        @raise Alarm: there are too many new bans.
        @raise TemporaryFailure: the store does not know whether to spare it, or cannot keep the ban now.
        """
        if await self.find(ip) is not None or await self.is_spared(ip):
            return None
        now = self.wall()
        recent = self._recent.total("", now)
        if recent >= self.new_per_hour:
            raise Alarm(f"{recent} new bans within an hour, which is the limit; nobody else is banned")
        self._recent.add("", now)
        ban = SenderEntry(ban_key(ip), comment, now, now + seconds)
        self._bans[ban.name] = ban
        if self.stores is not None:
            await self.stores.bans.add(ban)
        return ban

    def was_noted(self, ip: IPAddress, spared: float) -> bool:
        """Whether L{accepted} has nothing to do: the client was noted within a day, or nobody is spared."""
        known = self._accepted.get(ip)
        return spared <= 0 or (known is not None and 0 <= self.wall() + spared - known < min(DAY, spared))

    async def accepted(self, ip: IPAddress, spared: float) -> None:
        """Mail of this client was accepted; noted at most once a day.

        @param spared: for how long it is spared. [seconds]
        @raise TemporaryFailure: the store cannot keep it now.
        """
        if self.was_noted(ip, spared):
            return
        self._accepted.pop(ip, None)
        if len(self._accepted) >= REMEMBERED:
            del self._accepted[next(iter(self._accepted))]
        ends = self._accepted[ip] = self.wall() + spared
        if self.stores is None:
            return
        try:
            await self.stores.accepted.note(ban_key(ip), ends)
        except TemporaryFailure:
            self._accepted.pop(ip, None)  # with the next message
            raise

    async def is_spared(self, ip: IPAddress) -> bool:
        """Whether a client had mail accepted, or is on the list of those that are never banned.

        @raise TemporaryFailure: the store does not say now.
        """
        key, now = ban_key(ip), self.wall()
        if self.stores is None:
            return any(ban_key(each) == key and ends > now for each, ends in self._accepted.items())
        never = await self.stores.never_banned.entries(now)
        return any(_covers(entry.name, ip) for entry in never) or await self.stores.accepted.find(key, now)

    def _is_fresh(self, now: float) -> bool:
        interval = max(REFRESH, len(self._bans) / READ_PER_SECOND)
        return self._refreshed is not None and 0 <= now - self._refreshed < interval

    async def _refresh(self, stores: IStores, now: float) -> None:
        self._refreshed = now  # those who come meanwhile do with what is known
        try:
            bans = await _all(stores.bans, now)
        except BaseException:
            self._refreshed = None
            raise
        bans.update((name, ban) for name, ban in self._bans.items() if ban.stored >= now)  # entered meanwhile
        self._bans = bans


async def _all(senders: ISenderList, now: float) -> dict[str, SenderEntry]:
    """The entries by name, read in pages: to make a hundred thousand at once would hold up everybody."""
    found: dict[str, SenderEntry] = {}
    after = None
    while page := await senders.page(now, after, PAGE):
        found.update((entry.name, entry) for entry in page)
        after = page[-1].name
    return found


def _holds(ban: SenderEntry, now: float) -> bool:
    return ban.expires is None or now < ban.expires


def _covers(name: str, ip: IPAddress) -> bool:
    """Whether an entry, which is an address or a network, is about this client."""
    try:
        return plain(ip) in ip_network(name, strict=False)
    except ValueError:
        return False
