"""From SPF records to sets of addresses, each compiled once and kept until its answers get stale (seed-spec E24)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from typing import Final

from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.spf_networks import SPFNetworks
from twistedmilter.spf_query import MAX_HOSTS, MAX_TEXT, Values, known_from

MAX_LOOKUPS: Final = 10  # terms that ask the DNS (RFC 7208 section 4.6.4)
MAX_DOMAINS: Final = 1_000  # compiled records that are kept; they come from the configuration
STALE: Final = 86_400.0  # seconds for which the last good set stands in while lookups fail
RETRY: Final = 60.0  # seconds before a record is compiled again whose lookups failed

Network = IPv4Network | IPv6Network
_RECORD = re.compile(rb"v=spf1( |$)", re.IGNORECASE)
_TERM = re.compile(
    r"(?P<sign>[-+~?]?)(?P<name>[a-z0-9]+)(:(?P<domain>[^/%]+))?(/(?P<four>\d{1,2}))?(//(?P<six>\d{1,3}))?",
    re.IGNORECASE,
)
_NETWORK = re.compile(r"(?P<sign>[-+~?]?)ip[46]:(?P<network>[0-9a-f:./]+)", re.IGNORECASE)
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>.*)", re.IGNORECASE)


class NotCompilableError(Exception):
    """The record is wrong, too dear, or cannot be looked up; no part of it may be relied on."""


class NetworkCompiler:
    """Compiles records and keeps the results."""

    def __init__(self, resolver: IResolver, clock: Callable[[], float]) -> None:
        """Ready.

        @param clock: reactor seconds.
        """
        self._resolver = resolver
        self._clock = clock
        self._known: dict[str, SPFNetworks] = {}
        self._good: dict[str, tuple[float, SPFNetworks]] = {}

    async def networks_of(self, domain: str) -> SPFNetworks:
        """The networks that a domain lets pass; of a record that cannot be compiled none, and not whole."""
        now = self._clock()
        known = self._known.get(domain)
        if known is not None and known.expires > now:
            return known
        made = await self._compile(domain, now)
        if len(self._known) >= MAX_DOMAINS:
            self._known.clear()
            self._good.clear()
        self._known[domain] = made
        return made

    async def _compile(self, domain: str, now: float) -> SPFNetworks:
        """A fresh set, or the last good one while lookups fail; never asked for with each message."""
        compilation = _Compilation(self._resolver)
        try:
            is_whole = await compilation.add_record(domain)
        except NotCompilableError:
            return SPFNetworks((), False, compilation.is_published, max(now + RETRY, compilation.expires_or(now)))
        except TemporaryFailure:
            since, good = self._good.get(domain, (0.0, None))
            if good is not None and now - since < STALE:
                return replace(good, expires=now + RETRY)
            return SPFNetworks((), False, True, now + RETRY)
        expires = max(now + RETRY, compilation.expires_or(now))
        made = SPFNetworks(tuple(dict.fromkeys(compilation.networks)), is_whole, True, expires)
        self._good[domain] = now, made
        return made


@dataclass(slots=True)
class _Compilation:
    """One record under way.

    A term that does not pass hides those behind it, so nothing is taken from there on: the set is never too large.
    """

    resolver: IResolver
    networks: list[Network] = field(default_factory=list)
    expires: float = inf
    is_published: bool = True
    lookups: int = 0

    def expires_or(self, now: float) -> float:
        """When the first answer gets stale; now if there was none."""
        return self.expires if self.expires < inf else now

    async def add_record(self, domain: str) -> bool:
        """Take the networks of a record; whether they are all there are.

        @raise NotCompilableError: it is none, wrong, or too dear. @raise TemporaryFailure: a lookup failed.
        """
        texts = [text for (text,) in await self._ask(domain, RdataType.TXT) if _RECORD.match(text)]
        if not texts and not self.lookups:
            self.is_published = False
        if len(texts) != 1 or len(texts[0]) > MAX_TEXT:
            raise NotCompilableError(f"{domain} has {len(texts)} SPF records of a fair size")
        mechanisms, redirect = _parse(texts[0].decode("ascii", "replace"))
        is_whole = True
        for each in mechanisms:
            if each.name == "all":
                return is_whole and not each.passes
            if not each.passes:
                return False
            is_whole = await self._add_mechanism(each, domain) and is_whole
        if not redirect:
            return is_whole
        self._count()
        return "%" not in redirect and await self.add_record(redirect.lower()) and is_whole

    async def _add_mechanism(self, mechanism: _Mechanism, domain: str) -> bool:
        """Take the networks of one that passes; whether they are all there are."""
        if mechanism.network is not None:
            self.networks.append(mechanism.network)
            return True
        self._count()
        if not mechanism.is_a_set:
            return False
        target = (mechanism.domain or domain).lower().removesuffix(".")
        if mechanism.name == "include":
            return await self.add_record(target)
        for host in [target] if mechanism.name == "a" else await self._exchangers(target):
            await self._add_host(host, mechanism.four, mechanism.six)
        return True

    async def _exchangers(self, domain: str) -> list[str]:
        hosts = [name for _, name in await self._ask(domain, RdataType.MX) if name]
        if len(hosts) > MAX_HOSTS:
            raise NotCompilableError(f"{domain} has more than {MAX_HOSTS} exchangers")
        return hosts

    async def _add_host(self, host: str, four: int, six: int) -> None:
        for rdtype, length in ((RdataType.A, four), (RdataType.AAAA, six)):
            self.networks += [_network(f"{address}/{length}") for address in await self._ask(host, rdtype)]

    async def _ask(self, name: str, rdtype: RdataType) -> Values:
        answer = await self.resolver.lookup(name, rdtype)
        self.expires = min(self.expires, answer.expires)
        return known_from(answer).values

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise NotCompilableError("too many lookups")


class _Mechanism(Struct, frozen=True):
    """One mechanism of a record.

    @ivar passes: its qualifier is C{+}. @ivar is_a_set: addresses can say what it matches.
    @ivar four: length of the networks for IPv4, @ivar six: for IPv6.
    """

    name: str
    passes: bool
    domain: str = ""
    network: Network | None = None
    four: int = 32
    six: int = 128
    is_a_set: bool = True


def _parse(record: str) -> tuple[list[_Mechanism], str]:
    """The mechanisms of a record, and where it redirects to.

    @raise NotCompilableError: one of them is wrong, be it the last.
    """
    mechanisms: list[_Mechanism] = []
    modifiers: dict[str, str] = {}
    for term in record.split()[1:]:
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            mechanisms.append(_mechanism(term))
            continue
        name = modifier["name"].lower()
        if name in modifiers and name in ("redirect", "exp"):
            raise NotCompilableError(f"{name} more than once")
        modifiers[name] = modifier["value"]
    return mechanisms, modifiers.get("redirect", "")


def _mechanism(term: str) -> _Mechanism:
    passes = term[0] not in "-~?"
    if (network := _NETWORK.fullmatch(term)) is not None:
        return _Mechanism("ip", passes, network=_network(network["network"]))
    name = re.split(r"[:/]", term.lstrip("-+~?"), maxsplit=1)[0].lower()
    match = _TERM.fullmatch(term)
    if name in ("ptr", "exists") or (name in ("a", "mx", "include") and "%" in term):
        return _Mechanism(name, passes, is_a_set=False)
    if match is None or name not in ("a", "mx", "include", "all"):
        raise NotCompilableError(f"{term} is no mechanism")
    if (name == "include" and not match["domain"]) or (name == "all" and term[-3:].lower() != "all"):
        raise NotCompilableError(f"{term} is wrong")
    return _Mechanism(name, passes, match["domain"] or "", None, int(match["four"] or 32), int(match["six"] or 128))


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise NotCompilableError(str(error)) from None
