"""Our own zone files: rbldnsd's lines plus patterns, families of counted names, and words about a single rule."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Final

import idna
from msgspec import Struct

from twistedmilter.blocklist.answer_text import UNSET_TTL, Default, parse_answer, raw_values
from twistedmilter.blocklist.builder import ZoneBuilder
from twistedmilter.blocklist.listing import RuleKind, Values
from twistedmilter.blocklist.networks import Network
from twistedmilter.blocklist.patterns import MAX_PATTERN, glob_pattern
from twistedmilter.blocklist.problems import LineError
from twistedmilter.blocklist.ranges import networks_of, parse_ipv4, parse_ipv6
from twistedmilter.blocklist.regexes import regex_pattern
from twistedmilter.blocklist.serials import parse_serial
from twistedmilter.blocklist.specials import MAX_TTL, Scope, parse_span, parse_stamp
from twistedmilter.blocklist.zone import MAX_NAME, ZoneKind

_BARE: Final = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
_NAME: Final = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_ADDRESS: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_ENTRY: Final = re.compile(rb"(!?[ \t]*)([^!\s]\S*)(?:[ \t]+\[([^\]]*)\])?[ \t]*(.*)", re.DOTALL)
_KIND: Final = re.compile(rb"([a-zA-Z]+):(.*)", re.DOTALL)
_KINDS: Final = ("glob", "serial", "regex")
_WORDS: Final = "known are ttl=1h, added=2026-11-24, expires=2026-12-31 and forced"
_FORMS: Final = "write example.com, .example.com, *.example.com, glob:..., serial:..., regex:... or an address"
_NINE: Final = ord("9")
_MOST_TAILS: Final = 10_000
TAIL_LABELS: Final = 2  # that a name or suffix must have (case 46)


class _Words(Struct, frozen=True):
    """What stands in brackets about one rule."""

    ttl: int = UNSET_TTL
    added: float = 0
    expires: float = 0
    forced: bool = False


NO_WORDS: Final = _Words()


class _Entry(Struct, frozen=True):
    """One line, cut into its parts."""

    subject: bytes
    values: Values
    line: int
    excluded: bool
    forced: bool


class NativeReader:
    """Reads the lines of one file into a builder."""

    def __init__(self, builder: ZoneBuilder, scope: Scope, kind: ZoneKind, source: str, *, forced: bool) -> None:
        """Read with a scope that is new.

        @param kind: what may be listed. @param forced: every rule is wanted, however wide it is.
        """
        self._builder = builder
        self._scope = scope
        self._kind = kind
        self._source = source
        self._forced = forced
        self._known: dict[bytes, Values] = {}
        self._readers = {"glob": self._glob, "serial": self._serial, "regex": self._regex}

    def read(self, line: bytes, number: int) -> None:
        """Take one line in.

        @raise LineError: it cannot be read.
        """
        line = line.strip()
        if self._kind is not ZoneKind.IPBL and _is_bare(line):  # as most lines are
            self._builder.add_name(line, self._values(b"", NO_WORDS), number)
            return
        if self._kind is not ZoneKind.RHSBL and _ADDRESS.fullmatch(line) is not None:
            self._add_address(line, number)
            return
        if not line or line[:1] in b"#;":
            return
        if line[:1] == b"$":
            self._scope.read(line)
        elif line[:1] == b":" and line[:2] != b"::":  # ::1 is an address
            self._scope.default = parse_answer(line, Default(), is_native=True)
            self._known.clear()
        else:
            self._read_entry(line, number)

    def _add_address(self, line: bytes, number: int) -> None:
        """List a single IPv4 address of which nothing else is said."""
        first, _ = parse_ipv4(line)
        rule = self._builder.network_rule(self._values(b"", NO_WORDS), number)
        self._builder.add_network(Network(first, 32, 32), rule)

    def _read_entry(self, line: bytes, number: int) -> None:
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise LineError("an entry is missing behind the exclamation mark", _FORMS)
        words = _words(match[3], match.start(3) + 1) if match[3] is not None else NO_WORDS
        try:
            values = self._values(match[4], words)
        except LineError as error:
            raise LineError(str(error), error.allowed, match.start(4) + (error.column or 1)) from None
        entry = _Entry(match[2], values, number, bool(match[1]), words.forced or self._forced)
        if words.forced:
            self._builder.forced.add((self._source, number))
        try:
            self._add(entry)
        except LineError as error:
            raise LineError(str(error), error.allowed, match.start(2) + (error.column or 1)) from None
        except ValueError as error:
            raise LineError(str(error), "", match.start(2) + 1) from None

    def _add(self, entry: _Entry) -> None:
        form = _KIND.fullmatch(entry.subject)
        if form is not None and not _is_hexadecimal(form[1]):
            self._add_pattern(form[1].decode().lower(), form[2], entry)
        elif b":" in entry.subject or _is_numeric(entry.subject):
            self._add_addresses(entry)
        else:
            self._add_name(entry)

    def _add_pattern(self, word: str, text: bytes, entry: _Entry) -> None:
        reader = self._readers.get(word)
        if reader is None:
            near = difflib.get_close_matches(word, _KINDS, n=1)
            hint = f"did you mean {near[0]}:?" if near else "known are glob:, serial: and regex:"
            raise LineError(f"{word}: is no kind of rule", hint)
        self._needs(ZoneKind.RHSBL, "patterns")
        if not text:
            raise LineError(f"nothing stands behind {word}:", "put the pattern right behind the colon")
        if len(text) > MAX_PATTERN:
            raise LineError(f"a pattern has at most {MAX_PATTERN} octets, this one {len(text)}")
        reader(text, entry)

    def _glob(self, text: bytes, entry: _Entry) -> None:
        pattern = glob_pattern(text.lower())
        if not (entry.excluded or entry.forced or any(label.strip(b"*?") for label in text.split(b".")[:-1])):
            raise LineError("it lists a whole top-level domain", "add [forced] behind the pattern if that is meant")
        self._builder.add_pattern(pattern, RuleKind.GLOB, entry.values, entry.line, excluded=entry.excluded)

    def _serial(self, text: bytes, entry: _Entry) -> None:
        serial = parse_serial(text.lower())
        if _NAME.fullmatch(serial.stem + str(serial.high).encode() + serial.rest) is None:
            raise LineError("a family has letters, digits, hyphens, underscores and dots around its braces")
        self._builder.add_serial(serial, entry.values, entry.line, excluded=entry.excluded)

    def _regex(self, text: bytes, entry: _Entry) -> None:
        try:
            pattern = regex_pattern(text, forced=entry.forced)
        except ValueError as error:
            allowed = "patterns are in RE2's syntax, without back-references and look-around"
            raise LineError(str(error), allowed) from None
        self._builder.add_pattern(pattern, RuleKind.REGEX, entry.values, entry.line, excluded=entry.excluded)

    def _add_addresses(self, entry: _Entry) -> None:
        self._needs(ZoneKind.IPBL, "addresses")
        if b":" in entry.subject:
            networks = [parse_ipv6(entry.subject)]
        else:
            first, last = parse_ipv4(entry.subject)
            if last - first + 1 > self._scope.widest:
                raise LineError(f"it has {last - first + 1} addresses, more than $MAXRANGE4 {self._scope.widest}")
            networks = list(networks_of(first, last))
        rule = self._builder.network_rule(entry.values, entry.line, excluded=entry.excluded)
        for network in networks:
            self._builder.add_network(network, rule, excluded=entry.excluded)

    def _add_name(self, entry: _Entry) -> None:
        self._needs(ZoneKind.RHSBL, "names")
        text = _folded(entry.subject)
        name, itself, below = text, True, False
        if text.startswith(b"*."):
            name, itself, below = text[2:], False, True
        elif text.startswith(b"."):
            name, below = text[1:], True
        name = name.removesuffix(b".")
        _check_name(name, entry.subject)
        if not (entry.forced or entry.excluded) and name.count(b".") + 1 < TAIL_LABELS:
            what = "lists the whole top-level domain" if below else "is the top-level domain"
            raise LineError(f"it {what} {name.decode()}", "add [forced] behind the name if that is meant")
        if entry.excluded:
            self._builder.exclude_name(name, entry.values, entry.line, itself=itself, below=below)
        elif below:
            self._builder.add_below(name, entry.values, entry.line, itself=itself)
        else:
            self._builder.add_name(name, entry.values, entry.line)

    def _needs(self, kind: ZoneKind, what: str) -> None:
        if self._kind not in {kind, ZoneKind.MIXED}:
            raise LineError(
                f"{what} are not listed in a zone of kind {self._kind.value}",
                f"put them into one of kind {kind.value} or mixed",
            )

    def _values(self, text: bytes, words: _Words) -> Values:
        if words is not NO_WORDS:
            answer = parse_answer(text, self._scope.default, is_native=True)
            return raw_values(answer, words.ttl, words.added, words.expires)
        values = self._known.get(text)
        if values is None:
            if len(self._known) >= _MOST_TAILS:
                self._known.clear()
            answer = parse_answer(text, self._scope.default, is_native=True)
            values = self._known[text] = raw_values(answer, UNSET_TTL, 0, 0)
        return values


def _words(text: bytes, column: int) -> _Words:
    """What stands in brackets; C{column} is where it begins."""
    found: dict[str, float] = {}
    for word in re.finditer(rb"[^\s,]+", text):
        name, _, value = word[0].partition(b"=")
        key = name.decode("ascii", "replace").lower()
        reader = _WORD_READERS.get(key)
        if reader is None or (key == "forced") != (word[0].lower() == b"forced"):
            raise LineError(f"{word[0].decode('ascii', 'replace')!r} is not known", _WORDS, column + word.start())
        try:
            found[key] = reader(value)
        except LineError as error:
            raise LineError(str(error), error.allowed, column + word.start()) from None
    return _Words(
        int(found.get("ttl", UNSET_TTL)), found.get("added", 0), found.get("expires", 0), bool(found.get("forced"))
    )


def _ttl(value: bytes) -> float:
    return min(parse_span(value), MAX_TTL)


def _forced(value: bytes) -> float:  # noqa: ARG001 - a word without a value
    return 1.0


_WORD_READERS: Final[Mapping[str, Callable[[bytes], float]]] = {
    "ttl": _ttl,
    "added": parse_stamp,
    "expires": parse_stamp,
    "forced": _forced,
}


def _folded(subject: bytes) -> bytes:
    """A name in lower case and A-labels (RFC 5890)."""
    if subject.isascii():
        return subject.lower()
    prefix = b"*." if subject.startswith(b"*.") else b"." if subject.startswith(b".") else b""
    try:
        return prefix + idna.encode(subject[len(prefix) :].decode(), uts46=True)
    except UnicodeError:
        raise LineError(f"{subject.decode('utf-8', 'replace')!r} is no domain name", _FORMS) from None


def _check_name(name: bytes, subject: bytes) -> None:
    """@raise LineError: it is no name that can be listed."""
    if _NAME.fullmatch(name) is not None and len(name) <= MAX_NAME:
        return
    shown = subject.decode("utf-8", "replace")
    if b"@" in subject:
        raise LineError(f"{shown!r} is an address of mail", f"write {shown.rpartition('@')[2]}")
    if b"*" in name or b"?" in name:
        raise LineError(f"{shown!r} has wildcards in its midst", f"write glob:{shown}")
    if b"/" in subject:
        raise LineError(f"{shown!r} is neither a name nor a network", _FORMS)
    raise LineError(f"{shown!r} is no domain name that can be listed", _FORMS)


def _is_bare(line: bytes) -> bool:
    """Whether a line is a plain name and nothing else."""
    return (
        _BARE.fullmatch(line) is not None
        and len(line) <= MAX_NAME
        and (line[-1] > _NINE or not line.rpartition(b".")[2].isdigit())
    )


def _is_hexadecimal(word: bytes) -> bool:
    return len(word) <= 4 and not word.lower().strip(b"0123456789abcdef")


def _is_numeric(subject: bytes) -> bool:
    """Whether it is meant as an IPv4 address, network or range."""
    return not subject.strip(b"0123456789./-")
