"""What is thought of an identity: votes, observations and opinions (GOSSiP)."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from msgspec import Struct

PEER: Final = "PEER"
"""The qualifier under which a node keeps what it thinks of its peers; nobody else may name it."""

_NAME: Final = re.compile(r"[a-z0-9._-]{1,253}")
_QUALIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WORDS: Final = {word.upper(): word for word in ("SPF", "GUESS", "HELO", "DKIM", PEER)} | {"PASS": "SPF"}

REPUTATION_RANGE: Final = 100.0
CONFIDENCE_RANGE: Final = 100.0


class Vote(IntEnum):
    """What one message said about its sender."""

    SPAM = -1
    NONE = 0  # only a peer is judged so: it had no opinion
    HAM = 1


class Identity(Struct, frozen=True, gc=False):
    """Who is judged: a name, and how well it was proved.

    The same name under two qualifiers is two actors: anybody can forge C{example.com} C{neutral}, and nobody C{SPF}.

    @ivar name: a domain in A-labels and lower case without a trailing dot, or an IPv4 address; of a peer its name.
    @ivar qualifier: C{SPF}, C{GUESS}, C{HELO}, C{DKIM}, L{PEER}, else the SPF result in lower case.
    """

    name: str
    qualifier: str

    @classmethod
    def of(cls, name: str, qualifier: str) -> Identity:
        """The one identity that a name and a qualifier stand for, in any case; C{pass} is another word for C{SPF}.

        @raise ValueError: the name has other characters than A-labels have, or the qualifier is no word.
        """
        plain = name.lower().removesuffix(".")
        if _NAME.fullmatch(plain) is None:
            raise ValueError(f"{name[:64]!r} is no domain name in A-labels, and no IPv4 address")
        if _QUALIFIER.fullmatch(qualifier) is None:
            raise ValueError(f"{qualifier[:64]!r} is no qualifier: a word of at most 64 letters, digits, . _ and -")
        return cls(plain, _WORDS.get(qualifier.upper()) or qualifier.lower())

    def __str__(self) -> str:
        """As the ancestor wrote it."""
        return f"{self.name}:{self.qualifier}"


class Opinion(Struct, frozen=True, gc=False):
    """How good a sender is, and how sure that is.

    Decisions are made on these values, unrounded; what is shown and sent is cut off towards zero.

    @ivar reputation: -100 spam to +100 ham; 0 is unknown, or as often one as the other.
    @ivar confidence: 0 to 100.
    """

    reputation: float = 0.0
    confidence: float = 0.0

    def __str__(self) -> str:
        """As on the wire: two integers."""
        return f"{int(self.reputation)},{int(self.confidence)}"


UNKNOWN: Final = Opinion()


class Observations(Struct, frozen=True, gc=False):
    """The last votes on one identity: a ring of bits.

    The vote number C{n}, counted from 0, is in slot C{n % size}.  How many are there, and where the next one goes,
    follows from C{total}; how many were ham, from the bits.  So no two values can disagree.

    @ivar size: slots of the ring; at least 1.
    @ivar total: votes ever cast.
    @ivar ham: bit C{n} is set where slot C{n} holds ham.
    @ivar null: bit C{n} is set where slot C{n} holds no opinion; never both.
    @ivar first_seen: when the record was begun. [seconds since the epoch]
    @ivar last_seen: when the newest vote came; not before C{first_seen}. [seconds since the epoch]
    """

    size: int
    total: int
    ham: int
    null: int
    first_seen: float
    last_seen: float

    @property
    def pointer(self) -> int:
        """The slot of the next vote."""
        return self.total % self.size

    @property
    def count(self) -> int:
        """Votes that the ring holds."""
        return min(self.total, self.size)

    @property
    def hams(self) -> int:
        """Votes for it."""
        return self.ham.bit_count()

    @property
    def nulls(self) -> int:
        """Votes that say nothing."""
        return self.null.bit_count()

    @property
    def spams(self) -> int:
        """Votes against it."""
        return self.count - self.hams - self.nulls


class PeerOpinion(Struct, frozen=True, gc=False):
    """What a peer said, and what that weighs.

    @ivar peer: its name.
    @ivar said: as it came, within the ranges.
    @ivar weight: what is left of its confidence by how often the peer was right, and by the limits on what peers may
        bring.
    """

    peer: str
    said: Opinion
    weight: float


class AskedQuestion(Struct, frozen=True, gc=False):
    """A question of the service's own that a verdict may follow, also after a restart.

    @ivar expires: wall clock. [seconds since the epoch]
    @ivar vote: the last verdict; None before the first.
    @ivar number: which vote on the identity it was. @ivar record: when that record was begun.
    """

    umis: str
    identity: Identity
    expires: float
    vote: Vote | None = None
    number: int = -1
    record: float = 0.0


class Assessment(Struct, frozen=True, gc=False):
    """The answer to one question about an identity.

    @ivar umis: names the question; with it the verdict on the message is given back.
    @ivar opinion: what own observations and peers add up to.
    @ivar own: what this node has seen itself; None if that was left out, since the question came round in a circle.
    @ivar peers: those that answered.
    @ivar is_bad: what the node itself makes of it: C{REJECT}, by its thresholds and the unrounded values.
    """

    umis: str
    identity: Identity
    opinion: Opinion
    own: Opinion | None
    peers: tuple[PeerOpinion, ...] = ()
    is_bad: bool = False

    @property
    def header(self) -> str:
        """The value of X-GOSSiP."""
        return f"{self.umis},{self.opinion}"
