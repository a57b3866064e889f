"""What the opinions of peers are worth, and what is to be thought of peers (gossip spec 1.8, reliability P3, P10)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from twistedmilter.model.reputation import CONFIDENCE_RANGE, REPUTATION_RANGE, Opinion, PeerOpinion, Vote
from twistedmilter.reputation.opinion import aggregate

CERTAIN = 1.0  # confidence from which an opinion is one that a peer can be measured by


class PeerLimits(Struct, frozen=True):
    """How much peers may bring.

    Where our own confidence is below C{silence}, peers together fill the gap.  Where it is not, they are bound to
    shares of it: one peer to C{one} of the answer, all of them to C{all}, so that whatever they say, what we are sure
    of keeps its sign.

    @ivar silence: our own confidence from which peers are bound to their shares. [0 to 100]
    @ivar one: share that one peer has in the answer at most. [0 to less than 1]
    @ivar all: share that all peers have in the answer at most. [0 to less than 1]
    """

    silence: float = 10.0
    one: float = 0.3
    all: float = 0.4


UNLIMITED = PeerLimits(silence=float("inf"))
"""The reference's: confidence alone counts."""


def within_range(reputation: int, confidence: int) -> Opinion:
    """What a peer said, clamped: nobody is more than sure, or worse than bad."""
    return Opinion(
        min(max(float(reputation), -REPUTATION_RANGE), REPUTATION_RANGE),
        min(max(float(confidence), 0.0), CONFIDENCE_RANGE),
    )


def trust(peer: Opinion) -> float:
    """What is left of the confidence of a peer: all of it, unless it was wrong more often than right.

    @param peer: what is thought of it. @return: 0 to 1.
    """
    return min(1.0, (REPUTATION_RANGE + peer.reputation) / REPUTATION_RANGE)


def weights(own: Opinion | None, said: Sequence[tuple[str, Opinion, float]], limits: PeerLimits) -> list[PeerOpinion]:
    """What peers said, with what it weighs.

    @param own: our own opinion; None is none.
    @param said: of each peer its name, what it said, and how far it is trusted.
    """
    sure = own.confidence if own is not None else 0.0
    gap = max(0.0, limits.silence - sure)
    one = max(gap, sure * limits.one / (1 - limits.one))
    together = max(gap, sure * limits.all / (1 - limits.all))
    # what a peer may claim is cut first: else one that claims more would lose nothing by being trusted less
    each = [min(opinion.confidence, one) * factor for _, opinion, factor in said]
    total = sum(each)
    scale = together / total if total > together else 1.0
    return [PeerOpinion(name, opinion, weight * scale) for (name, opinion, _), weight in zip(said, each, strict=True)]


def deliberate(own: Opinion | None, peers: Sequence[PeerOpinion]) -> Opinion:
    """Our own opinion and those of peers as one.

    @param own: None if it is to be left out.
    """
    opinions = [] if own is None else [own]
    return aggregate([*opinions, *(Opinion(each.said.reputation, each.weight) for each in peers)])


def assessment(own: Opinion | None, said: Opinion) -> Vote | None:
    """Whether a peer was right, measured by what we have seen ourselves; None if that says nothing.

    The reference measured by the aggregate, which the peer itself has drawn towards its own opinion.
    """
    if own is None or own.confidence < CERTAIN or said.confidence < CERTAIN:
        return None
    if not own.reputation or not said.reputation:
        return Vote.NONE
    return Vote.HAM if (own.reputation > 0) == (said.reputation > 0) else Vote.SPAM
