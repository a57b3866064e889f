"""Reverse DNS of the client: evidence by RFC 8601 section 3, and names that cannot be (seed-spec B06, B07)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from math import inf
from typing import Final

import dns.rdatatype
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IConnectCheck
from twistedmilter.interfaces.dns import Answer, AnswerStatus, IResolver
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.check_settings import IprevSettings
from twistedmilter.model.transaction import Connection, IPAddress
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.networks import plain
from twistedmilter.policy.remembered import Remembered

NAME = "iprev"
MAX_NAMES = 10  # PTR names that are looked at, as RFC 7208 section 4.6.4 limits them
MAX_CLIENTS: Final = 5_000  # whose names are remembered


@dataclass(frozen=True)
class ReverseName:
    """What reverse DNS says of an address.

    @ivar result: C{pass}, C{fail}, C{temperror} or C{permerror} (RFC 8601 section 2.7.3).
    @ivar names: the PTR names, lower case without the trailing dot; the root is C{.}.
    @ivar confirmed: the name that leads back to the address, or empty.
    @ivar problem: what went wrong, or empty.
    @ivar expires: reactor seconds after which the answers are stale; 0 where some could not be had.
    """

    result: str
    names: tuple[str, ...] = ()
    confirmed: str = ""
    problem: str = ""
    expires: float = 0.0


async def reverse_name(ip: IPAddress, resolver: IResolver) -> ReverseName:
    """Look up the names of an address and which of them leads back to it."""
    ip = plain(ip)
    try:
        answer = await resolver.lookup(ip.reverse_pointer, dns.rdatatype.PTR)
    except TemporaryFailure as failure:
        return ReverseName("temperror", problem=str(failure))
    names = tuple(record.to_text().lower().rstrip(".") or "." for record in answer.records[:MAX_NAMES])
    expires = answer.expires
    if not names:
        return ReverseName("permerror", problem="no PTR record", expires=expires)
    problems: list[str] = []
    any_address = False
    for name in names:
        try:
            answer = await _lookup_address(name, ip, resolver)
        except TemporaryFailure as failure:
            problems.append(str(failure))
            continue
        expires = min(expires, answer.expires)
        addresses = _addresses_in(answer)
        if ip in addresses:
            return ReverseName("pass", names, confirmed=name, expires=0.0 if problems else expires)
        any_address = any_address or bool(addresses)
    if problems:
        return ReverseName("temperror", names, problem="; ".join(problems))
    if any_address:
        return ReverseName("fail", names, problem="the PTR name has other addresses", expires=expires)
    return ReverseName("permerror", names, problem="the PTR name has no address", expires=expires)


async def addresses_of(name: str, ip: IPAddress, resolver: IResolver) -> set[IPAddress]:
    """The addresses of a name, in the family of C{ip}.

    @raise TemporaryFailure: they cannot be looked up now.
    """
    return _addresses_in(await _lookup_address(name, ip, resolver))


async def _lookup_address(name: str, ip: IPAddress, resolver: IResolver) -> Answer:
    rdtype = dns.rdatatype.A if ip.version == 4 else dns.rdatatype.AAAA
    if name == ".":
        return Answer(name, rdtype, AnswerStatus.NODATA, (), inf)
    return await resolver.lookup(name, rdtype)


def _addresses_in(answer: Answer) -> set[IPAddress]:
    return {ip_address(record.to_text()) for record in answer.records}


def recorded_name(connection: Connection) -> ReverseName | None:
    """What the check recorded of the client's reverse name; None if it did not, or not yet."""
    facts = {fact.name: fact.value for fact in connection.evidence if fact.check == NAME}
    if "result" not in facts:
        return None
    result, names = facts["result"], tuple(facts.get("names", "").split())
    confirmed = names[0] if result == "pass" and names else ""
    return ReverseName(result, names, confirmed, facts.get("problem", ""))


def is_impossible(name: str, ip: IPAddress) -> bool:
    """Whether a client at this address cannot have this name: the root, or localhost elsewhere (B06, B07)."""
    folded = name.strip().lower()
    if folded == ".":
        return True
    return folded.rstrip(".") in {"localhost", "localhost.localdomain"} and not plain(ip).is_loopback


@implementer(IConnectCheck)
@dataclass(frozen=True, eq=False)
class IprevCheck:
    """Records the C{iprev} result of a stranger; refuses an impossible name only.

    The name that the MTA reports is judged without the DNS, those of the PTR records once they are known.
    Reason code: C{impossible-ptr}, 5.7.25 of RFC 7372 (the ancestor said 5.7.1, seed-spec 8.2).

    @ivar resolver: None: only the MTA's name is judged and nothing is recorded.
    @ivar clock: reactor seconds.
    """

    settings: IprevSettings
    resolver: IResolver | None
    clock: Callable[[], float]
    name: str = NAME
    local: bool = False
    _known: Remembered[IPAddress, ReverseName] = field(init=False, default_factory=lambda: Remembered(MAX_CLIENTS))

    async def check_connect(self, connection: Connection) -> Verdict | None:
        """Judge the client's names."""
        ip = connection.client.ip
        if ip is None or not connection.is_external:
            return None
        if is_impossible(connection.client.name, ip):
            return _refusal(connection.client.name, ip)
        if self.resolver is None:
            return None
        found = self._known.get(ip, self.clock())
        if found is None:
            found = await reverse_name(ip, self.resolver)
            if found.expires:
                self._known.put(ip, found, found.expires)
        self._record(connection, ip, found)
        impossible = [name for name in found.names if is_impossible(name, ip)]
        return _refusal(impossible[0], ip) if impossible else None

    def _record(self, connection: Connection, ip: IPAddress, found: ReverseName) -> None:
        connection.auth_results.append(AuthResult("iprev", found.result, (("policy.iprev", str(ip)),)))
        connection.note(self.name, "result", found.result)
        if found.names:
            connection.note(self.name, "names", found.confirmed or " ".join(found.names))
        if found.problem:
            connection.note(self.name, "problem", found.problem)


def _refusal(name: str, ip: IPAddress) -> Refuse:
    return Refuse(Reason("impossible-ptr", f"{ip} cannot have the name {name}"), status="5.7.25")
