"""How much of something there was within the last hour, by key."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

HOUR: Final = 3_600.0  # seconds
SLOT: Final = 60.0  # seconds; what happened within one is forgotten together
MAX_KEYS: Final = 100_000


@dataclass(slots=True)
class _Tally:
    total: int = 0
    slots: deque[tuple[int, int]] = field(default_factory=deque)  # number of the slot, count


class HourlyCount:
    """Counts by key; the key that was not counted for the longest time is forgotten when there are too many."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def add(self, key: str, now: float) -> None:
        """Count one. @param now: monotonic seconds."""
        tally = self._tallies.setdefault(key, _Tally())
        self._tallies.move_to_end(key)
        if len(self._tallies) > self._max_keys:
            self._tallies.popitem(last=False)
        slot = int(now // SLOT)
        if tally.slots and tally.slots[-1][0] == slot:
            tally.slots[-1] = (slot, tally.slots[-1][1] + 1)
        else:
            tally.slots.append((slot, 1))
        tally.total += 1

    def total(self, key: str, now: float) -> int:
        """How many there were within the last hour, to the minute."""
        tally = self._tallies.get(key)
        if tally is None:
            return 0
        oldest = int((now - HOUR) // SLOT)
        while tally.slots and tally.slots[0][0] <= oldest:
            tally.total -= tally.slots.popleft()[1]
        if not tally.slots:
            del self._tallies[key]
        return tally.total
