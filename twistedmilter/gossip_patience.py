"""Who a peer is, and how long it is waited for (gossip spec 1.8, reliability P5)."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct


class PeerSpec(Struct, frozen=True):
    """One peer.

    @ivar name: under which it is remembered how often it was right.
    @ivar key: shared with it; empty: none was agreed. @ivar our_name: by which it knows us then.
    """

    name: str
    host: str
    port: int
    key: bytes = b""
    our_name: str = ""


class PeerPatience(Struct, frozen=True):
    """How long peers are waited for; all in seconds but C{failures}.

    @ivar budget: for the answers to one question. @ivar silence: with questions open, then the connection is given up.
    @ivar failures: in a row, then a peer is left alone, for C{rest} at first, then twice as long each time, up to
        C{longest_rest}.
    """

    budget: float = 0.5
    silence: float = 5.0
    failures: int = 5
    rest: float = 30.0
    longest_rest: float = 900.0


@dataclass
class Breaker:
    """Leaves alone who does not answer.

    @ivar closed_until: monotonic; before that nobody is asked.
    """

    patience: PeerPatience
    failures: int = 0
    rest: float = 0.0
    closed_until: float = 0.0

    def may_ask(self, now: float) -> bool:
        """Whether it is worth asking."""
        return now >= self.closed_until

    def succeeded(self) -> None:
        """An answer in time."""
        self.failures, self.rest = 0, 0.0

    def failed(self, now: float) -> bool:
        """None.

        @return: whether the peer is left alone from now on.
        """
        self.failures += 1
        if self.failures < self.patience.failures and not self.rest:
            return False
        self.rest = min(2 * self.rest or self.patience.rest, self.patience.longest_rest)
        self.closed_until = now + self.rest
        return True
