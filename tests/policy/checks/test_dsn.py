"""Tests of notifications: who is told, who never is, and what becomes of the message (G02 to G05, G19 to G26, E27)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.dsn import FileSigner
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.checks import IBodyCheck, ILastCheck
from twistedmilter.interfaces.notices import NoticeState
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.model.address import Mailbox, parse_path
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import Recipient, SenderInquiry, Transaction
from twistedmilter.model.verdict import Discard, Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.dsn import DsnCheck, NoticeMeans
from twistedmilter.policy.notice_limits import NoticeLimits
from twistedmilter.signing.tracking_token import HMACSigner
from twistedmilter.store.memory import MemoryStores
from twistedmilter.templates import load_templates

NOW = 1_764_000_000.0
SIGNER = HMACSigner(b"0123456789abcdef")
EXCHANGER = "mail.example.com [192.0.2.1]"
TAKEN = CallbackOutcome(CallbackResult.VALID, "the message", EXCHANGER, "250 queued", 250)
NOBODY = CallbackOutcome(CallbackResult.INVALID, "RCPT", EXCHANGER, "550 5.1.1 nobody", 550)
GREYLISTED = CallbackOutcome(CallbackResult.TEMPORARY, "RCPT", EXCHANGER, "451 later", 451)
UNREACHED = CallbackOutcome(CallbackResult.TEMPORARY, "connection", EXCHANGER, "lost")
NO_BOUNCES = CallbackOutcome(CallbackResult.UNKNOWN, "MAIL", EXCHANGER, "550 no bounces", 550)


@implementer(INotifier)
@dataclass
class FakeNotifier:
    """Delivers to a list; answers as it is told."""

    outcome: CallbackOutcome = TAKEN
    sent: list[tuple[list[str], str]] = field(default_factory=list)

    async def deliver(self, mailboxes: Sequence[Mailbox], content: bytes) -> CallbackOutcome:
        """Keep it."""
        self.sent.append(([mailbox.canonical for mailbox in mailboxes], content.decode("ascii")))
        return self.outcome


@implementer(ISenderList)
@dataclass
class FakeList:
    """Keeps what is added."""

    added: list[SenderEntry] = field(default_factory=list)

    def find(self, address: str, now: float) -> Deferred[SenderEntry | None]:
        """Nothing."""
        return succeed(None)

    def add(self, entry: SenderEntry) -> Deferred[None]:
        """Keep it."""
        self.added.append(entry)
        return succeed(None)

    def remove(self, name: str) -> Deferred[bool]:
        """Nothing."""
        return succeed(False)

    def entries(self, now: float) -> Deferred[list[SenderEntry]]:
        """Nothing."""
        return succeed([])

    def page(self, now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """Nothing."""
        return succeed([])


class DsnTestCase(SynchronousTestCase):
    """A sender whose domain passed SPF, with one recipient."""

    def setUp(self) -> None:
        """Nothing was sent yet."""
        self.notifier = FakeNotifier()
        self.blacklist = FakeList()
        self.now = NOW
        self.stores: MemoryStores | None = None  # new ones for each check

    def make(self, **settings: Any) -> DsnCheck:
        """The check with these settings, switched on."""
        section = DsnSettings(**{"mode": "enforce", **settings})
        means = NoticeMeans(self.notifier, SIGNER, "mx.example.org", lambda: self.now, lambda: "unique")
        own, never = AddressSet.parse(["example.org"]), AddressSet.parse(["@private.example"])
        limits = NoticeLimits(section, (self.stores or MemoryStores()).notices)
        return DsnCheck(section, means, load_templates(), limits, own, never, blacklist=self.blacklist)

    def transaction(
        self,
        template: str = "neutral",
        mail_from: str = "<bob@example.com>",
        headers: list[tuple[str, str]] | None = None,
        *,
        spf: str = "pass",
        arguments: tuple[str, ...] = (),
        is_test: bool = False,
    ) -> Transaction:
        """A message about which a check wants this notification."""
        connection = make_connection("192.0.2.5", helo="mail.example.com")
        connection.is_test = is_test
        made = make_transaction(mail_from, connection, headers or [("Subject", "hello")])
        made.recipients.append(Recipient(parse_path("<amy@example.org>"), arguments))
        domain = made.mail_from.domain
        made.spf["mailfrom"] = SPFOutcome(SPFResult(spf), Identity.MAIL_FROM, made.mail_from.canonical, domain)
        self.inquire(made, template)
        return made

    @staticmethod
    def inquire(transaction: Transaction, template: str, mailbox: Mailbox | None = None) -> None:
        """Ask for a notification."""
        reason = Reason("spf-neutral", "SPF neutral for bob")
        transaction.inquiries.append(SenderInquiry("spf", mailbox or transaction.mail_from, reason, template))

    def judge(self, check: DsnCheck, transaction: Transaction) -> Verdict | None:
        """The verdict at the end."""
        verdict: Verdict | None = self.successResultOf(Deferred.fromCoroutine(check.check_last(transaction)))
        return verdict

    def assertNotTold(self, check: DsnCheck, transaction: Transaction, why: str) -> None:
        """Nothing is sent, a plain callback is left to the next check (G04), and the record says why."""
        self.assertIsNone(self.judge(check, transaction))
        self.assertEqual(self.notifier.sent, [])
        self.assertEqual([inquiry.template for inquiry in transaction.inquiries], [""])
        self.assertIn(why, evidence(transaction)["not_told"])


def evidence(transaction: Transaction) -> dict[str, str]:
    """What was recorded."""
    return {fact.name: fact.value for fact in transaction.evidence if fact.check == "dsn"}


class TellingTests(DsnTestCase):
    """What is sent, and what follows."""

    def test_interfaces(self) -> None:
        """It is asked last, and reads bounces; it is off until it is switched on."""
        verifyObject(ILastCheck, self.make())
        verifyObject(IBodyCheck, self.make())
        self.assertEqual((DsnSettings().mode, DsnSettings().unauthenticated), ("off", False))

    def test_told(self) -> None:
        """A sender that qualifies is told once, and is not asked again."""
        transaction = self.transaction()
        with capturedLogs() as events:
            self.assertIsNone(self.judge(self.make(), transaction))
        self.assertIn("DSN: T1 neutral <bob@example.com>", formatEvent(events[-1]))  # what goes out is in the log
        [(to, content)] = self.notifier.sent
        self.assertEqual((to, transaction.inquiries), (["bob@example.com"], []))
        self.assertIn("To: bob@example.com\r\n", content)
        self.assertIn("\tamy@example.org\r\n", content)
        self.assertIn("Its subject: hello\r\n", content)
        self.assertIn("neutral <bob@example.com>: mail.example.com", evidence(transaction)["told"])

    def test_token(self) -> None:
        """G20: Message-ID, X-Mailer and Sender carry the signed sender."""
        self.judge(self.make(), self.transaction())
        header = self.notifier.sent[0][1].partition("\r\n\r\n")[0]
        for name in ("Message-ID", "X-Mailer", "Sender"):
            [line] = [line for line in header.replace("\r\n ", " ").split("\r\n") if line.startswith(f"{name}:")]
            self.assertEqual(SIGNER.find(line, NOW), "bob@example.com", name)

    def test_placeholders(self) -> None:
        """G07: the text names the client, its HELO and the domain, whatever they hold."""
        transaction = self.transaction("strike3", headers=[("Subject", "a\n\tb %(sender)s\x07")])
        transaction.connection.helo = "evil\r\nname"
        self.judge(self.make(), transaction)
        content = self.notifier.sent[0][1]
        for words in ("192.0.2.5", '"evil name"', "example.com;", "subject: a b %(sender)s?\r\n"):
            self.assertIn(words, content)

    def test_refused(self) -> None:
        """G14: a sender that does not exist is refused, and the exchanger is quoted."""
        self.notifier.outcome = NOBODY
        verdict = self.judge(self.make(), self.transaction())
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.1.8", "dsn-refused"))
        self.assertIn(f"{EXCHANGER} said to RCPT: 550 5.1.1 nobody", verdict.reason.text)

    def test_not_now(self) -> None:
        """An exchanger that says 4xx or nothing says nothing about the sender: the section decides."""
        for outcome in (GREYLISTED, UNREACHED):
            self.notifier.outcome = outcome
            transaction = self.transaction()
            self.assertIsInstance(self.judge(self.make(), transaction), Mark)
            self.assertEqual(transaction.inquiries, [])
            verdict = self.judge(self.make(on_temporary_failure="tempfail"), self.transaction())
            assert isinstance(verdict, TempFail)
            self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (450, "4.2.0", "dsn-temporary"))

    def test_no_answer_about_the_sender(self) -> None:
        """An exchanger that takes no bounces at all leaves the matter to the callback."""
        self.notifier.outcome = NO_BOUNCES
        transaction = self.transaction()
        self.assertIsNone(self.judge(self.make(), transaction))
        self.assertEqual([inquiry.template for inquiry in transaction.inquiries], [""])

    def test_postmaster(self) -> None:
        """G26, E27: the postmaster is told on the same connection, of a permerror always."""
        both = ["bob@example.com", "postmaster@example.com"]
        self.judge(self.make(copy_to_postmaster=True), self.transaction())
        self.judge(self.make(), self.transaction("permerror"))
        self.judge(self.make(copy_to_postmaster=True), self.transaction(mail_from="<Postmaster@example.com>"))
        self.assertEqual([to for to, _ in self.notifier.sent], [both, both, ["Postmaster@example.com"]])

    def test_helo(self) -> None:
        """G24: the notification about HELO goes where the inquiry says, to postmaster@HELO."""
        transaction = self.transaction("none")
        transaction.inquiries.clear()
        self.inquire(transaction, "heloerror", parse_path("<postmaster@mail.example.com>"))
        self.judge(self.make(), transaction)
        self.assertEqual(self.notifier.sent[0][0], ["postmaster@mail.example.com"])

    def test_permerror_first(self) -> None:
        """E27: the permerror is told before the lax result, and the sender gets one notification, not two."""
        transaction = self.transaction("softfail")
        self.inquire(transaction, "permerror")
        self.judge(self.make(), transaction)
        [(_to, content)] = self.notifier.sent
        self.assertIn("Subject: Critical error in your SPF record", content)
        self.assertEqual(transaction.inquiries, [])

    def test_plain_callbacks_are_left(self) -> None:
        """A plain callback is not its business."""
        transaction = self.transaction("")
        self.assertIsNone(self.judge(self.make(), transaction))
        self.assertEqual(len(transaction.inquiries), 1)
        self.assertEqual((self.notifier.sent, evidence(transaction)), ([], {}))


class NeverTests(DsnTestCase):
    """C12: nobody innocent is told anything."""

    def test_unauthenticated(self) -> None:
        """Only a domain that passed SPF, unless the administrator says otherwise."""
        for result in ("none", "neutral", "softfail", "fail", "permerror", "temperror"):
            self.assertNotTold(self.make(), self.transaction(spf=result), "did not pass SPF")
        self.judge(self.make(unauthenticated=True), self.transaction(spf="softfail"))
        self.assertEqual(len(self.notifier.sent), 1)

    def test_other_domain(self) -> None:
        """A pass of the HELO name, or of another domain, does not count."""
        transaction = self.transaction()
        transaction.spf["mailfrom"] = SPFOutcome(SPFResult.PASS, Identity.HELO, "postmaster@example.com", "example.com")
        self.assertNotTold(self.make(), transaction, "did not pass SPF")
        transaction = self.transaction()
        transaction.inquiries.clear()
        self.inquire(transaction, "heloerror", parse_path("<postmaster@mail.example.net>"))
        self.assertNotTold(self.make(), transaction, "mail.example.net did not pass SPF")
        for domain in ("com", "notexample.com"):
            transaction.inquiries.clear()
            self.inquire(transaction, "heloerror", parse_path(f"<postmaster@{domain}>"))
            self.assertNotTold(self.make(), transaction, f"{domain} did not pass SPF")

    def test_machines(self) -> None:
        """Answers of machines, lists, reports and loops, by their fields."""
        for headers in (
            [("Auto-Submitted", "auto-replied")],
            [("auto-submitted", " auto-generated; x")],
            [("Auto-Submitted", "notification")],
            [("List-Id", "<x.example.com>")],
            [("LIST-UNSUBSCRIBE", "<mailto:x@example.com>")],
            [("Precedence", "Bulk")],
            [("Precedence", "list")],
            [("Content-Type", "multipart/report; report-type=delivery-status")],
            [("X-Failed-Recipients", "amy@example.org")],
            [("Received", "by x")] * 51,
        ):
            self.assertNotTold(self.make(), self.transaction(headers=headers), "the message")
        for headers in ([("Auto-Submitted", "no")], [("Precedence", "first-class")], [("Received", "by x")] * 50):
            self.judge(self.make(), self.transaction(headers=headers))
        self.assertEqual(len(self.notifier.sent), 3)

    def test_senders(self) -> None:
        """The null reverse-path, and names of machines and lists."""
        for local in ("MAILER-DAEMON", "owner-list", "list-request", "list-bounces", "bounces+amy=x", "no-reply"):
            transaction = self.transaction(mail_from=f"<{local}@example.com>")
            self.assertNotTold(self.make(), transaction, "a machine or a list")
        transaction = self.transaction(mail_from="<>")
        self.assertNotTold(self.make(unauthenticated=True), transaction, "null")

    def test_ourselves(self) -> None:
        """G22: our own domains are not told."""
        self.assertNotTold(self.make(), self.transaction(mail_from="<bob@example.org>"), "our own")

    def test_never_called(self) -> None:
        """Whoever does not want to be called is not told, either."""
        transaction = self.transaction(mail_from="<bob@private.example>")
        self.assertNotTold(self.make(), transaction, "callback.never_probe has @private.example")

    def test_tests_and_observation(self) -> None:
        """A scan sends nothing, nor does a check or a policy that observes."""
        self.assertNotTold(self.make(), self.transaction(is_test=True), "a test")
        self.assertNotTold(self.make(mode="observe"), self.transaction(), "observed")
        check = self.make()
        check.is_observed = True
        self.assertNotTold(check, self.transaction(), "observed")
        check = self.make()
        check.means = None
        self.assertNotTold(check, self.transaction(), "a test")

    def test_known_sender(self) -> None:
        """G22: a sender that is known is spared, whoever calls."""
        check = self.make()
        check.has_callback = False
        transaction = self.transaction()
        transaction.known_sender = "amy wrote to it"
        self.assertIsNone(self.judge(check, transaction))
        self.assertEqual((self.notifier.sent, evidence(transaction)), ([], {"spared": "amy wrote to it"}))

    def test_no_text(self) -> None:
        """G04: without a text it is a plain callback."""
        self.assertNotTold(self.make(), self.transaction("pass"), "no such text")

    def test_nobody_calls(self) -> None:
        """When no callback check stands behind it, what is not told marks."""
        check = self.make()
        check.has_callback = False
        transaction = self.transaction(spf="none")
        self.assertEqual(self.judge(check, transaction), Mark(Reason("spf-neutral", "SPF neutral for bob")))
        self.assertEqual(transaction.inquiries, [])

    def test_notify(self) -> None:
        """G19: without DELAY no warning, with NEVER nothing at all; others of the message are named."""
        for template, notify, is_told in (
            ("neutral", "NOTIFY=NEVER", False),
            ("neutral", "NOTIFY=SUCCESS,FAILURE", False),
            ("neutral", "notify=failure,delay", True),
            ("neutral", "", True),
            ("quarantine", "NOTIFY=NEVER", False),
            ("quarantine", "NOTIFY=FAILURE", True),
        ):
            self.notifier.sent.clear()
            transaction = self.transaction(template, arguments=(notify,) if notify else ())
            if is_told:
                self.judge(self.make(), transaction)
                self.assertEqual(len(self.notifier.sent), 1, (template, notify))
            else:
                self.assertNotTold(self.make(), transaction, "NOTIFY")
        transaction = self.transaction(arguments=("NOTIFY=NEVER",))
        transaction.recipients.append(Recipient(parse_path("<zoe@example.org>"), ("ORCPT=rfc822;z@example.net",)))
        self.notifier.sent.clear()
        self.judge(self.make(), transaction)
        content = self.notifier.sent[0][1]
        self.assertNotIn("amy@example.org", content)
        self.assertIn("Original-Recipient: rfc822;z@example.net\r\nFinal-Recipient: rfc822; zoe@example.org", content)


class LimitTests(DsnTestCase):
    """C11: caps, over which a plain callback is asked."""

    def test_one_sender(self) -> None:
        """One notification in seven days, over a restart, too."""
        self.stores = MemoryStores()
        check = self.make()
        self.judge(check, self.transaction())
        self.notifier.sent.clear()
        why = "the sender was told within 7 days"
        self.assertNotTold(check, self.transaction(mail_from="<BOB@example.com>"), why)
        self.assertNotTold(self.make(), self.transaction(), why)
        self.now += 7 * 86_400
        self.judge(check, self.transaction())
        self.judge(self.make(), self.transaction("softfail"))
        self.assertEqual(len(self.notifier.sent), 1)  # the second knows of the first

    def test_domain(self) -> None:
        """So many to one domain in an hour."""
        check = self.make(per_domain=2)
        for name in ("a", "b"):
            self.judge(check, self.transaction(mail_from=f"<{name}@example.com>"))
        self.notifier.sent.clear()
        late = self.transaction(mail_from="<c@example.com>")
        self.assertNotTold(check, late, "2 notifications went to example.com within an hour")
        self.judge(check, self.transaction(mail_from="<c@example.net>"))
        self.now += 3_600
        self.judge(check, self.transaction(mail_from="<c@example.com>"))
        self.assertEqual(len(self.notifier.sent), 2)

    def test_in_all(self) -> None:
        """And in all; a storm of senders ends there."""
        check = self.make(per_hour=3)
        for number in range(100):
            self.judge(check, self.transaction(mail_from=f"<a@d{number}.example>"))
        self.assertEqual(len(self.notifier.sent), 3)

    def test_what_was_not_sent_is_given_back(self) -> None:
        """A notification that nobody took leaves the hour's room for another; one that may have gone out does not."""
        self.stores = MemoryStores()
        self.notifier = FakeNotifier(NOBODY)
        check = self.make(per_hour=1, per_domain=1)
        self.judge(check, self.transaction(mail_from="<nobody@example.com>"))
        self.assertEqual(check.limits.objection(parse_path("bob@example.com"), NOW), "")
        self.notifier.outcome = TAKEN
        self.judge(check, self.transaction())
        self.assertIn("within an hour", check.limits.objection(parse_path("amy@example.com"), NOW))

    def test_store_or_secret_away(self) -> None:
        """When nobody knows whether the sender was told, or nothing can be signed, nobody is told yet."""
        stores = self.stores = MemoryStores()
        check = self.make()
        assert check.means is not None
        working = check.means
        check.means = replace(working, signer=FileSigner(Path("/nonexistent/secret"), bytes))
        self.assertNotTold(check, self.transaction(), "the secret /nonexistent/secret cannot be used")
        check.means = working
        self.judge(check, self.transaction())
        self.assertEqual(len(self.notifier.sent), 1)
        self.notifier.sent.clear()
        stores.close()
        self.assertNotTold(check, self.transaction(mail_from="<new@example.com>"), "")

    def test_reserved_before_it_is_sent(self) -> None:
        """C14: the store knows of a notification before the exchanger does, so no kill lets it go out twice."""
        stores = self.stores = MemoryStores()
        found: list[str] = []

        async def deliver(*_: object) -> CallbackOutcome:
            found.extend(each.state for _, each in stores.notices.table.items())
            return TAKEN

        check = self.make()
        self.patch(self.notifier, "deliver", deliver)
        self.judge(check, self.transaction())
        self.assertEqual(found, [NoticeState.SENDING])
        [(_, notice)] = stores.notices.table.items()
        self.assertEqual((notice.state, notice.content), (NoticeState.DONE, b""))

    def test_cancelled(self) -> None:
        """A notification that was given up in the midst may have gone out, so it counts, over a restart, too."""
        self.stores = MemoryStores()
        self.cancel(CancelledError())
        self.assertNotTold(self.make(), self.transaction(), "the sender was told")

    def test_cancelled_before_anything_was_sent(self) -> None:
        """The sender may be told of its next message."""
        self.stores = MemoryStores()
        self.cancel(NotSentError())
        self.judge(self.make(), self.transaction())
        self.assertEqual(len(self.notifier.sent), 1)

    def cancel(self, failure: CancelledError) -> None:
        """The MTA goes away while a notification is under way."""
        never: Deferred[CallbackOutcome] = Deferred(lambda gone: gone.errback(failure))
        deliver = self.notifier.deliver
        self.notifier.deliver = lambda *_: never  # type: ignore[assignment, method-assign]
        asked = Deferred.fromCoroutine(self.make().check_last(self.transaction()))
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.notifier.deliver = deliver  # type: ignore[method-assign]

    def test_queued(self) -> None:
        """C14: what an exchanger does not take now waits, the message goes on, and nobody else tells that sender."""
        for outcome in (GREYLISTED, UNREACHED):
            self.notifier = FakeNotifier(outcome)
            self.stores = MemoryStores()
            transaction = self.transaction()
            self.assertIsInstance(self.judge(self.make(), transaction), Mark)
            self.assertIn("neutral <bob@example.com>", evidence(transaction)["queued"])
            self.notifier.sent.clear()
            self.assertNotTold(self.make(), self.transaction(), "the sender was told")

    def test_not_queued(self) -> None:
        """A client that is to come back brings its own next try; without retries another message does."""
        for settings in ({"on_temporary_failure": "tempfail"}, {"retry_hours": 0}):
            self.notifier = FakeNotifier(GREYLISTED)
            check = self.make(**settings)
            for _ in range(2):
                self.judge(check, self.transaction())
            self.assertEqual(len(self.notifier.sent), 2, settings)


class BounceTests(DsnTestCase):
    """G21: a notification of ours comes back."""

    def bounce(
        self,
        subject: str = "Undelivered Mail Returned to Sender",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        *,
        sender: str = "<>",
        to: str = "<postmaster@mx.example.org>",
    ) -> Verdict | None:
        """The verdict on a message."""
        transaction = make_transaction(sender, headers=[("Subject", subject), *headers])
        transaction.recipients.append(Recipient(parse_path(to)))
        transaction.body = lambda: iter([body])
        check = self.make()
        verdict: Verdict | None = self.successResultOf(Deferred.fromCoroutine(check.check_end_of_message(transaction)))
        return verdict

    def test_ours(self) -> None:
        """By its subject or by Action failed, with the token in a field or in the body, folded or encoded."""
        token = SIGNER.sign("bob@example.com", NOW)
        failed = b"Final-Recipient: rfc822; bob@example.com\r\nAction: failed\r\n\r\n"
        original = f"Message-ID: <{token}.unique@mx.example.org>\r\n".encode()
        for subject, headers, body in (
            ("Undelivered Mail", (), original),
            ("hello", (), failed + original),
            ("Delivery Status Notification", (("References", f"<a@b>\n\t<{token}.unique@mx.example.org>"),), b""),
            ("failure notice", (("In-Reply-To", f"<{token}.unique@mx.example.org>"),), b""),
            ("Returned mail", (), original[:60] + b"=\r\n" + original[60:]),
        ):
            self.blacklist.added.clear()
            self.assertIsInstance(self.bounce(subject, headers, body), Discard, subject)
            [entry] = self.blacklist.added
            self.assertEqual((entry.name, entry.stored, entry.expires), ("bob@example.com", NOW, None))

    def test_others(self) -> None:
        """Not to postmaster, with a sender, with a false token, or about a delay: nothing happens."""
        token = SIGNER.sign("bob@example.com", NOW)
        original = f"Message-ID: <{token}.unique@mx.example.org>\r\n".encode()
        false = HMACSigner(b"fedcba9876543210").sign("bob@example.com", NOW).encode()
        self.assertIsNone(self.bounce(body=original, to="<amy@mx.example.org>"))
        self.assertIsNone(self.bounce(body=original, to="<postmaster@other.example>"))
        self.assertIsNone(self.bounce(body=original, sender="<bob@example.com>"))
        self.assertIsNone(self.bounce(body=false))
        self.assertIsNone(self.bounce("hello", body=b"Action: delayed\r\n\r\n" + original))
        self.assertEqual(self.blacklist.added, [])
