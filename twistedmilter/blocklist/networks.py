"""Addresses and networks of a zone, flattened: a search is one bisection, whatever is nested in what (spec 6.2).

@see: RFC 5782 section 2.1 (IPv4 names), 2.4 (IPv6 names).
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, MutableSequence
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.rules import RuleTable

_GAP: Final = 2**32 - 1  # the number of a stretch that no rule holds
_NUMBER_BITS: Final = 32
_LENGTH_BITS: Final = 8
_CHUNK: Final = 4_096  # networks that are sorted at once
_STEP: Final = 1_024  # networks that are flattened at each step
_OCTETS: Final = {str(octet).encode(): octet for octet in range(256)}
_NIBBLES: Final = {b"%x" % nibble: nibble for nibble in range(16)}


class Network(Struct, frozen=True, gc=False):
    """All addresses with one prefix.

    @ivar first: its lowest address as a number. @ivar length: of the prefix in bits. @ivar bits: 32 or 128.
    """

    first: int
    length: int
    bits: int


class _Family:
    """Networks of IPv4, or of IPv6.

    After L{build} the addresses are cut into stretches: where each begins, and the rule that holds it.
    """

    def __init__(self, bits: int, starts: MutableSequence[int], rules: RuleTable) -> None:
        self._bits = bits
        self._starts = starts
        self._numbers = array("I")
        self._rules = rules
        self._outer: dict[int, int] = {}  # what holds again when a rule has ended
        self._chunks: list[list[int]] = [[]]

    def __bool__(self) -> bool:
        return bool(self._numbers) or bool(self._chunks[0])

    def add(self, network: Network, number: int) -> None:
        if len(self._chunks[-1]) == _CHUNK:
            self._chunks[-1].sort()
            self._chunks.append([])
        prefix = network.first << _LENGTH_BITS | network.length
        self._chunks[-1].append(prefix << _NUMBER_BITS | number)

    def build(self, on_repeat: Callable[[int, int], int]) -> Iterator[None]:
        """Flatten what was added, a little at each step."""
        self._chunks[-1].sort()
        open_until: list[tuple[int, int]] = []  # the last address and the number of each network around, widest first
        known = -1
        for at, packed in enumerate(heapq.merge(*map(_drained, self._chunks))):
            prefix, number = packed >> _NUMBER_BITS, packed & (2**_NUMBER_BITS - 1)
            if prefix == known:
                last, held = open_until[-1]
                open_until[-1] = (last, on_repeat(held, number))
                self._mark(prefix >> _LENGTH_BITS, open_until[-1][1])
                continue
            known = prefix
            first = prefix >> _LENGTH_BITS
            self._close(open_until, first)
            if open_until and self._rules.values(number).expires:
                self._outer[number] = open_until[-1][1]
            last = first + 2 ** (self._bits - (prefix & (2**_LENGTH_BITS - 1))) - 1
            open_until.append((last, number))
            self._mark(first, number)
            if not at % _STEP:
                yield
        self._close(open_until, 2**self._bits)
        self._chunks = [[]]

    def number_at(self, address: int) -> int | None:
        """The rule of the longest prefix that has not ended."""
        at = bisect_right(self._starts, address) - 1
        number = self._numbers[at] if at >= 0 else _GAP
        while number != _GAP and not self._rules.holds(number):
            number = self._outer.get(number, _GAP)
        return None if number == _GAP else number

    def holds_any(self, first: int, last: int) -> bool:
        """Whether a rule holds any of these addresses."""
        at = bisect_right(self._starts, first) - 1
        if at >= 0 and self._numbers[at] != _GAP:
            return True
        end = min(at + 3, bisect_right(self._starts, last))  # two gaps never follow each other
        return any(number != _GAP for number in self._numbers[at + 1 : end])

    def stretches(self) -> Iterator[tuple[int, int, int]]:
        """The first and the last address of each stretch that a rule holds, and the number of the rule."""
        ends = [*self._starts[1:], 2**self._bits]
        for start, end, number in zip(self._starts, ends, self._numbers, strict=True):
            if number != _GAP:
                yield start, end - 1, number

    def _close(self, open_until: list[tuple[int, int]], first: int) -> None:
        """End the networks that end before an address."""
        while open_until and open_until[-1][0] < first:
            last, _ = open_until.pop()
            if last + 1 < 2**self._bits:
                self._mark(last + 1, open_until[-1][1] if open_until else _GAP)

    def _mark(self, start: int, number: int) -> None:
        """From this address on another rule holds."""
        if self._starts and self._starts[-1] == start:
            self._starts.pop()
            self._numbers.pop()
        self._starts.append(start)
        self._numbers.append(number)


def _drained(chunk: list[int]) -> Iterator[int]:
    """The members of a sorted list, which lets them go one by one."""
    chunk.reverse()
    while chunk:
        yield chunk.pop()


class NetworkTable:
    """IPv4 and IPv6 networks; of those that an address is in, the one with the longest prefix decides."""

    def __init__(self, rules: RuleTable, on_repeat: Callable[[int, int], int]) -> None:
        """Start empty.

        @param on_repeat: says which number holds of the one that a network has and the one that it comes again with.
        """
        self._on_repeat = on_repeat
        self._families = {32: _Family(32, array("I"), rules), 128: _Family(128, [], rules)}

    def __bool__(self) -> bool:
        """Whether there is any network."""
        return any(self._families.values())

    def add(self, network: Network, number: int) -> None:
        """Enter a network; L{build} makes it count."""
        self._families[network.bits].add(network, number)

    def build(self) -> Iterator[None]:
        """Make what was entered searchable, a little at each step."""
        for family in self._families.values():
            yield from family.build(self._on_repeat)

    def stretches(self, bits: int) -> Iterator[tuple[int, int, int]]:
        """Of IPv4 (32 bits) or IPv6 (128): the first and the last address of each stretch, and its rule's number."""
        return self._families[bits].stretches() if self._families[bits] else iter(())

    def find(self, labels: tuple[bytes, ...], key: bytes) -> int | None:  # noqa: ARG002 - as every table
        """The number of the network that an address is in; labels that are no whole address are in none."""
        if len(labels) not in {4, 32}:
            return None
        found = prefix_of(labels, 32 if len(labels) == 4 else 128)
        return None if found is None else self._families[found.bits].number_at(found.first)

    def reaches_below(self, labels: tuple[bytes, ...], key: bytes) -> bool:  # noqa: ARG002 - as every table
        """Whether any address is listed whose name ends with these labels."""
        for bits, family in self._families.items():
            found = prefix_of(labels, bits) if len(labels) * (8 if bits == 32 else 4) < bits else None
            if found is not None and family.holds_any(found.first, found.first + 2 ** (bits - found.length) - 1):
                return True
        return False


def prefix_of(labels: tuple[bytes, ...], bits: int) -> Network | None:
    """The network whose addresses have names that end with these labels; None if they are no parts of an address.

    Octets are decimal without zeros in front, nibbles one hexadecimal digit (reliability D17).
    """
    size, values = (8, _OCTETS) if bits == 32 else (4, _NIBBLES)
    prefix = 0
    for label in reversed(labels):
        value = values.get(label)
        if value is None:
            return None
        prefix = prefix << size | value
    length = size * len(labels)
    return Network(prefix << bits - length, length, bits)
