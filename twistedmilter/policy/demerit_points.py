"""How many demerits a client earns with what it does on one connection (seed-spec S01, C07, C08, L03, F07)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from twistedmilter.model.record import Record
from twistedmilter.model.transaction import IPAddress
from twistedmilter.model.verdict import Refuse
from twistedmilter.policy.acting import BAN

UNKNOWN_RECIPIENT: Final = "recipient-unknown"
BANNED: Final = "client-banned"
_STRIKES: Final = "three-strikes"
_HELO: Final = "helo-"  # what the codes of the helo check begin with
_SPF: Final = "spf-"

REFUSAL: Final = 1
BLACKLISTED: Final = 2
NEW_HELO: Final = 2  # C07
BAN_WORD: Final = 3  # F07
BAD_HELO: Final = 4  # C08
STRIKES_MINIMUM: Final = 2  # S01
_POINTS: Final = {"sender-blacklisted": BLACKLISTED, BANNED: 0}


@dataclass(slots=True)
class Account:
    """The demerits of one connection.

    @ivar ip: the client's address. @ivar points: their sum. @ivar causes: how often which cause gave some.
    @ivar is_closed: the client was banned, or may not be; nothing is added any more.
    """

    ip: IPAddress
    points: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    is_closed: bool = False
    _helo: str | None = None
    _bad_helos: set[tuple[str, str]] = field(default_factory=set)

    def add(self, cause: str, points: int) -> None:
        """Give some demerits."""
        if points > 0:
            self.points += points
            self.causes[cause] = self.causes.get(cause, 0) + 1

    def mail_began(self, helo: str) -> None:
        """Remember under which name it sends mail."""
        self._helo = helo if self._helo is None else self._helo

    def greeted(self, helo: str) -> None:
        """C07: another name after MAIL; the same again is the right of the client (RFC 5321 section 4.1.4)."""
        if self._helo is not None and helo.lower() != self._helo.lower():
            self._helo = helo
            self.add("another HELO after MAIL", NEW_HELO)

    def count(self, record: Record) -> None:
        """Add what a transaction that ended has earned.

        Only refusals that the client really got count, each reason once a transaction; unknown recipients count one by
        one, a bad HELO name once a connection.  A refusal by SPF counts only beside others: most of those senders are
        forwarders.
        """
        refusals = _refusals(record)
        if not refusals:
            return
        banned_for = {fact.value for fact in record.evidence if fact.name == BAN}
        # SPF last: whether it counts depends on the others
        for code in sorted(refusals, key=lambda each: each.startswith(_SPF)):
            if code in banned_for:
                self.add(f"{code}, BAN", BAN_WORD)
            elif code == UNKNOWN_RECIPIENT:
                for _ in range(refusals[code]):
                    self.add(code, REFUSAL)
            elif code.startswith(_HELO):
                self._count_helo(code, record.helo.lower())
            elif code == _STRIKES:
                self.add(code, STRIKES_MINIMUM - self.points)
            elif not code.startswith(_SPF) or self.points:
                self.add(code, _POINTS.get(code, REFUSAL))

    def _count_helo(self, code: str, helo: str) -> None:
        if (code, helo) not in self._bad_helos:
            self._bad_helos.add((code, helo))
            self.add(code, BAD_HELO)

    def __str__(self) -> str:
        """The account as one line for people."""
        causes = ", ".join(f"{cause} ({count})" if count > 1 else cause for cause, count in self.causes.items())
        return f"{self.points} demerits: {causes}"


def _refusals(record: Record) -> dict[str, int]:
    """The reason codes that the client was refused for, with how many recipients each."""
    codes: dict[str, int] = {}
    for each in record.recipients:
        if each.word == Refuse.word:
            codes[each.code] = codes.get(each.code, 0) + 1
    verdict = record.decision.verdict
    if isinstance(verdict, Refuse):
        codes.setdefault(verdict.reason.code, 1)
    return codes
