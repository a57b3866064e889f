"""HELO names that are missing, a bare address, or one of our own (seed-spec C01 to C05)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from zope.interface import implementer

from twistedmilter.interfaces.checks import IHeloCheck, IMailCheck
from twistedmilter.model.check_settings import HeloSettings
from twistedmilter.model.transaction import Connection, Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.address_set import folded_domain, parents

_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)


def is_bare_address(helo: str) -> bool:
    """Whether a HELO name is an address without the brackets of RFC 5321 section 4.1.3.

    Each octet is 0 to 255, zero included (LL-22); C{999.1.1.1} is an odd name, not an address.
    """
    name = helo.removesuffix(".")
    if _QUAD.fullmatch(name):
        return all(int(octet) <= 255 for octet in name.split("."))
    if ":" not in name:
        return False
    try:
        IPv6Address(name)
    except AddressValueError:
        return False
    return True


@implementer(IHeloCheck, IMailCheck)
@dataclass(eq=False)
class HeloCheck:
    """Refuses what a stranger's HELO name cannot be; clients of ours, relays and AUTH are exempt (C03).

    Reason codes: C{helo-numeric} (C02), C{helo-own-name} (C04), C{helo-missing} (C05).
    """

    settings: HeloSettings
    name: str = "helo"
    local: bool = True
    _names: frozenset[str] = field(init=False)
    _parents: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Fold our names once; those with a leading dot are kept without it."""
        names = [entry.strip() for entry in self.settings.our_names if entry.strip()]
        self._names = frozenset(folded_domain(entry) for entry in names if not entry.startswith("."))
        self._parents = frozenset(folded_domain(entry[1:]) for entry in names if entry.startswith("."))

    async def check_helo(self, connection: Connection) -> Verdict | None:
        """Refuse a bare address and a name of ours."""
        if not connection.is_external:
            return None
        helo = connection.helo.strip()
        if self.settings.refuse_numeric and is_bare_address(helo):
            return Refuse(Reason("helo-numeric", f"HELO {helo} is a bare address; say your host name, or [{helo}]"))
        if self._is_ours(helo, connection.own_name):
            return Refuse(Reason("helo-own-name", f"HELO {helo} is a name of ours, not yours"))
        return None

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Refuse a transaction without HELO or EHLO (RFC 5321 section 4.1.4)."""
        connection = transaction.connection
        if not self.settings.require or connection.helo.strip() or not connection.is_external:
            return None
        return Refuse(Reason("helo-missing", "say HELO or EHLO before MAIL"))

    def _is_ours(self, helo: str, own_name: str) -> bool:
        name = folded_domain(helo)
        if not name:
            return False
        return (
            name in self._names
            or name == folded_domain(own_name)
            or any(parent in self._parents for parent in parents(name))
        )
