"""Reference ids: short, unique, sortable by time; in replies, logs and the record."""

from __future__ import annotations

from collections.abc import Callable

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # without i l o u: read over the telephone
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)  # ten bits each
_TICKS_PER_SECOND = 4096


class ReferenceIds:
    """Makes one id after the other, each greater than the last, also when the wall clock steps back.

    @param wall: seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._last = 0

    def __call__(self) -> str:
        """The next id, ten characters."""
        self._last = ticks = max(self._last + 1, int(self._wall() * _TICKS_PER_SECOND))
        return (
            _PAIRS[ticks >> 40 & 1023]
            + _PAIRS[ticks >> 30 & 1023]
            + _PAIRS[ticks >> 20 & 1023]
            + _PAIRS[ticks >> 10 & 1023]
            + _PAIRS[ticks & 1023]
        )
