"""Tests of the check that bans (B10, S01, C07, C08)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from tests.observe.records import NUMBER, record
from tests.policy.test_demerit_points import refused
from twistedmilter.interfaces.checks import IConnectCheck, IMailCheck
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.address import parse_path
from twistedmilter.model.conduct_settings import DemeritsSettings
from twistedmilter.model.durations import HOUR
from twistedmilter.model.record import Record
from twistedmilter.model.stage import ClientClass, Role, Stage
from twistedmilter.model.transaction import Connection, Outcome, Recipient
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.ban_book import BanBook
from twistedmilter.policy.checks.demerits import DemeritsCheck

UNKNOWN = ["recipient-unknown"]


def attack(**fields: Any) -> Record:
    """Nine unknown recipients in one transaction, from 1.2.3.4."""
    bad = refused(*UNKNOWN * 9)
    return record(recipients=bad.recipients, ended="refused", **fields)


class DemeritsCheckTests(SynchronousTestCase):
    """Who is banned for what."""

    def setUp(self) -> None:
        """Nobody is banned."""
        self.now = 1_795_525_511.5
        self.told: list[tuple[str, str, str]] = []
        self.check = self.make()

    def make(self, **fields: Any) -> DemeritsCheck:
        """A check with these settings."""
        settings = DemeritsSettings(**fields)
        book = BanBook(None, lambda: self.now, settings.new_per_hour)
        return DemeritsCheck(settings, book, lambda *line: self.told.append(line))

    def connect(self, client_class: ClientClass = ClientClass.EXTERNAL, ip: str = "1.2.3.4") -> Connection:
        """A session of the client, not told of yet."""
        return make_connection(ip, client_class=client_class)

    def verdict(self, connection: Connection | None = None) -> Verdict | None:
        """What is said at connect."""
        asking = self.check.check_connect(connection or self.connect())
        return self.successResultOf(Deferred.fromCoroutine(asking))

    def test_interface(self) -> None:
        """It observes by default, limit 8, four hours."""
        for interface in (IConnectCheck, IMailCheck, IObserver):
            verifyObject(interface, self.check)
        settings = DemeritsSettings()
        self.assertEqual((settings.mode, settings.limit, settings.ban_hours), ("observe", 8, 4.0))
        self.assertEqual((settings.new_per_hour, settings.spared_days), (1_000, 30.0))

    def test_over_the_limit(self) -> None:
        """Nine demerits on one connection ban its client for four hours, with the reason."""
        self.check.ended(attack())
        verdict = self.verdict()
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.reason.code, verdict.code, verdict.status), ("client-banned", 550, "5.7.1"))
        self.assertIn("1.2.3.4 is banned for 240 more minutes", verdict.reason.text)
        self.assertEqual(verdict.reason.details, ("9 demerits: recipient-unknown (9)",))
        self.assertIsNone(self.verdict(self.connect(ip="1.2.3.5")))
        self.now += 4 * HOUR
        self.assertIsNone(self.verdict())

    def test_at_the_limit(self) -> None:
        """Eight are not over it, nor are eight on each of two connections."""
        for _ in range(2):
            self.check.ended(refused(*UNKNOWN * 8))
            self.check.disconnected(self.numbered())
        self.assertIsNone(self.verdict())

    def numbered(self) -> Connection:
        """The connection that records are of."""
        connection = self.connect()
        connection.number = NUMBER
        return connection

    def test_they_add_up_over_transactions(self) -> None:
        """Of one connection."""
        self.check.ended(refused(*UNKNOWN * 5))
        self.check.ended(refused(*UNKNOWN * 4))
        self.assertIsNotNone(self.verdict())

    def test_the_next_transaction_is_refused(self) -> None:
        """On the connection that earned the ban."""
        transaction = make_transaction(connection=self.numbered())
        self.check.mail_began(transaction)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction))))
        self.check.ended(attack())
        verdict = self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction)))
        self.assertIsInstance(verdict, Refuse)

    def test_whom_it_never_hits(self) -> None:
        """Neither a client of ours, nor a trusted relay, nor a test, another listener, nor one without address."""
        for fields in (
            {"client_class": ClientClass.TRUSTED_RELAY.value},
            {"client_class": ClientClass.INTERNAL.value},
            {"client_class": ClientClass.AUTHENTICATED.value},
            {"is_test": True},
            {"role": Role.SUBMISSION.value},
            {"client_ip": "unknown"},
            {"outcomes": (Outcome("trusted_client", Stage.CONNECT, None, "enforce", 1.0, "no answer"),)},
        ):
            self.check.ended(attack(**fields))
            self.assertIsNone(self.verdict(), fields)

    def test_a_ban_spares_ours(self) -> None:
        """B10: whoever turns out to be ours is not refused, even if its address is banned."""
        self.check.ended(attack())
        for client_class in (ClientClass.TRUSTED_RELAY, ClientClass.INTERNAL, ClientClass.AUTHENTICATED):
            self.assertIsNone(self.verdict(self.connect(client_class)))
        self.assertIsNotNone(self.verdict())

    def test_accepted_mail_spares(self) -> None:
        """An address with accepted mail in 30 days; held mail is none, nor is that of a test."""
        self.check.ended(record())
        self.check.ended(attack())
        self.assertIsNone(self.verdict())
        self.check = self.make()
        self.check.ended(record(is_test=True))
        self.check.ended(attack())
        self.assertIsNotNone(self.verdict())

    def test_recipients_that_the_mta_does_not_know(self) -> None:
        """It says so in {rcpt_host}; other refusals of its own are its own."""
        macros: dict[str, str] = {}
        connection = make_connection("1.2.3.4", macros=macros)
        connection.number = NUMBER
        transaction = make_transaction(connection=connection)
        self.check.mail_began(transaction)
        for status, expected in (("5.7.1", False), ("5.1.1", True)):
            macros["{rcpt_host}"] = status
            for number in range(9):
                self.check.recipient_named(transaction, Recipient(parse_path(f"<{number}@x.example>"), (), True))
            self.check.ended(record(recipients=(), ended="abort"))
            self.assertEqual(self.verdict() is not None, expected, status)

    def test_another_helo_after_mail(self) -> None:
        """C07, as sessions show it."""
        connection = self.numbered()
        self.check.mail_began(make_transaction(connection=connection))
        for name in "abcde":
            connection.helo = f"{name}.example"
            self.check.greeted(connection)
        self.check.ended(record(recipients=(), ended="abort"))
        self.assertIsNotNone(self.verdict())

    def test_alarm(self) -> None:
        """At the limit of new bans the administrator is told, once an hour."""
        self.check = self.make(new_per_hour=1)
        for number in range(1, 5):
            self.check.ended(attack(client_ip=f"1.2.3.{number}", connection=number))
        [(_, where, text)] = self.told
        self.assertEqual(where, "demerits")
        self.assertIn("nobody else is banned", text)
        self.assertIsNone(self.verdict(self.connect(ip="1.2.3.2")))

    def test_nothing_is_left_of_a_connection(self) -> None:
        """Its account is closed with it."""
        self.check.mail_began(make_transaction(connection=self.numbered()))
        self.check.disconnected(self.numbered())
        self.assertEqual(self.check._accounts, {})
