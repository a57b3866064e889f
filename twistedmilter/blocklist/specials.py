"""Lines of a zone file that begin with a dollar sign: what holds for the file or the zone.

@see: rbldnsd(8), "Special Entries".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from twistedmilter.blocklist.answer_text import Default
from twistedmilter.blocklist.listing import cleaned
from twistedmilter.blocklist.problems import LineError
from twistedmilter.blocklist.zone import Head, Soa

MAX_TTL: Final = 7 * 86_400  # seconds
_UNITS: Final[Mapping[bytes, int]] = {b"": 1, b"s": 1, b"m": 60, b"h": 3_600, b"d": 86_400, b"w": 604_800}
_SPAN: Final = re.compile(rb"(?:[0-9]{1,9}[smhdw]?)+", re.IGNORECASE)
_SPAN_PART: Final = re.compile(rb"([0-9]+)([smhdw]?)", re.IGNORECASE)
_STAMP: Final = re.compile(rb"(\d{4})[:-]?(\d\d)[:-]?(\d\d)(?:[:-]?(\d\d)(?:[:-]?(\d\d)(?:[:-]?(\d\d))?)?)?")
_KNOWN: Final = "known are $SOA, $NS, $TTL, $TIMESTAMP, $MAXRANGE4, $= and $0 to $9"


class Scope:
    """What one file says about itself; entries are read with it.

    @ivar default: of entries that say nothing themselves. @ivar ttl: seconds; None: the file does not say.
    @ivar variables: C{$0} to C{$9} and C{$=}, by their last octet. @ivar widest: IPv4 addresses of one entry at most.
    """

    def __init__(self, default: Default) -> None:
        """Start as the file does."""
        self.default = default
        self.ttl: int | None = None
        self.variables: dict[bytes, bytes] = {}
        self.widest = 2**32
        self.soa: Soa | None = None
        self.nameservers: tuple[tuple[bytes, ...], ...] = ()
        self.nameserver_ttl = 0
        self.made = 0.0
        self.expires = 0.0

    def head(self) -> Head:
        """What the file says about its zone."""
        return Head(self.soa, self.nameservers, self.nameserver_ttl, self.made, self.expires)

    def read(self, line: bytes) -> None:
        """Take one line in; it begins with the dollar sign.

        @raise LineError: it cannot be read.
        """
        word, *rest = line.split(None, 1)
        text = rest[0].strip() if rest else b""
        name = word[1:].upper()
        if len(name) == 1 and name in b"0123456789=":
            self.variables.setdefault(name, cleaned(text.replace(b"\t", b" ")))
            return
        reader = _READERS.get(name)
        if reader is None:
            raise LineError(f"{word.decode('ascii', 'replace')} is not known", _KNOWN, 1)
        reader(self, text.split())


def parse_span(text: bytes) -> int:
    """Seconds of C{300}, C{5m}, C{1h30m}.

    @raise LineError: it is no time.
    """
    if _SPAN.fullmatch(text) is None:
        raise LineError(f"{text.decode('ascii', 'replace')!r} is no time", "write 300, 5m, 2h, 1d or 1w")
    return sum(int(count) * _UNITS[unit.lower()] for count, unit in _SPAN_PART.findall(text))


def parse_stamp(text: bytes) -> float:
    """Seconds since the epoch of C{2026-11-24}, C{2026:11:24:10:30} and the like, in UTC; C{0} and C{-} are 0.

    @raise LineError: it is no date.
    """
    if text in {b"0", b"-"}:
        return 0.0
    form = _STAMP.fullmatch(text)
    try:
        if form is not None:
            year, month, day, hour, minute, second = (int(part or 0) for part in form.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        pass
    raise LineError(f"{text.decode('ascii', 'replace')!r} is no date", "write 2026-11-24 or 2026-11-24:10:30, in UTC")


def _labels(text: bytes) -> tuple[bytes, ...]:
    return tuple(label for label in text.lower().split(b".") if label)


def _read_soa(scope: Scope, words: list[bytes]) -> None:
    if len(words) != 8 or not words[3].isdigit():
        raise LineError("the SOA is not complete", "write $SOA ttl primary mailbox serial refresh retry expire minimum")
    ttl, refresh, retry, expire, minimum = (parse_span(word) for word in (words[0], *words[4:]))
    if scope.soa is None:  # the first one holds
        serial = int(words[3]) % 2**32
        scope.soa = Soa(_labels(words[1]), _labels(words[2]), serial, refresh, retry, expire, minimum, ttl)


def _read_ns(scope: Scope, words: list[bytes]) -> None:
    if len(words) < 2:
        raise LineError("a name server is missing", "write $NS ttl name name...")
    ttl = parse_span(words[0])
    if not scope.nameservers:
        scope.nameserver_ttl = ttl
        scope.nameservers = tuple(_labels(word) for word in words[1:] if not word.startswith(b"-"))


def _read_ttl(scope: Scope, words: list[bytes]) -> None:
    if len(words) != 1:
        raise LineError("one time is needed", "write $TTL 1h")
    scope.ttl = min(parse_span(words[0]), MAX_TTL)


def _read_timestamp(scope: Scope, words: list[bytes]) -> None:
    if not 1 <= len(words) <= 2:
        raise LineError("one date or two are needed", "write $TIMESTAMP 2026-11-24 +7d")
    scope.made = parse_stamp(words[0])
    if len(words) == 2:
        relative = words[1].startswith(b"+")
        scope.expires = scope.made + parse_span(words[1][1:]) if relative else parse_stamp(words[1])


def _read_widest(scope: Scope, words: list[bytes]) -> None:
    text = words[0] if len(words) == 1 else b""
    number = text.removeprefix(b"/")
    if not number.isdigit() or len(number) > 10 or (text != number and int(number) > 32):
        raise LineError("one number is needed", "write $MAXRANGE4 256 or $MAXRANGE4 /24")
    scope.widest = min(scope.widest, 2 ** (32 - int(number)) if text != number else int(number))


_READERS: Final[Mapping[bytes, Callable[[Scope, list[bytes]], None]]] = {
    b"SOA": _read_soa,
    b"NS": _read_ns,
    b"TTL": _read_ttl,
    b"TIMESTAMP": _read_timestamp,
    b"MAXRANGE4": _read_widest,
}
