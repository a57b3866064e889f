"""Tests of bounces from inside (D14)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.sender_settings import InternalBounceSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.checks.internal_bounce import InternalBounceCheck

ZONE = "mta.example.org A 192.0.2.26"


class InternalBounceTests(SynchronousTestCase):
    """Who may send the null reverse-path."""

    def ask(
        self,
        ip: str | None,
        sender: str = "<>",
        client_class: ClientClass = ClientClass.INTERNAL,
        allowed: tuple[str, ...] = ("192.0.2.25", "mta.example.org"),
    ) -> Verdict | None:
        """The verdict on a sender."""
        check = InternalBounceCheck(InternalBounceSettings(internal_mta=list(allowed)), FakeResolver(ZONE))
        verifyObject(IMailCheck, check)
        transaction = make_transaction(sender, make_connection(ip, client_class=client_class))
        return self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction)))

    def test_a_machine_that_is_no_mail_server(self) -> None:
        """D14: refused, and told whom to ask."""
        verdict = self.ask("192.0.2.9")
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.7.1", "internal-bounce"))
        self.assertIn("internal_bounce.internal_mta", verdict.reason.details[0])

    def test_everybody_else(self) -> None:
        """D14: mail servers of ours, by address or name, our own host, others' clients, users and other senders."""
        for row in (
            {"ip": "192.0.2.25"},
            {"ip": "192.0.2.26"},
            {"ip": "127.0.0.1"},
            {"ip": "::1"},
            {"ip": None},
            {"ip": "192.0.2.9", "sender": "<bob@example.org>"},
            {"ip": "192.0.2.9", "sender": "<bob>"},
            {"ip": "192.0.2.9", "client_class": ClientClass.EXTERNAL},
            {"ip": "192.0.2.9", "client_class": ClientClass.TRUSTED_RELAY},
            {"ip": "192.0.2.9", "client_class": ClientClass.AUTHENTICATED},
            {"ip": "192.0.2.9", "allowed": ()},
        ):
            self.assertIsNone(self.ask(**row), row)

    def test_a_name_that_cannot_be_looked_up(self) -> None:
        """I1: a fault of the DNS is never a 5xx."""
        settings = InternalBounceSettings(internal_mta=["mta.example.org"])
        check = InternalBounceCheck(settings, FakeResolver("mta.example.org A SERVFAIL"))
        transaction = make_transaction("<>", make_connection("192.0.2.9", client_class=ClientClass.INTERNAL))
        self.failureResultOf(Deferred.fromCoroutine(check.check_mail(transaction)), TemporaryFailure)
