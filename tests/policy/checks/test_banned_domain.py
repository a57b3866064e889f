"""Tests of sender domains that we want nothing of (D17)."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from tests.threads import ThreadlessReactor
from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.model.sender_settings import BannedDomainSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import SenderInquiry
from twistedmilter.model.verdict import Reason
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.banned_domain import BannedDomainCheck, follow_banned_senders
from twistedmilter.policy.followed_files import INTERVAL

WHY = Reason("banned-domain", "mail from bad.example is not wanted here")


class BannedDomainTests(SynchronousTestCase):
    """What is banned, and what becomes of it."""

    def setUp(self) -> None:
        """A directory with a list in the ancestor's form."""
        self.told: list[str] = []
        self.dir = Path(self.mktemp())
        self.dir.mkdir()
        (self.dir / "banned_domains").write_text("# from 2009\nworse.example\n*.spam.example  # all of it\n\n")

    def make(self, means: Means | None = None, **settings: object) -> BannedDomainCheck:
        """The check with these settings."""
        section = BannedDomainSettings(**settings)  # type: ignore[arg-type] # rows of a table
        banned = follow_banned_senders(section, self.dir, self.told.append)
        return BannedDomainCheck(section, banned, means or Means())

    def ask(self, sender: str, check: BannedDomainCheck, client_class: ClientClass = ClientClass.EXTERNAL) -> str:
        """The verdict in words; the transaction is kept."""
        self.transaction = make_transaction(sender, make_connection(client_class=client_class))
        verdict = self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        return "" if verdict is None else f"{verdict.word} {verdict.reason.code}"

    def test_interface(self) -> None:
        """It is asked at MAIL, and waits for nobody."""
        check = self.make()
        verifyObject(IMailCheck, check)
        self.assertTrue(check.local)

    def test_senders(self) -> None:
        """D17: a domain exactly, C{*.parent} for all below it, of the list or of a file; exceptions count."""
        check = self.make(domains=["bad.example", "!good@bad.example"], files=["banned_domains"])
        for sender, is_banned in (
            ("<a@bad.example>", True),
            ("<a@BAD.example>", True),
            ("<good@bad.example>", False),
            ("<a@sub.bad.example>", False),
            ("<a@worse.example>", True),
            ("<a@x.worse.example>", False),
            ("<a@x.y.spam.example>", True),
            ("<a@spam.example>", False),
            ("<>", False),
            ("<bad.example>", False),
        ):
            self.assertEqual(self.ask(sender, check), "refuse banned-domain" if is_banned else "", sender)

    def test_who_is_judged(self) -> None:
        """Strangers; behind a relay it marks, since a refusal would be a bounce; clients of ours are exempt."""
        check = self.make(domains=["bad.example"])
        for client_class, expected in (
            (ClientClass.EXTERNAL, "refuse banned-domain"),
            (ClientClass.TRUSTED_RELAY, "mark banned-domain"),
            (ClientClass.INTERNAL, ""),
            (ClientClass.AUTHENTICATED, ""),
        ):
            self.assertEqual(self.ask("<a@bad.example>", check, client_class), expected, client_class)

    def test_own_reply(self) -> None:
        """D17: the reply is its own, and any word of a policy will do."""
        for word, expected in (
            ('ERROR:"554 5.7.1 no"', "refuse banned-domain"),
            ("HOLD", "hold banned-domain"),
            ("BAN", "refuse banned-domain"),
            ("OK", ""),
        ):
            self.assertEqual(self.ask("<a@bad.example>", self.make(domains=["bad.example"], policy=word)), expected)
        check = self.make(Means(callback=True), domains=["bad.example"], policy="CBV")
        self.assertEqual(self.ask("<a@bad.example>", check), "")
        self.assertEqual(self.transaction.inquiries, [SenderInquiry("banned_domain", self.transaction.mail_from, WHY)])

    def test_evidence(self) -> None:
        """The record says which entry it was."""
        self.ask("<a@x.spam.example>", self.make(files=["banned_domains"]))
        [fact] = self.transaction.evidence
        self.assertEqual((fact.check, fact.name, fact.value), ("banned_domain", "entry", ".spam.example"))

    def test_wrong_files(self) -> None:
        """A file or a line that cannot be read is told by its name."""
        (self.dir / "odd").write_text("good.example\nnot a domain\n")
        for settings, wrong in (
            ({"files": ["none"]}, "none cannot be read"),
            ({"files": ["odd"]}, "odd:2: 'not a domain' is not an address or domain"),
            ({"domains": ["a b"]}, "'a b' is not an address or domain"),
            ({"policy": "REFUSE"}, "'REFUSE' is no policy word"),
        ):
            with self.assertRaisesRegex(ValueError, wrong):
                self.make(**settings)

    def test_a_file_is_followed(self) -> None:
        """A change counts soon, read in a thread; a bad one changes nothing and is told once; C{status} says so."""
        reactor = ThreadlessReactor()
        check = self.make(domains=["bad.example"], files=["banned_domains"])
        verifyObject(IRunningCheck, check)
        check.start(reactor)
        (self.dir / "banned_domains").write_text("new.example\n")
        reactor.advance(INTERVAL)
        self.assertEqual(self.ask("<a@new.example>", check), "refuse banned-domain")
        self.assertEqual(self.ask("<a@worse.example>", check), "")
        self.assertEqual(self.ask("<a@bad.example>", check), "refuse banned-domain")
        self.assertEqual((reactor.in_threads, check.status()), (1, {"entries": 2, "files": "well"}))
        (self.dir / "banned_domains").write_text("not a domain\n")
        reactor.advance(INTERVAL)
        reactor.advance(INTERVAL)
        self.assertEqual(self.ask("<a@new.example>", check), "refuse banned-domain")
        [told] = self.told
        self.assertIn("banned_domains:1: 'not a domain' is not", told)
        self.assertIn("'not a domain' is not", str(check.status()["files"]))
        check.stop()
        self.assertEqual(reactor.getDelayedCalls(), [])
