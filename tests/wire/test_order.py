"""The legal order of commands (milter-spec 3.1, 3.2, 8.1)."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.milter_sessions import FRAMES, opened, take_all, walk
from tests.wire.vectors import MALFORMED, VECTORS
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire import letters, order
from twistedmilter.wire.commands import Abort
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.negotiation import Wants
from twistedmilter.wire.replies import ACCEPT, REJECT, Reply
from twistedmilter.wire.session import MilterSession

ONLY_END = Wants(needed=frozenset(), answered=frozenset())
ONLY_RCPT = Wants(needed=frozenset(b"R"), answered=frozenset(b"R"))


class LegalOrderTests(SynchronousTestCase):
    """Sessions that real MTAs hold."""

    def test_real_sessions(self) -> None:
        """3.2: what sendmail and Postfix send in each situation gives these events."""
        for sent, told in (
            ("OCHMRTLNBEQ", "OCHMRTLNBEQ"),
            ("OCHMRRTLLNBBEQ", "OCHMRRTLLNBBEQ"),
            ("OCHMRTLNEMRTLNBEQ", "OCHMRTLNEMRTLNBEQ"),  # no body; sendmail: next M directly
            ("OCHMRTLNBEAMRTLNBEAAQ", "OCHMRTLNBEMRTLNBEQ"),  # Postfix: A after every message
            ("OCHMRAMRTNEQ", "OCHMRAMRTNEQ"),  # RSET; no header, N all the same
            ("OCHMRAHQ", "OCHMRAHQ"),  # sendmail: EHLO inside a transaction
            ("OCHMRHAAMQ", "OCHMRAHMAQ"),  # row 34, Postfix: EHLO inside a transaction
            ("OCHMRTLQ", "OCHMRTLAQ"),  # sendmail: QUIT inside a transaction
            ("OCHMRTLAAQ", "OCHMRTLAQ"),
            ("OCMRNEQ", "OCMRNEQ"),  # no HELO; version 2: no T
            ("OCHHUMURUTLNBEUQ", "OCHHUMURUTLNBEUQ"),
            ("OCQ", "OCQ"),
            ("OQ", "OQ"),
            ("OCHMRBEQ", "OCHMRBEQ"),  # libmilter takes B and E right after R
        ):
            self.assertEqual((sent, walk(sent)), (sent, told))

    def test_message_inside_a_message(self) -> None:
        """Row 33: M inside a transaction gives an abort, then the new message."""
        for inside in ("M", "MR", "MRT", "MRTL", "MRTLN", "MRTLNB"):
            self.assertEqual(walk(f"OC{inside}M"), f"OC{inside}AM")

    def test_aborts_without_a_message(self) -> None:
        """Row 35: before a message, twice, after E: ignored silently."""
        self.assertEqual(walk("OACAAHAMRTLNBEAAA"), "OCHMRTLNBE")

    def test_new_connection(self) -> None:
        """Row 54, V36: K anywhere ends what is open; C comes next, without O."""
        self.assertEqual(walk("OCHMRTLNBEKCHMRTLNBEQ"), "OCHMRTLNBEKCHMRTLNBEQ")
        self.assertEqual(walk("OKCMRKCQ"), "OKCMRAKCQ")
        self.assertRaises(ProtocolViolation, walk, "OCKM")

    def test_nothing_after_quit(self) -> None:
        """Row 55, S5: frames and garbage after Q are dropped."""
        session = opened("OCH")
        session.receive_data(FRAMES["A"] + FRAMES["Q"] + b"\xde\xad\xbe\xef")
        self.assertEqual([chr(event.letter) for event in take_all(session)], ["Q"])
        session.receive_data(FRAMES["M"])
        self.assertEqual((session.next_event(), session.buffered), (None, 0))

    def test_local_submission(self) -> None:
        """S8: a null sender without brackets, then a recipient without brackets."""
        session = opened("OCH")
        session.receive_data(VECTORS["V38"] + VECTORS["V21"])
        self.assertEqual(take_all(session), [(b"", ()), (b"b@dst.test.invalid", ())])

    def test_steps_that_were_switched_off(self) -> None:
        """3.1: what a NO flag leaves out may be missing, everything at once too."""
        self.assertEqual(walk("OEEAQ", ONLY_END), "OEEQ")
        self.assertEqual(walk("ORREREQ", ONLY_RCPT), "ORREREQ")
        self.assertEqual(walk("OCHMRTLNBEQ", ONLY_END), "OEQ")

    def test_steps_are_missing_only_where_switched_off(self) -> None:
        """Row 32: the same orders are violations when the steps were wanted."""
        for codes in ("OE", "OR", "OCE"):
            self.assertRaises(ProtocolViolation, walk, codes)

    def test_two_hundred_messages(self) -> None:
        """Any number of messages on one connection."""
        self.assertEqual(walk("OCH" + "MRTLNBE" * 200 + "Q").count("E"), 200)


class IllegalOrderTests(SynchronousTestCase):
    """Orders that close the connection, with a reason."""

    def refuse(self, *sessions: str) -> None:
        """The last command of each is a violation that names it; those before are not."""
        for codes in sessions:
            walk(codes[:-1])
            violation = self.assertRaises(ProtocolViolation, walk, codes)
            self.assertIn(letters.command_name(ord(codes[-1])), violation.reason)

    def test_before_negotiation(self) -> None:
        """Row 15: everything but O and D."""
        self.refuse(*"CHMRTLNBEAUK")

    def test_macros_before_negotiation(self) -> None:
        """Row 15: D may come first."""
        session = opened("")
        session.receive_data(VECTORS["V05"] + FRAMES["O"])
        self.assertEqual(len(take_all(session)), 1)

    def test_second_negotiation(self) -> None:
        """Row 22."""
        self.refuse("OO", "OCO", "OCHMRTO", "OCHMRTLNBEO")

    def test_second_connect(self) -> None:
        """Row 26."""
        self.refuse("OCC", "OCHC", "OCHMC", "OCHMRTLNBEC")

    def test_missing_steps(self) -> None:
        """Row 32: R before M, L before R, B before M, E before M, anything before C."""
        self.refuse("OCHR", "OCHL", "OCHML", "OCHB", "OCHE", "OCHT", "OCHMT", "OCHME", "OH", "OM", "OCHMN")

    def test_steps_back(self) -> None:
        """Row 36: L after N or B, N twice, B after E, R or T in the content."""
        self.refuse("OCMRTLNL", "OCMRTLNBL", "OCMRTLNN", "OCMRTLNBN", "OCMRTLNBEB", "OCMRTLR", "OCMRTT", "OCMRTLNBR")

    def test_end_of_message_twice(self) -> None:
        """Row 43."""
        self.refuse("OCMRTLNBEE", "OCMRTLNEE")

    def test_unknown_in_the_content(self) -> None:
        """3.1: U comes anywhere but inside the content."""
        self.refuse("OCMRTU", "OCMRTLU", "OCMRTLNU", "OCMRTLNBU")

    def test_after_the_session_was_judged(self) -> None:
        """Row 27, 3.4: after a verdict on the client only QUIT makes sense."""
        for reply, codes in ((ACCEPT, "C"), (REJECT, "C"), (ACCEPT, "CH")):
            for following in "CHM":
                session = self.judged(codes, reply)
                session.receive_data(FRAMES[following])
                self.assertRaises(ProtocolViolation, session.next_event)
            session = self.judged(codes, reply)
            session.receive_data(FRAMES["A"] + FRAMES["Q"])
            self.assertEqual(len(take_all(session)), 1)

    def judged(self, codes: str, reply: Reply) -> MilterSession:
        """A session whose last command was answered so."""
        session = opened("O" + codes[:-1])
        session.receive_data(FRAMES[codes[-1]])
        take_all(session, reply)
        return session

    def test_refused_helo_may_be_tried_again(self) -> None:
        """3.4: an SMTP client may greet with another name."""
        session = self.judged("CH", REJECT)
        session.receive_data(FRAMES["H"])
        self.assertEqual(len(take_all(session)), 1)

    def test_content_after_a_refusal(self) -> None:
        """3.4: after a refusal at MAIL or DATA the message is over."""
        for codes in ("CM", "CMRT", "CMRTL"):
            session = self.judged(codes, REJECT)
            session.receive_data(FRAMES["N"])
            self.assertRaises(ProtocolViolation, session.next_event)

    def test_unknown_letters(self) -> None:
        """X24, rows 52 and 53: letters that are no command, replies among them."""
        for letter in b"Z\0\xffcyd":
            session = opened("OC")
            session.receive_data(encode_frame(letter))
            violation = self.assertRaises(ProtocolViolation, session.next_event)
            self.assertIn(f"0x{letter:02x}", violation.reason)
        self.assertEqual(MALFORMED["X24"], encode_frame(ord("Z")))

    def test_violation_lasts(self) -> None:
        """Section 8: nothing is parsed, kept or sent after a violation; the open message can be seen."""
        session = opened("OCHMR")
        session.receive_data(FRAMES["C"] + FRAMES["A"])
        self.assertRaises(ProtocolViolation, session.next_event)
        session.receive_data(FRAMES["A"])
        self.assertRaises(ProtocolViolation, session.next_event)
        self.assertEqual((session.buffered, session.data_to_send(), session.in_transaction), (0, b"", True))

    def test_malformed_payload_of_an_unwanted_step(self) -> None:
        """X14: malformed is malformed, wanted or not."""
        session = opened("OC", ONLY_END)
        session.receive_data(MALFORMED["X14"])
        self.assertRaises(ProtocolViolation, session.next_event)

    def test_every_malformed_vector(self) -> None:
        """X1 to X26: after the commands that lead there, a violation unless the row says otherwise."""
        before = {"X6": "", "X7": "", "X8": "", **{f"X{number}": "O" for number in range(9, 14)}, "X17": "OCM"}
        before |= {"X18": "OCMRT", "X19": "OCMRT", "X20": "OCMRT", "X25": "OCMR"}
        tolerated = {"X22", "X23", "X25", "X26"}
        for name, octets in MALFORMED.items():
            session = opened(before.get(name, "OC"))
            session.receive_data(octets)
            if name in tolerated:
                take_all(session)
            else:
                self.assertRaises(ProtocolViolation, session.next_event)


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_all_pairs(self) -> None:
        """3.1: exactly these pairs of state and command are legal when every step is sent."""
        legal = {
            order.START: "OQ",
            order.NEGOTIATED: "CUAQK",
            order.READY: "HMUAQK",
            order.MAIL: "RHMUAQK",
            order.RCPT: "RTLNBEHMUAQK",
            order.DATA: "LNHMAQK",
            order.HEADER: "LNHMAQK",
            order.END_OF_HEADERS: "BEHMAQK",
            order.BODY: "BEHMAQK",
            order.END_OF_MESSAGE: "HMAQK",
            order.FINISHED: "UAQK",
            order.CLOSED: "",
        }
        table = order.legal_steps(frozenset())
        for state, codes in legal.items():
            self.assertEqual((state, set(map(chr, table[state]))), (state, set(codes)))

    def test_missing_steps_only_add(self) -> None:
        """3.1: switching a step off never makes an order illegal."""
        full = order.legal_steps(frozenset())
        for missing in product(*[(None, letter) for letter in b"CHMRTLNB"]):
            table = order.legal_steps(frozenset(letter for letter in missing if letter is not None))
            for state, steps in enumerate(full):
                self.assertLessEqual(set(steps), set(table[state]))

    def test_abort_before_what_begins_anew(self) -> None:
        """Rows 33 and 34: the event is there before the command that caused it is told."""
        session = opened("OCHMR")
        session.receive_data(FRAMES["H"])
        self.assertEqual((session.next_event(), session.owes, session.in_transaction), (Abort(), 0, False))
