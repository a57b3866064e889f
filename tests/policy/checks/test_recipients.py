"""Tests of recipients that are not there (L01, L02, L03, L09, L10, G27)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from tests.threads import ThreadlessReactor
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.checks import IRcptCheck, IRunningCheck
from twistedmilter.model.address import Mailbox, parse_path
from twistedmilter.model.conduct_settings import RecipientsSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.recipients import RecipientsCheck
from twistedmilter.policy.user_lists import LOOK_AGAIN, parse_user_lists


@implementer(ICallbackVerifier)
@dataclass
class InnerServer:
    """Knows anna, and is unsure about whoever is in C{unsure}."""

    unsure: dict[str, CallbackResult] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def verify(self, mailbox: Mailbox) -> CallbackOutcome:
        """What it says."""
        self.asked.append(mailbox.canonical)
        known = CallbackResult.VALID if mailbox.local_part.lower() == "anna" else CallbackResult.INVALID
        result = self.unsure.get(mailbox.local_part, known)
        return CallbackOutcome(result, "RCPT", "in.example", "550 5.1.1 nobody", 550)

    async def known(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What is remembered: that there is no fred."""
        is_fred = mailbox.local_part == "fred"
        return CallbackOutcome(CallbackResult.INVALID, "RCPT", "in.example", "550 nobody", 550) if is_fred else None


class RecipientsCheckTests(SynchronousTestCase):
    """What is said of one recipient."""

    def setUp(self) -> None:
        """example.com has a list, the inner server knows example.org."""
        self.inner = InnerServer()
        self.transaction = make_transaction()

    def check(self, settings: RecipientsSettings | None = None, *, inner: bool = True) -> RecipientsCheck:
        """A check with these settings."""
        settings = settings or RecipientsSettings(private=["staff@example.net"])
        lists = parse_user_lists({"example.com": ["anna"]}, "+", Path())
        never, private = AddressSet.parse(settings.never), AddressSet.parse(settings.private)
        asked = AddressSet.parse(["example.org", "example.com"])
        return RecipientsCheck(settings, lists, never, private, asked, self.inner if inner else None)

    def ask(self, path: str, *arguments: str, transaction: Transaction | None = None) -> Verdict | None:
        """The verdict on a recipient."""
        return self.judge(Recipient(parse_path(path), arguments), transaction)

    def judge(self, recipient: Recipient, transaction: Transaction | None = None) -> Verdict | None:
        """The same, of a whole recipient."""
        asking = self.check().check_rcpt(transaction or self.transaction, recipient)
        return self.successResultOf(Deferred.fromCoroutine(asking))

    def assertRefused(self, verdict: Verdict | None, code: str, status: str) -> None:
        """It is refused with 550, for this reason."""
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.reason.code, verdict.code, verdict.status), (code, 550, status))

    def test_interface(self) -> None:
        """It is asked at RCPT, is off by default, and local unless it asks the inner server."""
        verifyObject(IRcptCheck, self.check())
        verifyObject(ICallbackVerifier, self.inner)
        self.assertEqual(RecipientsSettings().mode, "off")
        self.assertFalse(self.check().local)
        self.assertTrue(self.check(inner=False).local)

    def test_a_test_asks_nobody(self) -> None:
        """A test transaction is judged by what is remembered; the inner server is not called for it."""
        transaction = make_transaction()
        transaction.connection.is_test = True
        self.assertIsNone(self.ask("<eve@example.org>", transaction=transaction))
        self.assertRefused(self.ask("<fred@example.org>", transaction=transaction), "recipient-unknown", "5.1.1")
        self.assertEqual(self.inner.asked, [])
        self.assertIn("not_asked", [fact.name for fact in transaction.evidence])

    def test_unknown_by_list(self) -> None:
        """L02: 550 5.1.1, and nobody else is asked."""
        self.assertRefused(self.ask("<eve@example.com>"), "recipient-unknown", "5.1.1")
        self.assertEqual(self.inner.asked, [])

    def test_known_by_list(self) -> None:
        """L03: in any case; the inner server has the last word where it is asked too."""
        self.assertIsNone(self.ask("<Anna@example.com>"), "Anna")

    def test_takes_no_mail(self) -> None:
        """L01: MAILER-DAEMON is a sender only."""
        verdict = self.ask("<MAILER-DAEMON@anything.example>")
        self.assertRefused(verdict, "recipient-takes-no-mail", "5.7.1")

    def test_private(self) -> None:
        """L09: from outside only it is refused."""
        self.assertRefused(self.ask("<staff@example.net>"), "recipient-private", "5.7.1")
        for client_class in (ClientClass.INTERNAL, ClientClass.AUTHENTICATED, ClientClass.TRUSTED_RELAY):
            ours = make_transaction(connection=make_connection(client_class=client_class))
            self.assertIsNone(self.ask("<staff@example.net>", transaction=ours))

    def test_parameters(self) -> None:
        """L10: what is no esmtp-param of RFC 5321 section 4.1.2 is refused, whoever the recipient is."""
        for good in ("NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;a+2Bb@example.com", "X-FLAG", "ORCPT=utf-8;\u00fc@x"):
            self.assertIsNone(self.ask("<bob@example.net>", good), good)
        for bad in ("=x", "NOTIFY=", "-A=b", "A B", "NOTIFY=A=B", "A\x00", "\u00fc=x", ""):
            self.assertRefused(self.ask("<bob@example.net>", "X-FLAG", bad), "recipient-parameters", "5.5.4")

    def test_parameter_in_the_reply_is_harmless(self) -> None:
        """Hostile text is quoted in ASCII and cut."""
        verdict = self.ask("<bob@example.net>", "\r\n250 \u00fc" + "x" * 1_000)
        assert isinstance(verdict, Refuse)
        self.assertTrue(verdict.reason.text.isascii() and verdict.reason.text.isprintable())
        self.assertLess(len(verdict.reason.text), 120)

    def test_inner_server(self) -> None:
        """G27: it says who exists; its words are evidence, and not told to the client."""
        self.assertIsNone(self.ask("<anna@example.org>"))
        verdict = self.ask("<eve@example.org>")
        self.assertRefused(verdict, "recipient-unknown", "5.1.1")
        assert isinstance(verdict, Refuse)
        self.assertNotIn("in.example", verdict.reason.text)
        [known, unknown] = [each.value for each in self.transaction.evidence]
        self.assertTrue(known.startswith("anna@example.org: valid"))
        self.assertIn("in.example said to RCPT: 550 5.1.1 nobody", unknown)

    def test_inner_server_is_asked_about_its_domains_only(self) -> None:
        """And not about what the MTA refused already."""
        self.assertIsNone(self.ask("<eve@example.net>"))
        self.assertIsNone(self.judge(Recipient(parse_path("<eve@example.org>"), (), refused_by_mta=True)))
        self.assertEqual(self.inner.asked, [])

    def test_inner_server_does_not_say(self) -> None:
        """That is a temporary failure, never a 5xx."""
        for result in (CallbackResult.TEMPORARY, CallbackResult.UNKNOWN):
            self.inner.unsure["bob"] = result
            recipient = Recipient(parse_path("<bob@example.org>"))
            asking = Deferred.fromCoroutine(self.check().check_rcpt(self.transaction, recipient))
            self.failureResultOf(asking, TemporaryFailure)

    def test_files_of_users_are_followed(self) -> None:
        """While the service runs; C{status} says how many users there are."""
        directory = Path(self.mktemp())
        directory.mkdir()
        users = directory / "users"
        users.write_text("anna\n")
        check = replace(self.check(), users=parse_user_lists({"example.com": ["file:users"]}, "+", directory))
        verifyObject(IRunningCheck, check)
        reactor = ThreadlessReactor()
        check.start(reactor)
        users.write_text("anna\nbob\n")
        reactor.advance(LOOK_AGAIN)
        self.assertEqual(check.status(), {str(users): "2 users"})
        check.stop()
        self.assertEqual(reactor.getDelayedCalls(), [])
