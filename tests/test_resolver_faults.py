"""Tests of the resolver under forgery and load, and with a real server that fails."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from tests.nameserver import NameServer
from tests.scripted_dns import ResolverTestCase, started
from tests.zonetext import Zone
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import AnswerStatus
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.model.spf import SPFOutcome
from twistedmilter.resolver import SLOW_FACTOR, Resolver
from twistedmilter.resolver_exchange import SLOW_AFTER
from twistedmilter.resolver_transport import Server
from twistedmilter.spf_driver import SPFEvaluator


class ForgeryTests(ResolverTestCase):
    """A9: forged answers are ignored and the true one is awaited."""

    def forge(self, send: Callable[[tuple[dns.message.Message, Server]], None]) -> None:
        """Send something forged, and then the truth."""
        lookup = self.ask()
        asked = self.first.question()
        send(asked)
        self.reactor.read()
        self.assertNoResult(lookup)
        self.first.answer(asked, "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(lookup), ["192.0.2.1"])

    def changed(self, change: Callable[[dns.message.Message], None]) -> None:
        """Send a forged answer that differs from a good one in one thing."""
        self.forge(lambda asked: self.first.answer(asked, "example.com. 90 IN A 203.0.113.6", change=change))

    def test_wrong_id(self) -> None:
        """An id that was not asked with."""
        self.changed(lambda message: setattr(message, "id", message.id ^ 1))

    def test_question_instead_of_response(self) -> None:
        """QR=0."""
        self.changed(lambda message: setattr(message, "flags", message.flags & 0x7FFF))

    def test_wrong_name(self) -> None:
        """Another name was asked for."""
        other = dns.rrset.from_text("example.net.", 0, "IN", "A")
        self.changed(lambda message: setattr(message, "question", [other]))

    def test_wrong_type(self) -> None:
        """Another type was asked for."""
        other = dns.rrset.from_text("example.com.", 0, "IN", "AAAA")
        self.changed(lambda message: setattr(message, "question", [other]))

    def test_garbage(self) -> None:
        """Octets of no meaning."""
        self.forge(lambda asked: self.first.send(b"\0\1\x81\x80garbage", asked[1]))

    def test_wrong_source(self) -> None:
        """The right answer from another address than the one asked."""
        self.forge(lambda asked: self.second.answer(asked, "example.com. 90 IN A 203.0.113.6"))

    def test_source_port_and_id_change(self) -> None:
        """RFC 5452 section 9: each question has a port and an id of its own."""
        for number in range(8):
            self.ask(f"a{number}.example")
        asked = self.first.questions()
        self.assertEqual(len({query.id for query, _ in asked}), 8)
        self.assertEqual(len({client[1] for _, client in asked}), 8)

    def test_what_was_not_asked_is_not_kept(self) -> None:
        """LL-06: a record of another name in an answer never reaches the cache."""
        self.ask()
        self.first.answer(
            self.first.question(), "example.com. 90 IN A 192.0.2.1", "victim.example. 90 IN A 203.0.113.6"
        )
        self.reactor.read()
        self.assertIsNone(self.resolver.cached("victim.example", RdataType.A))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.binary(max_size=200), max_size=20))
    def test_nothing_raises(self, datagrams: list[bytes]) -> None:
        """I2: no octets end anything, whatever comes and however much of it."""
        self.ask()
        _, client = self.first.question()
        for octets in datagrams:
            self.first.send(b"\0\1" + octets, client)
            self.reactor.read()
        self.abandon()
        self.assert_clean()
        self.resolver = self.resolver_of(self.first)


class FairnessTests(ResolverTestCase):
    """The limit on questions in flight, and what dead name servers cost others."""

    def test_more_than_the_limit_wait_in_order(self) -> None:
        """First come, first served."""
        self.resolver = self.resolver_of(self.first, in_flight=2)
        for number in range(4):
            self.ask(f"a{number}.example")
        asked = self.first.questions()
        self.assertEqual(len(asked), 2)
        self.first.answer(asked[0])
        self.reactor.read()
        self.assertEqual(self.first.asked(), ["a2.example"])

    def test_one_that_waits_may_go_away(self) -> None:
        """M8: its turn goes to the next."""
        self.resolver = self.resolver_of(self.first, in_flight=1)
        self.ask("a.example")
        waiting = self.ask("b.example")
        self.ask("c.example")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.first.answer(self.first.question())
        self.reactor.read()
        self.assertEqual(self.first.asked(), ["c.example"])

    def test_waiting_counts(self) -> None:
        """The timeout of a lookup covers the wait for its turn."""
        self.resolver = self.resolver_of(self.first, in_flight=1, timeout=0.3)
        for name in ("a.example", "b.example"):
            self.ask(name).addErrback(lambda _: None)
        waiting = self.ask("c.example")
        self.reactor.pump([0.1] * 4)
        self.assertEqual(self.problem(waiting), "A c.example: not sent within 0.3 s, too many are in flight")

    def test_dead_servers_in_every_slot(self) -> None:
        """When dead questions hold all slots, others wait until these are slow and not until they time out."""
        self.resolver = self.resolver_of(self.first, in_flight=20)
        for number in range(20):
            self.ask(f"dead{number}.example")
        lookups = [self.ask(f"good{number}.example") for number in range(200)]
        self.answer_good_ones()
        self.reactor.advance(SLOW_AFTER)
        self.answer_good_ones()
        for lookup in lookups:
            self.successResultOf(lookup)

    def answer_good_ones(self) -> None:
        """Be a server that knows the good names and is silent on the dead ones."""
        while asked := self.first.questions():
            for query in asked:
                if query[0].question[0].name.to_text().startswith("good"):
                    self.first.answer(query)
            self.reactor.read()

    def test_slow_questions_are_bounded(self) -> None:
        """When too many stay unanswered the oldest is given up, so that sockets do not run out."""
        self.resolver = self.resolver_of(self.first, in_flight=2)
        oldest = self.ask("dead0.example")
        for number in range(1, 2 * SLOW_FACTOR + 1):
            self.ask(f"dead{number}.example").addErrback(lambda _: None)
        for _ in range(SLOW_FACTOR):
            self.assertNoResult(oldest)
            self.reactor.advance(SLOW_AFTER)
        self.reactor.advance(SLOW_AFTER)
        self.assertIn("too many questions", self.problem(oldest))


class DeadServersTests(ResolverTestCase):
    """What twenty dead name servers cost two hundred SPF checks, in simulated time."""

    LATENCY = 0.055  # seconds from a question to its answer
    LOOKUPS = 5  # of one check, each after the one before

    def finish_times(self, dead: int) -> list[float]:
        """When each of two hundred checks is done, begun after C{dead} ones that never are."""
        self.resolver = self.resolver_of(self.first)
        evaluator = SPFEvaluator(self.resolver, self.reactor.seconds)
        begun, times = self.reactor.seconds(), list[float]()
        names = [f"dead{number}.example" for number in range(dead)] + [f"good{number}.example" for number in range(200)]
        for name in names:
            check = started(evaluator.check_host(ip_address("192.0.2.99"), f"bob@{name}", "mail.example.net"))
            if name.startswith("good"):
                check.addCallback(self.assert_softfail)
                check.addCallback(lambda _: times.append(self.reactor.seconds() - begun))
        for _ in range(200):
            for asked in self.first.questions():
                self.reactor.callLater(self.LATENCY, self.answer, asked)
            self.reactor.advance(0.01)
            self.reactor.read()
        self.successResultOf(started(self.resolver.stop()))
        return times

    def answer(self, asked: tuple[dns.message.Message, Server]) -> None:
        """Be a server that is silent on dead names."""
        question = asked[0].question[0]
        name = question.name.to_text()
        if "dead" in name:
            return
        domain = name.removeprefix("i.").removeprefix("h.").removeprefix("m.")
        record = (
            "v=spf1 ip4:203.0.113.1 ~all"
            if name.startswith("i.")
            else f"v=spf1 include:i.{domain} a:h.{domain} mx ~all"
        )
        data = {RdataType.TXT: f'"{record}"', RdataType.MX: f"10 m.{domain}", RdataType.A: "192.0.2.1"}
        self.first.answer(asked, f"{name} 60 IN {question.rdtype.name} {data[question.rdtype]}")

    def assert_softfail(self, outcome: SPFOutcome) -> None:
        """A good check asks all it can."""
        self.assertEqual((outcome.result, len(outcome.lookups)), ("softfail", self.LOOKUPS))

    def test_twenty_dead_servers(self) -> None:
        """No check is done later by more than 10 %, be it the first or the last."""
        alone, beside_dead = self.finish_times(0), self.finish_times(20)
        self.assertEqual((len(alone), len(beside_dead)), (200, 200))
        self.assertLessEqual(alone[-1], 1.2 * self.LOOKUPS * self.LATENCY)
        for before, after in zip(alone, beside_dead, strict=True):
            self.assertLessEqual(after, before * 1.1)


class RealServerTests(TestCase):
    """The whole way, to a name server on loopback."""

    def resolver(self, zone: str, **how: Any) -> Resolver:
        """A resolver that asks a server with this zone."""
        self.server = NameServer.listening(real_reactor, Zone.parse(zone), **how)
        self.addCleanup(self.server.stop)
        ids = count(1)
        resolver = Resolver(
            real_reactor,  # type: ignore[arg-type]
            ResolverSettings(timeout=2.0),
            nameservers=[self.server.address],
            randomness=lambda: next(ids),
        )
        self.addCleanup(lambda: started(resolver.stop()))
        return resolver

    async def test_truncated_answer(self) -> None:
        """TC leads to TCP, once; a large answer arrives whole."""
        lines = "\n".join(f"example.com A 192.0.2.{number}" for number in range(60))
        resolver = self.resolver(lines, truncate=True)
        answer = await resolver.lookup("example.com", RdataType.A)
        self.assertEqual(len(answer.records), 60)
        self.assertEqual(self.server.asked, ["A example.com udp", "A example.com tcp"])

    async def test_truncated_and_then_refused(self) -> None:
        """A server that does not do TCP cannot answer what is too large; the failure says so."""
        resolver = self.resolver("example.com A TRUNCATED 192.0.2.1")
        await self.server.stop_streams()
        failure = await self.assertFailure(started(resolver.lookup("example.com", RdataType.A)), TemporaryFailure)
        self.assertIn("TCP: ", str(failure))

    async def test_cancelled_over_tcp(self) -> None:
        """I4: nothing is left when a lookup is cancelled in the middle of TCP; trial would tell."""
        resolver = self.resolver("example.com A TRUNCATED 192.0.2.1")
        lookup = started(resolver.lookup("example.com", RdataType.A))
        while "A example.com tcp" not in self.server.asked and not lookup.called:
            await self.turn()
        lookup.cancel()
        lookup.addErrback(lambda _: None)

    async def turn(self) -> None:
        """One turn of the reactor."""
        done: Deferred[None] = Deferred()
        real_reactor.callLater(0, done.callback, None)
        await done

    async def test_nobody_listens(self) -> None:
        """A7: the real reactor tells of a refused connection at once, too."""
        resolver = self.resolver("")
        await self.server.stop()
        failure = await self.assertFailure(started(resolver.lookup("example.com", RdataType.A)), TemporaryFailure)
        self.assertIn("refused", str(failure))

    async def test_ipv6(self) -> None:
        """A server with an IPv6 address is asked at that address."""
        resolver = Resolver(
            real_reactor,  # type: ignore[arg-type]
            ResolverSettings(timeout=2.0),
            nameservers=[("::1", 1)],
            randomness=lambda: 1,
        )
        failure = await self.assertFailure(started(resolver.lookup("example.com", RdataType.A)), TemporaryFailure)
        self.assertIn("A example.com: [::1]:1: ", str(failure))

    async def test_faults(self) -> None:
        """Each way to fail that the server knows is a temporary failure, or no failure at all."""
        resolver = self.resolver(
            """
            servfail.example  A  SERVFAIL
            lame.example      A  LAME
            formerr.example   A  FORMERR 192.0.2.1
            loop.example      CNAME  pool.example
            pool.example      CNAME  loop.example
            """
        )
        for name in ("servfail.example", "lame.example", "loop.example"):
            await self.assertFailure(started(resolver.lookup(name, RdataType.A)), TemporaryFailure)
        answer = await resolver.lookup("formerr.example", RdataType.A)
        self.assertEqual(answer.status, AnswerStatus.FOUND)
