"""What every store of observations does alike: what is dropped, and how a record is written."""

from __future__ import annotations

from twistedmilter.model.reputation import PEER, Identity, Observations
from twistedmilter.reputation.opinion import confidence
from twistedmilter.reputation.ring import repaired

ROOM = 0.05  # of the limit that is made when it is reached, so that not every vote has to look for the least sure

Row = tuple[str, str, int, int, bytes, bytes, float, float]


def row_of(identity: Identity, observations: Observations) -> Row:
    """A record as columns; the masks as octets, the first slot in the lowest bit of the first of them."""
    return (
        identity.name,
        identity.qualifier,
        observations.size,
        observations.total,
        _octets(observations.ham),
        _octets(observations.null),
        observations.first_seen,
        observations.last_seen,
    )


def record_of(row: Row) -> tuple[Identity, Observations]:
    """Columns as a record, without what cannot be.

    @raise ValueError: no record can be made of it.
    """
    name, qualifier, size, total, ham, null, first_seen, last_seen = row
    observations = Observations(
        size, total, int.from_bytes(ham, "little"), int.from_bytes(null, "little"), first_seen, last_seen
    )
    return Identity(name, qualifier), repaired(observations)


def least_sure(known: dict[Identity, Observations], limit: int, now: float) -> list[Identity]:
    """Which records go when there are more than the limit: the least sure, and some more for the next ones.

    @param now: seconds since the epoch.
    """
    surplus = len(known) - limit
    if surplus <= 0:
        return []
    strangers = [identity for identity in known if identity.qualifier != PEER]
    strangers.sort(key=lambda identity: (confidence(known[identity], now), known[identity].last_seen))
    return strangers[: surplus + int(limit * ROOM)]


def _octets(mask: int) -> bytes:
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")
