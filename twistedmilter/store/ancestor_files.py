"""Reading what pymilter's bms kept: its caches of addresses, its bans and its greylist (I01 to I05, S04, M05)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from urllib.parse import unquote

from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import CallbackAnswer, GreylistEntry, SenderEntry
from twistedmilter.model.durations import DAY
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.checks.greylist import domain_key, triplet_key
from twistedmilter.policy.networks import plain

CALLBACK_DAYS = 7  # I03, I04
WHITELIST_DAYS = 60  # I04
BLACKLIST_DAYS = 30  # I04
GENERATIONS = 8  # the live file and seven that were rotated, one a week, were in force (S04)
LONGEST_NAME = 320  # RFC 5321 section 4.5.3.1
LAST_SECOND = 253_402_300_800.0  # the year 10000

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STAMP = re.compile(r"(\d{4})([A-Z][a-z]{2})(\d{1,2}) (\d\d):(\d\d):(\d\d) (\S+)")
# Hours east of Greenwich.  Another zone is taken for Greenwich: half a day does not matter where days are counted.
_ZONES: Mapping[str, int] = MappingProxyType(
    {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
    | {"BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "JST": 9}
)
# RFC 1123 section 2.1, with the underscore that is seen; at least two labels, the last no number (RFC 3696 section 2).
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}$)(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_LITERAL = re.compile(r"\[[0-9a-z.:]+\]")
_CSV_HEADINGS = ("ip,", '"ip",')
_FILE_NAME = re.compile(
    r"(send_dsn|auto_whitelist|blacklist|banned_ips|banned_domains|whitelist_ips|greylist)"
    r"[^/.]*(?:\.(?:log|csv|txt|db|sqlite3?))?(?:\.(?P<generation>\d{1,3})|\.old|-\d{8})?(?:\.gz)?"
)


@dataclass
class Found:
    """What was in files.

    @ivar senders: entries by list: C{whitelist}, C{blacklist}, C{bans}, C{never_banned}.
    @ivar greylist: by the key of the check C{greylist}; of each its C{accepted} and times are known.
    @ivar expired: lines that no longer held.
    @ivar troubles: what could not be read, each with its file and line.
    """

    answers: list[CallbackAnswer] = field(default_factory=list)
    senders: dict[str, list[SenderEntry]] = field(default_factory=dict)
    greylist: list[tuple[str, GreylistEntry]] = field(default_factory=list)
    expired: int = 0
    troubles: list[str] = field(default_factory=list)

    def add(self, which: str, entry: SenderEntry) -> None:
        """Add an entry of a list."""
        self.senders.setdefault(which, []).append(entry)


def kind_of(file_name: str) -> tuple[str, int]:
    """What a file is by its name, and which generation: 0 is the live one.

    @raise ValueError: the name says nothing.
    """
    match = _FILE_NAME.fullmatch(file_name)
    if match is None:
        raise ValueError(f"{file_name!r} does not say what it is; one of {', '.join(KINDS)}")
    return match[1], int(match["generation"] or 0)


def read_lines(found: Found, kind: str, lines: Iterable[str], *, source: str, generation: int, now: float) -> None:
    """Read a file into what was found.

    @param kind: one of L{KINDS}, as in L{kind_of}.
    @param source: its name, for what is told of it.
    @param now: wall clock. [seconds since the epoch]
    """
    read = KINDS[kind]
    for number, line in enumerate(lines, 1):
        text = line.strip()
        is_heading = kind == "greylist" and text.lower().startswith(_CSV_HEADINGS)
        if text and not text.startswith("#") and not is_heading:
            try:
                read(found, text, _Context(source, generation, now))
            except ValueError as error:
                found.troubles.append(f"{source}:{number}: {error}")


@dataclass(frozen=True, slots=True)
class _Context:
    source: str
    generation: int
    now: float


def stamp_of(text: str) -> float:
    """The time that a line was written.

    @param text: C{YYYYMonDD HH:MM:SS TZ} (I01).
    @return: seconds since the epoch.
    @raise ValueError: it is none.
    """
    match = _STAMP.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not a time")
    year, day, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    zone = timezone(timedelta(hours=_ZONES.get(match[7], 0)))
    return datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=zone).timestamp()


def _split(text: str) -> tuple[str, float | None]:
    """Name and time; None stands for a line that a person wrote (I02).

    @raise ValueError: it does not begin with an address or a domain, or what follows is no time.
    """
    name, _, stamp = text.partition(" ")
    return _sender_name(name), stamp_of(stamp.strip()) if stamp.strip() else None


def _sender_name(text: str) -> str:
    """An address, or a domain for all addresses in it, as senders are looked for.

    @raise ValueError: it is neither; a stray word would be taken for a domain that nobody has.
    """
    local, at, domain = text.rpartition("@")
    folded = folded_domain(domain)
    is_literal = bool(at) and _LITERAL.fullmatch(folded) is not None
    is_sound = text.isprintable() and len(text) <= LONGEST_NAME and bool(local) == bool(at)
    if not is_sound or not (is_literal or _DOMAIN.fullmatch(folded)):
        raise ValueError(f"{text[:LONGEST_NAME]!r} is neither an address nor a domain")
    return f"{local.lower()}{at}{folded}"


def _domain_name(text: str) -> str:
    """A domain.

    @raise ValueError: it is none.
    """
    name = "" if "@" in text else _sender_name(text)
    if not name:
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not a domain")
    return name


def _answer(found: Found, text: str, context: _Context) -> None:
    """C{send_dsn.log}: senders that took a callback or a DSN; one that failed was never written."""
    name, stamp = _split(text)
    stored = context.now if stamp is None else stamp
    answer = CallbackAnswer(name, CallbackResult.VALID, context.source, stored, stored + CALLBACK_DAYS * DAY)
    if answer.expires <= context.now:
        found.expired += 1
    else:
        found.answers.append(answer)


def _sender(which: str, days: float) -> Callable[[Found, str, _Context], None]:
    """C{auto_whitelist.log}, C{blacklist.log}: without a time an entry was as good as new at each start (I02, I10)."""

    def read(found: Found, text: str, context: _Context) -> None:
        name, stamp = _split(text)
        expires = None if stamp is None else stamp + days * DAY
        if expires is not None and expires <= context.now:
            found.expired += 1
        else:
            found.add(which, SenderEntry(name, context.source, context.now if stamp is None else stamp, expires))

    return read


def _ban_ends(context: _Context) -> float:
    """A line went when its file had been rotated often enough (S04)."""
    return context.now + max(1, GENERATIONS - context.generation) * 7 * DAY


def _banned_ip(found: Found, text: str, context: _Context) -> None:
    address = str(plain(ip_address(text.split(maxsplit=1)[0])))
    found.add("bans", SenderEntry(address, context.source, context.now, _ban_ends(context)))


def _banned_domain(found: Found, text: str, context: _Context) -> None:
    name = text.split(maxsplit=1)[0]
    wildcard = "*." if name.startswith("*.") else ""
    domain = _domain_name(name.removeprefix(wildcard))
    found.add("blacklist", SenderEntry(wildcard + domain, context.source, context.now, _ban_ends(context)))


def _spared_ip(found: Found, text: str, context: _Context) -> None:
    name = text.split(maxsplit=1)[0]
    address = str(ip_network(name, strict=False) if "/" in name else ip_address(name))
    found.add("never_banned", SenderEntry(address, context.source, context.now))


def _contact(found: Found, text: str, _: _Context) -> None:
    """One line of CSV: ip, sender, recipient, firstseen, lastseen, cnt, umis."""
    [row] = csv.reader([text])
    if len(row) < 6:
        raise ValueError("a line has ip, sender, recipient, firstseen, lastseen, cnt")
    take_contact(found, row[:3], (float(row[3]), float(row[4]), int(row[5])))


def take_contact(found: Found, triple: Iterable[str], known: tuple[float, float, int]) -> None:
    """Add a greylisting entry.

    Of a domain only one that was accepted counts, and it counts for all its senders.

    @param triple: network or domain, sender, recipient; percent-encoded in the ancestor's hash files.
    @param known: first and last seen [seconds since the epoch], and how often it was accepted.
    @raise ValueError: it cannot be one.
    """
    origin, sender, recipient = (unquote(part).strip().strip("<>").lower() for part in triple)
    first_seen, last_seen, accepted = known
    if not 0 < first_seen <= last_seen < LAST_SECOND or accepted < 0:
        raise ValueError("its times are in no order")
    if any(len(part) > LONGEST_NAME for part in (origin, sender, recipient)):
        raise ValueError("not an address")
    entry = GreylistEntry(first_seen, last_seen, accepted + 1, accepted)
    key = _greylist_key(origin, sender, recipient)
    if accepted or not key.startswith("domain "):
        found.greylist.append((key, entry))


def _greylist_key(origin: str, sender: str, recipient: str) -> str:
    """The key of the check C{greylist}.

    @raise ValueError: C{origin} is neither a network nor a domain.
    """
    octets = origin.rstrip(".")
    if re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", octets):  # a network, written without its last octet
        octets += ".0"
    try:
        return triplet_key(ip_address(octets), sender, recipient)
    except ValueError:
        return domain_key(_domain_name(origin))


KINDS: Mapping[str, Callable[[Found, str, _Context], None]] = MappingProxyType(
    {
        "send_dsn": _answer,
        "auto_whitelist": _sender("whitelist", WHITELIST_DAYS),
        "blacklist": _sender("blacklist", BLACKLIST_DAYS),
        "banned_ips": _banned_ip,
        "banned_domains": _banned_domain,
        "whitelist_ips": _spared_ip,
        "greylist": _contact,
    }
)
