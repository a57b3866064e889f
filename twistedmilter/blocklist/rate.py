"""Response rate limiting: an answer that nobody asked for is not sent often to the one who is said to have asked.

The source of a datagram can be forged.  So answers are counted for each network that would get them; those over the
rate are dropped, but for some that go out truncated, by which a real client learns to come again over TCP.

Spec 6.9; the scheme is that of BIND, NSD and Knot.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum, auto
from typing import Final

from msgspec import Struct

MAX_BUCKETS: Final = 50_000  # of which half may be from before the last turn-over (D15)


class ResponseKind(IntEnum):
    """What a response says, as far as rates differ."""

    POSITIVE = 0
    NEGATIVE = 1
    ERROR = 2


class Sending(IntEnum):
    """What becomes of a response."""

    WHOLE = auto()
    TRUNCATED = auto()
    DROPPED = auto()


class Rates(Struct, frozen=True):
    """Responses a second to one network (a /24, or a /56 of IPv6); 0: no limit.

    @ivar positive: of each name. @ivar negative: of each zone. @ivar error: of each zone, and outside all zones.
    @ivar total: of all responses.
    @ivar window: for how long being over the rate is remembered. [seconds]
    @ivar slip: every such response over the rate goes out truncated instead of being dropped; 0: none.
    """

    positive: int = 20
    negative: int = 50
    error: int = 5
    total: int = 100
    window: int = 15
    slip: int = 2


class _Bucket:
    """What one network may still get of one thing.

    @ivar credit: responses; below zero it is over its rate. @ivar over: responses that were not sent whole.
    """

    __slots__ = ("at", "credit", "over")

    def __init__(self, credit: float, at: float) -> None:
        self.credit = credit
        self.at = at
        self.over = 0


class ResponseRateLimiter:
    """Counts responses by whom they would reach.

    Memory is bounded: when there are too many buckets, those not used since the last time are forgotten, which forgives
    what they were over.

    @ivar dropped: responses so far. @ivar truncated: responses so far.
    """

    def __init__(self, rates: Rates, max_buckets: int = MAX_BUCKETS) -> None:
        self.rates = rates
        self.dropped = 0
        self.truncated = 0
        self._by_kind = (rates.positive, rates.negative, rates.error)
        self._size = max(1, max_buckets // 2)
        self._recent: dict[Hashable, _Bucket] = {}
        self._older: dict[Hashable, _Bucket] = {}

    def judge(self, network: bytes, kind: ResponseKind, owner: Hashable, now: float) -> Sending:
        """Whether a response may go out; it is counted in any case.

        @param network: of the client, see L{network_of}.
        @param owner: the name of a positive answer, the apex of a negative one or an error; empty outside all zones.
        @param now: monotonic. [seconds]
        """
        rate, total = self._by_kind[kind], self.rates.total
        over = None
        if total:
            bucket = self._take(network, total, now)
            over = bucket if bucket.credit < 0 else None
        if rate:
            bucket = self._take((network, kind, owner), rate, now)
            over = bucket if bucket.credit < 0 else over
        return Sending.WHOLE if over is None else self._over(over)

    def _take(self, key: Hashable, rate: int, now: float) -> _Bucket:
        bucket = self._recent.get(key)
        if bucket is None:
            bucket = self._older.pop(key, None) or _Bucket(rate, now)
            if len(self._recent) >= self._size:
                self._recent, self._older = {}, self._recent
            self._recent[key] = bucket
        credit = min(float(rate), bucket.credit + (now - bucket.at) * rate) - 1
        bucket.credit = max(credit, float(-rate * self.rates.window))
        bucket.at = now
        return bucket

    def _over(self, bucket: _Bucket) -> Sending:
        bucket.over += 1
        if self.rates.slip and bucket.over % self.rates.slip == 0:
            self.truncated += 1
            return Sending.TRUNCATED
        self.dropped += 1
        return Sending.DROPPED

    def __len__(self) -> int:
        """How many buckets there are."""
        return len(self._recent) + len(self._older)


def network_of(packed: bytes) -> bytes:
    """The neighbourhood of an address that one attacker is taken to own: its /24, or its /56 for IPv6.

    @param packed: 4 or 16 octets.
    """
    return packed[:3] if len(packed) == 4 else packed[:7]
