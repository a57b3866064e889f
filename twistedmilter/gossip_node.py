"""The node: answers questions from what it has seen and what peers say, and learns from verdicts (gossip spec 1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twistedmilter.interfaces.reputation import Found, IObservationStore, IQuestionStore, IReputation, MaybeFound
from twistedmilter.model.reputation import PEER, Assessment, Identity, Observations, Opinion, Vote
from twistedmilter.reputation.decision import Thresholds, is_bad
from twistedmilter.reputation.opinion import opinion_of
from twistedmilter.reputation.peers import PeerLimits, assessment, deliberate, trust, weights
from twistedmilter.reputation.pending import LIFETIME, MOST_FROM_ONE, PendingQuestions, Question
from twistedmilter.reputation.ring import PEER_SIZE, begin, cast, change
from twistedmilter.wire.gossip import Query
from twistedmilter.wire.umis import OCTETS, umis_of

INSIDE: Final = "inside"
"""The source of the service itself and of its administrator."""
LOOPBACK: Final = "loopback"
"""The source of whoever connects from this host."""
STRANGER: Final = ""
"""The source of who may ask, and nothing else."""

Answered = Assessment | Deferred[Assessment]


class Peers(Protocol):
    """Whom a node may ask."""

    def __bool__(self) -> bool:
        """Whether there is anybody."""

    def ask(self, query: Query, *, but: str) -> Awaitable[Sequence[tuple[str, Opinion]]]:
        """What they say, in time, by name.

        @param but: who is not to be asked, since the question came from there.
        """


class NodeLimits(Struct, frozen=True):
    """What a node goes by.

    @ivar ttl: how far the service's own questions travel. [hops]
    @ivar pending: questions of one source that are remembered. @ivar lifetime: and for how long. [seconds]
    """

    thresholds: Thresholds = Thresholds()
    peers: PeerLimits = PeerLimits()
    ttl: int = 1
    pending: int = MOST_FROM_ONE
    lifetime: float = LIFETIME


@implementer(IReputation)
class Node:
    """What is thought of senders here.

    @param wall: wall clock. [seconds since the epoch]
    @param random_octets: so many that nobody can guess.
    @param questions: where what the service asks itself is kept; None: nowhere.
    """

    def __init__(
        self,
        store: IObservationStore,
        peers: Peers,
        wall: Callable[[], float],
        random_octets: Callable[[int], bytes],
        limits: NodeLimits | None = None,
        *,
        questions: IQuestionStore | None = None,
    ) -> None:
        self._store = store
        self._peers = peers
        self._wall = wall
        self._random_octets = random_octets
        self._limits = limits = limits or NodeLimits()
        self._pending = PendingQuestions(limits.pending, limits.lifetime)
        self._questions = questions
        self._asking: set[str] = set()

    async def remember(self) -> None:
        """Learn what was asked before a restart.

        @raise TemporaryFailure: the store cannot answer now.
        """
        if self._questions is not None:
            for asked in await self._questions.questions(self._wall()):
                self._pending.restore(asked, INSIDE)

    def _keep(self, umis: str) -> None:
        """Have a question of our own survive a restart, if the store can."""
        question = self._pending.find(umis, self._wall())
        if self._questions is not None and question is not None and question.source == INSIDE:
            self._questions.keep(question.asked(umis))

    def new_umis(self) -> str:
        """See L{IReputation}."""
        return umis_of(self._random_octets(OCTETS))

    async def ask(self, identity: Identity, umis: str) -> Assessment:
        """See L{IReputation}."""
        answered = self.answer(Query(identity, self._limits.ttl, umis), INSIDE)
        self._keep(umis)
        return await answered if isinstance(answered, Deferred) else answered

    async def tell(self, umis: str, vote: Vote) -> bool:
        """See L{IReputation}."""
        told = self.learn(umis, vote, INSIDE)
        return await told if isinstance(told, Deferred) else told

    def answer(self, query: Query, source: str) -> Answered:
        """Answer a question: at once if nobody has to be asked.

        @param source: L{INSIDE}, L{LOOPBACK}, L{STRANGER}, or the name of a peer.
        """
        now = self._wall()
        is_new = source == STRANGER or self._pending.add(query.umis, query.identity, source, now)
        found: MaybeFound = self._store.find(query.identity)
        if isinstance(found, Deferred):
            return found.addCallback(self._answer_found, query, source, is_new=is_new)
        if not query.ttl or not self._peers:  # the short way, which nearly all questions take
            return self._alone(query, opinion_of(found, now) if is_new else None)
        return self._answer_found(found, query, source, is_new=is_new)

    def _answer_found(self, found: Found, query: Query, source: str, *, is_new: bool) -> Answered:
        own = opinion_of(found, self._wall()) if is_new else None
        if not query.ttl or not self._peers or query.umis in self._asking:
            return self._alone(query, own)
        return Deferred.fromCoroutine(self._with_peers(query, own, source))

    def _alone(self, query: Query, own: Opinion | None) -> Assessment:
        """From own observations; where they are left out, nothing is known."""
        opinion = own or Opinion()
        bad = is_bad(opinion, own, self._limits.thresholds)
        return Assessment(query.umis, query.identity, opinion, own, (), bad)

    async def _with_peers(self, query: Query, own: Opinion | None, source: str) -> Assessment:
        self._asking.add(query.umis)
        try:
            said = await self._peers.ask(Query(query.identity, query.ttl - 1, query.umis), but=source)
        finally:
            self._asking.discard(query.umis)
        now = self._wall()
        trusted = [(name, words, trust(opinion_of(await self._peer(name), now))) for name, words in said]
        peers = tuple(weights(own, trusted, self._limits.peers))
        opinion = deliberate(own, peers)
        for name, words in said:
            vote = assessment(own, words)
            if vote is not None:
                self._judge(name, vote, now)
        bad = is_bad(opinion, own, self._limits.thresholds)
        return Assessment(query.umis, query.identity, opinion, own, peers, bad)

    async def _peer(self, name: str) -> Found:
        found = self._store.find(Identity(name, PEER))
        return await found if isinstance(found, Deferred) else found

    def _judge(self, name: str, vote: Vote, now: float) -> None:
        def how(known: Found) -> Observations:
            return cast(known or begin(now, PEER_SIZE), vote, now)

        changed = self._store.change(Identity(name, PEER), how)
        if isinstance(changed, Deferred):
            changed.addErrback(lambda _: None)  # one vote on a peer more or less

    def learn(self, umis: str, vote: Vote, source: str) -> bool | Deferred[bool]:
        """Take a verdict: the first is a vote, another one changes it.

        @param source: who gives it; it must have asked. The service itself may give any, and this host its own.
        @return: whether the UMIS was known.
        """
        now = self._wall()
        question = self._pending.find(umis, now)
        if question is None or not _may_judge(source, question.source):
            return False
        if question.vote is vote:
            return True
        first, question.vote = question.vote is None, vote
        how = _casting(question, vote, now) if first else _changing(question, vote)
        changed = self._store.change(question.identity, how)
        if isinstance(changed, Deferred):
            return changed.addCallback(lambda _: self._kept(umis))
        return self._kept(umis)

    def _kept(self, umis: str) -> bool:
        self._keep(umis)
        return True


def _may_judge(source: str, asker: str) -> bool:
    """Whoever is on this host may judge the mail of this host."""
    return source in {asker, INSIDE} or (source == LOOPBACK and asker == INSIDE)


def _casting(question: Question, vote: Vote, now: float) -> Callable[[Found], Found]:
    def how(known: Found) -> Found:
        record = known or begin(now)
        question.number, question.record = record.total, record.first_seen
        return cast(record, vote, now)

    return how


def _changing(question: Question, vote: Vote) -> Callable[[Found], Found]:
    """A record that was begun anew meanwhile knows nothing of the first verdict."""

    def how(known: Found) -> Found:
        if known is None or known.first_seen != question.record:
            return known
        return change(known, question.number, vote)

    return how
