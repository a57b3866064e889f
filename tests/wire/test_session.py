"""The filter's side of a connection: the account of answers, modifications, macros (milter-spec 2.7, 3, 7.5)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.milter_sessions import ALL_ACTIONS_WANTED, FRAMES, letters_of, macros, offer, opened, take_all
from tests.wire.vectors import POSTFIX, SENDMAIL, VECTORS
from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.modification import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    Quarantine,
    ReplaceBody,
)
from twistedmilter.wire import replies
from twistedmilter.wire.commands import BodyChunk, EndOfMessage, HeaderField, HeaderFields, Negotiated, RcptTo
from twistedmilter.wire.flags import Action
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.negotiation import Wants
from twistedmilter.wire.replies import ACCEPT, CONTINUE, DISCARD, REJECT, SKIP, TEMPFAIL, Reply, ReplyCode
from twistedmilter.wire.session import MilterSession

QUIET = Wants(answered=frozenset(), actions=Action(0xFF))
NO_HEADER_REPLY = Wants(answered=frozenset(b"CHMRTNBEU"), actions=Action.ADDHDRS | Action.CHGHDRS)


def replay(transcript: tuple[tuple[str, bytes], ...], size: int) -> bytes:
    """What the filter of 7.5 sends when the MTA's octets come in pieces of this size."""
    session = MilterSession(NO_HEADER_REPLY)
    stream = b"".join(frame for side, frame in transcript if side == ">")
    sent = b""
    for start in range(0, len(stream), size):
        session.receive_data(stream[start : start + size])
        while (event := session.next_event()) is not None:
            if isinstance(event, EndOfMessage):
                session.modify([AddHeader("X-Added", "yes"), ChangeHeader("Subject", 1, "ho")])
            if session.owes:
                session.answer(CONTINUE)
        sent += session.data_to_send()
    return sent


class TranscriptTests(SynchronousTestCase):
    """The two transcripts of 7.5, in any segmentation."""

    def check(self, transcript: tuple[tuple[str, bytes], ...]) -> None:
        """The filter's octets are exactly those of the transcript."""
        expected = b"".join(frame for side, frame in transcript if side == "<")
        for size in (1, 2, 3, 7, 64, 10_000):
            self.assertEqual(replay(transcript, size), expected)

    def test_postfix(self) -> None:
        """7.5: Postfix 3.7.11, which sends macros before everything and two ABORTs."""
        self.check(POSTFIX)

    def test_sendmail(self) -> None:
        """7.5: sendmail 8.17.1.9, which sends no ABORT."""
        self.check(SENDMAIL)


class AccountTests(SynchronousTestCase):
    """Exactly one answer where one is owed, none elsewhere (2.7)."""

    def test_negotiation_answers_itself(self) -> None:
        """2.4: the offer is answered before anybody asks, and told as an event."""
        session = MilterSession(ALL_ACTIONS_WANTED)
        session.receive_data(FRAMES["O"])
        self.assertEqual(session.next_event(), Negotiated(6, 0xFF, 0))
        self.assertFalse(session.owes)
        self.assertEqual(letters_of(session.data_to_send()), "O")

    def test_nothing_is_granted_before(self) -> None:
        """There is no agreement before the offer."""
        session = MilterSession(ALL_ACTIONS_WANTED)
        self.assertIsNone(session.granted)
        self.assertFalse(session.peer_is_postfix or session.recipient_refused_by_mta)

    def test_pipelined_commands_are_answered_one_by_one(self) -> None:
        """Row 56: M R R T L N B E in one segment, none without reply: one answer each, in order."""
        session = opened("OCH")
        session.receive_data(b"".join(FRAMES[code] for code in "MRRTLNBE"))
        session.next_event()
        self.assertRaises(LocalProtocolError, session.next_event)
        session.answer(CONTINUE)
        self.assertEqual(letters_of(session.data_to_send()), "c")
        take_all(session)
        self.assertEqual(letters_of(session.data_to_send()), "ccccccc")

    def test_surplus_answer_is_refused(self) -> None:
        """2.7: a second answer to one command can not be sent."""
        session = opened("OC")
        self.assertRaises(LocalProtocolError, session.answer, CONTINUE)
        self.assertEqual(session.data_to_send(), b"")

    def test_nothing_is_owed_where_no_reply_was_negotiated(self) -> None:
        """2.7: with NR_all only E owes, and a refusal of a header can not be sent."""
        session = opened("O", QUIET)
        session.receive_data(b"".join(FRAMES[code] for code in "CHMRTLNBE"))
        owing = []
        while (event := session.next_event()) is not None:
            owing.append((chr(event.letter), bool(session.owes)))
            if session.owes:
                session.answer(REJECT)
            else:
                self.assertRaises(LocalProtocolError, session.answer, REJECT)
        self.assertEqual(owing, [(code, code == "E") for code in "CHMRTLNBE"])
        self.assertEqual(letters_of(session.data_to_send()), "r")

    def test_header_fields_that_nobody_answers_come_in_runs(self) -> None:
        """One event for what came in one piece; other frames, macros too, end a run."""
        session = opened("OCHMR", QUIET)
        field = FRAMES["L"]
        session.receive_data(field * 3 + macros("L", b"i", b"1") + field * 2 + FRAMES["N"] + FRAMES["E"])
        runs = [len(event.fields) for event in take_all(session) if isinstance(event, HeaderFields)]
        self.assertEqual(runs, [3, 2])

    def test_a_malformed_header_field_ends_the_run(self) -> None:
        """What came before it is told, then the violation."""
        session = opened("OCHMR", QUIET)
        session.receive_data(FRAMES["L"] * 2 + encode_frame(ord("L"), b"no value\0") + FRAMES["L"])
        event = session.next_event()
        self.assertEqual(event, HeaderFields([HeaderField(b"From", b"Display Name <user@example.com>")] * 2))
        self.assertRaises(ProtocolViolation, session.next_event)

    def test_session_continues_where_the_mta_waits_for_nobody(self) -> None:
        """2.4: NR bits that were not granted are emulated (a version 2 MTA has none)."""
        session = opened("O", QUIET, first=VECTORS["V02"])
        session.receive_data(b"".join(FRAMES[code] for code in "CHMRLNBE"))
        owing = []
        while (event := session.next_event()) is not None:
            owing.append((chr(event.letter), bool(session.owes)))
            if session.owes:
                session.answer(CONTINUE)
        self.assertEqual(owing, [(code, code == "E") for code in "CHMRLNBE"])
        self.assertEqual(letters_of(session.data_to_send()), "cccccccc")

    def test_unwanted_steps_are_answered_unseen(self) -> None:
        """2.2: a step that was to be switched off, and comes all the same, gets its continue."""
        session = opened("O", Wants(needed=frozenset(b"R"), answered=frozenset(b"R")), first=offer(4, 0x3F, 0x80))
        session.receive_data(b"".join(FRAMES[code] for code in "CHUMRTLNBE"))
        events = take_all(session)
        self.assertEqual("".join(chr(event.letter) for event in events), "RE")
        # L got NR_HDR, the only bit that was offered
        self.assertEqual(letters_of(session.data_to_send()), "ccccccccc")

    def test_abort_quit_and_negotiation_owe_nothing(self) -> None:
        """1.3: commands that are never answered."""
        for code in "AQK":
            session = opened("OCHMR")
            session.receive_data(FRAMES[code])
            take_all(session)
            self.assertEqual(session.data_to_send(), b"")

    def test_empty_body_chunk(self) -> None:
        """Row 41: answered by continue, shown to nobody."""
        session = opened("OCHMRTLN")
        session.receive_data(b"\0\0\0\x01B")
        self.assertIsNone(session.next_event())
        self.assertEqual(letters_of(session.data_to_send()), "c")

    def test_end_of_message_with_body(self) -> None:
        """Row 42, V33: the last of the body first, which owes nothing, then the end."""
        session = opened("OCHMRTLNB")
        session.receive_data(VECTORS["V33"])
        self.assertEqual((session.next_event(), session.owes), (BodyChunk(b"tail\r\n"), 0))
        self.assertEqual((session.next_event(), chr(session.owes)), (EndOfMessage(), "E"))

    def test_end_of_message_with_body_that_nobody_reads(self) -> None:
        """Row 42: with NOBODY, or after SKIP, the last of the body is left out."""
        session = opened("OCHMR", Wants(needed=frozenset(b"CHMR")))
        session.receive_data(VECTORS["V33"])
        self.assertEqual(session.next_event(), EndOfMessage())

    def test_lengths_outside_the_limit(self) -> None:
        """X1, X3, rows 3 and 5: the session splits frames itself, with the same limits."""
        too_large = encode_frame(ord("B"), b"x" * 65_536)
        for octets in (b"\0\0\0\0" + FRAMES["H"], too_large, too_large[:10]):
            session = opened("OC")
            session.receive_data(octets)
            violation = self.assertRaises(ProtocolViolation, session.next_event)
            self.assertIn("allowed 1..65536", violation.reason)

    def test_octets_wait_while_an_answer_is_owed(self) -> None:
        """Row 12: nothing is parsed ahead of the answer."""
        session = opened("OCH")
        session.receive_data(FRAMES["M"] + FRAMES["R"] + FRAMES["A"][:3])
        session.next_event()
        self.assertEqual((session.buffered, session.pending), (len(FRAMES["R"]) + 3, 0))


class AnswerTests(SynchronousTestCase):
    """What can be said at each command, and where the MTA goes then (3.4, 3.7)."""

    def said(self, codes: str, reply: Reply, wants: Wants = ALL_ACTIONS_WANTED) -> str:
        """The letter that goes out when the last of the commands is answered so."""
        session = opened(codes[:-1], wants)
        session.receive_data(FRAMES[codes[-1]])
        take_all(session, reply)
        return letters_of(session.data_to_send())

    def test_verdicts_pass(self) -> None:
        """3.4: continue, accept, refuse and tempfail are said where they were given."""
        text = ReplyCode(550, "5.7.1", ("no",))
        for codes in ("OC", "OCH", "OCHM", "OCHMR", "OCHMRT", "OCHMRTL", "OCHMRTLN", "OCHMRTLNB", "OCHMRTLNBE"):
            sent = "".join(self.said(codes, reply) for reply in (CONTINUE, ACCEPT, REJECT, TEMPFAIL, text))
            self.assertEqual((codes, sent), (codes, "carty"))

    def test_discard(self) -> None:
        """3.4: not at CONNECT, HELO (sendmail stops filtering) and UNKNOWN (Postfix drops the next message)."""
        self.assertEqual(
            [self.said(codes, DISCARD) for codes in ("OC", "OCH", "OCU", "OCHM", "OCHMRTLNBE")], list("cccdd")
        )

    def test_accept_at_unknown(self) -> None:
        """3.4: an unknown command can be refused, not accepted."""
        self.assertEqual([self.said("OCU", reply) for reply in (ACCEPT, REJECT)], ["c", "r"])

    def test_replaced_answer_is_told(self) -> None:
        """What became continue leaves one warning."""
        session = opened("O")
        session.receive_data(FRAMES["C"])
        take_all(session, DISCARD)
        self.assertEqual(session.take_warnings(), ["reply d at CONNECT became continue"])
        self.assertEqual(session.take_warnings(), [])

    def test_skip_at_body_only(self) -> None:
        """3.7: elsewhere sendmail would stop filtering for the whole connection."""
        wants = Wants(skip=True)
        for codes in ("OC", "OCH", "OCHM", "OCHMR", "OCHMRT", "OCHMRTL", "OCHMRTLN", "OCHMRTLNBE", "OCU"):
            self.assertEqual((codes, self.said(codes, SKIP, wants)), (codes, "c"))
        self.assertEqual(self.said("OCHMRTLNB", SKIP, wants), "s")

    def test_skip_at_header_for_postfix(self) -> None:
        """3.7: Postfix, known by macro v, takes it at RCPT and HEADER too."""
        for codes, expected in (("HMR", "s"), ("HMRTL", "s"), ("HMRT", "c")):
            session = opened("O", Wants(skip=True))
            session.receive_data(macros("C", b"v", b"Postfix 3.7.11") + FRAMES["C"])
            for code in codes[:-1]:
                session.receive_data(FRAMES[code])
            take_all(session)
            session.data_to_send()
            session.receive_data(FRAMES[codes[-1]])
            take_all(session, SKIP)
            self.assertEqual((session.peer_is_postfix, letters_of(session.data_to_send())), (True, expected))

    def test_skip_for_postfix_needs_the_bit(self) -> None:
        """3.7: without the SKIP bit Postfix gets continue as everybody does."""
        session = opened("O", Wants(skip=True), first=offer(6, 0x1FF, 0x3FF))
        session.receive_data(macros("C", b"v", b"Postfix 3.7.11") + b"".join(FRAMES[code] for code in "CHMRT"))
        take_all(session)
        session.data_to_send()
        session.receive_data(FRAMES["L"])
        take_all(session, SKIP)
        self.assertEqual(letters_of(session.data_to_send()), "c")

    def test_skip_that_was_not_granted(self) -> None:
        """Row 40: the MTA goes on sending, and the filter is not bothered with it."""
        session = opened("OCHMRTLN", Wants(skip=True), first=offer(6, 0x1FF, 0x3FF))
        session.receive_data(FRAMES["B"])
        take_all(session, SKIP)
        session.receive_data(FRAMES["B"] + FRAMES["B"] + VECTORS["V33"])
        self.assertEqual(take_all(session), [EndOfMessage()])
        self.assertEqual(letters_of(session.data_to_send()), "cccc")

    def test_skip_ends_with_the_message(self) -> None:
        """3.7: the body of the next message is shown again."""
        session = opened("OCHMRTLN", Wants(skip=True))
        session.receive_data(FRAMES["B"])
        take_all(session, SKIP)
        session.receive_data(b"".join(FRAMES[code] for code in "EMRTLNB"))
        self.assertIsInstance(take_all(session)[-1], BodyChunk)

    def test_recipient_that_the_mta_refused(self) -> None:
        """3.4: with RCPT_REJ, everything but continue is ignored; the fact can be asked."""
        session = opened("OCHM", Wants(rejected_recipients=True))
        session.receive_data(macros("R", b"{rcpt_mailer}", b"error") + FRAMES["R"])
        self.assertIsInstance(session.next_event(), RcptTo)
        self.assertTrue(session.recipient_refused_by_mta)
        session.answer(ACCEPT)
        self.assertEqual(letters_of(session.data_to_send()), "c")

    def test_recipient_with_an_error_mailer(self) -> None:
        """3.4: the macro means that only where RCPT_REJ was granted."""
        session = opened("OCHM", Wants())
        session.receive_data(macros("R", b"{rcpt_mailer}", b"error") + FRAMES["R"])
        take_all(session, REJECT)
        self.assertEqual((session.recipient_refused_by_mta, letters_of(session.data_to_send())), (False, "r"))

    def test_transaction_ends_with_its_verdict(self) -> None:
        """3.4: after a, r, t, d, y in a message the next one begins; a refused recipient ends nothing."""
        text = ReplyCode(451, "4.7.1", ("later",))
        for codes, reply, goes_on in (
            ("OCHM", REJECT, False),
            ("OCHMR", REJECT, True),
            ("OCHMR", TEMPFAIL, True),
            ("OCHMR", text, True),
            ("OCHMR", ACCEPT, False),
            ("OCHMR", DISCARD, False),
            ("OCHMRT", text, False),
            ("OCHMRTL", ACCEPT, False),
            ("OCHMRTLNB", DISCARD, False),
            ("OCHMRTLNBE", CONTINUE, False),
        ):
            session = opened(codes[:-1])
            session.receive_data(FRAMES[codes[-1]])
            take_all(session, reply)
            self.assertEqual((codes, session.in_transaction), (codes, goes_on))


class ModifyTests(SynchronousTestCase):
    """Modifications and progress, between E and its answer (3.6, 3.8)."""

    def at_end(self, wants: Wants = ALL_ACTIONS_WANTED) -> MilterSession:
        """A session that owes the answer to END-OF-MESSAGE."""
        session = opened("OCHMRTLNB", wants)
        session.receive_data(FRAMES["E"])
        session.next_event()
        return session

    def test_order(self) -> None:
        """3.6: in the order given, the body last and in one piece, then the verdict."""
        session = self.at_end()
        body = ReplaceBody(b"x" * 70_000)
        self.assertEqual(session.modify([AddHeader("A", "1"), body, Quarantine("why")]), [])
        session.progress()
        session.modify([AddRecipient("<a@b>")])
        session.answer(CONTINUE)
        self.assertEqual(letters_of(session.data_to_send()), "hqp+bbc")

    def test_void_with_a_refusal(self) -> None:
        """3.6: a new body is not sent before a verdict that makes it void."""
        for reply, expected in ((ACCEPT, "ba"), (REJECT, "r"), (TEMPFAIL, "t"), (DISCARD, "d")):
            session = self.at_end()
            session.modify([ReplaceBody(b"x")])
            session.answer(reply)
            self.assertEqual(letters_of(session.data_to_send()), expected)

    def test_last_body_wins(self) -> None:
        """Only one new body is sent."""
        session = self.at_end()
        session.modify([ReplaceBody(b"one"), ReplaceBody(b"two")])
        session.answer(CONTINUE)
        self.assertEqual(session.data_to_send(), b"\0\0\0\x04btwo\0\0\0\x01c")

    def test_new_body_is_for_its_message(self) -> None:
        """A new body never goes out with the next message."""
        session = self.at_end()
        session.modify([ReplaceBody(b"x")])
        session.answer(REJECT)
        session.receive_data(b"".join(FRAMES[code] for code in "MRTLNBE"))
        take_all(session)
        self.assertNotIn("b", letters_of(session.data_to_send()))

    def test_not_granted(self) -> None:
        """Row 64: what the MTA did not grant is given back, not sent."""
        session = self.at_end(Wants(actions=Action.ADDHDRS))
        wanted, unwanted = AddHeader("A", "1"), [ReplaceBody(b"x"), AddRecipient("<a@b>", ("NOTIFY=NEVER",))]
        self.assertEqual(session.modify([wanted, *unwanted]), unwanted)
        session.answer(CONTINUE)
        self.assertEqual(letters_of(session.data_to_send()), "hc")

    def test_only_at_end_of_message(self) -> None:
        """Row 64, 3.8: elsewhere modifications and progress are our error, never on the wire."""
        for codes in ("O", "OCHM", "OCHMRTLNBE"):
            session = opened(codes)
            self.assertRaises(LocalProtocolError, session.modify, [AddHeader("A", "1")])
            self.assertRaises(LocalProtocolError, session.progress)
            self.assertEqual(session.data_to_send(), b"")
        session = opened("OCHMRTLN")
        session.receive_data(FRAMES["B"])
        session.next_event()
        self.assertRaises(LocalProtocolError, session.progress)

    def test_leading_space_is_ours_when_negotiated(self) -> None:
        """4.1, V55, V56: with HDR_LEADSPC the MTA adds no blank."""
        for wants, expected in (
            (Wants(actions=Action.ADDHDRS, leading_space=True), VECTORS["V56"]),
            (Wants(actions=Action.ADDHDRS), encode_frame(ord("h"), b"X-Sp\0Bar\0")),
        ):
            session = self.at_end(wants)
            session.modify([AddHeader("X-Sp", "Bar")])
            self.assertEqual(session.data_to_send(), expected)

    def test_late_answer(self) -> None:
        """Row 59: an answer to a message that is over cannot be given."""
        session = self.at_end()
        session.answer(CONTINUE)
        session.receive_data(FRAMES["A"])
        take_all(session)
        self.assertRaises(LocalProtocolError, session.answer, replies.REJECT)
