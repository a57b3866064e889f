"""What a filter sends (milter-spec 3.5, 4, 7.2 and row 63)."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.milter_sessions import letters_of
from tests.wire.vectors import VECTORS
from twistedmilter.model.modification import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Modification,
    Quarantine,
    ReplaceBody,
)
from twistedmilter.wire import replies
from twistedmilter.wire.flags import Action
from twistedmilter.wire.replies import (
    ACTION_NEEDED,
    ReplyCode,
    action_needed,
    encode_modification,
    reply_lines,
    visible,
)

BUILT = {
    "V44": replies.CONTINUE,
    "V45": replies.ACCEPT,
    "V46": replies.REJECT,
    "V47": replies.TEMPFAIL,
    "V48": replies.DISCARD,
    "V49": replies.SKIP,
    "V51": ReplyCode(571, "5.7.1", ("foobar",)),
    "V52": ReplyCode(550, "5.7.1", ("Reject", "this", "message")),
    "V53": ReplyCode(550, "5.7.1", ("100% spam",)),
    "V54": ReplyCode(421, "4.3.2", ("closing",)),
}

CHANGES: dict[str, Modification] = {
    "V55": AddHeader("Foo", "Bar"),
    "V57": AddHeader("DKIM-Signature", "v=1; a=rsa-sha256;\n\tb=abc"),
    "V58": InsertHeader(0, "Received", "by me"),
    "V59": InsertHeader(123, "Foo", "Bar"),
    "V60": ChangeHeader("Subject", 1, "value"),
    "V61": DeleteHeader("X-Dup", 2),
    "V62": ChangeSender("<new@src.test.invalid>"),
    "V64": AddRecipient("<extra@dst.test.invalid>"),
    "V65": AddRecipient("<par@dst.test.invalid>", ("NOTIFY=NEVER",)),
    "V67": DeleteRecipient("<c@dst.test.invalid>"),
    "V68": ReplaceBody(b"foobar"),
    "V69": ReplaceBody(b""),
    "V71": Quarantine("reason"),
}


class ReplyTests(SynchronousTestCase):
    """What L{Reply} and L{ReplyCode} put on the wire."""

    def test_vectors(self) -> None:
        """V44 to V54: each reply is exactly this frame."""
        for name, reply in BUILT.items():
            self.assertEqual((name, reply.frame, reply.letter), (name, VECTORS[name], VECTORS[name][4]))

    def test_never_sent(self) -> None:
        """V72, V73: there is no reply for SHUTDOWN or CONN_FAIL."""
        self.assertFalse({reply.letter for reply in BUILT.values()} & set(b"4fl"))

    def test_text_as_the_client_sees_it(self) -> None:
        """3.5: for the record, lines joined, the percent sign single again."""
        self.assertEqual(str(BUILT["V53"]), "550 5.7.1 100% spam")
        self.assertEqual(str(BUILT["V52"]), "550-5.7.1 Reject\n550-5.7.1 this\n550 5.7.1 message")

    def test_code_and_status_must_fit(self) -> None:
        """3.5: 4xx or 5xx only, the enhanced status code of the same class."""
        for code, status in ((250, "2.0.0"), (354, "3.0.0"), (600, "5.7.1"), (550, "4.7.1"), (451, "5.7.1"), (550, "")):
            self.assertRaises(ValueError, ReplyCode, code, status, ("text",))
        for status in ("5.7", "5.1000.1", "5.7.1 ", "5.7.x"):
            self.assertRaises(ValueError, ReplyCode, 550, status, ("text",))

    def test_line_count(self) -> None:
        """3.5: 1 to 32 lines."""
        self.assertRaises(ValueError, ReplyCode, 550, "5.7.1", ())
        self.assertRaises(ValueError, ReplyCode, 550, "5.7.1", ("x",) * 33)
        self.assertEqual(ReplyCode(550, "5.7.1", ("x",) * 32).frame.count(b"\r\n"), 31)

    def test_line_length(self) -> None:
        """3.5: 980 octets on the wire, a doubled percent sign counting twice."""
        ReplyCode(550, "5.7.1", ("x" * 980,))
        ReplyCode(550, "5.7.1", ("%" * 490,))
        self.assertRaises(ValueError, ReplyCode, 550, "5.7.1", ("x" * 981,))
        self.assertRaises(ValueError, ReplyCode, 550, "5.7.1", ("%" * 491,))

    def test_line_breaks_never_pass(self) -> None:
        """Row 63: CR, LF or NUL inside a line is an error of its author; at the end they are stripped."""
        for line in ("a\rb", "a\nb", "a\0b", "\r\nx", "a\0"):
            self.assertRaises(ValueError, ReplyCode, 550, "5.7.1", (line,))
        self.assertEqual(ReplyCode(571, "5.7.1", ("foobar\r\n",)).frame, VECTORS["V51"])

    def test_other_characters_are_shown(self) -> None:
        r"""3.5: what is not printable US-ASCII is replaced by C{\xNN}."""
        reply = ReplyCode(550, "5.7.1", ("caf\u00e9 \x1b[2J \udcff",))
        self.assertIn(rb"caf\xc3\xa9 \x1b[2J \xff", reply.frame)

    @given(st.text(max_size=3000), st.integers(0, 1500))
    def test_any_text_becomes_legal_lines(self, text: str, limit: int) -> None:
        """Whatever the text, its lines make a reply, none longer than asked for."""
        lines = reply_lines(text, limit)
        frame = ReplyCode(550, "5.7.1", lines).frame
        wire = frame[5:-1].split(b"\r\n")
        self.assertEqual(len(wire), len(lines))
        self.assertLessEqual(max(len(line) - len("550 5.7.1 ") for line in wire), min(max(limit, 2), 980))

    def test_lines_are_wrapped_at_blanks(self) -> None:
        """A long sentence is cut between words."""
        self.assertEqual(reply_lines("one two three\r\n\r\nfour", 8), ("one two", "three", "four"))
        self.assertEqual(reply_lines("abcdefgh 100%", 4), ("abcd", "efgh", "100", "%"))
        self.assertEqual(reply_lines(" \r\n"), ("",))

    def test_visible(self) -> None:
        """Plain text is itself."""
        self.assertEqual(visible("plain ~ text"), "plain ~ text")
        self.assertEqual(visible("a\tb"), r"a\x09b")


class ModificationTests(SynchronousTestCase):
    """What L{encode_modification} puts on the wire."""

    def test_vectors(self) -> None:
        """V55 to V71: each modification is exactly this frame."""
        for name, change in CHANGES.items():
            self.assertEqual((name, encode_modification(change, leading_space=False)), (name, [VECTORS[name]]))

    def test_leading_space(self) -> None:
        """V56: with HDR_LEADSPC negotiated we send the blank; a deletion stays empty."""
        self.assertEqual(encode_modification(AddHeader("X-Sp", "Bar"), leading_space=True), [VECTORS["V56"]])
        (inserted,) = encode_modification(InsertHeader(0, "A", "b"), leading_space=True)
        (changed,) = encode_modification(ChangeHeader("A", 1, "b"), leading_space=True)
        self.assertTrue(inserted.endswith(b"A\0 b\0") and changed.endswith(b"A\0 b\0"))
        self.assertEqual(encode_modification(CHANGES["V61"], leading_space=True), [VECTORS["V61"]])

    def test_large_body(self) -> None:
        """V70, 4.4: a body is split at 65,535 octets."""
        frames = encode_modification(ReplaceBody(b"y" * 65_535 + b"z"), leading_space=False)
        self.assertEqual(sha256(frames[0]).hexdigest()[:16], "97859bcee57f9323")
        self.assertEqual(frames[1:], [b"\0\0\0\x02bz"])

    def test_sender_with_arguments(self) -> None:
        """4.5: arguments are one string, separated by single blanks."""
        (frame,) = encode_modification(ChangeSender("<>", ("RET=HDRS", "ENVID=x")), leading_space=False)
        self.assertTrue(frame.endswith(b"e<>\0RET=HDRS ENVID=x\0"))

    def test_octets_survive(self) -> None:
        """1.1: surrogate escapes become the octets that they were."""
        (frame,) = encode_modification(AddHeader("X", "caf\u00e9 \udcff"), leading_space=False)
        self.assertTrue(frame.endswith(b"X\0caf\xc3\xa9 \xff\0"))

    def test_largest_header_fits_a_frame(self) -> None:
        """4.2: with an index and the negotiated blank the length word is at most 65,536."""
        (frame,) = encode_modification(InsertHeader(0, "X", "v" * 65_527), leading_space=True)
        self.assertEqual(frame[:4], b"\0\1\0\0")
        self.assertRaises(ValueError, InsertHeader, 0, "X", "v" * 65_528)

    def test_action_of_each(self) -> None:
        """1.4: every kind of modification needs its action bit, a recipient with arguments another."""
        self.assertEqual(set(ACTION_NEEDED), {type(change) for change in CHANGES.values()})
        self.assertEqual(action_needed(CHANGES["V64"]), Action.ADDRCPT)
        self.assertEqual(action_needed(CHANGES["V65"]), Action.ADDRCPT_PAR)
        self.assertEqual(action_needed(CHANGES["V71"]), Action.QUARANTINE)

    def test_letters(self) -> None:
        """1.4: one letter for each kind."""
        frames = b"".join(encode_modification(change, leading_space=False)[0] for change in CHANGES.values())
        self.assertEqual(letters_of(frames), "hhiimme+2-bbq")
