"""What the resolver remembers, and for how long (reliability A11)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.interfaces.dns import Answer, AnswerStatus

MIN_TTL: Final = 30.0  # seconds
MAX_TTL: Final = 3600.0
MAX_NEGATIVE_TTL: Final = 300.0
MAX_TEXT: Final = 4096  # octets of TXT in one answer that is kept; no SPF record may be longer (reliability A10)
FAILURE_TTL: Final = 5.0  # RFC 9520 section 3.2 wants at least one second

Key = tuple[str, RdataType]


class KnownFailure(Struct, frozen=True):
    """A question that could not be answered a moment ago.

    @ivar expires: reactor seconds after which it may be asked again.
    """

    problem: str
    expires: float


def kept_for(status: AnswerStatus, ttl: int) -> float:
    """How long an answer is kept: its TTL in seconds, within the bounds of A11."""
    longest = MAX_TTL if status is AnswerStatus.FOUND else MAX_NEGATIVE_TTL
    return max(MIN_TTL, min(float(ttl), longest))


class AnswerCache:
    """Answers and failures by name and type; when full, the one not used for longest goes."""

    def __init__(self, size: int) -> None:
        """Empty; keeps at most C{size} entries."""
        self._size = size
        self._entries: OrderedDict[Key, Answer | KnownFailure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Answer | KnownFailure | None:
        """The entry, if it is still good at C{now}, in reactor seconds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Answer | KnownFailure) -> None:
        """Remember an entry; text over L{MAX_TEXT} is not worth its place, whoever publishes it chooses its TTL."""
        if isinstance(entry, Answer) and _text_size(entry) > MAX_TEXT:
            return
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _text_size(answer: Answer) -> int:
    """The octets of all character-strings; records of other types are small."""
    return sum(len(part) for record in answer.records for part in getattr(record, "strings", ()))
