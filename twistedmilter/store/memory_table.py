"""Rows in memory, each with its end, found by when they end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SLOT: Final = 60.0  # seconds; rows that end within one are kept together
FAR: Final = 1e12  # seconds since the epoch; what ends later ends then
SLICE: Final = 1_000  # rows looked at before others get their turn


class ExpiringTable(Generic[K, V]):
    """Rows in the order they were written; the oldest goes when there are too many.

    Each row is in the slot of its end, so that what has ended is found without a look at what has not.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rows: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._slots: dict[int, dict[K, None]] = {}
        self._order: list[int] = []  # a heap of the slots that there are

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def items(self) -> Iterator[tuple[K, V]]:
        """Keys and values in the order of writing."""
        return ((key, value) for key, (value, _) in self._rows.items())

    def newest(self) -> Iterator[V]:
        """The values, the one that was written last first."""
        return (value for value, _ in reversed(self._rows.values()))

    def get(self, key: K) -> V | None:
        """The value, be it valid still or not."""
        row = self._rows.get(key)
        return row[0] if row else None

    def end_of(self, key: K) -> float | None:
        """When a row ends; None if there is none."""
        row = self._rows.get(key)
        return row[1] if row else None

    def put(self, key: K, value: V, expires: float) -> None:
        """Keep a value until then, in wall clock seconds; the oldest makes room."""
        self.remove(key)
        self._rows[key] = (value, expires)
        number = _slot_of(expires)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            heappush(self._order, number)
        slot[key] = None
        if len(self._rows) > self.limit:
            self.remove(next(iter(self._rows)))

    def remove(self, key: K) -> V | None:
        """Take a row out; its value, if it was there."""
        row = self._rows.pop(key, None)
        if row is None:
            return None
        del self._slots[_slot_of(row[1])][key]  # an empty slot stays until its time
        return row[0]

    def purge(self, now: float) -> Iterator[int]:
        """Drop what has expired, a slice each step; each tells how many rows it dropped.

        Rows may be written and removed between the steps.
        """
        looked = dropped = 0
        for key in self._due(now):
            ends = self.end_of(key)
            if ends is not None and ends <= now:
                self.remove(key)
                dropped += 1
            looked += 1
            if looked == SLICE:
                yield dropped
                looked = dropped = 0
        yield dropped

    def _due(self, now: float) -> Iterator[K]:
        """The rows of the slots that have ended, and those of the one that has begun to."""
        last = _slot_of(now)
        while self._order and self._order[0] < last:
            number = self._order[0]
            slot = self._slots[number]
            yield from list(slot)
            if not slot and self._order[0] == number:  # else something came meanwhile
                del self._slots[heappop(self._order)]
        yield from list(self._slots.get(last, ()))


def _slot_of(expires: float) -> int:
    return int(min(expires, FAR) // SLOT)
