"""Sets of client addresses: single ones, ranges, globs and host names (seed-spec B02, B03, B08)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import dns.rdatatype
from msgspec import Struct

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.transaction import IPAddress

IPNetwork = IPv4Network | IPv6Network

_GLOB = re.compile(r"[0-9a-f.:*?\[\]!-]+")
_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
)
_ALLOWED = "allowed are an address, a range (192.0.2.0/24), a glob on the address (192.0.2.*) and a host name"


def plain(ip: IPAddress) -> IPAddress:
    """The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), else the address itself."""
    if ip.version == 6 and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def parse_network(text: str) -> IPNetwork:
    """The range of an address or C{address/n}; bits beyond n do not matter, IPv4-mapped ones are IPv4.

    @raise ValueError: neither.
    """
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


class _AddressTable:
    """Ranges by prefix length and globs; finds the entry that holds an address."""

    def __init__(self) -> None:
        """Start empty."""
        self._ranges: dict[int, list[tuple[int, dict[int, str]]]] = {4: [], 6: []}
        self._globs: list[tuple[re.Pattern[str], str]] = []

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._ranges[4] or self._ranges[6] or self._globs)

    def add_range(self, network: IPNetwork, entry: str) -> None:
        """Add one range; the first entry of a range keeps it."""
        shift = network.max_prefixlen - network.prefixlen
        of_version = self._ranges[network.version]
        entries = next((entries for known, entries in of_version if known == shift), None)
        if entries is None:
            entries = {}
            of_version.append((shift, entries))
        entries.setdefault(int(network.network_address) >> shift, entry)

    def add_glob(self, pattern: str, entry: str) -> None:
        """Add one shell pattern on the address text."""
        self._globs.append((re.compile(translate(pattern)), entry))

    def find(self, ip: IPAddress) -> str | None:
        """The entry that holds this address, or None."""
        number = int(ip)
        for shift, entries in self._ranges[ip.version]:
            entry = entries.get(number >> shift)
            if entry is not None:
                return entry
        if self._globs:
            text = str(ip)
            for pattern, entry in self._globs:
                if pattern.match(text):
                    return entry
        return None


class HostName(Struct, frozen=True):
    """An entry that is a host name.

    @ivar name: lower case. @ivar prefix: the C{/n} behind it, or None for the host itself.  A prefix up to 32
        widens its IPv4 addresses, a longer one its IPv6 addresses; the other family is matched exactly.
    """

    entry: str
    name: str
    prefix: int | None

    def network_of(self, address: IPAddress) -> IPNetwork:
        """The range that this name stands for when it has this address."""
        if self.prefix is None or (self.prefix <= 32) != (address.version == 4):
            return ip_network(address)
        return ip_network((address, self.prefix), strict=False)


class NetworkSet:
    """A set of client addresses; L{parse} makes one.

    An entry that begins with C{!} is an exception: an address that it matches is not in the set, whatever
    else matches it and wherever it stands in the list.  A set of exceptions only holds every other address.
    An IPv4-mapped IPv6 address is the IPv4 address.  No address is in no set (seed-spec B08).

    @ivar names: the entries that need the DNS. @ivar only_exceptions: whether everything else is in the set.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        """Parse the entries; see L{parse}."""
        self.entries = tuple(text for entry in entries if (text := entry.strip()))
        self._members = _AddressTable()
        self._exceptions = _AddressTable()
        names: list[HostName] = []
        for entry in self.entries:
            if entry.startswith("!"):
                self._add(entry[1:].strip(), entry, self._exceptions, None)
            else:
                self._add(entry, entry, self._members, names)
        self.names = tuple(names)
        self.only_exceptions = bool(self.entries) and not self._members and not self.names

    @classmethod
    def parse(cls, entries: Sequence[str]) -> NetworkSet:
        """The set of these entries.

        @param entries: address, C{address/n}, glob on the address text (C{192.0.2.*}), host name with an
            optional C{/n}; C{!} before any but a name makes an exception.  Empty entries are dropped (LL-10).
        @raise ValueError: an entry is none of these; the text names it.
        """
        return cls(entries)

    def _add(self, text: str, entry: str, table: _AddressTable, names: list[HostName] | None) -> None:
        folded = text.lower()
        try:
            table.add_range(parse_network(folded), entry)
        except ValueError:
            if _GLOB.fullmatch(folded) and any(char in folded for char in "*?["):
                table.add_glob(folded, entry)
                return
            host = _parse_host_name(folded, entry)
            if names is None:
                # while the name does not resolve, such an exception would let everybody in
                raise ValueError(f"{entry!r}: an exception cannot be a host name; use its address") from None
            names.append(host)

    def __bool__(self) -> bool:
        """Whether there is any entry."""
        return bool(self.entries)

    def find(self, ip: IPAddress | None) -> str | None:
        """The entry that holds this address, host names left out; None when it is not in the set."""
        if ip is None:
            return None
        ip = plain(ip)
        found = "everything else" if self.only_exceptions else self._members.find(ip)
        if found is not None and self._exceptions and self._exceptions.find(ip) is not None:
            return None
        return found

    def contains(self, ip: IPAddress | None) -> bool:
        """Whether the address is in the set, host names left out."""
        return self.find(ip) is not None

    async def matches(
        self, ip: IPAddress | None, resolver: IResolver | None, troubles: list[str] | None = None
    ) -> str | None:
        """The entry that holds this address; host names are resolved now.

        @param resolver: None leaves host names out.
        @param troubles: told of every name that could not be looked up; such a name matches nobody.
        """
        found = self.find(ip)
        if found is not None or ip is None or resolver is None or not self.names:
            return found
        ip = plain(ip)
        if self._exceptions.find(ip) is not None:
            return None
        rdtype = dns.rdatatype.A if ip.version == 4 else dns.rdatatype.AAAA
        for host in self.names:
            try:
                answer = await resolver.lookup(host.name, rdtype)
            except TemporaryFailure as failure:
                if troubles is not None:
                    troubles.append(f"{host.name}: {failure}")
                continue
            if any(ip in host.network_of(ip_address(record.to_text())) for record in answer.records):
                return host.entry
        return None


def _parse_host_name(text: str, entry: str) -> HostName:
    name, slash, digits = text.partition("/")
    prefix = int(digits) if digits.isascii() and digits.isdigit() and int(digits) <= 128 else None
    if (slash and prefix is None) or _DIGITS_AND_DOTS.fullmatch(name) or _HOST_NAME.fullmatch(name) is None:
        raise ValueError(f"{entry!r} is not a network: {_ALLOWED}, with ! before it for an exception")
    return HostName(entry, name.rstrip("."), prefix)


def network_key(ip: IPAddress) -> str:
    """The neighbourhood of a client, for tables: its /24, or its /64 for IPv6."""
    ip = plain(ip)
    if isinstance(ip, IPv4Address):
        return str(IPv4Network((ip, 24), strict=False))
    return str(IPv6Network((IPv6Address(int(ip)), 64), strict=False))
