"""Option negotiation (milter-spec 2 and rows 15 to 21)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.vectors import VECTORS
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.flags import ALL_PROTOCOL, Action, MacroStage, ProtocolFlag
from twistedmilter.wire.negotiation import Granted, Wants, negotiate

OFFER = (6, 0x1FF, 0x1FFFFF)
WORD = st.integers(0, 0xFFFFFFFF)
EVERYTHING = Wants(
    needed=frozenset(b"E"),
    answered=frozenset(),
    actions=Action(0x1FF),
    skip=True,
    rejected_recipients=True,
    leading_space=True,
    macros={MacroStage.EOM: ("i",)},
)


class NegotiateTests(SynchronousTestCase):
    """What L{negotiate} answers to an offer."""

    def test_everything_with_reply(self) -> None:
        """V40: a filter that wants all events and may do all."""
        self.assertEqual(negotiate(Wants(actions=Action(0x1FF)), *OFFER).frame, VECTORS["V40"])

    def test_version_two(self) -> None:
        """V42, V02: an old MTA gets its own version, and only bits that it knows."""
        granted = negotiate(EVERYTHING, 2, 0x3F, 0x7F)
        self.assertEqual((granted.version, granted.actions, granted.protocol), (2, 0x3F, 0x7F))
        self.assertEqual(negotiate(Wants(actions=Action(0x1FF)), 2, 0x3F, 0x7F).frame, VECTORS["V42"])

    def test_end_of_message_only(self) -> None:
        """V43, 2.6: lists for stages 5 and 6 are alike whichever was asked for."""
        for stage in (MacroStage.EOM, MacroStage.EOH):
            wants = Wants(
                needed=frozenset(),
                answered=frozenset(),
                actions=Action.ADDHDRS | Action.CHGHDRS | Action.QUARANTINE,
                macros={stage: ("i", "{msg_id}")},
            )
            self.assertEqual(negotiate(wants, *OFFER).frame, VECTORS["V43"])

    def test_three_lists(self) -> None:
        """V41: a list is the stage, names separated by one blank, a NUL."""
        lists = {MacroStage.EOM: ("i",), MacroStage.CONNECT: ("j", "{my}"), MacroStage.HELO: ("{my}",)}
        frame = Granted(6, Action.SETSYMLIST, ProtocolFlag(0xFF7FF), lists).frame
        self.assertEqual(frame, VECTORS["V41"])

    def test_version(self) -> None:
        """Rows 17, 18, V01, X7, X8: at least 2, at most 6, negative when signed is too old."""
        for version in (0, 1, 0x80000000, 0xFFFFFFFF):
            self.assertRaises(ProtocolViolation, negotiate, Wants(), version, 0x1FF, 0x1FFFFF)
        for offered, agreed in ((2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 6), (100, 6), (0x7FFFFFFF, 6)):
            self.assertEqual(negotiate(Wants(), offered, 0x1FF, 0x1FFFFF).version, agreed)

    def test_zero_means_the_oldest_set(self) -> None:
        """Row 19: actions 0 are read as 0x0f, protocol 0 as 0x3f."""
        granted = negotiate(EVERYTHING, 6, 0, 0)
        self.assertEqual((granted.actions, granted.protocol), (0x0F, 0x3F))

    def test_all_bits_set(self) -> None:
        """Row 20, V03, 2.5: only known bits are answered, never MDS."""
        granted = negotiate(EVERYTHING, 6, 0xFFFFFFFF, 0xFFFFFFFF)
        self.assertEqual(granted.actions, 0x1FF)
        self.assertFalse(granted.protocol & ~ALL_PROTOCOL)

    def test_required_actions(self) -> None:
        """2.4: without them there is no session, and the reason says which."""
        wants = Wants(required=Action.CHGBODY | Action.QUARANTINE)
        self.assertEqual(negotiate(wants, *OFFER).actions, wants.required)
        violation = self.assertRaises(ProtocolViolation, negotiate, wants, 6, 0x0F, 0x7F)
        self.assertIn("0x20", violation.reason)

    def test_lists_need_setsymlist(self) -> None:
        """2.4: an MTA that did not offer it gets no lists."""
        wants = Wants(macros={MacroStage.CONNECT: ("j",)})
        self.assertEqual(negotiate(wants, 6, 0xFF, 0x1FFFFF).macros, {})
        self.assertEqual(negotiate(wants, *OFFER).macros, {MacroStage.CONNECT: ("j",)})

    def test_steps_and_answers(self) -> None:
        """2.2: what is not needed is not sent, what is not answered is not waited for."""
        wants = Wants(needed=frozenset(b"CHMRL"), answered=frozenset(b"R"))
        flags = ProtocolFlag
        no = flags.NODATA | flags.NOUNKNOWN | flags.NOEOH | flags.NOBODY
        quiet = flags.NR_CONN | flags.NR_HELO | flags.NR_MAIL | flags.NR_HDR
        self.assertEqual(negotiate(wants, *OFFER).protocol, no | quiet)

    def test_extras(self) -> None:
        """2.2: SKIP, RCPT_REJ and HDR_LEADSPC are asked for when wanted and offered."""
        extras = ProtocolFlag.SKIP | ProtocolFlag.RCPT_REJ | ProtocolFlag.HDR_LEADSPC
        self.assertEqual(negotiate(EVERYTHING, *OFFER).protocol & extras, extras)
        self.assertFalse(negotiate(Wants(), *OFFER).protocol & extras)
        self.assertFalse(negotiate(EVERYTHING, 6, 0x1FF, 0x3FF).protocol & extras)

    @given(WORD, WORD, WORD)
    def test_nothing_that_was_not_offered(self, version: int, actions: int, protocol: int) -> None:
        """2.4: for any offer, the answer is a subset of it, or there is none."""
        try:
            granted = negotiate(EVERYTHING, version, actions, protocol)
        except ProtocolViolation:
            return
        self.assertLessEqual(granted.version, min(version, 6))
        self.assertFalse(granted.actions & ~(actions or 0x0F))
        self.assertFalse(granted.protocol & ~(protocol or 0x3F))


class WantsTests(SynchronousTestCase):
    """What L{Wants} lets a filter ask for."""

    def test_end_of_message_is_always_wanted(self) -> None:
        """2.2: E is always sent and always answered."""
        wants = Wants(needed=frozenset(), answered=frozenset())
        self.assertEqual((wants.needed, wants.answered), (frozenset(b"E"), frozenset(b"E")))

    def test_what_is_not_needed_is_not_answered(self) -> None:
        """Nobody speaks at a command that nobody sees."""
        self.assertEqual(Wants(needed=frozenset(b"R"), answered=frozenset(b"RM")).answered, frozenset(b"RE"))

    def test_only_answerable_letters(self) -> None:
        """A, Q, K, D, O and letters that are no command cannot be asked for."""
        self.assertRaises(ValueError, Wants, needed=frozenset(b"A"))
        self.assertRaises(ValueError, Wants, answered=frozenset(b"Z"))

    def test_too_many_macros(self) -> None:
        """2.6: more than 50 names at a stage would stop sendmail's mail; repetition does not count."""
        names = tuple(f"name{number}" for number in range(51))
        self.assertRaises(ValueError, Wants, macros={MacroStage.MAIL: names})
        self.assertRaises(ValueError, Wants, macros={MacroStage.EOM: names[:26], MacroStage.EOH: names[26:]})
        self.assertEqual(len(Wants(macros={MacroStage.MAIL: names[:50] * 2}).macros[MacroStage.MAIL]), 50)

    def test_macro_names(self) -> None:
        """2.6: single characters bare, longer names in braces, nothing else."""
        wants = Wants(macros={MacroStage.MAIL: ("{i}", "auth_type", "{mail_addr}", "_")})
        self.assertEqual(wants.macros[MacroStage.MAIL], ("i", "{auth_type}", "{mail_addr}", "_"))
        for name in ("", "{}", "a b", "a,b", "{a}b", "\u00e9", "a\0"):
            self.assertRaises(ValueError, Wants, macros={MacroStage.MAIL: (name,)})

    def test_equal_wants_are_one_key(self) -> None:
        """Plans are shared: equal values hash alike."""
        macros = {MacroStage.MAIL: ("i",)}
        self.assertEqual(hash(Wants(macros=macros)), hash(Wants(macros=dict(macros))))
        self.assertEqual(Wants(macros=macros), Wants(macros=dict(macros)))
