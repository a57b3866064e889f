"""Tests of forged senders of ours (D06, D07)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.check_settings import OwnDomainSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.own_domain import OwnDomainCheck

OURS = AddressSet.parse(["example.org", ".example.org"])


class OwnDomainCheckTests(SynchronousTestCase):
    """Who may use our domains as sender."""

    def setUp(self) -> None:
        """SPF has no record of ours."""
        self.evaluator = FakeSPFEvaluator()
        self.check = OwnDomainCheck(OwnDomainSettings(), OURS, self.evaluator)

    def ask(self, mail_from: str, client_class: ClientClass = ClientClass.EXTERNAL) -> Verdict | None:
        """The verdict on a sender."""
        return self.judge(make_transaction(mail_from, make_connection(client_class=client_class)))

    def judge(self, transaction: Transaction) -> Verdict | None:
        """The verdict on a transaction."""
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction)))

    def test_interface(self) -> None:
        """It is asked at MAIL, and observes by default."""
        verifyObject(IMailCheck, self.check)
        self.assertEqual(OwnDomainSettings().mode, "observe")

    def test_forged(self) -> None:
        """D07: a stranger with our domain that does not pass SPF is refused; the last @ decides (LL-22)."""
        for sender in (
            "<bob@example.org>",
            "<bob@EXAMPLE.ORG>",
            "<a@b.example.org>",
            "<a@b@example.org>",
            "<@x.example:bob@example.org>",
            '<"bob@x.example"@example.org>',
        ):
            verdict = self.ask(sender)
            assert isinstance(verdict, Refuse)
            self.assertEqual((verdict.reason.code, verdict.code, verdict.status), ("own-domain-forged", 550, "5.7.1"))

    def test_every_result_but_pass(self) -> None:
        """D07: pass is the proof; anything else is not."""
        for result in ("none", "neutral", "softfail", "fail", "permerror"):
            self.evaluator.results = {"example.org": result}
            self.assertIsInstance(self.ask("<bob@example.org>"), Refuse, result)
        self.evaluator.results = {"example.org": "pass"}
        self.assertIsNone(self.ask("<bob@example.org>"))

    def test_temperror_is_no_proof(self) -> None:
        """I1: a fault may delay mail, it is never a 5xx."""
        self.evaluator.results = {"example.org": "temperror"}
        waiting = Deferred.fromCoroutine(self.check.check_mail(make_transaction("<bob@example.org>")))
        self.failureResultOf(waiting, TemporaryFailure)

    def test_exempt(self) -> None:
        """Clients of ours, trusted relays and AUTH may use our domains."""
        for client_class in (ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED):
            self.assertIsNone(self.ask("<bob@example.org>", client_class))
        self.assertEqual(self.evaluator.asked, [])

    def test_other_senders(self) -> None:
        """D13: others' domains, the null reverse-path and unqualified senders are not its matter."""
        for sender in ("<bob@example.com>", "<>", "<bob>", "<bob@example.org.example.com>"):
            self.assertIsNone(self.ask(sender))
        self.assertEqual(self.evaluator.asked, [])

    def test_without_evaluator_or_address(self) -> None:
        """E23, B08: without SPF or an address nothing is claimed."""
        self.assertIsNone(self.judge(make_transaction("<bob@example.org>", make_connection(None))))
        self.check = OwnDomainCheck(OwnDomainSettings(), OURS, None)
        self.assertIsNone(self.ask("<bob@example.org>"))

    def test_no_domains(self) -> None:
        """LL-10: without internal_domains it has no opinion."""
        self.check = OwnDomainCheck(OwnDomainSettings(), AddressSet.parse([]), self.evaluator)
        self.assertIsNone(self.ask("<bob@example.org>"))

    def test_outcome_is_shared(self) -> None:
        """Who asks first evaluates; the outcome is there for the spf check."""
        transaction = make_transaction("<bob@example.org>")
        self.judge(transaction)
        self.judge(transaction)
        self.assertEqual(len(self.evaluator.asked), 1)
        self.assertIn("mailfrom", transaction.spf)

    def test_later(self) -> None:
        """The answer may come later."""
        self.evaluator.holding = True
        waiting = Deferred.fromCoroutine(self.check.check_mail(make_transaction("<bob@example.org>")))
        self.assertNoResult(waiting)
        self.evaluator.release()
        self.assertIsInstance(self.successResultOf(waiting), Refuse)
