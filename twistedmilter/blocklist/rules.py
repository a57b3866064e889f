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

    __slots__ = ("_hits", "_indexes", "_kinds", "_lines", "_source_list", "_sources", "_value_list", "_values", "wall")

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
        self._kinds.append(_NUMBERS[kind])
        self._sources.append(len(self._source_list) - 1)
        self._lines.append(line)
        self._values.append(self._index(values))
        self._hits.append(0)
        return len(self._kinds) - 1

    def extend(self, number: int, values: Values) -> None:
        """Let a rule answer with the codes of another as well; its own text stays, if it has one."""
        own = self.values(number)
        codes = own.codes + tuple(code for code in values.codes if code not in own.codes)
        template = values.template if own.template is None else own.template
        ends = 0.0 if 0 in {own.expires, values.expires} else max(own.expires, values.expires)
        self._values[number] = self._index(Values(codes, template, min(own.ttl, values.ttl), own.added, ends))

    def is_exclusion(self, number: int) -> bool:
        """Whether it says that something is not listed."""
        return self._kinds[number] == _EXCLUDE

    def kind(self, number: int) -> RuleKind:
        """What it is made of."""
        return _KINDS[self._kinds[number]]

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

    def hits(self) -> Iterator[tuple[Rule, int]]:
        """The rules that have listed something since they were loaded, and how often."""
        return ((self.rule(number), count) for number, count in enumerate(self._hits) if count)

    def _index(self, values: Values) -> int:
        index = self._indexes.get(values)
        if index is None:
            index = self._indexes[values] = len(self._value_list)
            self._value_list.append(values)
        return index
