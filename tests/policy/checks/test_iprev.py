"""Tests of reverse DNS (RFC 8601 section 3; B06, B07)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, make_connection
from twistedmilter.interfaces.checks import IConnectCheck
from twistedmilter.model.check_settings import IprevSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.checks.iprev import MAX_NAMES, IprevCheck

PTR = "9.2.0.192.in-addr.arpa PTR"
PTR6 = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa PTR"


class IprevCheckTests(SynchronousTestCase):
    """What is recorded of a client's names, and which are refused."""

    def ask(self, zone: str, connection: Connection) -> Verdict | None:
        """The verdict of the check with this zone."""
        check = IprevCheck(IprevSettings(), FakeResolver(zone), lambda: 0.0)
        return self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection)))

    def assertResult(self, zone: str, result: str, ip: str = "192.0.2.9") -> Connection:
        """The client goes on with this iprev result."""
        connection = make_connection(ip)
        self.assertIsNone(self.ask(zone, connection))
        self.assertEqual([str(each) for each in connection.auth_results], [f"iprev={result} policy.iprev={ip}"])
        return connection

    def assertImpossible(self, verdict: Verdict | None) -> None:
        """It is refused as RFC 7372 says."""
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.reason.code, verdict.code, verdict.status), ("impossible-ptr", 550, "5.7.25"))

    def test_interface(self) -> None:
        """It is asked at CONNECT."""
        verifyObject(IConnectCheck, IprevCheck(IprevSettings(), None, lambda: 0.0))

    def test_pass(self) -> None:
        """A PTR name that leads back to the address."""
        connection = self.assertResult(f"{PTR} mail.example.net.\nmail.example.net A 192.0.2.9", "pass")
        self.assertIn(("names", "mail.example.net"), [(fact.name, fact.value) for fact in connection.evidence])

    def test_pass_ipv6(self) -> None:
        """The same for IPv6."""
        self.assertResult(f"{PTR6} mail.example.net.\nmail.example.net AAAA 2001:db8::1", "pass", "2001:db8::1")

    def test_one_of_several_names(self) -> None:
        """Any PTR name may confirm, even when another cannot be looked up."""
        self.assertResult(
            f"{PTR} a.example.\n{PTR} b.example.\n{PTR} c.example.\na.example A SERVFAIL\nb.example A 192.0.2.1\n"
            "c.example A 192.0.2.9",
            "pass",
        )

    def test_fail(self) -> None:
        """A name that leads elsewhere."""
        self.assertResult(f"{PTR} mail.example.net.\nmail.example.net A 192.0.2.10", "fail")

    def test_permerror(self) -> None:
        """No name, or a name without addresses (RFC 8601 section 2.7.3)."""
        self.assertResult("", "permerror")
        self.assertResult(f"{PTR} mail.example.net.", "permerror")

    def test_temperror(self) -> None:
        """A lookup that fails, backwards or forwards."""
        self.assertResult(f"{PTR} SERVFAIL", "temperror")
        self.assertResult(f"{PTR} mail.example.net.\nmail.example.net A TIMEOUT", "temperror")

    def test_ten_names_at_most(self) -> None:
        """A client cannot make us look up names without end."""
        resolver = FakeResolver("\n".join(f"{PTR} n{number}.example." for number in range(40)))
        check = IprevCheck(IprevSettings(), resolver, lambda: 0.0)
        self.successResultOf(Deferred.fromCoroutine(check.check_connect(make_connection())))
        self.assertEqual(len(resolver.asked), 1 + MAX_NAMES)

    def test_impossible_name_from_the_mta(self) -> None:
        """B06: localhost elsewhere, or the root, is refused without a lookup."""
        resolver = FakeResolver()
        check = IprevCheck(IprevSettings(), resolver, lambda: 0.0)
        for name in ("localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "."):
            connection = make_connection(name=name)
            self.assertImpossible(self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection))))
        self.assertEqual(resolver.asked, [])

    def test_impossible_name_from_the_dns(self) -> None:
        """B06: the PTR record itself says so, when the MTA hides it as unknown."""
        connection = make_connection(name="unknown")
        self.assertImpossible(self.ask(f"{PTR} localhost.\nlocalhost A 127.0.0.1", connection))
        self.assertEqual(connection.auth_results[0].result, "fail")
        self.assertImpossible(self.ask(f"{PTR} .", make_connection(name="unknown")))

    def test_loopback_may_be_localhost(self) -> None:
        """B07: 127.* and ::1 are localhost, even where the administrator trusts neither."""
        for ip in ("127.0.0.2", "::1", "::ffff:127.0.0.1"):
            self.assertIsNone(self.ask("", make_connection(ip, name="localhost")))

    def test_ours_are_not_asked_about(self) -> None:
        """Internal clients, relays and clients without an address cost no lookup."""
        resolver = FakeResolver()
        check = IprevCheck(IprevSettings(), resolver, lambda: 0.0)
        for connection in (
            make_connection(client_class=ClientClass.INTERNAL, name="localhost"),
            make_connection(client_class=ClientClass.TRUSTED_RELAY),
            make_connection(None),
        ):
            self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection))))
        self.assertEqual(resolver.asked, [])

    def test_without_resolver(self) -> None:
        """Without the DNS the MTA's name is still judged, and nothing is claimed."""
        check = IprevCheck(IprevSettings(), None, lambda: 0.0)
        connection = make_connection()
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection))))
        self.assertEqual(connection.auth_results, [])

    def test_answer_that_comes_later_or_never(self) -> None:
        """The check waits, and can be cancelled without leaving a result."""
        resolver = FakeResolver(f"{PTR} mail.example.net.\nmail.example.net A 192.0.2.9", holding=True)
        check = IprevCheck(IprevSettings(), resolver, lambda: 0.0)
        connection, gone = make_connection(), make_connection()
        waiting = Deferred.fromCoroutine(check.check_connect(connection))
        cancelled = Deferred.fromCoroutine(check.check_connect(gone))
        cancelled.cancel()
        self.failureResultOf(cancelled)
        resolver.release()
        resolver.release()
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual([len(connection.auth_results), len(gone.auth_results)], [1, 0])

    def test_remembered_while_the_answers_are_good(self) -> None:
        """The same client again costs no lookup until an answer is stale; a failed lookup is not remembered."""
        now = 0.0
        resolver = FakeResolver(
            f"{PTR} mail.example.net.\nmail.example.net A 192.0.2.9\n8.2.0.192.in-addr.arpa PTR SERVFAIL"
        )
        check = IprevCheck(IprevSettings(), resolver, lambda: now)

        def asked(ip: str) -> int:
            del resolver.asked[:]
            connection = make_connection(ip)
            self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection))))
            self.assertEqual(len(connection.auth_results), 1)
            return len(resolver.asked)

        self.assertEqual([asked("192.0.2.9"), asked("192.0.2.9"), asked("192.0.2.8"), asked("192.0.2.8")], [2, 0, 1, 1])
        now = 3600.0
        self.assertEqual(asked("192.0.2.9"), 2)
