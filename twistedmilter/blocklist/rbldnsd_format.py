"""Files of rbldnsd: dnset, ip4set, ip4trie, ip4tset and ip6trie, read as rbldnsd reads them.

A line that rbldnsd warns about and leaves out is left out here, too.

@see: rbldnsd(8), "DATASET TYPES AND FORMATS".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from twistedmilter.blocklist.answer_text import UNSET_TTL, Default, parse_answer, raw_values
from twistedmilter.blocklist.builder import ZoneBuilder
from twistedmilter.blocklist.listing import Values
from twistedmilter.blocklist.networks import Network
from twistedmilter.blocklist.problems import LineError
from twistedmilter.blocklist.ranges import networks_of, parse_ipv4, parse_ipv6, set_networks
from twistedmilter.blocklist.specials import Scope

_SPECIAL: Final = re.compile(rb"[#;:]?\$")
_IPV4: Final = re.compile(rb"([0-9./-]+)(?=[:;# \t]|$)")
_IPV6: Final = re.compile(rb"([0-9a-fA-F:./]+)(?=[;# \t]|$)")
_NAME: Final = re.compile(rb"[^ \t]+")
_LISTABLE: Final = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_MOST_TAILS: Final = 10_000  # different texts behind entries whose values are remembered


class RbldnsdReader:
    """Reads the lines of one file into a builder.

    @param read_entry: L{read_name} or one of its kind.
    """

    def __init__(self, builder: ZoneBuilder, scope: Scope, read_entry: EntryReader, *, keeps_first: bool) -> None:
        """Read with a scope that is new."""
        self.builder = builder
        self.scope = scope
        self._read_entry = read_entry
        self._keeps_first = keeps_first
        self._has_default = False
        self._known: dict[bytes, Values] = {}

    def read(self, line: bytes, number: int) -> None:
        """Take one line in.

        @raise LineError: it cannot be read; rbldnsd leaves it out.
        """
        line = line.strip()
        if _SPECIAL.match(line):
            self.scope.read(line[line.index(b"$") :])
        elif line[:1] == b":" and line[:2] != b"::":  # ::1 is an address
            self._read_default(line)
        elif line and line[:1] not in b"#;":
            excluded = line.startswith(b"!")
            entry = line[1:].lstrip() if excluded else line
            if not entry:
                raise LineError("an entry is missing behind the exclamation mark")
            self._read_entry(self, entry, number, excluded)

    def values(self, text: bytes) -> Values:
        """What an entry answers with, by what stands behind it."""
        if self._keeps_first:
            text = b""
        values = self._known.get(text)
        if values is None:
            if len(self._known) >= _MOST_TAILS:
                self._known.clear()
            answer = parse_answer(text, self.scope.default, is_native=False)
            values = self._known[text] = raw_values(answer, UNSET_TTL, 0, 0)
        return values

    def _read_default(self, line: bytes) -> None:
        if self._has_default and self._keeps_first:
            return
        self.scope.default = parse_answer(line, Default(), is_native=False)
        self._has_default = True
        self._known.clear()


EntryReader = Callable[[RbldnsdReader, bytes, int, bool], None]


def read_name(reader: RbldnsdReader, line: bytes, number: int, excluded: bool) -> None:
    """C{example.com}, C{.example.com} or C{*.example.com} of a dnset."""
    match = _NAME.match(line)
    token = match[0].lower() if match else b""
    text = line[len(token) :]
    name, itself, below = token, True, False
    if name.startswith(b"*."):
        name, itself, below = name[2:], False, True
    elif name.startswith(b"."):
        name, below = name[1:], True
    name = b".".join(filter(None, name.split(b".")))
    if _LISTABLE.fullmatch(name) is None:
        raise LineError(f"{token.decode('ascii', 'replace')!r} is no domain name that can be listed")
    builder = reader.builder
    if excluded:
        builder.add_hole(name, number, itself=itself, below=below)
    elif below:
        builder.add_below(name, reader.values(text), number, itself=itself)
    else:
        builder.add_name(name, reader.values(text), number)


def read_range(reader: RbldnsdReader, line: bytes, number: int, excluded: bool) -> None:
    """An address, a prefix, a network or a range of an ip4set."""
    _read_ipv4(reader, line, number, excluded, set_networks)


def read_ipv4_network(reader: RbldnsdReader, line: bytes, number: int, excluded: bool) -> None:
    """A network of an ip4trie."""
    if b"-" in line.partition(b" ")[0].partition(b":")[0]:
        raise LineError("an ip4trie has no ranges", "write 192.0.2.0/24, or load the file as ip4set")
    _read_ipv4(reader, line, number, excluded, networks_of)


def read_ipv4_address(reader: RbldnsdReader, line: bytes, number: int, excluded: bool) -> None:
    """A single address of an ip4tset."""
    token = line.split(None, 1)[0].partition(b":")[0]
    if excluded or token.count(b".") != 3 or not token.replace(b".", b"").isdigit():
        raise LineError("an ip4tset has single addresses only", "load the file as ip4set or ip4trie")
    _read_ipv4(reader, line, number, excluded, networks_of)


def _read_ipv4(
    reader: RbldnsdReader, line: bytes, number: int, excluded: bool, cut: Callable[[int, int], Iterator[Network]]
) -> None:
    match = _IPV4.match(line)
    if match is None:
        raise LineError(f"{line.split(None, 1)[0].decode('ascii', 'replace')!r} is no IPv4 address")
    first, last = parse_ipv4(match[1])
    if last - first + 1 > reader.scope.widest:
        raise LineError(f"the range has {last - first + 1} addresses, more than $MAXRANGE4 {reader.scope.widest}")
    values = Values() if excluded else reader.values(line[match.end() :])
    rule = reader.builder.network_rule(values, number, hole=excluded)
    networks = (Network(first, 32, 32),) if first == last else cut(first, last)  # most lines are single addresses
    for network in networks:
        reader.builder.add_network(network, rule)


def read_ipv6_network(reader: RbldnsdReader, line: bytes, number: int, excluded: bool) -> None:
    """An address or a network of an ip6trie."""
    match = _IPV6.match(line)
    if match is None:
        raise LineError(f"{line.split(None, 1)[0].decode('ascii', 'replace')!r} is no IPv6 address")
    network = parse_ipv6(match[1])
    values = Values() if excluded else reader.values(line[match.end() :])
    reader.builder.add_network(network, reader.builder.network_rule(values, number, hole=excluded))
