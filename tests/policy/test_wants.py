"""Negotiation is computed from what the checks implement."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.scripted import BodyReader, PolicyBuilder, ScriptedCheck
from twistedmilter.model.conduct_settings import DemeritsSettings
from twistedmilter.model.settings import PolicySettings
from twistedmilter.model.stage import Stage
from twistedmilter.policy.ban_book import BanBook
from twistedmilter.policy.checks.demerits import DemeritsCheck
from twistedmilter.policy.wants import wants_of
from twistedmilter.wire.flags import MacroStage
from twistedmilter.wire.negotiation import Wants


def wants(*checks: object, policy: PolicySettings | None = None) -> Wants:
    """What a chain of these checks wants."""
    builder = PolicyBuilder(*checks)
    return wants_of(builder.build().chain, policy or PolicySettings())


def words(letters: frozenset[int]) -> str:
    """The letters as a sorted string."""
    return bytes(sorted(letters)).decode()


class WantsTests(SynchronousTestCase):
    """No step, no answer and no macro that nobody needs."""

    def test_an_empty_chain_reads_the_envelope_and_headers_only(self) -> None:
        """Body and end of headers are off; nothing but the end of message is answered (CORRECTIONS 11)."""
        empty = wants()
        self.assertEqual((words(empty.needed - {ord("E")}), words(empty.answered - {ord("E")})), ("CHLMR", ""))

    def test_delayed_refusals_are_answered_at_rcpt_only(self) -> None:
        """Checks of CONNECT, HELO and MAIL speak at RCPT."""
        for stage in (Stage.CONNECT, Stage.HELO, Stage.MAIL, Stage.RCPT):
            self.assertEqual(words(wants(ScriptedCheck(stage)).answered - {ord("E")}), "R")

    def test_immediate_refusals_are_answered_where_they_are_made(self) -> None:
        """With delay_refusals off the step itself is answered too."""
        immediate = wants(ScriptedCheck(Stage.HELO), policy=PolicySettings(delay_refusals=False))
        self.assertEqual(words(immediate.answered - {ord("E")}), "HR")

    def test_observe_answers_nothing_early(self) -> None:
        """Where nothing can be refused nothing need be waited for."""
        observing = wants(ScriptedCheck(Stage.MAIL), policy=PolicySettings(mode="observe"))
        self.assertEqual(words(observing.answered - {ord("E")}), "")

    def test_readers_of_headers_and_body(self) -> None:
        """Their steps are asked for; the body is not answered."""
        reading = wants(ScriptedCheck(Stage.HEADERS), BodyReader())
        self.assertEqual((words(reading.needed - {ord("E")}), words(reading.answered - {ord("E")})), ("BCHLMNR", "N"))

    def test_the_lists_of_eom_and_eoh_are_alike(self) -> None:
        """Sendmail decides about the one by the other (milter-spec 2.6)."""
        macros = wants().macros
        self.assertEqual(macros[MacroStage.EOM], macros[MacroStage.EOH])

    def test_recipients_that_the_mta_refuses(self) -> None:
        """They are asked for, with what tells why, only where demerits count them (S01)."""
        for counted in (False, True):
            settings = DemeritsSettings(mta_refusals=counted)
            check = DemeritsCheck(settings, BanBook(None, lambda: 0.0, 1), lambda *_: None)
            asked = wants(check)
            self.assertIs(asked.rejected_recipients, counted)
            self.assertEqual({"{rcpt_mailer}", "{rcpt_host}"} <= set(asked.macros[MacroStage.RCPT]), counted)
