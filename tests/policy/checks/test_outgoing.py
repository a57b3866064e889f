"""Tests of the limits on what authenticated users send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.interfaces.checks import IEndOfMessageCheck, IRcptCheck
from twistedmilter.model.address import parse_path
from twistedmilter.model.conduct_settings import OutgoingSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import Hold, TempFail, Verdict
from twistedmilter.policy.checks.outgoing import OutgoingCheck, parse_users

HOUR = 3_600.0


class OutgoingCheckTests(SynchronousTestCase):
    """Three recipients of a user, five of a domain."""

    def setUp(self) -> None:
        """Nobody has sent anything."""
        self.now = 1_000.0
        self.told: list[tuple[str, str, str]] = []
        self.check = self.make()

    def make(self, **fields: Any) -> OutgoingCheck:
        """A check with these settings."""
        settings = OutgoingSettings(per_user=3, per_domain=5, **fields)
        exempt = parse_users(settings.exempt, Path())
        return OutgoingCheck(settings, exempt, lambda: self.now, lambda *line: self.told.append(line))

    def start(
        self, user: str = "alice", sender: str = "<a@example.com>", client_class: Any = ClientClass.AUTHENTICATED
    ) -> Transaction:
        """A transaction of a user."""
        connection = make_connection(client_class=client_class, macros={"{auth_authen}": user})
        return make_transaction(sender, connection)

    def send(self, transaction: Transaction, count: int, **fields: Any) -> list[Verdict | None]:
        """The verdicts on so many recipients."""
        recipients = [Recipient(parse_path(f"<r{number}@x.example>"), **fields) for number in range(count)]
        return [
            self.successResultOf(Deferred.fromCoroutine(self.check.check_rcpt(transaction, each)))
            for each in recipients
        ]

    def end(self, transaction: Transaction) -> Verdict | None:
        """The verdict on the message."""
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_end_of_message(transaction)))

    def test_interface(self) -> None:
        """It is off by default."""
        verifyObject(IRcptCheck, self.check)
        verifyObject(IEndOfMessageCheck, self.check)
        self.assertEqual(OutgoingSettings().mode, "off")

    def test_limit_of_a_user(self) -> None:
        """Over it each recipient is to come back; users are told apart, but not by case."""
        first, other = self.start(), self.start("ALICE")
        self.assertEqual(self.send(first, 2), [None, None])
        [third, fourth] = self.send(other, 2)
        self.assertIsNone(third)
        assert isinstance(fourth, TempFail)
        self.assertEqual((fourth.reason.code, fourth.code, fourth.status), ("outgoing-over-limit", 451, "4.7.1"))
        self.assertIn("user alice has written to 3 recipients", fourth.reason.text)
        self.assertEqual(self.send(self.start("bob"), 1), [None])
        self.assertIsNone(self.end(other))

    def test_the_hour_passes(self) -> None:
        """What was sent away does not count, so waiting helps."""
        self.send(self.start(), 3)
        self.now += 1_800
        self.assertIsInstance(self.send(self.start(), 50)[0], TempFail)
        self.now += 1_860
        self.assertEqual(self.send(self.start(), 1), [None])

    def test_limit_of_a_domain(self) -> None:
        """Of all users of a sender domain together."""
        self.send(self.start("alice"), 3)
        self.assertEqual(self.send(self.start("bob"), 2), [None, None])
        [verdict] = self.send(self.start("carl"), 1)
        assert isinstance(verdict, TempFail)
        self.assertIn("domain example.com has written to 5", verdict.reason.text)
        self.assertEqual(self.send(self.start("carl", "<>"), 1), [None], "a null sender has no domain")

    def test_hold(self) -> None:
        """The message that goes over the limit is held as a whole, and so are the next."""
        self.check = self.make(over_limit="hold")
        below, over = self.start(), self.start()
        self.assertEqual(self.send(below, 3), [None] * 3)
        self.assertIsNone(self.end(below))
        self.assertEqual(self.send(over, 2), [None] * 2)
        verdict = self.end(over)
        assert isinstance(verdict, Hold)
        self.assertEqual(verdict.reason.code, "outgoing-over-limit")
        [fact] = over.evidence
        self.assertEqual((fact.name, fact.value), ("over_limit", verdict.reason.text))

    def test_the_administrator_is_told(self) -> None:
        """Once an hour and user, with the address that it came from."""
        self.send(self.start(), 50)
        self.send(self.start(), 50)
        [(reference, where, text)] = self.told
        self.assertEqual((reference, where), ("T1", "outgoing"))
        self.assertIn("user alice has written to 3 recipients within an hour", text)
        self.assertIn("192.0.2.9", text)
        self.now += HOUR + 60
        self.send(self.start(), 4)
        self.assertEqual(len(self.told), 2)

    def test_who_is_not_counted(self) -> None:
        """Other clients, exempt users, tests, and recipients that the MTA refused itself."""
        self.check = self.make(exempt=["newsletter", "bulk@example.com", "@lists.example", "mass.mail", "!eve"])
        test = self.start()
        test.connection.is_test = True
        for transaction in (
            self.start(client_class=ClientClass.EXTERNAL),
            self.start(client_class=ClientClass.INTERNAL),
            self.start("Newsletter"),
            self.start("bulk@example.com"),
            self.start("bob@lists.example"),
            self.start("mass.mail"),
            self.start(""),
            test,
        ):
            self.assertEqual(self.send(transaction, 9), [None] * 9)
        self.assertEqual(self.send(self.start(), 9, refused_by_mta=True), [None] * 9)
        self.assertEqual(self.send(self.start(), 3), [None] * 3)
