"""The MTA's macros and how long they hold (milter-spec 3.3 and rows 44 to 49)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.milter_sessions import FRAMES, macros, opened, take_all
from tests.wire.vectors import MALFORMED, VECTORS
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.replies import CONTINUE
from twistedmilter.wire.session import MilterSession


def after(*frames: bytes, codes: str = "OCH") -> MilterSession:
    """A session after some commands and then these frames, all answered by continue."""
    session = opened(codes)
    session.receive_data(b"".join(frames))
    take_all(session)
    return session


class MacroTests(SynchronousTestCase):
    """What C{macro} finds."""

    def test_vectors(self) -> None:
        """V04 to V07, V39: names with or without braces, empty lists, empty values."""
        session = after(VECTORS["V04"], VECTORS["V05"], VECTORS["V06"], VECTORS["V07"], codes="O")
        names = ("j", "{j}", "daemon_addr", "{daemon_addr}", "auth_type", "i", "none")
        found = [session.macro(name) for name in names]
        self.assertEqual(found, ["myhost.sub.example.com"] * 2 + ["172.17.0.2"] * 2 + ["", "4jYfKy4zBGzL8Qj", None])

    def test_null_sender(self) -> None:
        """V39: the last value may be empty."""
        session = after(VECTORS["V39"], codes="OC")
        self.assertEqual((session.macro("i"), session.macro("mail_addr")), ("4jYfVg3Px1zJmfn", ""))

    def test_newest_first(self) -> None:
        """3.3: E before M before H before C, whatever came first."""
        session = after(*(macros(code, b"i", code.encode()) for code in "ECMH"))
        self.assertEqual(session.macro("i"), "E")
        session = after(*(macros(code, b"i", code.encode()) for code in "MCH"))
        self.assertEqual(session.macro("i"), "M")

    def test_new_list_replaces_the_old(self) -> None:
        """3.3, row 47: one slot for each letter."""
        session = after(macros("R", b"a", b"1", b"b", b"2"), macros("R", b"b", b"3"))
        self.assertEqual((session.macro("a"), session.macro("b")), (None, "3"))

    def test_million_lists_take_one_slot(self) -> None:
        """Row 47: memory does not grow with the number of lists."""
        session = opened("OC")
        for _ in range(2_000):
            session.receive_data(macros("R", b"i", b"x" * 100))
            session.next_event()
        self.assertEqual(len(session._macros._message), 1)

    def test_duplicate_names(self) -> None:
        """Row 48: the last wins, braces or not."""
        self.assertEqual(after(macros("M", b"a", b"1", b"{a}", b"2")).macro("a"), "2")

    def test_octets_survive(self) -> None:
        """Row 49: what is not UTF-8 comes as surrogate escapes."""
        value = after(macros("M", b"{cert_subject}", b"caf\xc3\xa9 \xff")).macro("cert_subject")
        self.assertEqual((value or "").encode("utf-8", "surrogateescape"), b"caf\xc3\xa9 \xff")


class ScopeTests(SynchronousTestCase):
    """When macros are forgotten."""

    def test_end_of_message(self) -> None:
        """3.3: after E was answered the message's are gone, those of the connection stay."""
        session = after(macros("C", b"j", b"mx"), macros("M", b"i", b"Q1"), codes="O")
        session.receive_data(FRAMES["C"] + b"".join(FRAMES[code] for code in "MRTLNB"))
        take_all(session)
        session.receive_data(macros("E", b"i", b"Q1") + FRAMES["E"])
        session.next_event()
        session.answer(CONTINUE)
        self.assertEqual(session.macro("i"), "Q1")  # whoever logs the message can still ask
        self.assertIsNone(session.next_event())
        self.assertEqual((session.macro("i"), session.macro("j")), (None, "mx"))

    def test_abort(self) -> None:
        """3.3: the handler of the abort still sees them, the next event does not."""
        session = after(FRAMES["M"], macros("R", b"i", b"Q1"), FRAMES["R"])
        session.receive_data(FRAMES["A"] + FRAMES["H"])
        session.next_event()
        during = session.macro("i")
        session.next_event()
        self.assertEqual((during, session.macro("i")), ("Q1", None))

    def test_next_mail_inside_a_transaction(self) -> None:
        """3.3: a list for M that comes before the old message is over belongs to the new one."""
        session = after(macros("M", b"i", b"Q1"), FRAMES["M"], FRAMES["R"], codes="OC")
        session.receive_data(macros("M", b"i", b"Q2") + FRAMES["M"])
        session.next_event()
        during = session.macro("i")
        session.next_event()
        self.assertEqual((during, session.macro("i")), ("Q1", "Q2"))

    def test_stale_queue_id(self) -> None:
        """3.3: a queue id of the message before is not seen by the next one."""
        session = after(FRAMES["M"], macros("E", b"i", b"Q1"), FRAMES["R"], FRAMES["E"], FRAMES["M"])
        self.assertIsNone(session.macro("i"))

    def test_lists_before_the_message(self) -> None:
        """3.2: lists of steps that were switched off stay for the step that comes."""
        session = opened("O")
        session.receive_data(macros("M", b"{mail_addr}", b"a@b") + macros("R", b"{rcpt_addr}", b"c@d"))
        session.receive_data(FRAMES["C"] + FRAMES["M"])
        take_all(session)
        self.assertEqual((session.macro("mail_addr"), session.macro("rcpt_addr")), ("a@b", "c@d"))

    def test_new_connection(self) -> None:
        """3.3: K drops everything."""
        session = after(macros("C", b"j", b"mx"), macros("M", b"i", b"Q1"), codes="O")
        session.receive_data(FRAMES["C"] + FRAMES["K"] + FRAMES["C"])
        take_all(session)
        self.assertEqual((session.macro("j"), session.macro("i")), (None, None))


class OddListTests(SynchronousTestCase):
    """Lists that are ignored, and the one that is a violation."""

    def test_no_letter(self) -> None:
        """X21, row 44: close."""
        session = opened("OC")
        session.receive_data(MALFORMED["X21"])
        self.assertRaises(ProtocolViolation, session.next_event)

    def test_unknown_letters(self) -> None:
        """Row 45: nothing is kept, nothing is said."""
        session = after(*(encode_frame(ord("D"), code + b"x\0y\0") for code in (b"Z", b"c", b"\0", b"\xff", b"A")))
        self.assertEqual((session.macro("x"), session.take_warnings()), (None, []))

    def test_odd_or_unfinished_lists(self) -> None:
        """X22, X23, row 46: ignored, the slot keeps what it had, one warning for all of them."""
        session = after(macros("M", b"i", b"Q1"), MALFORMED["X22"], MALFORMED["X23"], MALFORMED["X22"])
        self.assertEqual((session.macro("i"), len(session.take_warnings())), ("Q1", 1))

    def test_list_that_stops_inside_a_string(self) -> None:
        """Row 46: pairs are not enough, the last octet must be a NUL."""
        session = after(encode_frame(ord("D"), b"Mi\0Q1\0junk"))
        self.assertEqual((session.macro("i"), len(session.take_warnings())), (None, 1))

    def test_empty_name(self) -> None:
        """Row 46: the list is ignored, with one warning."""
        session = after(macros("R", b"", b"x", b"a", b"1"))
        self.assertEqual((session.macro("a"), session.macro("a"), len(session.take_warnings())), (None, None, 1))
