"""What outcomes amount to: modes, actions, rules and exemptions applied to what the checks said.

Pure: the same outcomes give the same ruling, so a recorded message can be judged again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twistedmilter.model.record import Decision
from twistedmilter.model.section import Action, Mode
from twistedmilter.model.stage import ClientClass, Stage
from twistedmilter.model.transaction import Outcome, Recipient, SenderInquiry, Transaction
from twistedmilter.model.verdict import Accept, Discard, Hold, Mark, Refuse, TempFail, Verdict
from twistedmilter.policy.chain import DECIDING, CheckChain
from twistedmilter.policy.rules import Rules, Situation

# judged before AUTH could be known; a check at MAIL or later sees the authentication itself
_BEFORE_AUTH = (Stage.CONNECT, Stage.HELO)


# rules may give the recipients of one message different actions for one verdict
_MILDEST_FIRST: tuple[type[Verdict], ...] = (Accept, Mark, Hold, TempFail, Refuse, Discard)


@dataclass(frozen=True)
class Ruling:
    """A decision and the marks that the message has gathered.

    @ivar decision: None as long as nothing decided.
    """

    decision: Decision | None
    marks: tuple[Mark, ...] = ()


NOTHING_SAID = Ruling(None)


@dataclass(frozen=True)
class Enforcement:
    """How verdicts are made to count.

    @ivar observe: C{[policy] mode = "observe"}: nothing counts, all is recorded.
    """

    chain: CheckChain
    rules: Rules
    observe: bool = False

    def effective(self, outcome: Outcome, situation: Situation) -> Verdict | None:
        """The verdict as it counts in this situation; None if it does not count.

        Refusals of the client are void once it has authenticated (seed-spec B11).
        """
        verdict = outcome.verdict
        if verdict is None or self.observe or not _is_about(outcome, situation):
            return None
        mode, action = self._settings(outcome.check, situation)
        if mode != "enforce" or self._is_cancelled(outcome, verdict, situation):
            return None
        recipient = situation.recipient
        return _by_action(verdict, action).about(recipient.mailbox.canonical if recipient is not None else "")

    def mode_of(self, check: str) -> Mode:
        """The mode of a check, rules left out."""
        entry = self.chain.entry(check)
        return entry.mode if entry is not None else "off"

    def _settings(self, check: str, situation: Situation) -> tuple[Mode, Action]:
        entry = self.chain.entry(check)
        mode = self.mode_of(check)
        action: Action = entry.action if entry is not None else "refuse"
        rule = self.rules.find(check, situation)
        if rule is None:
            return mode, action
        return rule.mode or mode, rule.action or action

    @staticmethod
    def _is_cancelled(outcome: Outcome, verdict: Verdict, situation: Situation) -> bool:
        return (
            outcome.stage in _BEFORE_AUTH
            and isinstance(verdict, (Refuse, TempFail))
            and situation.connection.client_class is ClientClass.AUTHENTICATED
        )

    def rule_for_one(self, outcomes: Sequence[Outcome], situation: Situation) -> Ruling:
        """What counts for one recipient, or for the client when there is none yet."""
        marks = []
        for outcome in outcomes:
            if outcome.verdict is None:
                continue
            verdict = self.effective(outcome, situation)
            if isinstance(verdict, Mark):
                marks.append(verdict)
            elif isinstance(verdict, DECIDING):
                return Ruling(Decision(outcome.stage, verdict, outcome.check), tuple(marks))
        return Ruling(None, tuple(marks))

    def rule_for_message(
        self, outcomes: Sequence[Outcome], situation: Situation, recipients: Sequence[Recipient]
    ) -> Ruling:
        """What counts for the message as a whole.

        One answer goes to all recipients at end of message: a verdict that exempts one of them must not
        keep the message from it, so it becomes a mark for all; of different ones the mildest counts.
        """
        spoken = [outcome for outcome in outcomes if outcome.verdict is not None]
        if not spoken:
            return NOTHING_SAID
        connection, transaction = situation.connection, situation.transaction
        situations = [Situation(connection, transaction, each) for each in recipients] or [situation]
        # a thousand recipients may have an outcome each: look at the one that it is about
        by_recipient = {each.recipient.mailbox.canonical: each for each in situations if each.recipient is not None}
        marks: list[Mark] = []
        for outcome in spoken:
            about = by_recipient.get(outcome.recipient)
            concerned = situations if not outcome.recipient else [about] if about is not None else []
            verdicts = [self.effective(outcome, each) for each in concerned]
            counting = [verdict for verdict in verdicts if verdict is not None]
            if not counting:
                continue
            mildest = min(counting, key=_severity)
            if isinstance(mildest, Mark):
                marks.append(mildest)
            elif len(counting) == len(situations):
                return Ruling(Decision(outcome.stage, mildest, outcome.check), tuple(marks))
            elif not isinstance(mildest, Accept):
                marks.append(Mark(mildest.reason))
        return Ruling(None, tuple(marks))

    def counting_inquiries(self, transaction: Transaction, recipients: Sequence[Recipient]) -> list[SenderInquiry]:
        """The inquiries of checks that are enforced for every recipient: nobody is asked for a check that observes."""
        connection = transaction.connection
        situations = [Situation(connection, transaction, each) for each in recipients]
        situations = situations or [Situation(connection, transaction)]
        return [
            inquiry
            for inquiry in transaction.inquiries
            if all(self._settings(inquiry.check, situation)[0] == "enforce" for situation in situations)
        ]

    def is_settled(self, outcomes: Sequence[Outcome], situation: Situation) -> bool:
        """Whether a verdict stands for every recipient whatever comes, so that no network check need be asked."""
        return any(
            isinstance(self.effective(outcome, situation), DECIDING) and not self._may_be_void(outcome, situation)
            for outcome in outcomes
        )

    def _may_be_void(self, outcome: Outcome, situation: Situation) -> bool:
        """Whether a recipient, or before MAIL the sender or AUTH, may still undo what counts now."""
        if self.rules.depends_on_recipient(outcome.check):
            return True
        if situation.transaction is not None:
            return False
        return isinstance(outcome.verdict, (Refuse, TempFail)) or self.rules.depends_on_sender(outcome.check)


def _severity(verdict: Verdict) -> int:
    return next(rank for rank, kind in enumerate(_MILDEST_FIRST) if isinstance(verdict, kind))


def _is_about(outcome: Outcome, situation: Situation) -> bool:
    recipient = situation.recipient
    return not outcome.recipient or (recipient is not None and recipient.mailbox.canonical == outcome.recipient)


def _by_action(verdict: Verdict, action: Action) -> Verdict:
    if not isinstance(verdict, Refuse) or action == "refuse":
        return verdict
    return Mark(verdict.reason) if action == "mark" else Hold(verdict.reason)
