"""One zone of listings, and the questions that a name server asks it.

Labels are octets in lower case without the apex, leftmost first; what C{find} costs is paid by every query.

@see: gossip-srs-dns-spec 6.2, 6.3, 6.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, Protocol

from msgspec import Struct

from twistedmilter.blocklist.listing import Listing, Rule
from twistedmilter.blocklist.names import MASK, NameTable
from twistedmilter.blocklist.rules import RuleTable

Labels = tuple[bytes, ...]
MAX_NAME: Final = 190  # octets of what is left of the apex (6.3)
MAX_LABEL: Final = 63
_FIT: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-."


class ZoneKind(Enum):
    """What the names of a zone stand for (6.2)."""

    RHSBL = "rhsbl"
    IPBL = "ipbl"
    MIXED = "mixed"


class Soa(Struct, frozen=True):
    """What a file says about the start of authority; times in seconds.

    @ivar primary: the first name server's name. @ivar mailbox: of the person, as a name.
    @ivar serial: 0: the time of the newest file.
    """

    primary: Labels
    mailbox: Labels
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int
    ttl: int


class Head(Struct, frozen=True):
    """What the files of a zone say about the zone itself.

    @ivar soa: None: they say nothing. @ivar nameservers: names; @ivar nameserver_ttl: seconds.
    @ivar made: when the data were made, @ivar expires: until when they hold, seconds since the epoch; 0: not said.
    """

    soa: Soa | None = None
    nameservers: tuple[Labels, ...] = ()
    nameserver_ttl: int = 0
    made: float = 0
    expires: float = 0


class Finder(Protocol):
    """Rules that are found by more than a look into a table of names."""

    def find(self, labels: Labels, key: bytes) -> int | None:
        """The number of the rule that decides on a name; a rule that has ended is passed over."""


class Table(Finder, Protocol):
    """Rules below whose names there may be others."""

    def reaches_below(self, labels: Labels, key: bytes) -> bool:
        """Whether something below this name could be listed."""


class LiveNames(Protocol):
    """Entries that come and go while the zone is served, such as bans."""

    def find(self, labels: Labels, key: bytes) -> Listing | None:
        """What is known about a name or address."""

    def reaches_below(self, labels: Labels, key: bytes) -> bool:
        """Whether something below this name is listed."""


class Contents(Struct, frozen=True):
    """What a loader puts into a zone.

    @ivar rules: all rules. @ivar names: exact names and suffixes.
    @ivar exclusions: names that no other rule lists; None: there are none.
    @ivar tables: serial rules, patterns, networks, in order of precedence. @ivar counts: rules by source.
    """

    rules: RuleTable
    names: NameTable
    exclusions: Finder | None = None
    tables: tuple[Table, ...] = ()
    head: Head = Head()
    counts: Mapping[str, int] = MappingProxyType({})


class Zone:
    """What is listed below one apex.

    The test entries of RFC 5782 section 5 are no data: whoever answers knows them.

    @ivar apex: its name, labels in lower case.
    @ivar head: what its files say about it. @ivar counts: rules by source.
    """

    def __init__(self, apex: Labels, kind: ZoneKind, contents: Contents, live: LiveNames | None = None) -> None:
        """Serve what was loaded, and what C{live} holds at the time of a query."""
        self.apex = apex
        self.kind = kind
        self.head = contents.head
        self.counts = contents.counts
        self.rules = contents.rules
        self._names = contents.names
        self._exact = contents.names.exact
        self._exclusions = contents.exclusions
        self._tables = contents.tables
        self._live = live
        self._is_flat = not (contents.exclusions or contents.names.depths or live)

    def __len__(self) -> int:
        """How many rules it has."""
        return len(self.rules)

    def find(self, labels: Labels) -> Listing | None:
        """What is listed about a name; None: it is not listed.

        Exclusions come first, then exact names, the longest suffix, serial rules, globs, regular expressions (6.3).
        A name with a label that is empty, longer than 63 octets, or holds anything but letters, digits, hyphen and
        underscore is never listed; a dot within a label does not make two of it (case 38).
        """
        key = b".".join(labels)
        return self.find_plain(labels, key) if is_plain(labels, key) else None

    def find_plain(self, labels: Labels, key: bytes) -> Listing | None:
        """As L{find}, for a name that L{is_plain} has passed.

        @param key: the labels joined with dots.
        """
        if self._is_excluded(labels, key):
            return None
        number = self._exact[hash(key) & MASK].get(key, -1)
        if number >= 0:
            listing = self.rules.listing(number)
            if listing is not None or self.rules.is_exclusion(number):
                return listing
        if self._live is not None:
            listing = self._live.find(labels, key)
            if listing is not None:
                return listing
        return self._find_by_rule(labels, key)

    def look(self, key: bytes) -> Listing | bool:
        """As L{find_plain} and, if nothing is listed, L{may_be_above}, at less cost where most names are exact ones.

        @param key: the labels of a name that L{is_plain} has passed, joined with dots.
        """
        number = None if self._exclusions is not None else self._exact[hash(key) & MASK].get(key)
        if number is not None and number >= 0:
            listing = self.rules.listing(number)
            if listing is not None:
                return listing
        elif number is None and self._is_flat:
            return self._look_into_tables(key) if self._tables else False
        labels = tuple(key.split(b"."))
        return self.find_plain(labels, key) or self.may_be_above(labels, key)

    def _look_into_tables(self, key: bytes) -> Listing | bool:
        """As L{look}, for a name that only patterns and the like may list."""
        labels = tuple(key.split(b"."))
        for table in self._tables:
            number = table.find(labels, key)
            if number is not None:
                return self.rules.listing(number) or True
        for table in self._tables:  # noqa: SIM110 - a generator would cost as much as the search
            if table.reaches_below(labels, key):
                return True
        return False

    def exists_below(self, labels: Labels) -> bool:
        """Whether a name that is not listed could have listed ones below it: NODATA, not NXDOMAIN (6.6).

        It errs to the safe side: True costs a resolver one more query, a wrong False hides a listing (RFC 8020).
        """
        if not labels:
            return True
        key = b".".join(labels)
        return is_plain(labels, key) and self.may_be_above(labels, key)

    def may_be_above(self, labels: Labels, key: bytes) -> bool:
        """As L{exists_below}, for a name that L{is_plain} has passed; see L{find_plain}."""
        if key in self._exact[hash(key) & MASK]:
            return True
        if self._names.nearest_below(labels) is not None:
            return True
        if self._live is not None and self._live.reaches_below(labels, key):
            return True
        return any(table.reaches_below(labels, key) for table in self._tables)

    def hits(self) -> Iterator[tuple[Rule, int]]:
        """The rules that have listed something since they were loaded, and how often."""
        return self.rules.hits()

    def clear_slowly(self) -> Iterator[None]:
        """Give its memory back, a little at each step; for a zone that another has replaced."""
        return self._names.clear_slowly()

    def _is_excluded(self, labels: Labels, key: bytes) -> bool:
        return self._exclusions is not None and self._exclusions.find(labels, key) is not None

    def _find_by_rule(self, labels: Labels, key: bytes) -> Listing | None:
        number = self._names.nearest_below(labels, self.rules.holds)
        if number is not None:
            return self.rules.listing(number)
        for table in self._tables:
            number = table.find(labels, key)
            if number is not None:
                return self.rules.listing(number)
        return None


def is_plain(labels: Labels, key: bytes) -> bool:
    """Whether labels, joined to a key, are such as can be listed (6.3)."""
    if len(key) > MAX_NAME or key.translate(None, _FIT) or key.count(b".") != len(labels) - 1:
        return False
    return all(labels) and (len(key) <= MAX_LABEL or max(map(len, labels)) <= MAX_LABEL)
