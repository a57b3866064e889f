"""Tests of L{twistedmilter.cli.scan_message}."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.cli.scan_message import Given, derive, parse_message, read_messages

DELIVERED = b"""\
Return-Path: <bounces@list.example>
Received: from mx.local (localhost [127.0.0.1]) by store.local; now
Received: from mail.list.example (mail.list.example [198.51.100.7])
\tby mx.local; now
Received: from inside (inside [10.1.2.3]) by mail.list.example; now
From: "A, B" <a@list.example>
To: Joe <joe@example.org>, other@example.org
Subject: one
 two

Hello
"""


class ParseTests(SynchronousTestCase):
    """Octets to a message."""

    def test_fields_and_body(self) -> None:
        """Values keep their folds as LF and lose one leading blank; the body has CRLF."""
        message = parse_message(b"A: 1\r\nB:  2\r\n\t3\r\n\r\nx\r\n\r\ny\n")
        self.assertEqual(((b"A", b"1"), (b"B", b" 2\n\t3")), message.fields)
        self.assertEqual(b"x\r\n\r\ny\r\n", message.body)

    def test_a_line_that_is_no_field_begins_the_body(self) -> None:
        """As in sendmail: nothing is lost."""
        message = parse_message(b"A: 1\nthis is text\nB: 2\n")
        self.assertEqual(((b"A", b"1"),), message.fields)
        self.assertEqual(b"this is text\r\nB: 2\r\n", message.body)

    def test_header_only(self) -> None:
        """A message may end with its header section."""
        self.assertEqual(((b"A", b"1"),), parse_message(b"A: 1\n").fields)
        self.assertEqual(b"", parse_message(b"A: 1\n").body)
        self.assertEqual((), parse_message(b"").fields)

    @given(st.binary(max_size=300))
    def test_any_octets_are_a_message(self, octets: bytes) -> None:
        """Nothing fails, and every line ends with CRLF."""
        body = parse_message(octets).body
        self.assertNotIn(b"\n", body.replace(b"\r\n", b""))


class MailboxTests(SynchronousTestCase):
    """Files with one message or many."""

    def write(self, octets: bytes) -> str:
        """A file with these octets."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        return str(path)

    def test_an_mbox(self) -> None:
        """Messages begin with From after an empty line; quoted ones are text; each has its number."""
        path = self.write(
            b"From a@b.example Mon Jan  1\nSubject: 1\n\nx\n>From y\nFrom z\n\nFrom MAILER-DAEMON Mon\nSubject: 2\n\n\n"
        )
        first, second = read_messages([path])
        self.assertEqual((f"{path}:1", f"{path}:2"), (first.label, second.label))
        self.assertEqual(b"x\r\nFrom y\r\nFrom z\r\n", first.body)
        self.assertEqual(("a@b.example", ""), (first.sender, second.sender))
        self.assertEqual(["2"], second.values("subject"))

    def test_a_message(self) -> None:
        """Another file is one message, and has its own name."""
        path = self.write(b"Subject: 1\n\nFrom x\n\nFrom y\n")
        (message,) = read_messages([path])
        self.assertEqual((path, 27), (message.label, message.size))


class DeriveTests(SynchronousTestCase):
    """What a message tells of its envelope."""

    def test_from_the_message(self) -> None:
        """The client of the first public hop, Return-Path, the first To; what came later is left out."""
        message, envelope = derive(parse_message(DELIVERED), Given())
        self.assertEqual(ip_address("198.51.100.7"), envelope.client_ip)
        self.assertEqual(("mail.list.example", "mail.list.example"), (envelope.client_name, envelope.helo))
        self.assertEqual("<bounces@list.example>", envelope.mail_from)
        self.assertEqual(("joe@example.org",), envelope.recipients)
        self.assertEqual(1, len(message.values("Received")))
        self.assertEqual([], message.values("Return-Path"))
        self.assertEqual((b"Received", b"From"), tuple(name for name, _ in message.fields[:2]))

    def test_what_is_given_wins(self) -> None:
        """A given client leaves the message as it is."""
        given_ip = ip_address("192.0.2.1")
        message, envelope = derive(parse_message(DELIVERED), Given(given_ip, None, None, "<>", ("a@b",), "joe"))
        self.assertEqual(parse_message(DELIVERED), message)
        self.assertEqual(
            (given_ip, "[192.0.2.1]", "[192.0.2.1]"), (envelope.client_ip, envelope.client_name, envelope.helo)
        )
        self.assertEqual(("<>", ("a@b",), "joe"), (envelope.mail_from, envelope.recipients, envelope.auth))

    def test_nothing_is_told(self) -> None:
        """A message of this host, from nobody to somebody."""
        _, envelope = derive(parse_message(b"Subject: x\n\n"), Given())
        self.assertEqual(
            ("127.0.0.1", "localhost", "localhost", "", ("somebody@localhost",)),
            (str(envelope.client_ip), envelope.client_name, envelope.helo, envelope.mail_from, envelope.recipients),
        )

    def test_the_author_is_the_last_resort(self) -> None:
        """Without Return-Path or mbox the address of From is the sender."""
        _, envelope = derive(parse_message(b"From: A <a@b.example>\n\n"), Given())
        self.assertEqual("a@b.example", envelope.mail_from)
