"""Names in order, for pages of a list in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Final

SLICE: Final = 1_000  # names looked at before others get their turn


class SortedNames:
    """Names that were added, each once; those that are of no use any more stay until they are tidied away.

    To add one among 100,000 costs some 10 us, to sort them all would hold up everybody.
    """

    def __init__(self) -> None:
        self._names: list[str] = []

    def add(self, name: str) -> None:
        """Put a name in its place, unless it is there."""
        place = bisect_left(self._names, name)
        if place == len(self._names) or self._names[place] != name:
            self._names.insert(place, name)

    def after(self, name: str | None) -> Iterator[str]:
        """The names that come after one; None begins with the first."""
        first = 0 if name is None else bisect_right(self._names, name)
        return (self._names[place] for place in range(first, len(self._names)))

    def tidy(self, is_of_use: Callable[[str], object]) -> Iterator[None]:
        """Drop names that are of no use, a slice each step; others may be added between the steps."""
        place = 0
        while place < len(self._names):
            looked = self._names[place : place + SLICE]
            kept = [name for name in looked if is_of_use(name)]
            self._names[place : place + len(looked)] = kept
            place += len(kept)
            yield
