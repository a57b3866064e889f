"""Patterns: globs and regular expressions, many of them tried at once by sets of RE2, in linear time (spec 6.3).

A set is compiled by one call that nothing can interrupt, so sets are small; a pattern whose beginning is literal goes
into the set that names with this beginning are looked up in, so that a hundred thousand patterns are two or three
sets for one name.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import chain
from typing import Final

import re2
from msgspec import Struct

from twistedmilter.blocklist.reach import ANY_DEPTH, Reach
from twistedmilter.blocklist.rules import RuleTable

MAX_PATTERN: Final = 200  # octets
MAX_PATTERNS: Final = 250_000  # of one kind in one zone
HEAD: Final = 3  # octets of a literal beginning that sort a pattern
SET_WEIGHT: Final = 10_000  # octets of patterns in one set, repetitions multiplied; compiles in some ms
_MEMORY: Final = 256 * 2**20  # octets that all sets of one table may take for their automata
_LEAST_MEMORY: Final = 4 * 2**20  # of one set; the heaviest needs one of them
_STEP: Final = 1_024  # patterns that are sorted at each step
_GLOB_TOKEN: Final = re.compile(rb"\*|\?|\[(!?)([a-z0-9_-]+)\]|[a-z0-9_-]+|\.")


class Pattern(Struct, frozen=True, gc=False):
    """One pattern as RE2 reads it, for the whole name.

    @ivar regex: in RE2's syntax, without anchors.
    @ivar head: what every matching name begins with, as far as it is known.
    @ivar tail: labels that every matching name ends with, as far as they are known.
    @ivar depth: labels that a matching name has at most. @ivar weight: about how long it
        takes to compile, in octets of plain pattern.
    """

    regex: bytes
    head: bytes = b""
    tail: bytes = b""
    depth: int = ANY_DEPTH
    weight: int = 1


def glob_pattern(glob: bytes) -> Pattern:
    """The pattern of a glob: C{*} is any run, C{?} one character, C{[0-9]} one of some; none crosses a dot.

    @raise ValueError: it is no glob for names; the text says why.
    """
    regex, head, at = [], b"", 0
    while at < len(glob):
        token = _GLOB_TOKEN.match(glob, at)
        if token is None:
            raise ValueError("a glob has letters, digits, hyphens, underscores, dots, *, ? and [classes]")
        if at == len(head) and token[0][:1] not in b"*?[":
            head += token[0]
        regex.append(_glob_piece(token))
        at = token.end()
    labels = glob.split(b".")
    if not all(labels):
        raise ValueError("a glob has no empty label")
    wild = [at for at, label in enumerate(labels) if _is_wild(label)]
    tail = b".".join(labels[wild[-1] + 1 :]) if wild else glob
    whole = b"".join(regex)
    if b"[" in glob:
        if b"--" in glob:
            raise ValueError("a range in a class does not begin with a hyphen")  # it would cross the dot
        check_syntax(whole)
    return Pattern(whole, head, tail, len(labels), len(whole))


def _glob_piece(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text == b"*":
        return b"[^.]*"
    if text == b"?":
        return b"[^.]"
    if text == b".":
        return rb"\."
    if text.startswith(b"["):
        return b"[^." + token[2] + b"]" if token[1] else text
    return text


def _is_wild(label: bytes) -> bool:
    return any(mark in label for mark in (b"*", b"?", b"["))


class _Waiting(Struct, frozen=True, gc=False):
    """A pattern that is not compiled yet, and the number of its rule."""

    pattern: Pattern
    number: int


class _Group:
    """Patterns that are tried at once."""

    __slots__ = ("_set", "numbers")

    def __init__(self, patterns: list[tuple[bytes, int]], memory: int) -> None:
        self._set = re2.Set.FullMatchSet(options(memory))
        for regex, _ in patterns:
            self._set.Add(regex)
        self._set.Compile()
        self.numbers = array("I", [number for _, number in patterns])

    def matching(self, key: bytes) -> list[int]:
        """Numbers of the patterns that match a name."""
        found = self._set.Match(key)
        return [self.numbers[at] for at in found] if found else []


def options(memory: int) -> re2.Options:
    """How patterns are read: octets, whatever their case."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.case_sensitive = False
    chosen.log_errors = False
    chosen.max_mem = memory
    return chosen


_CHECKING: Final = options(_LEAST_MEMORY)


def check_syntax(regex: bytes) -> None:
    """@raise ValueError: RE2 cannot read it."""
    try:
        re2.Set.FullMatchSet(_CHECKING).Add(regex)  # which only parses: quicker than to compile it
    except re2.error:
        try:
            re2.compile(regex, _CHECKING)  # and this one tells why
        except re2.error as error:
            raise ValueError(f"RE2 cannot read it: {_words_of(error)}") from None
        raise ValueError("RE2 cannot read it") from None


def _words_of(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)


class PatternTable:
    """Patterns of one kind.  Of several that match, the one that was entered first decides."""

    def __init__(self, rules: RuleTable) -> None:
        """Start empty; C{rules} knows which have ended."""
        self._rules = rules
        self._waiting: list[_Waiting] = []
        self._weight = 0
        self._head_weight = 0
        self._reach = Reach()
        self._heads: list[list[_Group]] = []
        self._tails: dict[bytes, list[_Group]] = {}
        self._tail_depths: tuple[int, ...] = ()
        self._loose: list[_Group] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._waiting or self._heads or self._tails or self._loose)

    def __len__(self) -> int:
        """How many wait to be compiled."""
        return len(self._waiting)

    def add(self, pattern: Pattern, number: int) -> None:
        """Enter a pattern that RE2 has accepted; L{build} makes it count."""
        self._waiting.append(_Waiting(pattern, number))
        self._weight += pattern.weight
        if len(pattern.head) >= HEAD:
            self._head_weight += pattern.weight
        self._reach.add(pattern.tail, pattern.depth)

    def build(self) -> Iterator[None]:
        """Compile what was entered, one set at each step."""
        width = 1 + self._head_weight // (SET_WEIGHT // 2)
        buckets: dict[int | bytes, list[_Waiting]] = {}
        while self._waiting:  # nothing large is let go at once
            for entry in _taken(self._waiting):
                head = entry.pattern.head[:HEAD]
                place: int | bytes = hash(head) % width if len(head) == HEAD else entry.pattern.tail
                buckets.setdefault(place, []).append(entry)
            yield
        sets = len(buckets) + self._weight // SET_WEIGHT
        memory = max(_LEAST_MEMORY, _MEMORY // max(1, sets))
        self._heads = [[] for _ in range(width)] if self._head_weight else []
        while buckets:
            place, entries = buckets.popitem()
            for part in _parts(entries):
                self._groups_of(place).append(_Group(part, memory))
                yield
        self._tail_depths = tuple({tail.count(b".") + 1 for tail in self._tails})

    def find(self, labels: tuple[bytes, ...], key: bytes) -> int | None:
        """The number of the first pattern that matches a name."""
        found: list[int] = []
        if self._heads:
            for group in self._heads[hash(key[:HEAD]) % len(self._heads)]:
                found += group.matching(key)
        for depth in self._tail_depths:
            for group in self._tails.get(b".".join(labels[-depth:]), ()):
                found += group.matching(key)
        for group in self._loose:
            found += group.matching(key)
        return min(filter(self._rules.holds, found), default=None) if found else None

    def numbers(self) -> Iterator[int]:
        """The numbers of all rules that are compiled."""
        for group in chain(*self._heads, *self._tails.values(), self._loose):
            yield from group.numbers

    def reaches_below(self, labels: tuple[bytes, ...], key: bytes) -> bool:
        """Whether a pattern could match something below this name."""
        return self._reach.covers(labels, key)

    def _groups_of(self, place: int | bytes) -> list[_Group]:
        if isinstance(place, int):
            return self._heads[place]
        return self._tails.setdefault(place, []) if place else self._loose


def _taken(waiting: list[_Waiting]) -> list[_Waiting]:
    """Some of what waits; it waits no more."""
    some = waiting[-_STEP:]
    del waiting[-_STEP:]
    return some


def _parts(entries: list[_Waiting]) -> Iterator[list[tuple[bytes, int]]]:
    """Entries in parts that compile quickly."""
    part: list[tuple[bytes, int]] = []
    weight = 0
    for entry in entries:
        more = entry.pattern.weight
        if part and weight + more > SET_WEIGHT:
            yield part
            part, weight = [], 0
        part.append((entry.pattern.regex, entry.number))
        weight += more
    yield part
