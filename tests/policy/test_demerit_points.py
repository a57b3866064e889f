"""Tests of demerits (S01, C07, C08, L03, F07)."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from tests.observe.records import record
from twistedmilter.model.record import NO_OBJECTION, Decision, RecipientRecord, Record
from twistedmilter.model.stage import Stage
from twistedmilter.model.transaction import Evidence
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import BAN
from twistedmilter.policy.demerit_points import Account

CLIENT = ip_address("1.2.3.4")


def refused(*codes: str, evidence: tuple[Evidence, ...] = (), helo: str = "mail.example.net") -> Record:
    """A transaction whose recipients were refused, one for each code."""
    recipients = tuple(RecipientRecord(f"r{number}@x.example", "refuse", code) for number, code in enumerate(codes))
    return record(recipients=recipients, decision=NO_OBJECTION, ended="refused", evidence=evidence, helo=helo)


def decided(verdict: Verdict) -> Record:
    """A transaction that was decided at end of message."""
    return record(decision=Decision(Stage.END_OF_MESSAGE, verdict, "some"))


class AccountTests(SynchronousTestCase):
    """What costs how much."""

    def setUp(self) -> None:
        """Nothing happened yet."""
        self.account = Account(CLIENT)

    def points(self, *records: Record) -> int:
        """The sum after these."""
        for each in records:
            self.account.count(each)
        return self.account.points

    def test_good_conduct(self) -> None:
        """What is accepted, marked or put off costs nothing."""
        mark, later = Mark(Reason("spf-softfail", "hm")), TempFail(Reason("greylisted", "later"))
        put_off = record(recipients=(RecipientRecord("x@y.example", "tempfail", "greylisted"),))
        self.assertEqual(self.points(record(), decided(mark), decided(later), put_off), 0)

    def test_unknown_recipients_count_one_by_one(self) -> None:
        """L03: +1 each."""
        self.assertEqual(self.points(refused(*["recipient-unknown"] * 5), refused("recipient-unknown")), 6)
        self.assertEqual(str(self.account), "6 demerits: recipient-unknown (6)")

    def test_another_refusal_counts_once_a_transaction(self) -> None:
        """However many recipients it was given to."""
        self.assertEqual(self.points(refused(*["own-domain-forged"] * 5)), 1)
        self.assertEqual(self.points(refused("own-domain-forged")), 2)
        self.assertEqual(self.points(decided(Refuse(Reason("virus", "no")))), 3)

    def test_spf_counts_beside_others_only(self) -> None:
        """S01, 3.6: a refusal by SPF alone is mostly a forwarder's."""
        self.assertEqual(self.points(refused("spf-fail"), refused("spf-fail")), 0)
        self.assertEqual(self.points(refused("spf-fail", "recipient-unknown")), 2)

    def test_ban_word(self) -> None:
        """F07: +3, where the refusal was given."""
        banned = (Evidence("spf", BAN, "spf-fail"),)
        self.assertEqual(self.points(refused("spf-fail", evidence=banned)), 3)
        self.assertEqual(self.points(record(evidence=banned)), 3, "a BAN that was only observed")

    def test_bad_helo(self) -> None:
        """C08: +4, once for a name on a connection."""
        self.assertEqual(self.points(refused("helo-numeric"), refused("helo-numeric")), 4)
        self.assertEqual(self.points(refused("helo-numeric", helo="10.0.0.1")), 8)

    def test_three_strikes_set_a_minimum(self) -> None:
        """S01: of 2."""
        self.assertEqual(self.points(refused("three-strikes"), refused("three-strikes")), 2)
        other = Account(CLIENT, points=1)
        other.count(refused("three-strikes"))
        self.assertEqual(other.points, 2)

    def test_blacklisted_sender(self) -> None:
        """S01: +2."""
        self.assertEqual(self.points(refused("sender-blacklisted")), 2)

    def test_a_banned_client_is_not_banned_for_longer(self) -> None:
        """To be refused because of a ban costs nothing."""
        self.assertEqual(self.points(refused("client-banned")), 0)

    def test_another_helo_after_mail(self) -> None:
        """C07: +2; before MAIL, or the same name again, is anybody's right (RFC 5321 section 4.1.4)."""
        self.account.greeted("a.example")
        self.account.mail_began("a.example")
        self.account.greeted("A.example")
        self.assertEqual(self.account.points, 0)
        self.account.greeted("b.example")
        self.account.greeted("b.example")
        self.assertEqual(self.account.points, 2)
        self.account.mail_began("b.example")
        self.account.greeted("a.example")
        self.assertEqual(self.account.points, 4)
