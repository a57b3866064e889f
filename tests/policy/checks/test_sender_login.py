"""Tests of which authenticated user may use which sender (D16, D19, D08)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.sender_settings import SenderLoginSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.sender_login import SenderLoginCheck

OURS = ["example.org", ".example.org"]


class SenderLoginTests(SynchronousTestCase):
    """One row for each way of being decided."""

    def ask(  # noqa: PLR0917 - a row of a table
        self,
        user: str,
        sender: str,
        policy: dict[str, str],
        access: str = "",
        domains: tuple[str, ...] = tuple(OURS),
        client_class: ClientClass = ClientClass.AUTHENTICATED,
    ) -> str:
        """The verdict in words; the transaction is kept."""
        access_map = AccessMap.parse(access, "access")
        check = SenderLoginCheck(SenderLoginSettings(policy=policy), AddressSet.parse(domains), lambda: access_map)
        connection = make_connection(client_class=client_class)
        connection.macro = lambda name: user if name == "{auth_authen}" else None
        self.transaction: Transaction = make_transaction(sender, connection)
        verdict = self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        return "" if verdict is None else f"{verdict.word} {verdict.reason.code}"

    def test_interface(self) -> None:
        """It is asked at MAIL, and waits for nobody."""
        check = SenderLoginCheck(SenderLoginSettings(), AddressSet.parse([]))
        verifyObject(IMailCheck, check)
        self.assertTrue(check.local)

    def test_entries(self) -> None:
        """D16, F03: user and domain, the domain for all users, its parents, everything else."""
        policy = {
            "ann@example.org": "OK",
            "example.org": "REJECT",
            ".example.net": "HOLD",
            "ann@b.example.net": "OK",
            "*": 'ERROR:"553 5.7.1 not yours"',
        }
        for user, sender, expected in (
            ("ann", "<x@example.org>", ""),
            ("ANN", "<x@Example.ORG>", ""),
            ("bob", "<x@example.org>", "refuse sender-login"),
            ("bob", "<x@sub.example.org>", "refuse sender-login"),
            ("bob", "<x@a.example.net>", "hold sender-login"),
            ("ann", "<x@b.example.net>", ""),
            ("bob", "<x@other.example>", "refuse sender-login"),
        ):
            self.assertEqual(self.ask(user, sender, policy), expected, (user, sender))

    def test_user_with_a_domain(self) -> None:
        """D16: an authenticated name may be an address itself."""
        policy = {"ann@corp.example@example.com": "OK", "*": "REJECT"}
        self.assertEqual(self.ask("ann@corp.example", "<x@example.com>", policy), "")
        self.assertEqual(self.ask("bob@corp.example", "<x@example.com>", policy), "refuse sender-login")

    def test_words(self) -> None:
        """3.6: every word does what it says for smtp-auth too; nobody is asked where that is off."""
        for word, expected in (
            ("OK", ""),
            ("WHITELIST", ""),
            ("MARK", "mark sender-login"),
            ("HOLD", "hold sender-login"),
            ("CBV", "mark sender-login"),
            ("REJECT", "refuse sender-login"),
            ("REJECT!", "refuse sender-login"),
            ("BAN", "refuse sender-login"),
            ("TEMPFAIL", "tempfail sender-login"),
            ('ERROR:"451 later"', "tempfail sender-login"),
        ):
            self.assertEqual(self.ask("ann", "<x@a.example>", {"ann@a.example": word}), expected, word)
            self.assertEqual(self.ask("ann", "<x@a.example>", {}, f"SMTP-Auth:ann@a.example {word}"), expected, word)

    def test_the_map(self) -> None:
        """F02: entries for smtp-auth of the access map count, those of other tags do not; the record says which."""
        access = "smtp-auth:ann@example.com OK\nsmtp-auth: REJECT\nspf-pass: OK"
        self.assertEqual(self.ask("ann", "<x@example.com>", {}, access), "")
        [fact] = self.transaction.evidence
        self.assertEqual((fact.name, fact.value), ("policy", "OK: access:1: smtp-auth:ann@example.com"))
        self.assertEqual(self.ask("bob", "<x@example.com>", {}, access), "refuse sender-login")
        self.assertEqual(self.ask("bob", "<x@example.com>", {}, "spf-pass: REJECT"), "")

    def test_fallback(self) -> None:
        """D16, D08: a user whom no entry is about may use our own domains only."""
        policy = {"ann@example.com": "OK"}
        for user, sender, domains, expected in (
            ("bob", "<x@example.org>", OURS, ""),
            ("bob", "<x@example.com>", OURS, "refuse sender-not-ours"),
            ("ann", "<x@example.com>", OURS, ""),
            ("bob", "<x@example.com>", [], ""),
        ):
            self.assertEqual(self.ask(user, sender, policy, domains=tuple(domains)), expected, (user, sender))

    def test_without_any_entry(self) -> None:
        """Nobody has said who may use what: it has no opinion."""
        self.assertEqual(self.ask("bob", "<x@example.com>", {}), "")

    def test_others(self) -> None:
        """D13: only users that authenticate, and only senders with a domain."""
        for client_class in (ClientClass.EXTERNAL, ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY):
            self.assertEqual(self.ask("", "<x@a.example>", {"*": "REJECT"}, client_class=client_class), "")
        for sender in ("<>", "<bob>"):
            self.assertEqual(self.ask("bob", sender, {"*": "REJECT"}), "")

    def test_wrong_entries(self) -> None:
        """LL-09: a key or a word that cannot be read is told."""
        for policy, wrong in (({"ann@": "OK"}, "no domain"), ({"a b": "OK"}, "no domain"), ({"*": "MAYBE"}, "MAYBE")):
            with self.assertRaisesRegex(ValueError, wrong):
                SenderLoginCheck(SenderLoginSettings(policy=policy), AddressSet.parse([]))
