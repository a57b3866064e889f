"""A sendmail access map as a policy by result and domain (seed-spec F02 to F05, F13, F14, LL-16).

L{twistedmilter.access_files} reads the files; here is what their lines mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from twistedmilter.model.spf import SPFResult
from twistedmilter.policy.address_set import folded_domain, parents
from twistedmilter.policy.keywords import Keyword, Word, parse_keyword

_RESULTS = tuple(result.value for result in SPFResult)
TAGS = frozenset({"smtp-auth", *(f"{kind}-{result}" for kind in ("spf", "helo") for result in _RESULTS)})
_OURS = ("spf-", "helo-", "dkim-", "smtp-auth")  # all other tags of the file are sendmail's own
_KEY = re.compile(r"(?P<tag>[a-z-]+)(?P<separator>[:!]?)(?P<name>.*)", re.DOTALL)
_REFUSED = Keyword(Word.REJECT)


class Entry(Struct, frozen=True):
    """One entry of an access map or of a table of the configuration.

    @ivar key: folded, with C{:} as separator, e.g. C{spf-fail:.example.com}.
    @ivar source: the file, or the table. @ivar line: counted from 1; 0: there are no lines.
    @ivar spelling: the key as it was written, where that is not C{key}.
    """

    key: str
    keyword: Keyword
    source: str
    line: int = 0
    spelling: str = ""

    @property
    def names_sender(self) -> bool:
        """Whether it is about an address or a domain, not about everybody."""
        return bool(self.key.partition(":")[2])

    def __str__(self) -> str:
        """Where the entry stands, and its key."""
        return f"{self.source}{f':{self.line}:' if self.line else ''} {self.spelling or self.key}"


class AccessProblem(Struct, frozen=True):
    """What is wrong with one line, and what is done about it."""

    source: str
    line: int
    wrong: str

    def __str__(self) -> str:
        """The problem as one line for people."""
        return f"{self.source}:{f'{self.line}:' if self.line else ''} {self.wrong}"


class AccessMap(Struct, frozen=True):
    """The entries that are about us, by folded key.

    @ivar problems: in the order of the file; a word that cannot be read refuses, it never lets in (LL-09).
    @ivar tags: the tags that have an entry.
    """

    entries: Mapping[str, Entry]
    problems: tuple[AccessProblem, ...] = ()
    tags: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, source: str) -> AccessMap:
        """Read the text form: key, white space, word; C{#} begins a comment line.  Never fails.

        Capitals do not matter (LL-16).  C{!} may stand for C{:}, and keys and words may end in NUL (F05).  Lines
        with tags that are not ours are left to sendmail.  Of two lines with one key the first counts, as in makemap.
        """
        numbered = enumerate(text.split("\n"), start=1)
        return cls._of(((number, *_columns(line)) for number, line in numbered), source)

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]], source: str) -> AccessMap:
        """The keys and words of a compiled map, which has no lines; all else as in L{parse}."""
        return cls._of(((0, key, word) for key, word in pairs), source)

    @classmethod
    def _of(cls, lines: Iterable[tuple[int, str, str]], source: str) -> AccessMap:
        entries: dict[str, Entry] = {}
        problems: list[AccessProblem] = []
        for number, raw_key, word in lines:
            key = raw_key.rstrip("\0").lower()
            if not key.startswith(_OURS):
                continue
            try:
                entry, wrong = _entry(_folded_key(key), word.strip().rstrip("\0").strip(), source, number)
            except ValueError as problem:
                problems.append(AccessProblem(source, number, str(problem)))
                continue
            first = entries.setdefault(entry.key, entry)
            if first is not entry:
                where = f"in line {first.line} too, which counts" if first.line else "more than once; the first counts"
                wrong = f"{entry.key!r} stands {where}"
            if wrong:
                problems.append(AccessProblem(source, number, wrong))
        return cls(entries, tuple(problems), frozenset(key.partition(":")[0] for key in entries))

    def find(self, tag: str, address: str) -> Entry | None:
        """The entry that decides, the first of L{lookup_keys}."""
        found = (self.entries.get(key) for key in lookup_keys(tag, address))
        return next((entry for entry in found if entry is not None), None)


def no_access() -> AccessMap:
    """The map of a configuration that names no file."""
    return _EMPTY


def _columns(line: str) -> tuple[str, str]:
    key, _, word = line.strip().replace("\t", " ").partition(" ")
    return key, word


_EMPTY = AccessMap(MappingProxyType({}))


def lookup_keys(tag: str, address: str) -> Iterator[str]:
    """The keys to look up, in order: full address, its domain, each parent, the bare tag (F03).

    @param tag: one of L{TAGS}.
    @param address: C{user@domain} without brackets, a domain, or empty for none.
    """
    local, at, domain = address.rpartition("@")
    domain = folded_domain(domain)
    if at:
        yield f"{tag}:{local.lower()}@{domain}"
    if domain:
        yield f"{tag}:{domain}"
        yield from (f"{tag}:.{parent}" for parent in parents(domain) if parent)
    yield f"{tag}:"
    yield tag


def _folded_key(key: str) -> str:
    """A key as L{lookup_keys} writes it.

    @raise ValueError: a tag that is not one of ours, or nothing but dots behind it.
    """
    match = _KEY.match(key)
    tag = match["tag"] if match else ""
    if match is None or tag not in TAGS or (match["name"] and not match["separator"]):
        if tag.startswith("dkim-"):
            raise ValueError(f"{key!r:.80} needs DKIM, which this version does not have; the line is left out")
        allowed = f"known are smtp-auth, spf- and helo- with {', '.join(_RESULTS)}"
        raise ValueError(f"{key!r:.80} has no tag of ours; {allowed}; the line is left out")
    if not match["separator"]:
        return tag
    local, at, domain = match["name"].rpartition("@")
    domain = folded_domain(domain)
    if match["name"] and not domain:
        raise ValueError(f"{key!r:.80} names no domain; the line is left out")
    return f"{tag}:{local}{at}{domain}"


def _entry(key: str, word: str, source: str, line: int) -> tuple[Entry, str]:
    """The entry of a line, and what is wrong with its word; empty if nothing is."""
    try:
        return Entry(key, parse_keyword(word), source, line), ""
    except ValueError as problem:
        return Entry(key, _REFUSED, source, line), f"{key!r:.80}: {problem}; taken as REJECT"
