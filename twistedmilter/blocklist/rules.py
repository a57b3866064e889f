"""The rules of a zone: what each answers with, where it comes from, how often it was hit.

A rule is known by its number, so that a million of them cost a few octets each beside their names.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final

from twistedmilter.blocklist.listing import Listing, Rule, RuleKind, Values

_KINDS: Final = tuple(RuleKind)
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}
_EXCLUDE: Final = _NUMBERS[RuleKind.EXCLUDE]
_MOST_HITS: Final = 2**32 - 1
MAX_SOURCES: Final = 256  # files of one zone


class RuleTable:
    """Rules by number, in the order in which they were added.

    @ivar wall: seconds since the epoch, for rules that end.
    """

    __slots__ = (
        "_hits",
        "_indexes",
        "_kinds",
        "_lines",
        "_settled",
        "_source_list",
        "_sources",
        "_value_list",
        "_values",
        "wall",
    )

    def __init__(self, wall: Callable[[], float]) -> None:
        """Start empty."""
        self.wall = wall
        self._kinds = array("B")
        self._sources = array("B")
        self._lines = array("I")
        self._values = array("I")
        self._hits = array("I")
        self._value_list: list[Values] = []
        self._source_list: list[str] = []
        self._indexes: dict[Values, int] = {}
        self._settled = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kinds)

    def add(self, kind: RuleKind, values: Values, source: str, line: int) -> int:
        """Add a rule; its number comes back.

        @raise ValueError: more than L{MAX_SOURCES} sources.
        """
        if not self._source_list or self._source_list[-1] != source:
            if len(self._source_list) == MAX_SOURCES:
                raise ValueError(f"a zone has at most {MAX_SOURCES} files")
            self._source_list.append(source)
            self._indexes = {}  # what a file says about itself is settled at its end, for its own rules only
            self._settled = len(self._value_list)
        return self._append(_NUMBERS[kind], values, len(self._source_list) - 1, line)

    def unite(self, number: int, other: int) -> int:
        """The number of a rule that answers with the codes of two; the text of the first stays, if it has one."""
        own, more = self.values(number), self.values(other)
        codes = own.codes + tuple(code for code in more.codes if code not in own.codes)
        template = more.template if own.template is None else own.template
        ends = 0.0 if 0 in {own.expires, more.expires} else max(own.expires, more.expires)
        united = Values(codes, template, own.ttl, own.added, ends)
        if united == own:
            return number
        return self._append(self._kinds[number], united, self._sources[number], self._lines[number])

    def settle(self, settled: Callable[[Values], Values]) -> None:
        """At the end of a source: replace the values of its rules."""
        for index in range(self._settled, len(self._value_list)):
            self._value_list[index] = settled(self._value_list[index])
        self._indexes = {}
        self._settled = len(self._value_list)

    def is_exclusion(self, number: int) -> bool:
        """Whether it says that something is not listed."""
        return self._kinds[number] == _EXCLUDE

    def values(self, number: int) -> Values:
        """What it answers with."""
        return self._value_list[self._values[number]]

    def rule(self, number: int) -> Rule:
        """Where it comes from."""
        return Rule(_KINDS[self._kinds[number]], self._source_list[self._sources[number]], self._lines[number])

    def holds(self, number: int) -> bool:
        """Whether it has not ended."""
        expires = self._value_list[self._values[number]].expires
        return not expires or expires > self.wall()

    def listing(self, number: int) -> Listing | None:
        """What it lists, counted as a hit; None if it excludes or has ended."""
        kind = self._kinds[number]
        if kind == _EXCLUDE:
            return None
        values = self._value_list[self._values[number]]
        ttl = values.ttl
        if values.expires:
            left = values.expires - self.wall()
            if left <= 0:
                return None
            ttl = min(ttl, max(1, int(left)))
        if self._hits[number] < _MOST_HITS:
            self._hits[number] += 1
        rule = Rule(_KINDS[kind], self._source_list[self._sources[number]], self._lines[number])
        return Listing(values.codes, ttl, rule, values.template)

    def forget_hits(self) -> None:
        """Count anew."""
        self._hits = array("I", bytes(len(self._hits) * self._hits.itemsize))

    def hits(self) -> Iterator[tuple[Rule, int]]:
        """The rules that have listed something since they were loaded, and how often."""
        return ((self.rule(number), count) for number, count in enumerate(self._hits) if count)

    def _append(self, kind: int, values: Values, source: int, line: int) -> int:
        self._kinds.append(kind)
        self._sources.append(source)
        self._lines.append(line)
        self._values.append(self._index(values))
        self._hits.append(0)
        return len(self._kinds) - 1

    def _index(self, values: Values) -> int:
        index = self._indexes.get(values)
        if index is None:
            index = self._indexes[values] = len(self._value_list)
            self._value_list.append(values)
        return index
