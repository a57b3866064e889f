"""From entries to a zone: the tables of what is listed and what is excluded, filled in and made searchable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from twistedmilter.blocklist.answer_text import settle
from twistedmilter.blocklist.listing import RuleKind, Values
from twistedmilter.blocklist.names import MASK, PARENT, NameTable
from twistedmilter.blocklist.networks import Network, NetworkTable
from twistedmilter.blocklist.patterns import MAX_PATTERNS, Pattern, PatternTable
from twistedmilter.blocklist.problems import MAX_PROBLEMS, LineError, ZoneProblem
from twistedmilter.blocklist.rules import RuleTable
from twistedmilter.blocklist.serials import Serial, SerialTable
from twistedmilter.blocklist.specials import Scope
from twistedmilter.blocklist.zone import Contents, Head, Table


class Book:
    """The tables of one side: what is listed, or what is excluded."""

    def __init__(self, rules: RuleTable, on_repeat: Callable[[int, int], int]) -> None:
        """Start empty."""
        self.names = NameTable(on_repeat)
        self.networks = NetworkTable(rules, on_repeat)
        self.serials = SerialTable(rules)
        self.globs = PatternTable(rules)
        self.regexes = PatternTable(rules)

    def tables(self) -> tuple[Table, ...]:
        """Those that hold anything, in order of precedence."""
        every = (self.networks, self.serials, self.globs, self.regexes)
        return tuple(table for table in every if table)

    def build(self) -> Iterator[None]:
        """Make them searchable, a little at each step."""
        yield from self.networks.build()
        yield from self.globs.build()
        yield from self.regexes.build()


class _Exclusions:
    """All tables of what is excluded, as one."""

    def __init__(self, book: Book, rules: RuleTable) -> None:
        self._names = book.names
        self._tables = book.tables()
        self._rules = rules

    def find(self, labels: tuple[bytes, ...], key: bytes) -> int | None:
        number: int | None = self._names.exact[hash(key) & MASK].get(key, PARENT)
        if number == PARENT or number is None or not self._rules.holds(number):
            number = self._names.nearest_below(labels, self._rules.holds)
        if number is not None:
            return number
        return next((found for table in self._tables if (found := table.find(labels, key)) is not None), None)


class ZoneBuilder:
    """Takes entries, source by source, and becomes the contents of a zone.

    @ivar problems: what was wrong so far. @ivar counts: rules by source.
    @ivar forced: source and line of the rules that are wanted, however wide they are.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        """Start empty; C{wall} is seconds since the epoch."""
        self.rules = RuleTable(wall)
        self.listed = Book(self.rules, self._repeated)
        self.excluded = Book(self.rules, self._repeated)
        self.problems: list[ZoneProblem] = []
        self.counts: dict[str, int] = {}
        self.forced: set[tuple[str, int]] = set()
        self._head = Head()
        self._source = ""
        self._first_holding: set[str] = set()
        self._excludes = False

    def begin(self, source: str, *, first_holds: bool) -> None:
        """Go on to another source.

        @param first_holds: of two entries for the same, the first one holds; otherwise they are united.
        """
        self._source = source
        if first_holds:
            self._first_holding.add(source)
        self.counts.setdefault(source, 0)

    def complain(self, error: LineError, line: int, *, is_fatal: bool, offset: int = 0) -> None:
        """Keep what is wrong in a line.

        @param offset: octets of the line before what the error counts from.
        """
        column = offset + (error.column or 1) if line else 0
        if len(self.problems) < MAX_PROBLEMS or is_fatal:
            problem = ZoneProblem(self._source, line, column, str(error), error.allowed, is_fatal)
            self.problems.append(problem)

    def add_name(self, name: bytes, values: Values, line: int) -> None:
        """List one name."""
        self.listed.names.add_exact(name, self._number(RuleKind.EXACT, values, line))

    def add_below(self, name: bytes, values: Values, line: int, *, itself: bool) -> None:
        """List what is below a name, and the name itself if C{itself} says so."""
        self._add_suffix(self.listed.names, name, self._number(RuleKind.SUFFIX, values, line), itself=itself)

    def add_hole(self, name: bytes, line: int, *, itself: bool, below: bool) -> None:
        """Leave a name or what is below it out of wider entries, as rbldnsd does: narrower ones still hold."""
        number = self._number(RuleKind.EXCLUDE, Values(), line)
        if below:
            self._add_suffix(self.listed.names, name, number, itself=itself)
        else:
            self.listed.names.add_exact(name, number)

    def exclude_name(self, name: bytes, values: Values, line: int, *, itself: bool, below: bool) -> None:
        """Never list a name or what is below it, whatever else says so."""
        number = self._exclusion(values, line)
        if below:
            self._add_suffix(self.excluded.names, name, number, itself=itself)
        else:
            self.excluded.names.add_exact(name, number)

    def add_network(self, network: Network, number: int, *, excluded: bool = False) -> None:
        """Enter one network of a rule that L{network_rule} has numbered."""
        (self.excluded if excluded else self.listed).networks.add(network, number)

    def network_rule(self, values: Values, line: int, *, excluded: bool = False, hole: bool = False) -> int:
        """The number for a rule that consists of networks."""
        if excluded:
            return self._exclusion(values, line)
        return self._number(RuleKind.EXCLUDE if hole else RuleKind.NETWORK, values, line)

    def add_serial(self, serial: Serial, values: Values, line: int, *, excluded: bool) -> None:
        """List a family of counted names, or exclude it."""
        number = self._exclusion(values, line) if excluded else self._number(RuleKind.SERIAL, values, line)
        (self.excluded if excluded else self.listed).serials.add(serial, number)

    def add_pattern(self, pattern: Pattern, kind: RuleKind, values: Values, line: int, *, excluded: bool) -> None:
        """List what a pattern matches, or exclude it.

        @raise LineError: there are too many.
        """
        book = self.excluded if excluded else self.listed
        table = book.globs if kind is RuleKind.GLOB else book.regexes
        if len(table) == MAX_PATTERNS:
            raise LineError(f"a zone has at most {MAX_PATTERNS} patterns of one kind")
        table.add(pattern, self._exclusion(values, line) if excluded else self._number(kind, values, line))

    def end(self, scope: Scope, ttl: int, *, is_native: bool) -> None:
        """End a source: settle what it says about itself.

        @param ttl: seconds, of entries where neither they nor the file say.
        """
        unless_said = ttl if scope.ttl is None else scope.ttl
        variables: Mapping[bytes, bytes] = scope.variables
        self.rules.settle(lambda values: settle(values, unless_said, variables, is_native=is_native))
        self._head = _joined(self._head, scope.head())

    def build(self) -> Iterator[None]:
        """Make everything searchable, a little at each step."""
        yield from self.listed.build()
        yield from self.excluded.build()

    def contents(self) -> Contents:
        """What was built."""
        exclusions = _Exclusions(self.excluded, self.rules) if self._excludes else None
        return Contents(self.rules, self.listed.names, exclusions, self.listed.tables(), self._head, dict(self.counts))

    def _exclusion(self, values: Values, line: int) -> int:
        self._excludes = True
        return self._number(RuleKind.EXCLUDE, values, line)

    def _number(self, kind: RuleKind, values: Values, line: int) -> int:
        self.counts[self._source] += 1
        return self.rules.add(kind, values, self._source, line)

    def _add_suffix(self, names: NameTable, name: bytes, number: int, *, itself: bool) -> None:
        if itself:
            names.add_exact(name, number)
        names.add_below(name, number)

    def _repeated(self, known: int, number: int) -> int:
        """The same entry once more: the first one holds, or an exclusion is stronger, or they are united."""
        if self.rules.is_exclusion(known) or self.rules.rule(number).source in self._first_holding:
            return known
        if self.rules.is_exclusion(number):
            return number
        return self.rules.unite(known, number)


def _joined(first: Head, then: Head) -> Head:
    """What two files say about their zone: the first that says anything holds; the end is the earlier one."""
    ends = [expires for expires in (first.expires, then.expires) if expires]
    has_servers = bool(first.nameservers)
    return Head(
        then.soa if first.soa is None else first.soa,
        first.nameservers if has_servers else then.nameservers,
        first.nameserver_ttl if has_servers else then.nameserver_ttl,
        max(first.made, then.made),
        min(ends, default=0),
    )
