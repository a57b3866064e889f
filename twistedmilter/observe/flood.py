"""No more than so many lines a second for one key (reliability O2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

LINES_PER_SECOND = 10
MAX_KEYS = 1000  # keys remembered at once; keys are our own words, so this is never met


class FloodGate:
    """Counts events by key and tells which of them still deserve a line.

    @ivar _seconds: the clock. [seconds]
    """

    def __init__(self, seconds: Callable[[], float], limit: int = LINES_PER_SECOND) -> None:
        """Start with nothing counted."""
        self._seconds = seconds
        self._limit = limit
        self._second = 0
        self._counts: dict[str, int] = {}

    def admits(self, key: str) -> bool:
        """Whether this event gets its line; what does not is counted for L{suppressed}."""
        if key not in self._counts and len(self._counts) >= MAX_KEYS:
            key = "other"
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        return count <= self._limit

    def suppressed(self, *, at_end: bool = False) -> Iterator[tuple[str, int]]:
        """Key and number of events without a line in a second that is over; to be asked before L{admits}.

        @param at_end: the running second counts as over.
        """
        second = int(self._seconds())
        if second == self._second and not at_end:
            return
        counts, self._counts, self._second = self._counts, {}, second
        for key, count in counts.items():
            if count > self._limit:
                yield key, count - self._limit
