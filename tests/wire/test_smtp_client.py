"""Tests of the client's side of SMTP and of its reply parser."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.address import Mailbox, parse_path
from twistedmilter.wire.smtp_client import (
    BeginTLS,
    Event,
    Finished,
    Send,
    SMTPClientSession,
    SMTPStage,
    smtp_path,
)
from twistedmilter.wire.smtp_replies import MAX_LINE, MAX_LINES, MAX_QUOTE, Reply, ReplyDecoder, quotable

BOB = parse_path("<bob@example.com>")
AMY = parse_path("<amy@example.com>")


def decoded(octets: bytes, cuts: list[int] | None = None) -> tuple[list[Reply], str]:
    """All replies of a stream, cut at these places, and the violation that ended it."""
    decoder = ReplyDecoder()
    replies: list[Reply] = []
    places = [0, *sorted(min(cut, len(octets)) for cut in cuts or []), len(octets)]
    for begin, end in pairwise(places):
        decoder.receive_data(octets[begin:end])
        try:
            while (reply := decoder.next_reply()) is not None:
                replies.append(reply)
        except ProtocolViolation as violation:
            return replies, violation.reason
    return replies, ""


def talk(session: SMTPClientSession, *replies: bytes) -> tuple[list[bytes], Event]:
    """The commands that a session sends in answer to replies, and its last event."""
    events = [event for reply in replies for event in session.receive_data(reply + b"\r\n")]
    return [event.octets for event in events if isinstance(event, Send)], events[-1]


def finished(*replies: bytes) -> Finished:
    """How a session about bob ends after these replies."""
    _, last = talk(SMTPClientSession("mx.example.org", [BOB]), *replies)
    assert isinstance(last, Finished)
    return last


class ReplyDecoderTests(SynchronousTestCase):
    """Octets to replies."""

    def test_several_lines(self) -> None:
        """A reply ends with the first line that has no hyphen; a bare code and a bare LF are allowed."""
        replies, problem = decoded(b"220-a\r\n220 b\r\n250\n")
        self.assertEqual((replies, problem), ([Reply(220, ("a", "b")), Reply(250, ("",))], ""))

    def test_status(self) -> None:
        """The enhanced status code is read where it agrees with the code (RFC 2034)."""
        for text, status in (("5.1.1 no such user", "5.1.1"), ("5.1.1", "5.1.1"), ("2.1.0 odd", ""), ("no", "")):
            self.assertEqual(Reply(550, (text,)).status, status)

    def test_limits(self) -> None:
        """C3: a line without end, an endless reply and a fat one end at their limits."""
        for octets, words in (
            (b"220 " + b"x" * 10_485_760, "line is longer"),
            (b"220-x\r\n" * 1_000_000, f"more than {MAX_LINES} lines"),
            ((b"220-" + b"x" * 2_000 + b"\r\n") * 5, "reply is longer"),
        ):
            replies, problem = decoded(octets)
            self.assertEqual(replies, [])
            self.assertIn(words, problem)

    def test_longest_line(self) -> None:
        """A line of exactly the limit is read."""
        line = b"220 " + b"x" * (MAX_LINE - 6) + b"\r\n"
        self.assertEqual((len(line), len(decoded(line)[0]), decoded(line)[1]), (MAX_LINE, 1, ""))

    def test_what_is_no_reply(self) -> None:
        """Junk, TLS octets and lines that disagree are violations."""
        for octets in (b"hello\r\n", b"\x16\x03\x01\n", b"220-a\r\n221 b\r\n", b"2200 x\r\n", b"150 x\r\n", b"\r\n"):
            self.assertNotEqual(decoded(octets)[1], "", octets)

    @given(st.lists(st.sampled_from([b"220 a\r\n", b"250-b\r\n", b"250 \xff\n", b"x", b"\r\n", b"5", b"-"])), st.data())
    def test_chunking_is_invisible(self, pieces: list[bytes], data: st.DataObject) -> None:
        """However the stream is cut, the same replies and the same violation come of it."""
        octets = b"".join(pieces)
        cuts = data.draw(st.lists(st.integers(0, len(octets))))
        self.assertEqual(decoded(octets, cuts), decoded(octets))

    @given(st.binary())
    def test_garbage(self, octets: bytes) -> None:
        """Whatever comes, nothing but ProtocolViolation is raised, and what is quoted is printable."""
        for reply in decoded(octets)[0]:
            self.assertTrue(reply.quoted.isascii() and reply.quoted.isprintable())
            self.assertLessEqual(len(reply.quoted), MAX_QUOTE)

    @given(st.text())
    def test_quotable(self, text: str) -> None:
        """Foreign text becomes one printable line of at most 200 characters."""
        self.assertTrue(quotable(text).isascii() and quotable(text).isprintable())
        self.assertLessEqual(len(quotable(text)), MAX_QUOTE)


class SessionTests(SynchronousTestCase):
    """The order of commands, and what ends it."""

    def test_several_mailboxes(self) -> None:
        """G10, G17: EHLO, the null reverse-path, one RCPT each, QUIT; an answer each."""
        session = SMTPClientSession("mx.example.org", [BOB, AMY])
        sent, last = talk(session, b"220 mail.example.com", b"250 ok", b"250 ok", b"250 ok", b"550 5.1.1 no amy")
        self.assertEqual(
            sent,
            [
                b"EHLO mx.example.org\r\n",
                b"MAIL FROM:<>\r\n",
                b"RCPT TO:<bob@example.com>\r\n",
                b"RCPT TO:<amy@example.com>\r\n",
                b"QUIT\r\n",
            ],
        )
        assert isinstance(last, Finished)
        self.assertEqual([reply.code for reply in last.answers], [250, 550])

    def test_old_server(self) -> None:
        """EHLO that is refused becomes HELO."""
        sent, _ = talk(SMTPClientSession("mx.example.org", [BOB]), b"220 old", b"502 what", b"250 old")
        self.assertEqual(sent[1:], [b"HELO mx.example.org\r\n", b"MAIL FROM:<>\r\n"])

    def test_where_it_ends(self) -> None:
        """The stage of the decisive reply is told."""
        for stage, replies in (
            (SMTPStage.BANNER, (b"554 no",)),
            (SMTPStage.EHLO, (b"220 a", b"421 busy")),
            (SMTPStage.HELO, (b"220 a", b"500 what", b"550 no")),
            (SMTPStage.MAIL, (b"220 a", b"250 a", b"550 no bounces")),
            (SMTPStage.RCPT, (b"220 a", b"250 a", b"250 ok", b"450 later")),
        ):
            self.assertEqual((finished(*replies).stage, finished(*replies).is_ourselves), (stage, False))

    def test_server_closes(self) -> None:
        """421 ends the session at once, without QUIT, and the rest of the mailboxes have no answer."""
        session = SMTPClientSession("mx.example.org", [BOB, AMY])
        sent, last = talk(session, b"220 a", b"250 a", b"250 ok", b"421 bye")
        assert isinstance(last, Finished)
        self.assertEqual((len(last.answers), b"QUIT\r\n" in sent, session.receive_data(b"250 ok\r\n")), (1, False, []))

    def test_ourselves(self) -> None:
        """G12, LL-05: our own name in the banner, or in answer to EHLO or HELO, ends the session."""
        for replies in (
            (b"220 MX.example.org. ESMTP",),
            (b"220 a", b"250-mx.example.org hello"[:3] + b" mx.example.org hello"),
            (b"220 a", b"500 what", b"250 mx.example.org"),
        ):
            self.assertTrue(finished(*replies).is_ourselves)

    def test_starttls(self) -> None:
        """TLS is used where offered, once, and EHLO is said anew in it."""
        session = SMTPClientSession("mx.example.org", [BOB])
        offer = b"250-a\r\n250 starttls"
        sent, last = talk(session, b"220 a", offer, b"220 go")
        self.assertEqual((sent[-1], last), (b"STARTTLS\r\n", BeginTLS()))
        self.assertEqual(session.tls_started(), [Send(b"EHLO mx.example.org\r\n")])
        self.assertEqual(talk(session, offer)[0], [b"MAIL FROM:<>\r\n"])

    def test_starttls_refused(self) -> None:
        """A server that offers TLS and then refuses it is asked without."""
        sent, _ = talk(SMTPClientSession("mx.example.org", [BOB]), b"220 a", b"250-a\r\n250 STARTTLS", b"454 no")
        self.assertEqual(sent[-1], b"MAIL FROM:<>\r\n")

    def test_plaintext_before_tls(self) -> None:
        """C5: what follows the answer to STARTTLS in the clear is a violation."""
        session = SMTPClientSession("mx.example.org", [BOB])
        talk(session, b"220 a", b"250-a\r\n250 STARTTLS")
        self.assertRaises(ProtocolViolation, session.receive_data, b"220 go\r\n250 injected\r\n")
        self.assertEqual(session.stage, SMTPStage.OVER)

    def test_misuse(self) -> None:
        """Our own mistakes are told as such."""
        self.assertRaises(LocalProtocolError, SMTPClientSession("a", [BOB]).tls_started)
        self.assertRaises(LocalProtocolError, SMTPClientSession, "a", [])

    def test_early_answers(self) -> None:
        """C4: what came before a command was sent is no answer to it, whole or in part."""
        for early in (b"220 a\r\n250 a\r\n250 ok\r\n250 ok\r\n", b"220 a\r\n2", b"220 a\r\n\r\n"):
            session = SMTPClientSession("mx.example.org", [BOB])
            self.assertRaises(ProtocolViolation, session.receive_data, early)
            self.assertEqual((session.stage, session.answers), (SMTPStage.OVER, ()))

    @given(st.binary(max_size=300), st.data())
    def test_chunking_is_invisible(self, tail: bytes, data: st.DataObject) -> None:
        """However a reply is cut, the same command is sent."""
        replies = [b"220 a\r\n", b"500 x\r\n", b"250-b\r\n250 c\r\n", b"250 ok\r\n", tail]
        cuts = [sorted(data.draw(st.lists(st.integers(0, len(reply))))) for reply in replies[:-1]]
        self.assertEqual(self.run_through(replies, [*cuts, []]), self.run_through(replies, [[]] * len(replies)))

    def run_through(self, replies: list[bytes], cuts: list[list[int]]) -> object:
        """The end of a session that got these replies in pieces."""
        session = SMTPClientSession("mx.example.org", [BOB, AMY])
        events: list[Event] = []
        for reply, places in zip(replies, cuts, strict=True):
            for begin, end in pairwise([0, *places, len(reply)]):
                try:
                    events += session.receive_data(reply[begin:end])
                except ProtocolViolation as violation:
                    return violation.reason
        return events


class PathTests(SynchronousTestCase):
    """C9: what may stand in a command."""

    def test_refused(self) -> None:
        """Line ends, brackets in a domain, 8-bit, NUL, no domain and too much are refused, not rewritten."""
        for mailbox in (
            Mailbox("x", "bob\r\nDATA", "example.com"),
            Mailbox("x", "bob", "example.com>\r\nDATA"),
            Mailbox("x", "bob", "example.com> X"),
            Mailbox("x", "b\u00f6b", "example.com"),
            Mailbox("x", "bob\0", "example.com"),
            Mailbox("x", "bob", ""),
            Mailbox("x", "", "example.com"),
            Mailbox("x", "b" * 65, "example.com"),
            Mailbox("x", "bob", ".".join(["a" * 60] * 5)),
        ):
            self.assertRaises(ValueError, smtp_path, mailbox)

    @given(st.text(), st.text())
    def test_one_line(self, local: str, domain: str) -> None:
        """A path that is let through is one printable line, and means the same mailbox."""
        try:
            path = smtp_path(Mailbox("x", local, domain))
        except ValueError:
            return
        self.assertTrue(path.isascii() and path.isprintable())
        self.assertEqual((parse_path(path).local_part, parse_path(path).domain), (local, domain.lower()))
