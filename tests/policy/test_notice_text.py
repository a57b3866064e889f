"""Tests of what a notification says about a message (G05, G07)."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import make_connection, make_transaction
from twistedmilter.dsn_report import ToldRecipient
from twistedmilter.model.address import parse_path
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import RealClient, SenderInquiry, Transaction
from twistedmilter.model.verdict import Reason
from twistedmilter.policy.notice_text import MAX_LISTED, notice_of, values_of
from twistedmilter.policy.spf_identity import EFFECTIVE
from twistedmilter.templates import PLACEHOLDERS, parse_template

BOB = parse_path("<bob@example.com>")
AMY = (ToldRecipient("amy@example.org"),)


class ValuesTests(SynchronousTestCase):
    """The values of the placeholders."""

    def setUp(self) -> None:
        """A message of bob, without any SPF outcome yet."""
        connection = make_connection("192.0.2.5", helo="mail.example.com")
        self.transaction: Transaction = make_transaction(connection=connection)

    def values(self, template: str = "softfail", told: tuple[ToldRecipient, ...] = AMY) -> dict[str, str]:
        """All values for a notification."""
        inquiry = SenderInquiry("spf", BOB, Reason("spf-softfail", "why"), template)
        return values_of(self.transaction, inquiry, told, "mx.example.org")

    def know(self, result: str, identity: Identity, domain: str, problem: str = "") -> None:
        """Set an SPF outcome."""
        outcome = SPFOutcome(SPFResult(result), identity, f"bob@{domain}", domain, problem=problem)
        self.transaction.spf[identity.value] = outcome

    def test_all_placeholders(self) -> None:
        """G07: each has a value, also when nothing is known."""
        values = self.values()
        self.assertEqual(set(values), set(PLACEHOLDERS))
        self.assertEqual(
            [values[name] for name in ("subject", "spf_result", "perm_error", "result", "sender_domain")],
            ["(none)", "None", "None", "none", "example.com"],
        )

    def test_outcome(self) -> None:
        """The result, Received-SPF and the error are those of MAIL FROM; about HELO they are those of HELO."""
        self.know("permerror", Identity.MAIL_FROM, "example.com", "unknown mechanism 'ipv4'")
        self.know("fail", Identity.HELO, "mail.example.com")
        values = self.values("permerror")
        self.assertEqual((values["result"], values["perm_error"]), ("permerror", "unknown mechanism 'ipv4'"))
        self.assertTrue(values["spf_result"].startswith("permerror (mx.example.org: "))
        values = self.values("heloerror")
        self.assertEqual(values["result"], "fail")
        self.assertIn("identity=helo", values["spf_result"])

    def test_effective(self) -> None:
        """E27: a broken record is told as it is, what it was probably meant to say by its own text."""
        self.know("permerror", Identity.MAIL_FROM, "example.com", "unknown mechanism 'ipv4'")
        lax = SPFOutcome(SPFResult.SOFTFAIL, Identity.MAIL_FROM, "bob@example.com", "example.com")
        self.transaction.spf[EFFECTIVE] = lax
        self.assertEqual(self.values("permerror")["result"], "permerror")
        self.assertEqual(self.values("softfail")["result"], "softfail")

    def test_real_client(self) -> None:
        """Behind a trusted relay it is about the real client."""
        self.transaction.real_client = RealClient(ip_address("198.51.100.7"), "x", "far.example.com", 1)
        values = self.values()
        self.assertEqual((values["connectip"], values["heloname"]), ("198.51.100.7", "far.example.com"))

    def test_long_values(self) -> None:
        """Long values are folded, many recipients counted, hostile ones made printable."""
        self.know("softfail", Identity.MAIL_FROM, "example.com")
        told = tuple(ToldRecipient(f"r{number}@example.org") for number in range(MAX_LISTED + 5))
        self.transaction.raw_headers.append((b"Subject", b" \x1b[2J" + b"x" * 1_000))
        values = self.values(told=told)
        self.assertTrue(values["rcpt"].endswith(f"r{MAX_LISTED - 1}@example.org\n\tand 5 more"))
        self.assertTrue(all(len(line) <= 72 for line in values["spf_result"].split("\n\t")), values["spf_result"])
        self.assertTrue(values["subject"].startswith("?[2Jxxx"))
        self.assertLess(len(values["subject"]), 400)

    def test_notice(self) -> None:
        """The notice has the filled text, the reason, and the ENVID of the message."""
        self.transaction.mail_arguments = ("SIZE=5", "envid=QQ314159")
        template = parse_template("fail", "Subject: to %(sender)s\nReply-To: x@%(receiver)s\n\nfor %(rcpt)s\n", "x")
        inquiry = SenderInquiry("spf", BOB, Reason("spf-fail", "why"), "fail")
        notice = notice_of(
            self.transaction,
            inquiry,
            template,
            to=["bob@example.com"],
            told=AMY,
            receiver="mx.example.org",
            arrival=5.0,
        )
        self.assertEqual((notice.subject, notice.text), ("to bob@example.com", "for amy@example.org\n"))
        self.assertEqual((notice.reason, notice.envelope_id, notice.arrival), ("why", "QQ314159", 5.0))
        self.assertEqual(notice.fields, (("Reply-To", "x@mx.example.org"),))
