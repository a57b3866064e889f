"""The two characters that say on which day an SRS address was made (gossip-srs-dns-spec 2.4)."""

from __future__ import annotations

import re
from typing import Final

from twistedmilter.model.durations import DAY

CYCLE: Final = 1024  # days until a stamp comes again
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_STAMP: Final = re.compile(r"[A-Za-z2-7]{2}")
_SKEW: Final = 1  # days that another clock may be ahead of ours


def day_of(now: float) -> int:
    """The day since the epoch.

    @param now: wall clock. [seconds]
    """
    return int(now // DAY)


def stamp_of(day: int) -> str:
    """The stamp of a day: the high and the low five bits of it modulo L{CYCLE} in base 32."""
    return _ALPHABET[day // 32 % 32] + _ALPHABET[day % 32]


def day_of_stamp(stamp: str, today: int) -> int | None:
    """The latest day with that stamp, tomorrow included; None for what is no stamp.

    Exactly two characters are a stamp: a third would pass unseen through the arithmetic (2.4).
    """
    if _STAMP.fullmatch(stamp) is None:
        return None
    high, low = (_ALPHABET.index(char) for char in stamp.upper())
    latest = today + _SKEW
    return latest - (latest - (high * 32 + low)) % CYCLE
