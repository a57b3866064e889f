"""From observations to an opinion, and from several opinions to one (gossip spec 1.6, 1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt, tanh

from twistedmilter.model.reputation import CONFIDENCE_RANGE, REPUTATION_RANGE, UNKNOWN, Observations, Opinion

OUTLIER = 3.0  # standard deviations; further away is not believed
_NOTHING = 1e-9  # a variance below this is an error of rounding


def reputation(observations: Observations) -> float:
    """How good: C{100 tanh(d)}, d the share of ham less the share of spam; nulls count in both shares.

    That is C{200 (e^(2d) / (1 + e^(2d)) - 0.5)}, so it stays within 76.16 either way; 0 without votes.
    """
    count = observations.count
    if not count:
        return 0.0
    hams = observations.ham.bit_count()
    return REPUTATION_RANGE * tanh((2 * hams + observations.null.bit_count() - count) / count)


def confidence(observations: Observations, now: float) -> float:
    """How sure: how full the ring is, less as the silence grows longer than the time of activity; 0 to 100.

    @param now: seconds since the epoch; a clock before C{first_seen} makes it 0, one before C{last_seen} is taken
        for that.
    """
    first, last = observations.first_seen, observations.last_seen
    if now <= first or last <= first:
        return 0.0
    return CONFIDENCE_RANGE * (observations.count / observations.size) * ((last - first) / (max(now, last) - first))


def opinion_of(observations: Observations | None, now: float) -> Opinion:
    """What is to be thought of an identity, of which nothing may be known."""
    return UNKNOWN if observations is None else Opinion(reputation(observations), confidence(observations, now))


def aggregate(opinions: Sequence[Opinion]) -> Opinion:
    """Several opinions as one: their mean, weighted by their confidence, without outliers.

    An opinion further than L{OUTLIER} standard deviations from the mean of all is left out.  The confidence is the
    mean of those that are left.  Opinions that agree lose nothing to others without any confidence.
    """
    if len(opinions) < 2:
        return opinions[0] if opinions else UNKNOWN
    is_weighty = any(each.confidence for each in opinions)
    weighed = [(each.reputation, each.confidence if is_weighty else 1.0) for each in opinions]
    total = sum(weight for _, weight in weighed)
    mean = sum(value * weight for value, weight in weighed) / total
    variance = sum(weight * (value - mean) ** 2 for value, weight in weighed) / total
    if variance <= _NOTHING:
        return _mean([each for each in opinions if each.confidence])
    limit = OUTLIER * sqrt(variance * len(opinions) / (len(opinions) - 1))
    kept = [each for each in opinions if abs(each.reputation - mean) <= limit]
    return _mean(kept) if is_weighty else Opinion(sum(each.reputation for each in kept) / len(kept), 0.0)


def _mean(opinions: Sequence[Opinion]) -> Opinion:
    total = sum(each.confidence for each in opinions)
    if not total:
        return UNKNOWN
    return Opinion(sum(each.reputation * each.confidence for each in opinions) / total, total / len(opinions))
