"""The GOSSiP server over connections (gossip spec 1.1, 1.2, 7; reliability 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.gossip import MOST_WAITING, GossipProtocol, GossipServerFactory, ServerLimits
from twistedmilter.gossip_node import INSIDE, Node
from twistedmilter.model.reputation import PEER, Identity, Observations, Opinion, Vote
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.reputation.ring import begin, cast
from twistedmilter.store.memory import MemoryStores
from twistedmilter.wire.gossip import Query

NOW = 1_795_525_511.5
DAY = 86_400.0
SPF = Identity("example.com", "SPF")
ERROR = b"ERROR X-GOSSiP: REQUEST_ERROR,0,0\n\n"


class NoPeers:
    """Nobody to ask."""

    def __bool__(self) -> bool:
        return False

    async def ask(self, query: Query, *, but: str) -> Sequence[tuple[str, Opinion]]:
        """Nobody answers."""
        return ()


class TCPTransport(StringTransport):
    """One that can be told not to wait for acknowledgements."""

    no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As of a TCP connection."""
        self.no_delay = enabled


def record(ham: int, spam: int, *, first: float, last: float) -> Observations:
    """So many votes, in this time."""
    observations = begin(first)
    for vote in [Vote.SPAM] * spam + [Vote.HAM] * ham:
        observations = cast(observations, vote, last)
    return observations


class GossipTestCase(SynchronousTestCase):
    """A server, and clients on loopback."""

    def setUp(self) -> None:
        """Start without any observations."""
        self.clock = Clock()
        self.store: Any = MemoryStores().observations
        self.node = Node(self.store, NoPeers(), lambda: NOW + self.clock.seconds(), lambda number: b"r" * number)
        self.factory = self.make()

    def make(self, **fields: Any) -> GossipServerFactory:
        """A factory with these limits, which lets 192.0.2.0/24 ask."""
        limits = ServerLimits(**fields)
        return GossipServerFactory(self.node, self.clock, limits=limits, allowed=NetworkSet.parse(["192.0.2.0/24"]))

    def connect(self, host: str = "127.0.0.1") -> tuple[GossipProtocol, TCPTransport]:
        """A client from there."""
        address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, 1_234)
        protocol = self.factory.buildProtocol(address)
        assert protocol is not None
        transport = TCPTransport()
        protocol.makeConnection(transport)  # type: ignore[no-untyped-call]
        return protocol, transport

    def talk(self, *pieces: bytes, host: str = "127.0.0.1") -> bytes:
        """What a client reads that says this."""
        protocol, transport = self.connect(host)
        for piece in pieces:
            protocol.dataReceived(piece)
        written: bytes = transport.value()
        return written


class TranscriptTests(GossipTestCase):
    """What an unmodified client of the reference sees, octet by octet (1.2)."""

    def test_an_empty_node_learns(self) -> None:
        """One after the other on one connection."""
        protocol, transport = self.connect()
        for said, expected in (
            (b"Q:example.org:SPF:1:umisAAAA\n\n", b"PREPEND X-GOSSiP: umisAAAA,0,0\n\n"),
            (b"F:umisAAAA:0\n\n", b"\n\n"),
            (b"Q:example.org:SPF:1:umisAAAB\n\n", b"PREPEND X-GOSSiP: umisAAAB,76,0\n\n"),
            (b"F:umisAAAB:1\n\n", b"\n\n"),
            (b"Q:example.org:SPF:1:umisAAAC\n\n", b"PREPEND X-GOSSiP: umisAAAC,0,0\n\n"),
            (b"F:nosuch:1\n\n", b"\n\n"),
        ):
            protocol.dataReceived(said)
            self.assertEqual(transport.value(), expected)
            transport.clear()
        self.assertTrue(transport.no_delay)

    def test_a_node_that_knows(self) -> None:
        """Split lines, two in one, CR LF, and what cannot be read."""
        self.store.change(
            Identity("ded304.com", "SPF"), lambda _: record(0, 512, first=NOW - 30 * DAY, last=NOW - 0.6 * DAY)
        )
        self.store.change(SPF, lambda _: record(300, 0, first=NOW - 30 * DAY, last=NOW - 3 * DAY))
        for pieces, expected in (
            ((b"Q:exam", b"ple.com:SPF:1:u6\n\n"), b"PREPEND X-GOSSiP: u6,76,26\n\n"),
            (
                (b"Q:example.com:SPF:1:u7\nQ:ded304.com:SPF:1:u8\n\n",),
                b"PREPEND X-GOSSiP: u7,76,26\n\nREJECT X-GOSSiP: u8,-76,49\n\n",
            ),
            ((b"Q:example.com:SPF:1:u10\r\n\r\n",), b"PREPEND X-GOSSiP: u10,76,26\n\n"),
            ((b"Q:example.com:SPF:x:u9\n\n",), b"ERROR X-GOSSiP: u9,0,0\n\n"),
            ((b"Q:example.com:SPF\n\n",), ERROR),
            ((b"Z:foo\n\n",), ERROR),
        ):
            self.assertEqual(self.talk(*pieces), expected)


class VerdictTests(GossipTestCase):
    """Who may say what a message was, and how often."""

    def count(self, identity: Identity = SPF) -> tuple[int, int] | None:
        """Hams and spams."""
        known = self.store.find(identity)
        return (known.hams, known.spams) if known else None

    def test_a_second_verdict_corrects_the_first(self) -> None:
        """One message is one vote, however often it is told (case 2)."""
        self.talk(b"Q:example.com:SPF:1:u\n\nF:u:1\n\nF:u:Yes\n\n")
        self.assertEqual(self.count(), (0, 1))
        self.talk(b"F:u:0\n\n")
        self.assertEqual(self.count(), (1, 0))

    def test_a_reset_between_starts_a_new_record(self) -> None:
        """A verdict that follows it counts; one that corrects an earlier one has nothing to correct."""
        self.talk(b"Q:example.com:SPF:1:u\n\nQ:example.com:SPF:1:v\n\nF:u:1\n\n")
        self.store.change(SPF, lambda _: None)
        self.talk(b"F:u:0\n\n")
        self.assertIsNone(self.count())
        self.clock.advance(1)
        self.talk(b"F:v:1\n\nF:u:0\n\n")
        self.assertEqual(self.count(), (0, 1))

    def test_this_host_may_judge_the_mail_of_this_host(self) -> None:
        """Questions of the milter are answered by whoever is on the machine."""
        umis = self.node.new_umis()
        self.successResultOf(Deferred.fromCoroutine(self.node.ask(SPF, umis)))
        self.talk(b"F:" + umis.encode() + b":1\n\n")
        self.assertEqual(self.count(), (0, 1))

    def test_strangers_ask_and_nothing_else(self) -> None:
        """Where their address is allowed; others are not even connected (P2)."""
        said = b"Q:example.com:SPF:1:u\n\nF:u:1\n\n"
        expected = b"PREPEND X-GOSSiP: u,0,0\n\nERROR X-GOSSiP: u,0,0\n\n"
        self.assertEqual(self.talk(said, host="192.0.2.1"), expected)
        self.assertIsNone(self.count())
        self.assertIsNone(self.factory.buildProtocol(IPv4Address("TCP", "198.51.100.1", 1)))

    def test_nobody_resets_from_the_network(self) -> None:
        """Evidence is the administrator's (case 15)."""
        self.talk(b"Q:example.com:SPF:1:u\n\nF:u:1\n\n")
        self.assertEqual(self.talk(b"R:example.com:SPF\n\n"), ERROR)
        self.assertEqual(self.count(), (0, 1))

    def test_nobody_judges_peers_from_the_network(self) -> None:
        """In no spelling of the word (case 1)."""
        for word in (b"PEER", b"peer", b"Peer"):
            said = b"Q:peer.example:" + word + b":0:x\n\nF:x:1\n\n"
            self.assertEqual(self.talk(said), b"ERROR X-GOSSiP: x,0,0\n\n\n\n")
        self.assertIsNone(self.count(Identity("peer.example", PEER)))

    def test_a_second_question_of_the_same_name(self) -> None:
        """Leaves out what was said already: it came round in a circle (1.8)."""
        self.store.change(SPF, lambda _: record(0, 9, first=NOW, last=NOW))
        said = b"Q:example.com:SPF:1:u\n\n"
        self.assertEqual(self.talk(said), b"PREPEND X-GOSSiP: u,-76,0\n\n")
        self.assertEqual(self.talk(said), b"PREPEND X-GOSSiP: u,0,0\n\n")


class ConnectionTests(GossipTestCase):
    """What clients may do to a server."""

    def test_ipv6(self) -> None:
        """Loopback is loopback, mapped addresses are what they stand for."""
        for host in ("::1", "::ffff:127.0.0.1"):
            self.assertEqual(self.talk(b"F:u:1\n\n", host=host), b"\n\n")

    def test_three_mistakes_end_it(self) -> None:
        """Each is answered; what follows is not (P1)."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"Z\nZ\n")
        self.assertFalse(transport.disconnecting)
        protocol.dataReceived(b"Z\nF:u:1\n")
        self.assertEqual(transport.value(), ERROR * 3)
        self.assertTrue(transport.disconnecting)

    def test_a_line_that_is_too_long_ends_it(self) -> None:
        """After what came before it was answered (case 13)."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"F:u:1\n\n" + b"x" * 1_025)
        self.assertEqual(transport.value(), b"\n\n" + ERROR)
        self.assertTrue(transport.disconnecting)

    def test_silence_ends_it(self) -> None:
        """After five minutes."""
        protocol, transport = self.connect()
        self.clock.advance(299)
        protocol.dataReceived(b"F:u:1\n\n")
        self.clock.advance(299)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_connections_are_counted(self) -> None:
        """One that is gone makes room, and leaves no timer."""
        self.factory = self.make(connections=1)
        protocol, _ = self.connect()
        self.assertIsNone(self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))
        protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.connect()

    def test_a_flood_from_elsewhere_ends(self) -> None:
        """At so many lines a second; this host may send as many as it can (P4)."""
        protocol, transport = self.connect("192.0.2.1")
        protocol.dataReceived(b"Q:example.com:SPF:0:u\n\n" * 201)
        self.assertEqual(transport.value().count(b"PREPEND"), 200)
        self.assertTrue(transport.value().endswith(ERROR))
        self.assertTrue(transport.disconnecting)
        self.clock.advance(1)
        self.assertEqual(self.talk(b"Q:a.example:SPF:0:u\n\n" * 100, host="192.0.2.2").count(b"PREPEND"), 100)
        self.assertEqual(self.talk(b"Q:a.example:SPF:0:u\n\n" * 1_000).count(b"PREPEND"), 1_000)

    def test_who_does_not_read_is_not_read_from(self) -> None:
        """So that answers do not pile up; when it reads, all is answered."""
        protocol, transport = self.connect()
        protocol.pauseProducing()
        protocol.dataReceived(b"Q:example.com:SPF:1:u\n\n")
        self.assertEqual((transport.value(), transport.producerState), (b"", "paused"))
        protocol.resumeProducing()
        self.assertEqual(transport.value(), b"PREPEND X-GOSSiP: u,0,0\n\n")
        self.assertEqual(transport.producerState, "producing")

    def test_a_socket_that_does_not_take_all(self) -> None:
        """The rest goes through Twisted's buffer, and all that follows (order)."""
        protocol, transport = self.connect()
        direct = bytearray()

        def send(octets: bytes) -> int:
            direct.extend(octets[:5])
            return min(5, len(octets))

        protocol._send_now = send
        protocol.dataReceived(b"Q:example.com:SPF:1:u\n\nF:u:1\n\n")
        protocol.dataReceived(b"F:u:1\n\n")
        self.assertEqual(bytes(direct) + transport.value(), b"PREPEND X-GOSSiP: u,0,0\n\n\n\n\n\n")

        def fail(_octets: bytes) -> int:
            raise BlockingIOError

        protocol, transport = self.connect()
        protocol._send_now = fail
        protocol.dataReceived(b"F:u:1\n\n")
        self.assertEqual(transport.value(), b"\n\n")

    @given(st.lists(st.binary(max_size=300), max_size=5))
    def test_garbage(self, pieces: list[bytes]) -> None:
        """Nothing but answers comes back."""
        self.setUp()
        out = self.talk(*pieces)
        for block in out.split(b"\n\n")[:-1]:
            self.assertRegex(block, rb"^(|(ERROR|PREPEND|REJECT) X-GOSSiP: [A-Za-z0-9._$+/=@-]+,-?\d+,\d+)$")


class WaitingTests(GossipTestCase):
    """Answers that are not there yet."""

    def setUp(self) -> None:
        """Have a store that answers about slow names later."""
        super().setUp()
        self.fetching: list[Deferred[Observations | None]] = []
        find = self.store.find

        def slowly(identity: Identity) -> Any:
            if not identity.name.startswith("slow"):
                return find(identity)
            self.fetching.append(Deferred())
            return self.fetching[-1]

        self.store.find = slowly

    def test_answers_keep_their_order(self) -> None:
        """What is known at once waits for what is not."""
        protocol, transport = self.connect()
        for name in (b"slow1", b"example.com", b"slow2"):
            protocol.dataReceived(b"Q:" + name + b":SPF:1:" + name + b"\n\n")
        protocol.dataReceived(b"F:example.com:1\n\n")
        self.fetching[1].callback(None)
        self.assertEqual(transport.value(), b"")
        self.fetching[0].callback(None)
        words = b"".join(b"PREPEND X-GOSSiP: %s,0,0\n\n" % name for name in (b"slow1", b"example.com", b"slow2"))
        self.assertEqual(transport.value(), words + b"\n\n")

    def test_a_store_that_fails_is_an_error(self) -> None:
        """For that question alone."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"Q:slow:SPF:1:u\n\n")
        self.fetching[0].errback(TemporaryFailure("no disk"))
        self.assertEqual(transport.value(), b"ERROR X-GOSSiP: u,0,0\n\n")

    def test_a_bug_is_logged(self) -> None:
        """And answered as an error."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"Q:slow:SPF:1:u\n\n")
        self.fetching[0].errback(ZeroDivisionError())
        self.assertEqual(transport.value(), b"ERROR X-GOSSiP: u,0,0\n\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_answer_for_a_client_that_is_gone(self) -> None:
        """Goes nowhere, and harms nobody."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"Q:slow:SPF:1:u\n\n")
        protocol.connectionLost()
        self.fetching[0].callback(None)
        self.assertEqual(transport.value(), b"")

    def test_no_more_is_read_than_can_wait(self) -> None:
        """So that memory is bounded, and everything is answered in the end."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"".join(b"Q:slow:SPF:1:u%d\n\n" % number for number in range(MOST_WAITING + 50)))
        self.assertEqual(len(self.fetching), MOST_WAITING)
        self.assertEqual(transport.producerState, "paused")
        for number in range(MOST_WAITING + 50):
            self.fetching[number].callback(None)
        self.assertEqual(transport.value().count(b"PREPEND"), MOST_WAITING + 50)
        self.assertEqual(transport.producerState, "producing")


class NodeTests(GossipTestCase):
    """The node in process."""

    def ask(self, umis: str) -> Any:
        """What is thought of L{SPF}."""
        return self.successResultOf(Deferred.fromCoroutine(self.node.ask(SPF, umis)))

    def test_names_cannot_be_guessed(self) -> None:
        """They are as long as the reference's, and random (case 3)."""
        self.assertEqual(len(self.node.new_umis()), 22)

    def test_verdicts_of_the_service(self) -> None:
        """It may give any; of what was never asked, it learns nothing."""
        self.ask("u")
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(self.node.tell("u", Vote.SPAM))))
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(self.node.tell("v", Vote.SPAM))))
        self.assertEqual(self.ask("w").opinion.reputation, -76.15941559557649)

    def test_a_value_for_a_header(self) -> None:
        """As the reference writes it."""
        self.assertEqual(self.ask("u").header, "u,0,0")
        self.assertEqual(self.node.answer(Query(SPF, 0, "v"), INSIDE).header, "v,0,0")  # type: ignore[union-attr]
