"""How much of something there was within the last hour, by key."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from twistedmilter.model.durations import HOUR

SLOT: Final = 60.0  # seconds; what happened within one is forgotten together
MAX_KEYS: Final = 100_000


@dataclass(slots=True)
class _Tally:
    total: int = 0
    slots: deque[tuple[int, int]] = field(default_factory=deque)  # number of the slot, count


class HourlyCount:
    """Counts by key, to the minute; of too many keys the one that was quiet for the longest time is forgotten.

    Times are those of one clock, monotonic or not: what is later than now, since a clock was set back, counts no more.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._tallies)

    def add(self, key: str, now: float) -> None:
        """Count one. @param now: seconds."""
        tally = self._tallies.setdefault(key, _Tally())
        self._tallies.move_to_end(key)
        if len(self._tallies) > self._max_keys:
            self._tallies.popitem(last=False)
        slot = int(now // SLOT)
        while tally.slots and tally.slots[-1][0] > slot:
            tally.total -= tally.slots.pop()[1]
        if tally.slots and tally.slots[-1][0] == slot:
            tally.slots[-1] = (slot, tally.slots[-1][1] + 1)
        else:
            tally.slots.append((slot, 1))
        tally.total += 1

    def take_back(self, key: str, then: float) -> None:
        """Count one less: what was counted at that time did not happen after all."""
        tally = self._tallies.get(key)
        if tally is None:
            return
        slot = int(then // SLOT)
        for place, (number, count) in enumerate(tally.slots):
            if number == slot and count:
                tally.slots[place] = (number, count - 1)
                tally.total -= 1

    def total(self, key: str, now: float) -> int:
        """How many there were within the last hour."""
        tally = self._tallies.get(key)
        if tally is None:
            return 0
        slot, oldest = int(now // SLOT), int((now - HOUR) // SLOT)
        while tally.slots and tally.slots[-1][0] > slot:
            tally.total -= tally.slots.pop()[1]
        while tally.slots and tally.slots[0][0] <= oldest:
            tally.total -= tally.slots.popleft()[1]
        if not tally.slots:
            del self._tallies[key]
        return tally.total
