"""Host names that a provider gives to addresses which it lends (seed-spec section 4).

The names of rules, DR1 to DR7, are those of seed-spec 4.1; patterns have the names that their file gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from importlib.resources import files
from ipaddress import IPv6Address
from pathlib import Path

import re2
from msgspec import Struct

from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.networks import plain

MAX_NAME = 255  # octets of a host name that are looked at (RFC 1035 section 2.3.4)
MAX_PATTERN = 500  # characters
MAX_PATTERNS = 10_000
MAX_FILE = 1_048_576  # octets
PACKAGED = "dynamic_ptr.patterns"

_LAST_OCTET = "<o4>"
_MARK = "\N{SECTION SIGN}"  # stands for the last octet; a name is ASCII where it is matched
_NUMBER = re.compile(r"[0-9]{1,3}")
_LINE = re.compile(r"(?P<sign>!?)(?P<name>[A-Za-z0-9_.-]{1,40})\s+(?P<pattern>\S+)")
_MAX_MEMORY = 64 * 1_048_576  # octets


class Edition(StrEnum):
    """Whose rules are followed.

    C{SEED} and C{LATER} are the ancestor's two versions, for comparison; C{OWN} differs from C{LATER} in what is said
    at L{judge_ptr}.
    """

    OWN = "own"
    LATER = "later"
    SEED = "seed"


class DynamicPTR(Struct, frozen=True):
    """Whether a name is one of a lent address, and why.

    @ivar rule: C{DR1} to C{DR7}, or the name of the pattern or exception that decided; empty if nothing did.
    """

    is_dynamic: bool
    rule: str = ""


NOT_DYNAMIC = DynamicPTR(False)


class _PatternSet:
    """Patterns searched for together, in time linear in the name whatever their number."""

    def __init__(self, patterns: list[tuple[str, str]]) -> None:
        """Take pairs of name and pattern, each of which compiles alone.

        @raise ValueError: together they need too much memory.
        """
        self._names = [name for name, _pattern in patterns]
        self._set = re2.Set.SearchSet(_options())
        try:
            for _name, pattern in patterns:
                self._set.Add(pattern)
            self._set.Compile()
        except re2.error as error:
            raise ValueError(f"the patterns are too large together: {_words(error)}") from None

    def find(self, text: str) -> str:
        """The name of the first pattern that is found in the text, or nothing."""
        found = self._set.Match(text) if self._names else None
        return self._names[min(found)] if found else ""


class DynamicPatterns:
    """The patterns and exceptions of one or more pattern files; L{load_patterns} reads them."""

    def __init__(self, patterns: list[tuple[str, str]], exceptions: list[tuple[str, str]]) -> None:
        """Take pairs of name and pattern, C{<o4>} already replaced."""
        self._patterns = _PatternSet(patterns)
        self._exceptions = _PatternSet(exceptions)

    @classmethod
    def parse(cls, sources: Iterable[tuple[str, str]]) -> DynamicPatterns:
        """The patterns of these files.

        @param sources: of each file its name, for errors, and its text.
        @raise ValueError: a line that is no pattern; the text names the file and the line.
        """
        patterns: list[tuple[str, str]] = []
        exceptions: list[tuple[str, str]] = []
        for source, text in sources:
            for number, line in enumerate(text.splitlines(), 1):
                stripped = line.strip()
                if not stripped or stripped.startswith("#"):
                    continue
                try:
                    sign, name, pattern = _parse_line(stripped)
                except ValueError as problem:
                    raise ValueError(f"{source}:{number}: {problem}") from None
                (exceptions if sign else patterns).append((name, pattern))
                if len(patterns) + len(exceptions) > MAX_PATTERNS:
                    raise ValueError(f"{source}:{number}: more than {MAX_PATTERNS} patterns in all")
        return cls(patterns, exceptions)

    def find(self, text: str) -> str:
        """The name of the first pattern that is found in a name, or nothing."""
        return self._patterns.find(text)

    def exempts(self, text: str) -> str:
        """The name of the first exception that is found in a name, or nothing."""
        return self._exceptions.find(text)


def load_patterns(extra: Path | None = None) -> DynamicPatterns:
    """The packaged patterns, and those of the administrator's file after them.

    @raise ValueError: the file cannot be read, or holds a line that is no pattern; the text names file and line.
    """
    sources = [(PACKAGED, files("twistedmilter").joinpath("data", PACKAGED).read_text("utf-8"))]
    if extra is not None:
        try:
            with extra.open("rb") as stream:
                octets = stream.read(MAX_FILE + 1)
            if len(octets) > MAX_FILE:
                raise ValueError(f"{extra}: the file is larger than {MAX_FILE} octets")
            sources.append((str(extra), octets.decode("utf-8")))
        except OSError as failure:
            raise ValueError(f"{extra} cannot be read: {failure.strerror}") from None
        except UnicodeDecodeError as failure:
            line = octets.count(b"\n", 0, failure.start) + 1
            raise ValueError(f"{extra}:{line}: this is not UTF-8") from None
    return DynamicPatterns.parse(sources)


def judge_ptr(name: str, ip: IPAddress | None, patterns: DynamicPatterns, edition: Edition = Edition.OWN) -> DynamicPTR:
    """Whether a host name is one of a lent address, or no name at all; never fails.

    Our own edition follows the ancestor's later rules, but: a name that an exception matches is not dynamic; the
    address counts in a name only when it is not a part of longer numbers (DR2); patterns are searched for in the
    name as it is too, where the mark of the last octet has not destroyed it (seed-spec 4.3, rows 34 and 36);
    C{unknown} and the empty name, by which an MTA says that there is none, are no name (DR1).

    @param name: of the client as the MTA or its PTR record says, or its HELO name.
    @param ip: its address; without one only DR1 can be said (LL-17).
    """
    text = name.strip()[:MAX_NAME].encode("ascii", "replace").decode("ascii")
    if text.startswith("[") and text.endswith("]"):
        return DynamicPTR(True, "DR1")
    if ip is None:
        return NOT_DYNAMIC
    if edition is Edition.OWN:
        text = text.rstrip(".")
        if text.lower() in {"", "unknown"}:
            return DynamicPTR(True, "DR1")
        if exception := patterns.exempts(text):
            return DynamicPTR(False, exception)
    rule = _rule_of(text, plain(ip), patterns, edition)
    return DynamicPTR(True, rule) if rule else NOT_DYNAMIC


def _rule_of(text: str, ip: IPAddress, patterns: DynamicPatterns, edition: Edition) -> str:
    address = str(ip)
    if _holds_alone(text, address) if edition is Edition.OWN else address in text:
        return "DR2"
    if isinstance(ip, IPv6Address):
        return ""  # DR3
    octets = tuple(ip.packed)
    found = [*_NUMBER.finditer(text)]
    numbers = tuple(int(each[0]) for each in found)
    rule = _rule_of_numbers(numbers if edition is Edition.SEED else numbers[:4], octets)
    if rule:
        return rule
    same = next((each for each in found if int(each[0]) == octets[3]), None)  # DR4x
    marked = text if same is None else text[: same.start()] + _MARK + text[same.end() :]
    rule = patterns.find(marked)
    if not rule and edition is Edition.OWN and same is not None:
        rule = patterns.find(text)
    return rule or _rule_of_digits(text, octets)


def _rule_of_numbers(numbers: tuple[int, ...], octets: tuple[int, ...]) -> str:
    """DR4: the numbers of the name are octets of the address, in one of the orders that providers use."""
    o1, o2, o3, o4 = octets
    triples = {(o2, o3, o4), (o1, o2, o3)}
    first, last = numbers[:2], numbers[-2:]
    rules = (
        ("DR4a", numbers[-3:] in triples),
        ("DR4b", numbers[:3] == (o4, o1, o2)),
        ("DR4c", last == (o3, o4)),
        ("DR4d", numbers[-3:][::-1] in triples),
        ("DR4e", last == (o4, o3)),
        ("DR4f", first == (o4, o3)),
    )
    return next((rule for rule, holds in rules if holds), "")


def _rule_of_digits(text: str, octets: tuple[int, ...]) -> str:
    """DR6 and DR7: the address without separators, in decimal or hexadecimal digits."""
    decimal = [str(octet) for octet in octets]
    if "".join(decimal[:3]) in text or "".join(decimal[1:]) in text:
        return "DR6"
    return "DR7" if bytes(octets).hex() in text.lower() else ""


def _holds_alone(text: str, address: str) -> bool:
    """Whether the address stands in the text, no digit before it or behind it."""
    at = text.find(address)
    while at >= 0:
        end = at + len(address)
        if not (text[at - 1 : at].isdigit() or text[end : end + 1].isdigit()):
            return True
        at = text.find(address, at + 1)
    return False


def _parse_line(line: str) -> tuple[str, str, str]:
    """Sign, name and pattern of one line.

    @raise ValueError: what is wrong with it.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r:.60} is not NAME PATTERN, two words; ! before the name makes an exception")
    pattern = match["pattern"].replace(_LAST_OCTET, _MARK)
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern of {len(pattern)} characters, allowed are {MAX_PATTERN}")
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        raise ValueError(f"{match['pattern']!r:.60} is no pattern of RE2: {_words(error)}") from None
    if compiled.search("") is not None:
        raise ValueError(f"{match['pattern']!r:.60} is found in every name")
    return match["sign"], match["name"], pattern


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # they are raised
    options.max_mem = _MAX_MEMORY
    return options


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
