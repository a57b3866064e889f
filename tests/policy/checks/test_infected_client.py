"""Tests of internal machines with foreign senders (D08, D09, D13)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.check_settings import InfectedClientSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.infected_client import InfectedClientCheck


class InfectedClientCheckTests(SynchronousTestCase):
    """Which senders an internal machine may use."""

    check = InfectedClientCheck(InfectedClientSettings(), AddressSet.parse(["example.org"]))

    def ask(
        self, mail_from: str, ip: str | None = "10.0.0.7", client_class: ClientClass = ClientClass.INTERNAL
    ) -> Verdict | None:
        """The verdict on a sender."""
        transaction = make_transaction(mail_from, make_connection(ip, client_class=client_class))
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction)))

    def test_interface(self) -> None:
        """It is asked at MAIL, and observes by default."""
        verifyObject(IMailCheck, self.check)
        self.assertEqual(InfectedClientSettings().mode, "observe")

    def test_foreign_sender(self) -> None:
        """D08: 550 5.7.1 with two lines; the last @ decides (LL-22)."""
        for sender in ("<bob@example.com>", "<bob@sub.example.org>", "<bob@example.org@example.com>"):
            verdict = self.ask(sender)
            assert isinstance(verdict, Refuse)
            self.assertEqual((verdict.reason.code, verdict.code, verdict.status), ("infected-client", 550, "5.7.1"))
            self.assertEqual(len(verdict.reason.details), 1)

    def test_own_sender(self) -> None:
        """D08: a sender of ours goes on."""
        self.assertIsNone(self.ask("<bob@Example.org>"))

    def test_no_domain_to_judge(self) -> None:
        """D13: the null reverse-path and unqualified senders are exempt."""
        self.assertIsNone(self.ask("<>"))
        self.assertIsNone(self.ask("<bob>"))

    def test_exempt_clients(self) -> None:
        """D09, D03: strangers, relays, users that authenticate, and our own host are not its matter."""
        for client_class in (ClientClass.EXTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED):
            self.assertIsNone(self.ask("<bob@example.com>", client_class=client_class))
        for ip in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", None):
            self.assertIsNone(self.ask("<bob@example.com>", ip))

    def test_no_domains(self) -> None:
        """D08, LL-10: without internal_domains it has no opinion."""
        check = InfectedClientCheck(InfectedClientSettings(), AddressSet.parse([""]))
        transaction = make_transaction("<a@b.example>", make_connection("10.0.0.7", client_class=ClientClass.INTERNAL))
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction))))
