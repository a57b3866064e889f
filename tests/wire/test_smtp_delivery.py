"""Tests of the session that delivers a message, and of what may be sent after DATA."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.address import parse_path
from twistedmilter.wire.smtp_client import Finished, Send, SMTPStage
from twistedmilter.wire.smtp_delivery import MAX_LINE, SMTPDeliverySession, stuffed

BOB = parse_path("<bob@example.com>")
POSTMASTER = parse_path("<postmaster@example.com>")
BEGIN = (b"220 mx.example.com", b"250 hello")
CONTENT = b"Subject: x\r\n\r\n.hidden\r\n"


def delivered(*replies: bytes, mailboxes: tuple[str, ...] = ("<bob@example.com>",)) -> tuple[list[bytes], Finished]:
    """The commands after EHLO, and how the session ended."""
    session = SMTPDeliverySession("mx.example.org", [parse_path(each) for each in mailboxes], CONTENT)
    events = [event for reply in (*BEGIN, *replies) for event in session.receive_data(reply + b"\r\n")]
    last = events[-1]
    assert isinstance(last, Finished)
    return [event.octets for event in events if isinstance(event, Send)][1:], last


class DeliveryTests(SynchronousTestCase):
    """One message to one server."""

    def test_taken(self) -> None:
        """The null reverse-path, the mailbox, the message with its dots doubled, QUIT."""
        sent, end = delivered(b"250 ok", b"250 ok", b"354 go on", b"250 2.0.0 queued")
        self.assertEqual(
            sent,
            [
                *(b"MAIL FROM:<>\r\n", b"RCPT TO:<bob@example.com>\r\n", b"DATA\r\n"),
                *(b"Subject: x\r\n\r\n..hidden\r\n.\r\n", b"QUIT\r\n"),
            ],
        )
        self.assertEqual((end.stage, end.last.code), (SMTPStage.CONTENT, 250))

    def test_null_sender_refused(self) -> None:
        """G11: once more with our postmaster; when that is refused too, it is over."""
        sent, end = delivered(b"550 no bounces", b"250 ok", b"250 ok", b"354 go on", b"250 queued")
        self.assertEqual(sent[:2], [b"MAIL FROM:<>\r\n", b"MAIL FROM:<postmaster@mx.example.org>\r\n"])
        self.assertEqual(end.stage, SMTPStage.CONTENT)
        sent, end = delivered(b"550 no bounces", b"550 nor you")
        self.assertEqual((sent[2:], end.stage), ([b"QUIT\r\n"], SMTPStage.MAIL))
        self.assertEqual(delivered(b"451 later")[1].stage, SMTPStage.MAIL)  # not for good: not asked again

    def test_two_mailboxes(self) -> None:
        """G26: on one connection; the first decides, the second may be refused."""
        both = (str(BOB), str(POSTMASTER))
        sent, end = delivered(b"250 ok", b"250 ok", b"550 none", b"354 go on", b"250 queued", mailboxes=both)
        self.assertEqual(sent[2], b"RCPT TO:<postmaster@example.com>\r\n")
        self.assertEqual((end.stage, [answer.code for answer in end.answers]), (SMTPStage.CONTENT, [250, 550]))
        sent, end = delivered(b"250 ok", b"550 none", mailboxes=both)
        self.assertEqual((sent[2:], end.stage, end.last.code), ([b"QUIT\r\n"], SMTPStage.RCPT, 550))

    def test_refused_late(self) -> None:
        """A refusal of DATA or of the message ends the session there; 421 without QUIT."""
        sent, end = delivered(b"250 ok", b"250 ok", b"554 no")
        self.assertEqual((sent[-1], end.stage), (b"QUIT\r\n", SMTPStage.DATA))
        sent, end = delivered(b"250 ok", b"250 ok", b"354 go on", b"554 spam")
        self.assertEqual((sent[-1], end.stage), (b"QUIT\r\n", SMTPStage.CONTENT))
        for replies in ((b"250 ok", b"421 bye"), (b"250 ok", b"250 ok", b"354 go on", b"421 bye")):
            self.assertNotEqual(delivered(*replies)[0][-1], b"QUIT\r\n")


class StuffedTests(SynchronousTestCase):
    """C10: one end, at the end."""

    def test_refused(self) -> None:
        """Bare CR or LF, NUL, what is not ASCII and long lines are never sent."""
        for content in (b"a\n.\nb", b"a\r.\r", b"a\r\n.\n", b"a\n.\r\n", b"a\0", b"\xff", b"x" * (MAX_LINE + 1)):
            self.assertRaises(ValueError, stuffed, content)
            self.assertRaises(ValueError, SMTPDeliverySession, "mx", [BOB], content)

    @given(st.lists(st.text(alphabet=".a", max_size=4)))
    def test_one_end(self, lines: list[str]) -> None:
        """Whatever the lines are, the stream holds CRLF.CRLF once, at its end, and is undone by the peer."""
        octets = "\r\n".join(lines).encode() + b"\r\n"
        sent = stuffed(octets)
        self.assertEqual([each.end() for each in re.finditer(rb"(?:^|\r\n)\.\r\n", sent)], [len(sent)])
        self.assertEqual(re.sub(rb"(?m)^\.", b"", sent.removesuffix(b".\r\n")), octets)
