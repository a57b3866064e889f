"""Authenticated users that write to too many: mostly somebody else who has their password."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import Struct
from zope.interface import implementer

from twistedmilter.interfaces.checks import IEndOfMessageCheck, IRcptCheck
from twistedmilter.model.address import parse_path
from twistedmilter.model.conduct_settings import OutgoingSettings
from twistedmilter.model.durations import HOUR
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.model.verdict import Hold, Reason, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.hourly_count import HourlyCount

OVER: Final = "outgoing-over-limit"
MAX_TOLD: Final = 10_000  # limits whose excess is remembered as told
LOCKED: Final = "over_limit"  # the name of the evidence


class Limit(Struct, frozen=True):
    """One of the limits that a recipient counts for.

    @ivar whose: C{user alice} or C{domain example.com}. @ivar most: recipients in an hour.
    """

    whose: str
    most: int


@implementer(IRcptCheck, IEndOfMessageCheck)
@dataclass(eq=False)
class OutgoingCheck:
    """Counts the recipients of authenticated users, by user and by sender domain.

    Over a limit each further recipient is told to come back (451 4.7.1), which counts for nothing, or, with
    C{over_limit = "hold"}, the message is held with all its recipients.  The administrator is told once an hour and
    limit.  The null reverse-path has no domain; test transactions do not count.

    Evidence: C{over_limit}.  Reason code: C{outgoing-over-limit}.

    @ivar exempt: users without limits. @ivar clock: monotonic seconds.
    @ivar tell: tells the administrator: reference, where, one line.
    """

    settings: OutgoingSettings
    exempt: AddressSet
    clock: Callable[[], float]
    tell: Callable[[str, str, str], None]
    name: str = "outgoing"
    local: bool = True
    _counts: HourlyCount = field(default_factory=HourlyCount)
    _told: dict[str, float] = field(default_factory=dict)

    async def check_rcpt(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        """Count one recipient, or send it away."""
        if recipient.refused_by_mta or transaction.connection.is_test:
            return None
        limits = list(self._limits(transaction))
        now = self.clock()
        exceeded = next((each for each in limits if self._counts.total(each.whose, now) >= each.most), None)
        if exceeded is not None:
            self._exceed(transaction, exceeded, now)
            if self.settings.over_limit == "tempfail":
                return TempFail(_reason(exceeded))
        for each in limits:
            self._counts.add(each.whose, now)
        return None

    async def check_end_of_message(self, transaction: Transaction) -> Verdict | None:
        """Hold a message that went over a limit."""
        if self.settings.over_limit != "hold":
            return None
        over = next((fact.value for fact in transaction.evidence if (fact.check, fact.name) == (self.name, LOCKED)), "")
        return Hold(Reason(OVER, over)) if over else None

    def _limits(self, transaction: Transaction) -> Iterator[Limit]:
        user = _user(transaction.connection)
        if not user or self.exempt.match(parse_path(user)) is not None:
            return
        yield Limit(f"user {user}", self.settings.per_user)
        if transaction.mail_from.domain:
            yield Limit(f"domain {transaction.mail_from.domain}", self.settings.per_domain)

    def _exceed(self, transaction: Transaction, limit: Limit, now: float) -> None:
        text = _reason(limit).text
        if not any(fact.name == LOCKED and fact.check == self.name for fact in transaction.evidence):
            transaction.note(self.name, LOCKED, text)
        last = self._told.get(limit.whose)
        if last is not None and now - last < HOUR:
            return
        self._told.pop(limit.whose, None)
        if len(self._told) >= MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._told[limit.whose] = now
        client = transaction.connection.client
        self.tell(transaction.id, self.name, f"{text}; last seen at {client.ip or client.address}")


def parse_users(entries: Sequence[str], base_dir: Path) -> AddressSet:
    """The users of C{exempt}: where another list has a domain, a bare word is a user, as MTAs know them.

    @raise ValueError: as in L{AddressSet.parse}.
    """
    words = (entry.strip() for entry in entries)
    bare = re.compile(r"!?[^@:<>.*][^@:<>]*")
    return AddressSet.parse([f"{word}@" if bare.fullmatch(word) else word for word in words], base_dir)


def _user(connection: Connection) -> str:
    """The authenticated user in lower case; empty if there is none."""
    if connection.client_class is not ClientClass.AUTHENTICATED:
        return ""
    return (connection.macro("{auth_authen}") or "").lower()


def _reason(limit: Limit) -> Reason:
    return Reason(OVER, f"{limit.whose} has written to {limit.most} recipients within an hour, which is the limit")
