"""The outcome of one SPF evaluation (RFC 7208 section 2.6) and the header that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SPFResult(StrEnum):
    """The seven results of RFC 7208 section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a result word
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Identity(StrEnum):
    """Which name was judged (RFC 7208 section 2.3 and 2.4)."""

    MAIL_FROM = "mailfrom"
    HELO = "helo"


@dataclass(frozen=True, slots=True)
class SPFOutcome:
    """What check_host() said and of whom.

    @ivar identity: which identity was judged; for a null reverse-path it is HELO.
    @ivar sender: the mailbox that was judged, C{postmaster@} put in front of a bare domain.
    @ivar domain: the domain whose record was evaluated; lower case.
    @ivar explanation: the domain's own text on fail (exp=), or empty; hostile text.
    @ivar problem: what was wrong on permerror and temperror, or empty.
    @ivar mechanism: the directive that matched, e.g. C{ip4:192.0.2.0/24}, or empty.
    @ivar record: the SPF record of the domain as text, or empty.
    @ivar lookups: the DNS questions and answers used, one text each, for the record.
    """

    result: SPFResult
    identity: Identity
    sender: str
    domain: str
    explanation: str = ""
    problem: str = ""
    mechanism: str = ""
    record: str = ""
    lookups: tuple[str, ...] = ()
