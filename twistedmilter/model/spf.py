"""The outcome of one SPF evaluation (RFC 7208 section 2.6) and the header that tells of it."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct


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


class SPFOutcome(Struct, frozen=True):
    """What check_host() said and of whom.

    @ivar identity: which identity was judged; for a null reverse-path it is HELO.
    @ivar sender: the mailbox that was judged, C{postmaster@} put in front of a bare domain.
    @ivar domain: the domain whose record was evaluated; lower case.
    @ivar explanation: the domain's own text on fail (exp=), or empty; hostile text.
    @ivar problem: what was wrong on permerror and temperror, or empty.
    @ivar correction: on permerror, what the directive that is wrong was probably meant to be, or empty.
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
    correction: str = ""


class Reading(Struct, frozen=True):
    """How else than RFC 7208 wants the record of a domain may be read; one of the four.

    @ivar record: this record instead of the published one (seed-spec E06, E09, E10).
    @ivar delegate: the record at C{domain._spf.DELEGATE} instead of the published one (E14).
    @ivar is_lax: go on past the mistakes of the record, if possible (E02, E07).
    @ivar is_hopeful: where a lookup fails, take what is best for the sender: what it can still be given (E25).
    """

    record: str = ""
    delegate: str = ""
    is_lax: bool = False
    is_hopeful: bool = False


_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_QUOTED_IN_STRING = re.compile(r'(["\\])')
_QUOTED_IN_COMMENT = re.compile(r"([()\\])")
_MAX_VALUE = 400  # characters of one value or comment; a field line is at most 998 octets (RFC 5322 section 2.1.1)
_COMMENTS = {
    SPFResult.PASS: "{domain} designates {ip} as permitted sender",
    SPFResult.FAIL: "{domain} does not designate {ip} as permitted sender",
    SPFResult.SOFTFAIL: "transitioning {domain} does not designate {ip} as permitted sender",
    SPFResult.NEUTRAL: "{ip} is neither permitted nor denied by {domain}",
    SPFResult.NONE: "{ip} is neither permitted nor denied by {domain}",
    SPFResult.PERMERROR: "permanent error in processing {domain}: {problem}",
    SPFResult.TEMPERROR: "temporary error in looking up {domain}: {problem}",
}


def _printable(text: str) -> str:
    if len(text) <= _MAX_VALUE and text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_VALUE])


@lru_cache(maxsize=1024)  # names of hosts and mechanisms come again and again
def _value(text: str) -> str:
    """A value of RFC 7208 section 9.1: a dot-atom, or a quoted-string."""
    if len(text) <= _MAX_VALUE and _DOT_ATOM.fullmatch(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    text = _printable(text)
    if '"' in text or "\\" in text:
        text = _QUOTED_IN_STRING.sub(r"\\\1", text)
    return f'"{text}"'


def _comment(text: str) -> str:
    text = _printable(text)
    if "(" in text or ")" in text or "\\" in text:
        text = _QUOTED_IN_COMMENT.sub(r"\\\1", text)
    return f"({text})"


def received_spf(
    outcome: SPFOutcome, *, ip: IPv4Address | IPv6Address, helo: str, mail_from: str, receiver: str
) -> str:
    """The value of a Received-SPF field, folded (RFC 7208 section 9.1, seed-spec E15 and 3.7).

    @param mail_from: the reverse-path without brackets; empty for the null one.
    @param receiver: our own host name.
    """
    client = str(ip)
    comment = _COMMENTS[outcome.result].format(
        domain=outcome.domain or "the domain", ip=client, problem=outcome.problem
    )
    comment = _comment(f"{receiver or 'unknown'}: {comment}")
    told = [
        f"{outcome.result} {comment}\n\tclient-ip={client if ip.version == 4 else _quoted(client)}",
        f"envelope-from={_quoted(mail_from or '<>')}",
    ]
    if helo:
        told.append(f"helo={_value(helo)}")
    told.append(f"identity={outcome.identity}")
    others = (("receiver", receiver), ("mechanism", outcome.mechanism), ("problem", outcome.problem))
    told += [f"{key}={_value(value)}" for key, value in others if value]
    return ";\n\t".join(told)
