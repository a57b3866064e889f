"""Loading a zone, a slice at a time, so that whoever loads it can answer others in between.

@see: reliability D16, D18, D20, D21; gossip-srs-dns-spec cases 46 and 47.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import IO, Final, Protocol

from msgspec import Struct

from twistedmilter.blocklist import rbldnsd_format as rbldnsd
from twistedmilter.blocklist.answer_text import Default
from twistedmilter.blocklist.builder import Book, ZoneBuilder
from twistedmilter.blocklist.listing import DEFAULT_TTL
from twistedmilter.blocklist.native_format import NativeReader
from twistedmilter.blocklist.problems import MAX_PROBLEMS, LineError, ZoneError, ZoneProblem
from twistedmilter.blocklist.refusals import too_wide
from twistedmilter.blocklist.rules import MAX_SOURCES
from twistedmilter.blocklist.specials import Scope
from twistedmilter.blocklist.zone import Labels, LiveNames, Zone, ZoneKind

MAX_LINE: Final = 4_096  # octets
MAX_LINES: Final = 5_000_000  # of one file
SLICE: Final = 64  # lines at each step: less than a ms, or some where each is a pattern
MAX_FATAL: Final = MAX_PROBLEMS  # after which a file is not read on
DEFAULT_SHARE: Final = 0.001  # of the good domains that one rule may list


class Format(Enum):
    """How a file is written."""

    NATIVE = "native"
    DNSET = "dnset"
    IP4SET = "ip4set"
    IP4TRIE = "ip4trie"
    IP4TSET = "ip4tset"
    IP6TRIE = "ip6trie"


class Source(Struct, frozen=True):
    """One file of a zone.

    @ivar name: as the configuration names it. @ivar lines: with or without their ends; L{lines_of} cuts a stream.
    """

    name: str
    lines: Iterable[bytes]
    format: Format = Format.NATIVE


class Limits(Struct, frozen=True):
    """What a zone must not do, unless it is forced.

    @ivar ttl: seconds, where neither rule nor file say.
    @ivar forced: take every rule, an empty zone, and files that have shrunk.
    @ivar good_domains: names that have lately sent good mail.
    @ivar share: of them that one rule may list at most, 0 to 1.
    @ivar counts_before: rules by source of the zone that this one replaces.
    """

    ttl: int = DEFAULT_TTL
    forced: bool = False
    good_domains: tuple[bytes, ...] = ()
    share: float = DEFAULT_SHARE
    counts_before: Mapping[str, int] = MappingProxyType({})


STRICT: Final = Limits()


class Loaded(Struct, frozen=True):
    """A zone that can be served, and what was odd about its files.

    @ivar listed: its tables, for whoever writes them out. @ivar excluded: what is never listed.
    """

    zone: Zone
    problems: tuple[ZoneProblem, ...]
    listed: Book
    excluded: Book


class _Reader(Protocol):
    def read(self, line: bytes, number: int) -> None: ...


Loading = Generator[None, None, Loaded]


def load_zone(
    apex: Labels,
    kind: ZoneKind,
    sources: Iterable[Source],
    wall: Callable[[], float],
    *,
    limits: Limits = STRICT,
    live: LiveNames | None = None,
) -> Loading:
    """Load a zone in steps of some milliseconds; what it returns can be served at once.

    @param wall: seconds since the epoch. @param live: entries that come and go while the zone is served.
    @raise ZoneError: it cannot be used, or would list what should not be listed.
    """
    builder = ZoneBuilder(wall)
    names: list[str] = []
    for source in sources:
        names.append(source.name)
        if len(names) > MAX_SOURCES:
            raise ZoneError([ZoneProblem(source.name, 0, 0, f"a zone has at most {MAX_SOURCES} files")])
        yield from _read(builder, source, kind, limits)
    _stop_if_fatal(builder.problems)
    yield from builder.build()
    contents = builder.contents()
    if not limits.forced:
        written = Zone(apex, kind, contents)  # a ban is meant, whatever it lists: the files are judged by themselves
        builder.problems += _shrunken(written, names, limits)
        builder.problems += yield from too_wide(written, builder.forced, limits.good_domains, limits.share)
        written.rules.forget_hits()
    _stop_if_fatal(builder.problems)
    return Loaded(Zone(apex, kind, contents, live), tuple(builder.problems), builder.listed, builder.excluded)


def load_at_once(loading: Loading) -> Loaded:
    """Run a loading to its end, where nobody waits.

    @raise ZoneError: as L{load_zone}.
    """
    while True:
        try:
            next(loading)
        except StopIteration as end:
            loaded = end.value
            assert isinstance(loaded, Loaded)
            return loaded


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines of a binary stream; one that is longer than L{MAX_LINE} comes in pieces that no reader takes."""
    return iter(lambda: stream.readline(MAX_LINE + 2), b"")


def _read(builder: ZoneBuilder, source: Source, kind: ZoneKind, limits: Limits) -> Iterator[None]:
    """Read one file, a slice at each step."""
    is_native = source.format is Format.NATIVE
    scope = Scope(Default())
    builder.begin(source.name, first_holds=source.format in {Format.IP4TRIE, Format.IP4TSET, Format.IP6TRIE})
    reader = _reader(builder, source, scope, kind, limits)
    fatal = 0
    for number, line in enumerate(source.lines, 1):
        try:
            if len(line) > MAX_LINE or number > MAX_LINES:
                _refuse_size(number)
            reader.read(line, number)
        except LineError as error:
            offset = len(line) - len(line.lstrip())
            builder.complain(error, number, is_fatal=is_native or number > MAX_LINES, offset=offset)
            fatal += is_native
        if not number % SLICE:
            yield
        if fatal > MAX_FATAL or number > MAX_LINES:
            break
    if scope.made > builder.rules.wall():
        builder.complain(LineError("$TIMESTAMP says that it was made in the future"), 0, is_fatal=True)
    builder.end(scope, limits.ttl, is_native=is_native)


def _refuse_size(number: int) -> None:
    if number > MAX_LINES:
        raise LineError(f"a file has at most {MAX_LINES} lines")
    raise LineError(f"a line has at most {MAX_LINE} octets")


def _reader(builder: ZoneBuilder, source: Source, scope: Scope, kind: ZoneKind, limits: Limits) -> _Reader:
    if source.format is Format.NATIVE:
        return NativeReader(builder, scope, kind, source.name, forced=limits.forced)
    read_entry, holds = _ENTRY_READERS[source.format]
    if kind not in {holds, ZoneKind.MIXED}:
        wrong = f"a file of format {source.format.value} cannot be part of a zone of kind {kind.value}"
        builder.complain(LineError(wrong, f"use kind {holds.value} or mixed"), 0, is_fatal=True)
    return rbldnsd.RbldnsdReader(builder, scope, read_entry, keeps_first=source.format is Format.IP4TSET)


_ENTRY_READERS: Final[Mapping[Format, tuple[rbldnsd.EntryReader, ZoneKind]]] = {
    Format.DNSET: (rbldnsd.read_name, ZoneKind.RHSBL),
    Format.IP4SET: (rbldnsd.read_range, ZoneKind.IPBL),
    Format.IP4TRIE: (rbldnsd.read_ipv4_network, ZoneKind.IPBL),
    Format.IP4TSET: (rbldnsd.read_ipv4_address, ZoneKind.IPBL),
    Format.IP6TRIE: (rbldnsd.read_ipv6_network, ZoneKind.IPBL),
}


def _shrunken(zone: Zone, names: list[str], limits: Limits) -> list[ZoneProblem]:
    """What is wrong if files have lost most of their rules (case 47)."""
    problems = []
    for name in names:
        before, now = limits.counts_before.get(name, 0), zone.counts[name]
        if now < before / 2:
            wrong = f"it has shrunk from {before} rules to {now}"
            problems.append(ZoneProblem(name, 0, 0, wrong, "force the zone if that is meant"))
    if not sum(zone.counts.values()) and not problems:
        name = names[0] if names else b".".join(zone.apex).decode()
        problems.append(ZoneProblem(name, 0, 0, "the zone would be empty", "force it if that is meant"))
    return problems


def _stop_if_fatal(problems: list[ZoneProblem]) -> None:
    """@raise ZoneError: one of them is fatal."""
    if any(problem.is_fatal for problem in problems):
        raise ZoneError(problems)
