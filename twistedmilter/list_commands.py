"""Lists of senders and clients as commands: what C{twistedmilter list} asks of a service, or does where none runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec import Struct, ValidationError, convert, to_builtins
from twisted.internet.defer import FirstError, gatherResults

from twistedmilter.control import Command, CommandError
from twistedmilter.interfaces.stores import (
    CallbackAnswer,
    GreylistEntry,
    GreylistTimes,
    ISenderList,
    IStores,
    SenderEntry,
)
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.networks import plain

LISTS = ("whitelist", "blacklist", "bans", "never_banned")
_DOMAIN = re.compile(r"[^\s@*<>:.\[\]]+(\.[^\s@*<>:.\[\]]+)*|\[[0-9a-z.:]+\]")
PAGE = 1_000  # entries that are shown at once, so that nobody waits for them
LONGEST_NAME = 320  # RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2: 64 + 1 + 255


class GreylistRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A greylisting entry as it travels; times are seconds since the epoch."""

    key: str
    first_seen: float
    last_seen: float
    accepted: int


class Import(Struct, frozen=True, forbid_unknown_fields=True):
    """What another service knew.

    @ivar times: how long the greylisting entries hold.
    """

    answers: list[CallbackAnswer] = []
    senders: dict[str, list[SenderEntry]] = {}
    greylist: list[GreylistRow] = []
    times: GreylistTimes = GreylistTimes(delay=120.0, expire=21_600.0, retain=3_110_400.0)


class _Named(Struct, frozen=True, forbid_unknown_fields=True):
    list: str
    name: str


class _Add(Struct, frozen=True, forbid_unknown_fields=True):
    list: str
    name: str
    comment: str = ""
    expires: float | None = None


class _Show(Struct, frozen=True, forbid_unknown_fields=True):
    list: str
    after: str | None = None


def clean_name(which: str, name: str) -> str:
    """A name as an entry of a list has it.

    @raise CommandError: it cannot be one.
    """
    if which in {"bans", "never_banned"}:
        try:
            return _client_name(which, name)
        except ValueError as error:
            allowed = "an IP address or an IPv6 /64" if which == "bans" else "an IP address or network"
            raise CommandError(f"{name[:LONGEST_NAME]!r} is not {allowed}") from error
    local, at, domain = name.rpartition("@")
    wildcard = "*." if not at and domain.startswith("*.") else ""
    domain = folded_domain(domain.removeprefix(wildcard))  # as senders are looked for
    is_sound = name.isprintable() and " " not in name and len(name) <= LONGEST_NAME and bool(local) == bool(at)
    if not is_sound or _DOMAIN.fullmatch(domain) is None:
        raise CommandError(f"{name[:LONGEST_NAME]!r} is neither an address nor a domain nor *.domain")
    return f"{local.lower()}{at}{wildcard}{domain}"


def _client_name(which: str, name: str) -> str:
    """As the check C{demerits} looks for it: an IPv4 address that is written as IPv6 is one of IPv4."""
    if "/" not in name:
        return str(plain(ip_address(name)))
    network = ip_network(name)
    if which == "bans" and (network.version, network.prefixlen) != (6, 64):
        raise ValueError(name)
    return str(network)


class ListCommands:
    """The commands on the stores of a service.

    @param wall: wall clock. [seconds since the epoch]
    """

    def __init__(self, stores: IStores, wall: Callable[[], float]) -> None:
        self._stores = stores
        self._wall = wall
        self.commands: Mapping[str, Command] = {
            "list-show": self.show,
            "list-add": self.add,
            "list-remove": self.remove,
            "list-import": self.take,
        }

    async def show(self, arguments: Mapping[str, object]) -> object:
        """The entries of C{list} whose names come after C{after}, by name.

        @return: at most L{PAGE}; there may be more, after the last of them.
        @raise CommandError: there is no such list.
        """
        wanted = _read(arguments, _Show)
        return to_builtins(await self._list(wanted.list).page(self._wall(), wanted.after, PAGE))

    async def add(self, arguments: Mapping[str, object]) -> object:
        """Enter C{name} with C{comment} until C{expires}; without that for good.

        @return: the entry.
        @raise CommandError: it cannot be entered.
        """
        wanted = _read(arguments, _Add)
        now = self._wall()
        if wanted.expires is not None and wanted.expires <= now:
            raise CommandError("the entry would have expired already")
        entry = SenderEntry(clean_name(wanted.list, wanted.name), wanted.comment, now, wanted.expires)
        which = self._list(wanted.list)
        if entry.expires is not None:
            await which.remove(entry.name)  # or a permanent one would stay
        await which.add(entry)
        return to_builtins(entry)

    async def remove(self, arguments: Mapping[str, object]) -> object:
        """Take C{name} out of C{list}.

        @return: whether it was there.
        @raise CommandError: there is no such list.
        """
        wanted = _read(arguments, _Named)
        which = self._list(wanted.list)
        name = wanted.name
        with suppress(CommandError):  # what an older version let in can be taken out, too
            name = clean_name(wanted.list, name)
        return await which.remove(name) or await which.remove(wanted.name)

    async def take(self, arguments: Mapping[str, object]) -> object:
        """Put in what is in an L{Import}; what is newer here stays.

        @return: how many entries there were.
        @raise CommandError: it is none.
        @raise TemporaryFailure: some of it could not be put in.
        """
        given = _read(arguments, Import)
        stores = self._stores
        waiting: list[Any] = [stores.callbacks.keep(answer) for answer in given.answers]
        for name, entries in given.senders.items():
            add = self._list(name).add
            waiting += [add(entry) for entry in entries]
        for row in given.greylist:
            entry = GreylistEntry(row.first_seen, row.last_seen, row.accepted + 1, row.accepted)
            waiting.append(stores.greylist.keep(row.key, entry, given.times))
        try:
            await gatherResults(waiting, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        return len(waiting)

    def _list(self, name: str) -> ISenderList:
        if name not in LISTS:
            raise CommandError(f"there is no list {name!r}; known are {', '.join(LISTS)}")
        found: ISenderList = getattr(self._stores, name)
        return found


def _read(arguments: Mapping[str, object], kind: type[Any]) -> Any:
    try:
        return convert(arguments, kind)
    except ValidationError as error:
        raise CommandError(f"wrong arguments: {error}") from error
