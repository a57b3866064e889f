"""Serial rules: families of counted names such as ded300.com to ded399.com, found without a pattern (spec 6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.reach import Reach
from twistedmilter.blocklist.rules import RuleTable

MAX_DIGITS: Final = 18
_DIGITS: Final = re.compile(rb"[0-9]+")
_FORM: Final = re.compile(rb"([^{}]*)\{([0-9]+)-([0-9]+)\}([^{}]*)")
ALLOWED: Final = "write serial:ded{300-399}.com"


class Serial(Struct, frozen=True, gc=False):
    """One family of counted names.

    @ivar stem: what is before the number. @ivar rest: what is after it, with the dots.
    @ivar width: digits of a number that is filled up with zeros; 0: it is not.
    """

    stem: bytes
    low: int
    high: int
    rest: bytes
    width: int

    def holds(self, digits: bytes) -> bool:
        """Whether a number belongs to the family, as it is written."""
        if self.width:
            right = len(digits) == self.width
        else:
            right = len(digits) <= MAX_DIGITS and (digits[:1] != b"0" or digits == b"0")
        return right and self.low <= int(digits) <= self.high


def members(serial: Serial) -> Iterator[bytes]:
    """All names of a family."""
    for number in range(serial.low, serial.high + 1):
        yield serial.stem + str(number).encode().rjust(serial.width, b"0") + serial.rest


def parse_serial(text: bytes) -> Serial:
    """The family that C{ded{300-399}.com} stands for.

    Where both ends have as many digits, so have all numbers, with zeros in front; otherwise there are none in front.

    @raise ValueError: it is no such thing; the text says why.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"a serial rule has one range in braces; {ALLOWED}")
    stem, low, high, rest = form.groups()
    if stem[-1:].isdigit() or rest[:1].isdigit():
        raise ValueError(f"a digit beside the braces is part of the number; {ALLOWED}")
    if len(high) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits")
    if int(low) > int(high):
        raise ValueError(f"the range ends before it begins: {int(low)} to {int(high)}")
    if len(low) == len(high):
        return Serial(stem, int(low), int(high), rest, len(low))
    if (low.startswith(b"0") and low != b"0") or high.startswith(b"0"):
        raise ValueError("with zeros in front both ends have as many digits, as in {001-099}")
    return Serial(stem, int(low), int(high), rest, 0)


class SerialTable:
    """Families by what is before and after their number."""

    def __init__(self, rules: RuleTable) -> None:
        """Start empty; C{rules} knows which have ended."""
        self._rules = rules
        self._families: dict[tuple[bytes, bytes], list[tuple[Serial, int]]] = {}
        self._reach = Reach()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._families)

    def add(self, serial: Serial, number: int) -> None:
        """Enter a family."""
        self._families.setdefault((serial.stem, serial.rest), []).append((serial, number))
        _, _, tail = serial.rest.partition(b".")
        self._reach.add(tail, serial.stem.count(b".") + serial.rest.count(b".") + 1)

    def families(self) -> Iterator[tuple[Serial, int]]:
        """All families and the numbers of their rules."""
        return chain.from_iterable(self._families.values())

    def find(self, labels: tuple[bytes, ...], key: bytes) -> int | None:  # noqa: ARG002 - as every table
        """The first family that a name belongs to; its number."""
        found: list[int] = []
        for run in _DIGITS.finditer(key):
            start, end = run.span()
            for serial, number in self._families.get((key[:start], key[end:]), ()):
                if serial.holds(run[0]) and self._rules.holds(number):
                    found.append(number)
        return min(found, default=None)

    def reaches_below(self, labels: tuple[bytes, ...], key: bytes) -> bool:
        """Whether something below this name could belong to a family."""
        return self._reach.covers(labels, key)
