"""How often one signature may be looked up before it is suspect (gossip-srs-dns-spec 6.5, cases 25 and 44)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

LOOKUPS: Final = 200  # of one signature: several recipients, exchangers, filters and resolver farms ask about a message
REMEMBERED: Final = 10_000  # signatures; of more, the one that was asked for longest ago is forgotten


class ReplayBudget:
    """Counts the uses of signatures until these expire."""

    def __init__(self, uses: int = LOOKUPS, remembered: int = REMEMBERED) -> None:
        self._uses = uses
        self._remembered = remembered
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many signatures are remembered."""
        return len(self._seen)

    def spend(self, signature: str, expires: float, now: float) -> int:
        """Count a use.

        @param expires: when the signature does. @param now: wall clock. [seconds]
        @return: how many uses are left; negative when there were too many.
        """
        kept_until, count = self._seen.pop(signature, (expires, 0))
        if kept_until <= now:
            count = 0
        count = min(count + 1, self._uses + 2)  # the first too many is told apart from the rest
        self._seen[signature] = (expires, count)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return self._uses - count
