"""Reputation from another server, in the place of our own (seed-spec J07)."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.gossip_peers import Peer
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.model.reputation import Assessment, Identity, Vote
from twistedmilter.reputation.decision import Thresholds, is_bad
from twistedmilter.wire.gossip import Feedback, Query
from twistedmilter.wire.umis import OCTETS, umis_of


@implementer(IReputation)
class RemoteReputation:
    """Asks one server, whose word counts as our own; it knows its peers, and learns from our verdicts.

    @param random_octets: so many that nobody can guess. @param ttl: how far questions travel. [hops]
    """

    def __init__(self, server: Peer, random_octets: Callable[[int], bytes], thresholds: Thresholds, ttl: int) -> None:
        self._server = server
        self._random_octets = random_octets
        self._thresholds = thresholds
        self._ttl = ttl

    def new_umis(self) -> str:
        """See L{IReputation}."""
        return umis_of(self._random_octets(OCTETS))

    async def ask(self, identity: Identity, umis: str) -> Assessment:
        """See L{IReputation}.

        @raise TemporaryFailure: the server says nothing in time.
        """
        opinion = await self._server.ask(Query(identity, self._ttl, umis))
        if opinion is None:
            raise TemporaryFailure(f"the reputation server {self._server.spec.host} does not answer")
        return Assessment(umis, identity, opinion, opinion, (), is_bad(opinion, opinion, self._thresholds))

    async def tell(self, umis: str, vote: Vote) -> bool:
        """See L{IReputation}; servers do not say whether they knew the UMIS, so this is whether it took it."""
        return await self._server.tell(Feedback(umis, vote))

    def close(self) -> None:
        """Ask nothing more."""
        self._server.close()
