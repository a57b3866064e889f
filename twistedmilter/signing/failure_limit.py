"""A limit on guesses, for signatures that are short enough to be guessed (case 22, reliability S5)."""

from __future__ import annotations

from typing import Final

FORGERIES: Final = 100  # in L{PERIOD}
PERIOD: Final = 60.0  # seconds


class FailureLimit:
    """Counts forged signatures; from the hundredth in a minute on nothing is verified until the minute is over.

    A guess at four characters is right once in a million times; at a hundred a minute that takes a week.
    """

    def __init__(self, forgeries: int = FORGERIES, period: float = PERIOD) -> None:
        self._forgeries = forgeries
        self._period = period
        self._since = 0.0
        self._count = 0

    def failed(self, now: float) -> None:
        """Another forged signature.

        @param now: wall clock. [seconds]
        """
        if not 0 <= now - self._since < self._period:
            self._since, self._count = now, 0
        self._count += 1

    def is_reached(self, now: float) -> bool:
        """Whether to verify nothing for now.

        @param now: wall clock. [seconds]
        """
        return self._count >= self._forgeries and 0 <= now - self._since < self._period
