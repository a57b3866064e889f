"""Tests of the resolver: one question, many who ask it, and servers that do not answer."""

from __future__ import annotations

from dns.rdatatype import RdataType
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.scripted_dns import ResolverTestCase, started
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer, AnswerStatus, IResolver
from twistedmilter.resolver import RECENT
from twistedmilter.resolver_exchange import FIRST_WAIT
from twistedmilter.resolver_transport import server_text


class LookupTests(ResolverTestCase):
    """One question and its answer."""

    def test_interface(self) -> None:
        """It is what checks ask."""
        verifyObject(IResolver, self.resolver)

    def test_answer(self) -> None:
        """Name, status, records, and when they are stale; then nothing is left open."""
        self.reactor.advance(1000)
        lookup = self.ask("Example.COM.")
        self.first.answer(self.first.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        answer = self.successResultOf(lookup)
        self.assertEqual((answer.name, answer.status, answer.expires), ("example.com", AnswerStatus.FOUND, 1090.0))
        self.assert_clean()

    def test_answered_from_the_cache(self) -> None:
        """A second question for a name is answered at once, without the server, until the answer is stale."""
        self.assertIsNone(self.resolver.cached("example.com", RdataType.A))
        self.ask()
        self.first.answer(self.first.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.reactor.advance(89)
        self.assertEqual(self.addresses(self.ask("EXAMPLE.com")), ["192.0.2.1"])
        self.assertIsNotNone(self.resolver.cached("example.com.", RdataType.A))
        self.reactor.advance(1)
        self.assertIsNone(self.resolver.cached("example.com", RdataType.A))
        self.assertNoResult(self.ask())

    def test_negative_answers_are_kept_shorter(self) -> None:
        """A11: at most five minutes, whatever the SOA says."""
        lookup = self.ask()
        soa = ". 90000 IN SOA . . 1 2 3 4 90000"
        self.first.answer(self.first.question(), soa, rcode="NXDOMAIN")
        self.reactor.read()
        answer = self.successResultOf(lookup)
        self.assertEqual((answer.status, answer.expires), (AnswerStatus.NXDOMAIN, 300.0))

    def test_names_that_cannot_exist(self) -> None:
        """They are NXDOMAIN, and nobody is asked."""
        for name in ("", "a..example", "a" * 64 + ".example"):
            self.assertEqual(self.successResultOf(self.ask(name)).status, AnswerStatus.NXDOMAIN)
        self.assertEqual(self.first.questions(), [])

    def test_chain_over_several_answers(self) -> None:
        """A CNAME whose target the server does not tell is followed by another question."""
        lookup = self.ask("www.example.com")
        self.first.answer(self.first.question(), "www.example.com. 40 IN CNAME a.example.net.")
        self.reactor.read()
        asked = self.first.question()
        self.assertEqual(asked[0].question[0].name.to_text(), "a.example.net.")
        self.first.answer(asked, "a.example.net. 90 IN A 192.0.2.1")
        self.reactor.read()
        answer = self.successResultOf(lookup)
        self.assertEqual(([record.to_text() for record in answer.records], answer.expires), (["192.0.2.1"], 40.0))

    def test_loop_over_several_answers(self) -> None:
        """LL-03: a chain that comes back is a failure, not an endless walk."""
        lookup = self.ask("a.example")
        self.first.answer(self.first.question(), "a.example. 40 IN CNAME b.example.")
        self.reactor.read()
        self.first.answer(self.first.question(), "b.example. 40 IN CNAME A.example.")
        self.reactor.read()
        self.assertIn("CNAME loop", self.problem(lookup))
        self.assert_clean()

    def test_long_chain_over_several_answers(self) -> None:
        """A10: at most eight links."""
        lookup = self.ask("a0.example")
        for n in range(9):
            self.first.answer(self.first.question(), f"a{n}.example. 40 IN CNAME a{n + 1}.example.")
            self.reactor.read()
        self.assertIn("chain over 8", self.problem(lookup))

    def test_edns_refused(self) -> None:
        """A server that answers FORMERR is asked again without EDNS."""
        lookup = self.ask()
        self.first.answer(self.first.question(), rcode="FORMERR")
        self.reactor.read()
        plain = self.first.question()
        self.assertEqual(plain[0].edns, -1)
        self.first.answer(plain, "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(lookup), ["192.0.2.1"])


class SharingTests(ResolverTestCase):
    """Many who ask the same."""

    def test_one_question_for_all(self) -> None:
        """Single flight: all get the answer to one question, spelled however."""
        lookups = [self.ask(), self.ask("EXAMPLE.com."), self.ask()]
        self.first.answer(self.first.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual([self.addresses(lookup) for lookup in lookups], [["192.0.2.1"]] * 3)

    def test_failure_for_all(self) -> None:
        """Each gets an exception of its own."""
        lookups = [self.ask(), self.ask()]
        self.first.answer(self.first.question(), rcode="SERVFAIL")
        self.reactor.read()
        failures = [self.failureResultOf(lookup, TemporaryFailure).value for lookup in lookups]
        self.assertIsNot(failures[0], failures[1])

    def test_one_goes_away(self) -> None:
        """M8: a lookup that is cancelled does not harm the others."""
        gone, other = self.ask(), self.ask()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.first.answer(self.first.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(other), ["192.0.2.1"])

    def test_all_go_away(self) -> None:
        """I4: when the last is cancelled, so is the question; the next one asks anew."""
        for lookup in (self.ask(), self.ask()):
            lookup.cancel()
            self.failureResultOf(lookup, CancelledError)
        self.assert_clean()
        self.first.questions()
        self.ask()
        self.assertEqual(self.first.asked(), ["example.com"])

    def test_stop(self) -> None:
        """Those who wait are told, nothing is left open, and nothing more is asked."""
        lookup = self.ask()
        self.successResultOf(started(self.resolver.stop()))
        self.assertIn("stopped", self.problem(lookup))
        self.assertIn("stopped", self.problem(self.ask("other.example")))
        self.assert_clean()


class PatienceTests(ResolverTestCase):
    """Servers that are slow, silent or broken (A7, A8)."""

    def test_asked_again(self) -> None:
        """The question is sent again after 1 and 3 seconds; after the timeout the failure names the server."""
        lookup = self.ask()
        sent = []
        for _ in range(20):
            sent.append(len(self.first.questions()))
            self.reactor.advance(0.25)
        self.assertEqual([index * 0.25 for index, number in enumerate(sent) if number], [0, 1, 3])
        expected = f"A example.com: {server_text(self.first.address)}: no answer within 5 s"
        self.assertEqual(self.problem(lookup), expected)
        self.assert_clean()

    def test_late_answer_to_the_first_try(self) -> None:
        """A8: an answer after four seconds counts, whichever try it answers."""
        lookup = self.ask()
        asked = self.first.question()
        self.reactor.pump([1.0] * 4)
        self.first.answer(asked, "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(lookup), ["192.0.2.1"])

    def test_silent_server(self) -> None:
        """The next server is asked after a second, and first from then on."""
        self.resolver = self.resolver_of(self.first, self.second)
        lookup = self.ask()
        self.reactor.advance(FIRST_WAIT)
        self.second.answer(self.second.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(lookup), ["192.0.2.1"])
        self.first.questions()
        self.ask("other.example")
        self.assertEqual((self.first.asked(), self.second.asked()), ([], ["other.example"]))

    def test_broken_server(self) -> None:
        """A7: SERVFAIL, REFUSED and a lame server lead to the next one at once."""
        self.resolver = self.resolver_of(self.first, self.second)
        for number, rcode in enumerate(("SERVFAIL", "REFUSED", "NOTIMP")):
            lookup = self.ask(f"a{number}.example")
            asking, other = (self.first, self.second) if number % 2 == 0 else (self.second, self.first)
            asking.answer(asking.question(), rcode=rcode)
            self.reactor.read()
            other.answer(other.question(), f"a{number}.example. 90 IN A 192.0.2.1")
            self.reactor.read()
            self.assertEqual(self.addresses(lookup), ["192.0.2.1"])

    def test_all_servers_broken(self) -> None:
        """A7: the failure comes at once and names each server with its reason."""
        self.resolver = self.resolver_of(self.first, self.second)
        lookup = self.ask()
        for server, rcode in ((self.first, "SERVFAIL"), (self.second, "REFUSED")):
            server.answer(server.question(), rcode=rcode)
            self.reactor.read()
        said = f"{server_text(self.first.address)}: SERVFAIL, {server_text(self.second.address)}: REFUSED"
        self.assertEqual(self.problem(lookup), f"A example.com: {said}")
        self.assert_clean()

    def test_nobody_listens(self) -> None:
        """A7: a server that is down is found out at once, and the next is asked."""
        self.resolver = self.resolver_of(self.first, self.second)
        self.first.socket.close()
        lookup = self.ask()
        self.reactor.read()
        self.second.answer(self.second.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.assertEqual(self.addresses(lookup), ["192.0.2.1"])

    def test_nobody_listens_at_all(self) -> None:
        """A7: then it is a temporary failure, at once."""
        self.first.socket.close()
        lookup = self.ask()
        self.reactor.read()
        self.assertIn("connection refused", self.problem(lookup))

    def test_counts(self) -> None:
        """What was asked, known and in vain; an answer a moment ago outweighs a failure."""
        lookup = self.ask()
        self.first.answer(self.first.question(), "example.com. 90 IN A 192.0.2.1")
        self.reactor.read()
        self.addresses(lookup)
        self.addresses(self.ask())
        counts = {"lookups": 2, "cache_hits": 1, "queries": 1, "failures": 0, "up": True}
        self.assertEqual(self.resolver.snapshot(), counts)
        self.first.socket.close()
        self.problem(self.failing("a.example"))
        self.assertEqual((self.resolver.snapshot()["failures"], self.resolver.snapshot()["up"]), (1, True))
        self.reactor.advance(RECENT)
        self.assertIs(self.resolver.snapshot()["up"], False)

    def failing(self, name: str) -> Deferred[Answer]:
        """A question that nobody answers in time."""
        lookup = self.ask(name)
        for _ in range(40):
            self.reactor.advance(0.25)
        return lookup

    def test_nobody_listens_any_more(self) -> None:
        """A7: ... and so it is when the network says so while the question is sent again."""
        self.first.socket.close()
        lookup = self.ask()
        self.reactor.advance(FIRST_WAIT)
        self.assertIn("connection refused", self.problem(lookup))

    def test_socket_that_the_reactor_found_broken(self) -> None:
        """A7: ... and when the reactor says so."""
        lookup = self.ask()
        self.reactor.readers[0].connectionLost(Failure(ConnectionLost()))
        self.assertIn("lost", self.problem(lookup))
        self.assert_clean()

    def test_address_that_cannot_be_asked(self) -> None:
        """A7: without a route, or a socket, the next server is asked."""
        self.first.address = ("255.255.255.255", 53)
        self.resolver = self.resolver_of(self.first, self.second)
        lookup = self.ask()
        self.second.answer(self.second.question(), rcode="SERVFAIL")
        self.reactor.read()
        self.assertIn("255.255.255.255:53: permission denied", self.problem(lookup))

    def test_server_that_understands_nothing(self) -> None:
        """FORMERR without EDNS, too, is no answer."""
        lookup = self.ask()
        for _ in range(2):
            self.first.answer(self.first.question(), rcode="FORMERR")
            self.reactor.read()
        self.assertIn("FORMERR", self.problem(lookup))

    def test_failures_are_remembered_briefly(self) -> None:
        """RFC 9520: the same question is not asked again for five seconds."""
        self.ask().addErrback(lambda _: None)
        self.first.answer(self.first.question(), rcode="SERVFAIL")
        self.reactor.read()
        self.assertIn("SERVFAIL", self.problem(self.ask()))
        self.assertEqual(self.first.questions(), [])
        self.reactor.advance(5)
        self.ask()
        self.assertEqual(self.first.asked(), ["example.com"])
