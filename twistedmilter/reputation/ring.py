"""The ring of observations: how a vote is cast, changed and read back (gossip spec 1.5)."""

from __future__ import annotations

from twistedmilter.model.reputation import Observations, Vote

SIZE = 1_024  # votes that are remembered of an identity
PEER_SIZE = 100  # and of a peer: it is to win or lose trust faster
MAX_SIZE = 65_536  # slots that a record from elsewhere may have


def begin(now: float, size: int = SIZE) -> Observations:
    """A record without votes.

    @param now: seconds since the epoch. @param size: slots.
    """
    return Observations(size, 0, 0, 0, now, now)


def cast(observations: Observations, vote: Vote, now: float) -> Observations:
    """One more vote; it takes the place of the oldest when the ring is full.

    @param now: seconds since the epoch; a clock that went back does not take C{last_seen} with it.
    """
    ham, null = _with(observations, observations.pointer, vote)
    return Observations(
        observations.size,
        observations.total + 1,
        ham,
        null,
        observations.first_seen,
        max(observations.last_seen, now),
    )


def change(observations: Observations, number: int, vote: Vote) -> Observations:
    """Another vote in the place of one that was cast; nothing, if that has left the ring.

    @param number: which vote, counted from 0: C{total} before it was cast.
    """
    if not observations.total - observations.count <= number < observations.total:
        return observations
    ham, null = _with(observations, number % observations.size, vote)
    return Observations(
        observations.size, observations.total, ham, null, observations.first_seen, observations.last_seen
    )


def repaired(observations: Observations) -> Observations:
    """A record from elsewhere without what cannot be.

    That is bits that were never cast, both bits of one slot, and times in the wrong order.

    @raise ValueError: it has no slots, too many, or less than no votes.
    """
    if not 1 <= observations.size <= MAX_SIZE or observations.total < 0:
        raise ValueError(f"a ring has 1 to {MAX_SIZE} slots and no fewer than 0 votes")
    cast_ever = (1 << observations.count) - 1
    null = observations.null & cast_ever
    return Observations(
        observations.size,
        observations.total,
        observations.ham & cast_ever & ~null,
        null,
        observations.first_seen,
        max(observations.first_seen, observations.last_seen),
    )


def _with(observations: Observations, slot: int, vote: Vote) -> tuple[int, int]:
    """Both masks with a vote in a slot."""
    bit = 1 << slot
    ham, null = observations.ham & ~bit, observations.null & ~bit
    if vote is Vote.HAM:
        return ham | bit, null
    if vote is Vote.NONE:
        return ham, null | bit
    return ham, null
