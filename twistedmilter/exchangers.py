"""Which hosts take mail for a domain (RFC 5321 section 5.1, RFC 7505), and which of them we may call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from dns.rdata import Rdata
from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import NULL_MX
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.address_set import parents

MAX_EXCHANGERS: Final = 10  # names of a domain that are looked up
MAX_ADDRESSES: Final = 5  # addresses that are called (reliability C2)

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
_UNICAST: Final = IPv6Network("2000::/3")  # all of IPv6 that is given to hosts of the internet (RFC 4291 section 2.4)


class Target(Struct, frozen=True):
    """One address to call. @ivar name: the exchanger that has it."""

    name: str
    ip: IPAddress

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.name} [{self.ip}]"


class Route(Struct, frozen=True):
    """What the DNS says about mail for a domain.

    @ivar targets: in the order in which they are to be called.
    @ivar takes_no_mail: why the domain takes no mail at all; empty if it does.
    @ivar refused: each exchanger that we do not call, and why.
    """

    targets: tuple[Target, ...] = ()
    takes_no_mail: str = ""
    refused: tuple[str, ...] = ()


class Guard(Struct, frozen=True):
    """What is never called (reliability C1).

    @ivar own_names: our own names, lower case; one with a leading dot stands for all below it.
    @ivar own_addresses: our own addresses.
    @ivar permit_private: whether loopback and private addresses may be called.
    """

    own_names: frozenset[str] = frozenset()
    own_addresses: frozenset[IPAddress] = frozenset()
    permit_private: bool = False

    def objection(self, target: Target) -> str:
        """Why this target is not called; empty if it may be."""
        inner = embedded(target.ip)
        if self._is_own(target.name) or {target.ip, inner} & self.own_addresses:
            return f"{target} is ourselves"
        if not self.permit_private and not all(is_public(ip) for ip in (target.ip, inner)):
            return f"{target} is not a public address"
        return ""

    def _is_own(self, name: str) -> bool:
        return name in self.own_names or any(f".{parent}" in self.own_names for parent in parents(name))


def is_public(ip: IPAddress) -> bool:
    """Whether an address is one of the internet's hosts; not so are loopback, private, shared, multicast ones."""
    if isinstance(ip, IPv6Address):  # site-local addresses, and those of a NAT64 of the site, are "global" for Python
        return ip.is_global and (ip in _UNICAST or ip in _NAT64)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def embedded(ip: IPAddress) -> IPAddress:
    """The IPv4 address that packets to this IPv6 address end at (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def ranked(records: Sequence[Rdata], chance: Callable[[], float]) -> list[str]:
    """The names of exchangers by preference, equals in random order (RFC 5321 section 5.1).

    A name that is empty, the root or holds NUL is left out (seed-spec LL-04), so the null MX of RFC 7505 leaves
    nothing.

    @param chance: answers numbers between 0 and 1.
    """
    exchangers = [
        (int(record.preference), chance(), name)  # type: ignore[attr-defined] # of MX records
        for record in records
        if (name := _name(record)) and name.isprintable() and "\\" not in name
    ]
    return list(dict.fromkeys(name for _, _, name in sorted(exchangers)))


def _name(record: Rdata) -> str:
    return str(record.exchange).rstrip(".").lower()  # type: ignore[attr-defined] # of MX records


async def find_route(resolver: IResolver, domain: str, guard: Guard, chance: Callable[[], float]) -> Route:
    """The addresses that take mail for a domain or for an address-literal.

    @raise TemporaryFailure: the DNS does not say now.
    """
    if domain.startswith("["):
        return _literal_route(domain, guard)
    mx = await resolver.lookup(domain, RdataType.MX)
    names = ranked(mx.records, chance) if mx.records else [domain]
    if not names:
        is_null = not any(map(_name, mx.records))
        return Route(takes_no_mail=NULL_MX if is_null else "its MX records name no proper host")
    targets, failures = await _targets(resolver, names[:MAX_EXCHANGERS])
    if not targets and failures:
        raise TemporaryFailure(failures[0])
    if not targets:
        return Route(takes_no_mail="no mail exchanger of it has an address")
    return _guarded(targets, guard)


async def _targets(resolver: IResolver, names: Sequence[str]) -> tuple[list[Target], list[str]]:
    """The addresses of these names, as many as are of use, and what could not be looked up."""
    targets: list[Target] = []
    failures: list[str] = []
    for name in names:
        for rdtype in (RdataType.AAAA, RdataType.A):
            try:
                answer = await resolver.lookup(name, rdtype)
            except TemporaryFailure as failure:
                failures.append(str(failure))
                continue
            found = [ip_address(record.address) for record in answer.records]  # type: ignore[attr-defined]
            targets += [Target(name, ip) for ip in found[:MAX_ADDRESSES]]
    return targets, failures


def _literal_route(domain: str, guard: Guard) -> Route:
    text = domain.strip("[]").removeprefix("ipv6:")
    try:
        ip: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return Route(takes_no_mail="it is no address-literal")
    return _guarded([Target(domain, ip)], guard)


def _guarded(targets: Sequence[Target], guard: Guard) -> Route:
    objections = {target: guard.objection(target) for target in targets}
    good = [target for target, objection in objections.items() if not objection]
    return Route(tuple(good[:MAX_ADDRESSES]), refused=tuple(filter(None, objections.values())))
