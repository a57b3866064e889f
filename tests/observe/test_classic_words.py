"""What the classic log says of recipients and bans (L02, L09, B10)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.observe.records import record
from twistedmilter.model.record import Decision, RecipientRecord
from twistedmilter.model.stage import Stage
from twistedmilter.model.verdict import Reason, Refuse
from twistedmilter.observe.classic_words import final_line


class ConductWordsTests(SynchronousTestCase):
    """The texts that report tools of the ancestor know (seed-spec 5.4)."""

    def test_texts(self) -> None:
        """Of several recipients the first that was refused so is named."""
        for code, expected in (
            ("recipient-unknown", "REJECT: RCPT TO: <x@y.example>"),
            ("recipient-takes-no-mail", "REJECT: RCPT TO: <x@y.example>"),
            ("recipient-private", "REJECT: RELAY: <x@y.example>"),
            ("client-banned", "REJECT: BANNED IP"),
        ):
            decision = Decision(Stage.RCPT, Refuse(Reason(code, "no")), "some")
            recipients = (
                RecipientRecord("a@y.example", "refuse", "other"),
                RecipientRecord("x@y.example", "refuse", code),
            )
            self.assertEqual(final_line(record(decision=decision, recipients=recipients)), expected)
