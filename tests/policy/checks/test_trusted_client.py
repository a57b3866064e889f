"""Tests of the client classes (B02 to B04, B08, B09, D03, D04)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IConnectCheck, IMailCheck
from twistedmilter.model.settings import NetworksSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection, Transaction
from twistedmilter.policy.checks.trusted_client import TrustedClientCheck

NETWORKS = NetworksSettings(
    internal=["127.0.0.0/8", "::1", "10.0.0.0/8", "office.example.org"], trusted_relays=["10.9.9.9", "198.51.100.0/24"]
)
ZONE = "office.example.org A 203.0.113.5"


class TrustedClientCheckTests(SynchronousTestCase):
    """The class of a client."""

    def setUp(self) -> None:
        """The check under test."""
        self.resolver = FakeResolver(ZONE)
        self.check = TrustedClientCheck(NETWORKS, self.resolver)

    def connect(self, connection: Connection) -> tuple[ClientClass, str]:
        """The class after CONNECT and why."""
        verdict = self.successResultOf(Deferred.fromCoroutine(self.check.check_connect(connection)))
        self.assertIsNone(verdict)
        return connection.client_class, connection.class_reason

    def mail(self, connection: Connection) -> Transaction:
        """The next transaction of the session."""
        transaction = make_transaction(connection=connection)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction))))
        return transaction

    def test_interfaces(self) -> None:
        """It is asked at CONNECT and at MAIL."""
        verifyObject(IConnectCheck, self.check)
        verifyObject(IMailCheck, self.check)

    def test_class_by_address(self) -> None:
        """B02, B03, B04: the sets decide, and the reason names the entry."""
        for ip, expected in (
            ("10.1.1.1", (ClientClass.INTERNAL, "internal: 10.0.0.0/8")),
            ("::1", (ClientClass.INTERNAL, "internal: ::1")),
            ("::ffff:127.0.0.1", (ClientClass.INTERNAL, "internal: 127.0.0.0/8")),
            ("198.51.100.7", (ClientClass.TRUSTED_RELAY, "trusted_relays: 198.51.100.0/24")),
            ("192.0.2.9", (ClientClass.EXTERNAL, "in no list")),
        ):
            self.assertEqual(self.connect(make_connection(ip)), expected)

    def test_relay_wins_over_internal(self) -> None:
        """B04: a trusted relay inside our networks is a trusted relay."""
        self.assertEqual(self.connect(make_connection("10.9.9.9"))[0], ClientClass.TRUSTED_RELAY)

    def test_host_name_is_resolved(self) -> None:
        """B03: a name in the list makes its addresses internal."""
        self.assertEqual(
            self.connect(make_connection("203.0.113.5")), (ClientClass.INTERNAL, "internal: office.example.org")
        )

    def test_unresolved_name_is_evidence(self) -> None:
        """A name that cannot be looked up makes nobody internal, nor a stranger to be refused for good (I1)."""
        self.check = TrustedClientCheck(NETWORKS, FakeResolver("office.example.org A SERVFAIL"))
        connection = make_connection("203.0.113.5")
        asked = Deferred.fromCoroutine(self.check.check_connect(connection))
        self.failureResultOf(asked, TemporaryFailure)
        self.assertEqual(connection.client_class, ClientClass.EXTERNAL)
        self.assertEqual(
            [(fact.name, fact.value[:18]) for fact in connection.evidence], [("unresolved", "office.example.org")]
        )

    def test_name_that_resolves_later(self) -> None:
        """The class is set once the answer is there."""
        self.resolver.holding = True
        connection = make_connection("203.0.113.5")
        waiting = Deferred.fromCoroutine(self.check.check_connect(connection))
        self.assertNoResult(waiting)
        self.resolver.release()
        self.successResultOf(waiting)
        self.assertEqual(connection.client_class, ClientClass.INTERNAL)

    def test_no_address_is_external(self) -> None:
        """B08: no address, no trust; Postfix writes "unknown"."""
        connection = make_connection(None, name="unknown", address="unknown")
        self.assertEqual(self.connect(connection), (ClientClass.EXTERNAL, "no address"))
        self.assertEqual(
            self.connect(make_connection(None, name="localhost", address="unknown"))[0], ClientClass.EXTERNAL
        )

    def test_local_submission_is_internal(self) -> None:
        """Milter-spec 5: sendmail -bs, a unix client, and Postfix's own mail come from our host."""
        postfix = make_connection(None, name="unknown", address="unknown")
        postfix.local_submission = True
        for connection in (
            make_connection(None, name="localhost", address=""),
            make_connection(None, name="localhost", address="/run/sock"),
            postfix,
        ):
            self.assertEqual(self.connect(connection), (ClientClass.INTERNAL, "local submission"))

    def test_authenticated(self) -> None:
        """D03: {auth_authen} makes the client authenticated and gives an auth result."""
        connection = make_connection(macros={"{auth_authen}": "bob", "{auth_type}": "PLAIN", "{auth_ssf}": "0"})
        self.connect(connection)
        transaction = self.mail(connection)
        self.assertEqual(connection.client_class, ClientClass.AUTHENTICATED)
        self.assertEqual(connection.class_reason, "authenticated as bob")
        self.assertEqual([str(result) for result in transaction.auth_results], ["auth=pass smtp.auth=bob"])
        self.assertIn(("auth_type", "PLAIN"), [(fact.name, fact.value) for fact in transaction.evidence])

    def test_authentication_ends_with_its_macro(self) -> None:
        """D03: a transaction that comes without the macro is judged by the address again."""
        macros = {"{auth_authen}": "bob"}
        connection = make_connection("10.1.1.1", macros=macros)
        self.connect(connection)
        self.mail(connection)
        macros.clear()
        transaction = self.mail(connection)
        self.assertEqual(connection.client_class, ClientClass.INTERNAL)
        self.assertEqual(transaction.auth_results, [])

    def test_empty_user_is_nobody(self) -> None:
        """D03: an empty macro is not an authentication."""
        connection = make_connection(macros={"{auth_authen}": ""})
        self.connect(connection)
        self.mail(connection)
        self.assertEqual(connection.client_class, ClientClass.EXTERNAL)

    def test_certificate_is_evidence_only(self) -> None:
        """D04: TLS and certificate facts are recorded and make nobody trusted."""
        macros = {
            "{verify}": "OK",
            "{cert_subject}": "/CN=mail.example.net",
            "{cert_issuer}": "/CN=CA",
            "{tls_version}": "TLSv1.3",
            "{cipher}": "TLS_AES_256_GCM_SHA384",
            "{cipher_bits}": "256",
        }
        connection = make_connection(macros=macros)
        self.connect(connection)
        facts = {fact.name: fact.value for fact in self.mail(connection).evidence}
        self.assertEqual(facts["certificate_verify"], "OK")
        self.assertEqual(facts["certificate_subject"], "/CN=mail.example.net")
        self.assertEqual(facts["certificate_issuer"], "/CN=CA")
        self.assertEqual(
            [facts["tls_version"], facts["tls_cipher"], facts["tls_bits"]], ["TLSv1.3", "TLS_AES_256_GCM_SHA384", "256"]
        )
        self.assertEqual(connection.client_class, ClientClass.EXTERNAL)

    def test_exceptions_alone_are_refused(self) -> None:
        """A list of exceptions only would make the rest of the world ours."""
        with self.assertRaisesRegex(ValueError, "trusted_relays holds exceptions only"):
            TrustedClientCheck(NetworksSettings(trusted_relays=["!192.0.2.1"]))
