"""Tests of notifications as messages (RFC 3464, RFC 6522; G05, G20, G26)."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter import __version__
from twistedmilter.dsn_report import MAX_HEADERS, MAX_RECIPIENTS, Notice, ToldRecipient, build_report
from twistedmilter.signing.tracking_token import HMACSigner
from twistedmilter.wire.smtp_delivery import stuffed

NOTICE = Notice(
    template="softfail",
    subject="Your mail looks forged (SPF softfail)",
    text="Hello\n\n.dot\n",
    to=("bob@example.com",),
    receiver="mx.example.org",
    reason="SPF softfail for MAIL FROM bob@example.com",
    arrival=1_764_000_000.0,
    helo="mail.example.com",
    client_ip="192.0.2.5",
    recipients=(ToldRecipient("amy@example.org", "rfc822;amy@example.net"), ToldRecipient("zoe@example.org")),
    envelope_id="QQ314159",
    headers=((b"Subject", b" hi\n\tthere"), (b"From", b"bob@example.com")),
)


def octets(notice: Notice = NOTICE, token: str = "") -> bytes:
    """The message for a notice."""
    return build_report(notice, date=1_764_000_060.0, message_id="token.1@mx.example.org", token=token)


def parsed(notice: Notice = NOTICE, token: str = "") -> Any:
    """The same as a receiver reads it."""
    return message_from_bytes(octets(notice, token))


class ReportTests(SynchronousTestCase):
    """What a mail program sees."""

    def test_header(self) -> None:
        """G05, RFC 3834: To the sender, From postmaster, Auto-Submitted with the reason, our date and id."""
        report = parsed()
        for name, value in (
            ("To", "bob@example.com"),
            ("From", "postmaster@mx.example.org"),
            ("Date", "Mon, 24 Nov 2025 16:01:00 -0000"),
            ("Message-ID", "<token.1@mx.example.org>"),
            ("Subject", "Your mail looks forged (SPF softfail)"),
            ("Auto-Submitted", "auto-replied (configuration error)"),
            ("X-Mailer", f"twistedmilter/{__version__}"),
            ("Sender", None),
            ("MIME-Version", "1.0"),
        ):
            self.assertEqual(report[name], value, name)
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")

    def test_reasons(self) -> None:
        """8.1: neutral verifies the sender, quarantine is about the content."""
        for template, reason in (("neutral", "sender verification"), ("quarantine", "content analysis")):
            report = parsed(replace(NOTICE, template=template))
            self.assertEqual(report["Auto-Submitted"], f"auto-replied ({reason})")

    def test_parts(self) -> None:
        """RFC 6522 section 3: a text for people, one for machines, and the header section of the message."""
        text, status, headers = parsed().get_payload()
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertEqual(text.get_payload().replace("\r\n", "\n"), "Hello\n\n.dot\n")
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        self.assertEqual(headers.get_content_type(), "text/rfc822-headers")
        self.assertEqual(headers.get_payload().replace("\r\n", "\n"), "Subject: hi\n\tthere\nFrom: bob@example.com\n")

    def test_delivery_status(self) -> None:
        """RFC 3464 section 2: one block for the message, one for each recipient, a delay with a status of 4."""
        message, amy, zoe = parsed().get_payload()[1].get_payload()
        self.assertEqual(
            dict(message.items()),
            {
                "Reporting-MTA": "dns; mx.example.org",
                "Original-Envelope-Id": "QQ314159",
                "Received-From-MTA": "dns; mail.example.com (192.0.2.5)",
                "Arrival-Date": "Mon, 24 Nov 2025 16:00:00 -0000",
            },
        )
        self.assertEqual(
            dict(amy.items()),
            {
                "Original-Recipient": "rfc822;amy@example.net",
                "Final-Recipient": "rfc822; amy@example.org",
                "Action": "delayed",
                "Status": "4.7.23",
                "Diagnostic-Code": "x-twistedmilter; SPF softfail for MAIL FROM bob@example.com",
            },
        )
        self.assertEqual(zoe["Original-Recipient"], None)

    def test_token(self) -> None:
        """G20: X-Mailer and Sender carry it; so does the Message-ID that was given."""
        report = parsed(token="tm-1-2-abc")
        self.assertEqual(report["Sender"], "tm-1-2-abc <postmaster@mx.example.org>")
        self.assertIn("(tm-1-2-abc)", report["X-Mailer"])

    def test_long_token(self) -> None:
        """The token of the longest address is neither folded apart nor encoded."""
        token = HMACSigner(b"0123456789abcdef").sign("x" * 64 + "@" + "y" * 185 + ".com", 1_764_000_000.0)
        message = build_report(NOTICE, date=1_764_000_060.0, message_id=f"{token}.1@mx.example.org", token=token)
        self.assertEqual(message.count(token.encode()), 3)
        stuffed(message)

    def test_other_languages(self) -> None:
        """What is not ASCII is encoded, in the text and in the header, and comes back."""
        report: Any = message_from_bytes(
            octets(replace(NOTICE, subject="Gr\xfc\xdfe", text="Sch\xf6n\n")), policy=default
        )
        self.assertEqual(report["Subject"], "Gr\xfc\xdfe")
        text = next(report.iter_parts())
        self.assertEqual(text.get_content(), "Sch\xf6n\r\n")

    def test_limits(self) -> None:
        """Many recipients and a long header section are cut at a recipient and at a field."""
        many = tuple(ToldRecipient(f"r{number}@example.org") for number in range(1_000))
        long = tuple((b"X-Long", b"y" * 900) for _ in range(100))
        _text, status, headers = parsed(replace(NOTICE, recipients=many, headers=long)).get_payload()
        self.assertEqual(len(status.get_payload()), MAX_RECIPIENTS + 1)
        section = headers.get_payload(decode=True)
        self.assertLess(len(section), MAX_HEADERS + 200)
        self.assertTrue(section.rstrip().endswith(b"y" * 900))

    def test_reproducible(self) -> None:
        """The same arguments give the same octets."""
        self.assertEqual(octets(), octets())


HOSTILE = st.text(max_size=80)
VALUES = st.binary(max_size=200)


class HostileTests(SynchronousTestCase):
    """C10: whatever the client said, the message can be sent and has the parts that it should have."""

    @given(HOSTILE, HOSTILE, HOSTILE, VALUES)
    def test_hostile(self, subject: str, text: str, helo: str, value: bytes) -> None:
        """No bare CR or LF, no line that is too long, no header field or part of the client's making."""
        message = octets(
            replace(
                NOTICE,
                subject=subject,
                text=text,
                helo=helo,
                reason=helo,
                envelope_id=subject,
                recipients=(ToldRecipient(subject, helo),),
                headers=((b"Subject", value), (b"X", b"y" * 3_000)),
            )
        )
        stuffed(message)
        report: Any = message_from_bytes(message)
        self.assertEqual([name for name, _ in report.items()].count("To"), 1)
        self.assertEqual(len(report.items()), len(parsed().items()))
        self.assertEqual(len(report.get_payload()), 3)
        self.assertEqual(len(report.get_payload()[1].get_payload()), 2)

    def test_injection(self) -> None:
        """Line ends in what becomes a field are blanks."""
        report = parsed(replace(NOTICE, subject="x\r\nBcc: all@example.net", helo="h\r\n\r\nAction: failed"))
        self.assertEqual((report["Bcc"], report["Subject"]), (None, "x Bcc: all@example.net"))
        self.assertEqual(len(report.get_payload()[1].get_payload()), 3)
