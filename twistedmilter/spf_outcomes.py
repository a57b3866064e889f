"""SPF outcomes that hold until an answer they rest on gets stale: most clients send more than once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from twistedmilter.model.spf import Identity, SPFOutcome
from twistedmilter.model.transaction import IPAddress

MAX_OUTCOMES: Final = 5_000  # about a kibioctet each

Key = tuple[IPAddress, Identity, str]
"""Client, identity and its domain."""


class KnownOutcomes:
    """Outcomes by client and domain; when full, the one not used for longest goes.

    Only for evaluations that used no macro, for those depend on nothing else than client, domain and DNS.
    """

    def __init__(self, size: int = MAX_OUTCOMES) -> None:
        """Empty; keeps at most C{size} outcomes."""
        self._size = size
        self._outcomes: OrderedDict[Key, tuple[float, SPFOutcome]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._outcomes)

    def get(self, key: Key, sender: str, now: float) -> SPFOutcome | None:
        """The outcome as if it were of this sender, if it is still good.

        @param now: reactor seconds.
        """
        known = self._outcomes.get(key)
        if known is None:
            return None
        expires, outcome = known
        if expires <= now:
            del self._outcomes[key]
            return None
        self._outcomes.move_to_end(key)
        return outcome if outcome.sender == sender else replace(outcome, sender=sender)

    def put(self, key: Key, outcome: SPFOutcome, expires: float) -> None:
        """Remember an outcome until then, in reactor seconds."""
        self._outcomes[key] = (expires, outcome)
        self._outcomes.move_to_end(key)
        if len(self._outcomes) > self._size:
            self._outcomes.popitem(last=False)
