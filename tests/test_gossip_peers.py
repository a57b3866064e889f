"""Peers: asking them, waiting no longer than that is worth, and not believing all of it (1.8, cases 9-12)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from twistedmilter.errors import TemporaryFailure
from twistedmilter.gossip import GossipServerFactory
from twistedmilter.gossip_node import Node
from twistedmilter.gossip_patience import Breaker, PeerPatience, PeerSpec
from twistedmilter.gossip_peers import Peer, PeerGroup
from twistedmilter.gossip_remote import RemoteReputation
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.model.reputation import PEER, Assessment, Identity, Observations, Opinion, Vote
from twistedmilter.reputation.decision import Thresholds
from twistedmilter.reputation.ring import begin
from twistedmilter.reputation.ring import cast as cast_vote
from twistedmilter.store.memory import MemoryStores
from twistedmilter.wire.gossip import Feedback, Query

reactor = cast(Any, installed)
DAY = 86_400.0
SPF, OTHER = Identity("ded304.com", "SPF"), Identity("other.example", "SPF")
QUERY = Query(SPF, 0, "u")


def spammer(votes: int = 512) -> Observations:
    """Half a ring of spam, over a month until now."""
    now = time.time()
    observations = begin(now - 30 * DAY)
    for _ in range(votes):
        observations = cast_vote(observations, Vote.SPAM, now)
    return observations


class TCPTransport(StringTransport):
    """One that can be told not to wait for acknowledgements, and be aborted."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As of a TCP connection."""

    def abortConnection(self) -> None:
        """As of a TCP connection."""
        self.aborted = True


class BreakerTests(SynchronousTestCase):
    """Leaving alone who does not answer (P5)."""

    def test_it_opens_after_failures_and_waits_longer_each_time(self) -> None:
        """Five in a row, half a minute, a minute, up to a quarter of an hour; an answer forgives all."""
        breaker = Breaker(PeerPatience())
        self.assertEqual([breaker.failed(0.0) for _ in range(5)], [False] * 4 + [True])
        self.assertFalse(breaker.may_ask(29.9))
        rests = []
        for _ in range(6):
            rests.append(breaker.rest)
            self.assertTrue(breaker.failed(breaker.closed_until))
        self.assertEqual(rests, [30.0, 60.0, 120.0, 240.0, 480.0, 900.0])
        self.assertEqual(breaker.rest, 900.0)
        breaker.succeeded()
        self.assertFalse(breaker.failed(0.0))


class PeerTests(SynchronousTestCase):
    """One peer, in memory."""

    def setUp(self) -> None:
        """Nobody is connected."""
        self.reactor = MemoryReactorClock()
        self.peer = Peer(PeerSpec("a", "192.0.2.1", 11_900), self.reactor, PeerPatience())

    def connect(self) -> tuple[Any, TCPTransport]:
        """The connection that was asked for."""
        *_, (_, _, factory, _, _) = self.reactor.tcpClients
        protocol = cast(Any, factory).buildProtocol(None)
        transport = TCPTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_the_peer_leg_of_the_reference(self) -> None:
        """One hop less, and of the answer the two integers (1.2)."""
        answer = self.peer.ask(Query(SPF, 0, "v3"))
        protocol, transport = self.connect()
        self.assertEqual(transport.value(), b"Q:ded304.com:SPF:0:v3\n\n")
        protocol.dataReceived(b"REJECT X-GOSSiP: v3,-76,49\n\n")
        self.assertEqual(self.successResultOf(answer), Opinion(-76.0, 49.0))

    def test_answers_are_clamped(self) -> None:
        """Case 9."""
        answer = self.peer.ask(QUERY)
        protocol, _ = self.connect()
        protocol.dataReceived(b"REJECT X-GOSSiP: u,-99999,1000000000\n\n")
        self.assertEqual(self.successResultOf(answer), Opinion(-100.0, 100.0))

    def test_an_answer_to_another_question_ends_the_connection(self) -> None:
        """Nothing that follows could be believed either."""
        first, second = self.peer.ask(QUERY), self.peer.ask(Query(OTHER, 0, "v"))
        protocol, transport = self.connect()
        protocol.dataReceived(b"REJECT X-GOSSiP: v,-76,49\n\n")
        self.assertTrue(transport.aborted)
        self.assertIsNone(self.successResultOf(first))
        protocol.connectionLost()
        self.assertIsNone(self.successResultOf(second))

    def test_words_that_are_none_end_the_connection(self) -> None:
        """NaN, too many answers, an acknowledgement of nothing (case 9)."""
        for words in (b"REJECT X-GOSSiP: u,nan,1\n\n", b"\n\n", b"PREPEND X-GOSSiP: u,1,1\n\n" * 2):
            answer = self.peer.ask(QUERY)
            protocol, transport = self.connect()
            protocol.dataReceived(words)
            self.assertTrue(transport.aborted)
            protocol.connectionLost()
            self.successResultOf(answer)

    def test_a_late_answer_is_dropped(self) -> None:
        """The next one is taken again, on the same connection."""
        late = self.peer.ask(QUERY)
        protocol, _ = self.connect()
        self.reactor.advance(0.5)
        self.assertIsNone(self.successResultOf(late))
        soon = self.peer.ask(Query(OTHER, 0, "v"))
        protocol.dataReceived(b"REJECT X-GOSSiP: u,-76,49\n\nPREPEND X-GOSSiP: v,76,10\n\n")
        self.assertEqual(self.successResultOf(soon), Opinion(76.0, 10.0))

    def test_a_peer_that_hangs_is_given_up(self) -> None:
        """Its connection after five seconds, and it itself after five questions (case 12)."""
        for number in range(5):
            answer = self.peer.ask(Query(SPF, 0, f"u{number}"))
            if not number:
                _, transport = self.connect()
            self.reactor.advance(0.5)
            self.assertIsNone(self.successResultOf(answer))
        self.reactor.advance(2.5)
        self.assertTrue(transport.aborted)
        written = transport.value()
        self.assertIsNone(self.successResultOf(self.peer.ask(QUERY)))
        self.assertEqual(transport.value(), written)

    def test_a_peer_that_cannot_be_reached(self) -> None:
        """Says nothing, and is tried again."""
        answer = self.peer.ask(QUERY)
        *_, (_, _, factory, _, _) = self.reactor.tcpClients
        cast(Any, factory).clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.assertIsNone(self.successResultOf(answer))
        self.peer.ask(QUERY)
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_nothing_is_left_behind(self) -> None:
        """No timer, when all was answered and the connection is gone."""
        answer = self.peer.ask(QUERY)
        protocol, _ = self.connect()
        protocol.dataReceived(b"PREPEND X-GOSSiP: u,1,1\n\n")
        self.successResultOf(answer)
        protocol.connectionLost()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_verdicts(self) -> None:
        """Are answered without words, in their turn; an error is a no."""
        answer = self.peer.ask(QUERY)
        told, refused = (self.peer.tell(Feedback(umis, Vote.SPAM)) for umis in ("u", "v"))
        protocol, transport = self.connect()
        self.assertEqual(transport.value(), b"Q:ded304.com:SPF:0:u\n\nF:u:1\n\nF:v:1\n\n")
        protocol.dataReceived(b"PREPEND X-GOSSiP: u,1,1\n\n\n\nERROR X-GOSSiP: v,0,0\n\n")
        self.assertEqual(self.successResultOf(answer), Opinion(1.0, 1.0))
        self.assertTrue(self.successResultOf(told))
        self.assertFalse(self.successResultOf(refused))
        self.assertFalse(transport.aborted)

    def test_an_answer_of_the_wrong_kind_ends_the_connection(self) -> None:
        """Words for a verdict, none for a question."""
        for said, words in ((Feedback("u", Vote.HAM), b"PREPEND X-GOSSiP: u,1,1\n\n"), (QUERY, b"\n\n")):
            answer: Any = self.peer.ask(said) if isinstance(said, Query) else self.peer.tell(said)
            protocol, transport = self.connect()
            protocol.dataReceived(words)
            self.assertTrue(transport.aborted)
            self.assertFalse(self.successResultOf(answer))
            protocol.connectionLost()


class Hostile(Protocol):
    """A peer that answers each line in its own way."""

    def dataReceived(self, data: bytes) -> None:
        """One line at a time, as the tests ask."""
        umis = data.decode().strip().split(":")[4]
        cast(Any, self.transport).write(cast(Any, self.factory).words(umis))


class NodesTestCase(TestCase):
    """Nodes that are connected, on loopback."""

    def setUp(self) -> None:
        """None yet."""
        self.stores: list[Any] = []

    def listen(self, factory: Any) -> PeerSpec:
        """Somebody to ask, until the test ends."""
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return PeerSpec(f"peer{port.getHost().port}", "127.0.0.1", port.getHost().port)

    def node(self, *peers: PeerSpec) -> tuple[Node, Any]:
        """A node with these peers, and its store."""
        store: Any = MemoryStores().observations
        group = PeerGroup.of(peers, reactor, PeerPatience(budget=0.2))
        self.addCleanup(self.close, group)
        return Node(store, group, time.time, secrets.token_bytes), store

    async def close(self, group: PeerGroup) -> None:
        """Its connections."""
        group.close()
        await deferLater(reactor, 0.02)

    def serving(self, *peers: PeerSpec) -> tuple[PeerSpec, Any]:
        """A node that is asked, and its store."""
        node, store = self.node(*peers)
        factory = GossipServerFactory(node, reactor)
        self.addCleanup(lambda: [cast(Any, each.transport).abortConnection() for each in factory.clients])
        return self.listen(factory), store

    def hostile(self, words: Any) -> PeerSpec:
        """Somebody who answers so."""
        factory = Factory.forProtocol(Hostile)
        cast(Any, factory).words = words
        return self.listen(factory)

    async def ask(self, node: Node, identity: Identity = SPF) -> Assessment:
        """A question of the service's own."""
        return await node.ask(identity, node.new_umis())


class NodesTests(NodesTestCase):
    """What nodes make of what others say."""

    async def test_a_spammer_is_known_by_gossip(self) -> None:
        """The second node has never seen it, and says so."""
        first, store = self.serving()
        store.change(SPF, lambda _: spammer())
        node, _ = self.node(first)
        found = await self.ask(node)
        self.assertEqual(str(found.opinion), "-76,10")
        self.assertEqual(found.own, Opinion())
        self.assertTrue(found.is_bad)
        self.assertEqual([(each.peer, str(each.said)) for each in found.peers], [(first.name, "-76,49")])
        self.assertEqual(str((await self.ask(node, OTHER)).opinion), "0,0")

    async def test_peers_are_judged_by_what_we_know(self) -> None:
        """One that lies loses its trust, one that is right keeps it."""
        honest, store = self.serving()
        store.change(SPF, lambda _: spammer())
        liar = self.hostile(lambda umis: f"PREPEND X-GOSSiP: {umis},99999,99999\n\n".encode())
        node, own = self.node(honest, liar)
        own.change(SPF, lambda _: spammer())
        for _ in range(4):
            found = await self.ask(node)
            self.assertTrue(found.is_bad)
            self.assertLess(found.opinion.reputation, 0)
        self.assertEqual(own.find(Identity(honest.name, PEER)).hams, 4)
        self.assertEqual(own.find(Identity(liar.name, PEER)).spams, 4)
        weights = {each.peer: each.weight for each in found.peers}
        self.assertLess(weights[liar.name], weights[honest.name] + 1e-9)

    async def test_one_that_hangs_costs_the_budget_and_no_more(self) -> None:
        """The others are heard all the same (P5)."""
        honest, store = self.serving()
        store.change(SPF, lambda _: spammer())
        silent = self.hostile(lambda _umis: b"")
        flood = self.hostile(lambda _umis: b"PREPEND X-GOSSiP: x,100,100\n\n" * 100)
        node, _ = self.node(silent, honest, flood)
        start = time.monotonic()
        for _ in range(3):
            self.assertEqual([each.peer for each in (await self.ask(node)).peers], [honest.name])
        self.assertLess(time.monotonic() - start, 3.0)

    async def test_a_circle_ends(self) -> None:
        """Two nodes that are each other's peers, and a question with too many hops (case 11, P6)."""
        back = PeerGroup()
        self.addCleanup(self.close, back)
        store: Any = MemoryStores().observations
        store.change(SPF, lambda _: spammer())
        asked: list[str] = []
        first = Node(store, Counting(back, asked), time.time, secrets.token_bytes)
        factory = GossipServerFactory(first, reactor)
        self.addCleanup(lambda: [cast(Any, each.transport).abortConnection() for each in factory.clients])
        second, _ = self.serving(self.listen(factory))
        back.peers.append(Peer(second, reactor, PeerPatience(budget=0.5)))
        found = await cast("Deferred[Assessment]", first.answer(Query(SPF, 2, "u"), "loopback"))
        self.assertEqual(str(found.own), "-76,49")
        self.assertEqual(
            [str(each.said) for each in found.peers], ["0,0"]
        )  # it had nothing but what we asked ourselves
        self.assertEqual(asked, ["u"])


class Counting:
    """Peers, and the questions that they were asked."""

    def __init__(self, behind: PeerGroup, asked: list[str]) -> None:
        self._behind = behind
        self._asked = asked

    def __bool__(self) -> bool:
        return True

    async def ask(self, query: Query, *, but: str) -> Sequence[tuple[str, Opinion]]:
        """Count, and ask."""
        self._asked.append(query.umis)
        return await self._behind.ask(query, but=but)


class InFlightTests(SynchronousTestCase):
    """A question that comes round while it is open."""

    def test_it_is_not_passed_on_again(self) -> None:
        """And gets no opinion of ours, which was given already (case 11)."""
        waiting: list[Deferred[Sequence[tuple[str, Opinion]]]] = []

        class Later:
            """Peers that answer when the test says so."""

            def __bool__(self) -> bool:
                return True

            async def ask(self, query: Query, *, but: str) -> Sequence[tuple[str, Opinion]]:
                """Wait."""
                waiting.append(Deferred())
                return await waiting[-1]

        node = Node(cast(Any, MemoryStores().observations), Later(), Clock().seconds, secrets.token_bytes)
        first = node.answer(Query(SPF, 2, "u"), "loopback")
        again = node.answer(Query(SPF, 2, "u"), "peer")
        assert isinstance(again, Assessment)
        self.assertEqual((again.own, again.opinion, len(waiting)), (None, Opinion(), 1))
        waiting[0].callback([("a", Opinion(-76.0, 5.0))])
        self.assertEqual(str(self.successResultOf(cast("Deferred[Assessment]", first)).opinion), "-76,5")


class RemoteTests(NodesTestCase):
    """Another server in the place of our own observations (J07)."""

    def remote(self, spec: PeerSpec) -> RemoteReputation:
        """Asks this server."""
        server = RemoteReputation(
            Peer(spec, reactor, PeerPatience(budget=0.2)), secrets.token_bytes, Thresholds(), ttl=1
        )
        self.addCleanup(self.close, cast(Any, server))
        return server

    async def test_it_answers_and_learns(self) -> None:
        """As the own node does."""
        spec, store = self.serving()
        server = self.remote(spec)
        verifyObject(IReputation, server)
        umis = server.new_umis()
        self.assertEqual(str((await server.ask(SPF, umis)).opinion), "0,0")
        self.assertTrue(await server.tell(umis, Vote.SPAM))
        self.assertEqual(store.find(SPF).spams, 1)
        self.assertEqual(str((await server.ask(SPF, server.new_umis())).own), "-76,0")

    async def test_one_that_hangs(self) -> None:
        """Is a temporary failure, and the check goes on without it."""
        server = self.remote(self.hostile(lambda _umis: b""))
        for _ in range(2):
            await self.assertFailure(Deferred.fromCoroutine(server.ask(SPF, server.new_umis())), TemporaryFailure)


class KeyTests(NodesTestCase):
    """Peers with a key."""

    async def keyed(self, key: bytes = b"k" * 32, name: str = "b") -> tuple[Node, PeerSpec]:
        """A node that asks one which knows C{b} by this key."""
        served, store = self.node()
        store.change(SPF, lambda _: spammer())
        factory = GossipServerFactory(served, reactor, keys={"b": b"k" * 32})
        self.patch(factory, "_source_of", lambda _: None)  # as from elsewhere
        self.addCleanup(lambda: [cast(Any, each.transport).abortConnection() for each in factory.clients])
        spec = self.listen(factory)
        spec = PeerSpec("a", spec.host, spec.port, key, name)
        return self.node(spec)[0], spec

    async def test_a_peer_with_the_key_is_answered(self) -> None:
        """Question after question."""
        node, _ = await self.keyed()
        for _ in range(3):
            self.assertEqual(str((await self.ask(node)).opinion), "-76,10")

    async def test_others_are_not(self) -> None:
        """Another key, another name, or none at all (P2)."""
        for key, name in ((b"x" * 32, "b"), (b"k" * 32, "c"), (b"", "")):
            node, _ = await self.keyed(key, name)
            self.assertEqual((await self.ask(node)).peers, ())
