"""What a node makes of an opinion: the word before X-GOSSiP (gossip spec 1.9, reliability P3)."""

from __future__ import annotations

from msgspec import Struct

from twistedmilter.model.reputation import Opinion


class Thresholds(Struct, frozen=True):
    """When a sender is bad.

    @ivar reputation: it is below this. [-100 to 100]
    @ivar confidence: and this sure at least; the value itself is not. [0 to 100]
    @ivar certain: what we are so sure of ourselves is not for peers to decide. [0 to 100]
    """

    reputation: float = -50.0
    confidence: float = 1.0
    certain: float = 10.0


def is_bad(opinion: Opinion, own: Opinion | None, thresholds: Thresholds) -> bool:
    """Whether mail is to be refused: by the unrounded values, and by our own where we are certain.

    @param opinion: of us and our peers. @param own: of us alone; None if it was left out.
    """
    if own is not None and own.confidence >= thresholds.certain:
        if own.reputation > 0:
            return False
        if _is_beyond(own, thresholds):
            return True
    return _is_beyond(opinion, thresholds)


def _is_beyond(opinion: Opinion, thresholds: Thresholds) -> bool:
    return opinion.reputation < thresholds.reputation and opinion.confidence > thresholds.confidence
