"""The chain: checks asked in order, each answer kept as an outcome with its time and its stage.

The chain only asks and records.  Whether a verdict counts is L{twistedmilter.policy.enforcement}'s business,
so the same outcomes can be judged again for another recipient or another configuration.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces import checks as stage_interfaces
from twistedmilter.interfaces.checks import ICheck
from twistedmilter.model.section import Action, Mode, OnTemporaryFailure
from twistedmilter.model.stage import Role, Stage
from twistedmilter.model.transaction import Connection, Outcome, Transaction
from twistedmilter.model.verdict import Accept, Discard, Hold, Mark, Reason, Refuse, TempFail, Verdict

DECIDING = (Refuse, TempFail, Hold, Discard, Accept)

_STAGES = (
    (Stage.CONNECT, stage_interfaces.IConnectCheck, "check_connect"),
    (Stage.HELO, stage_interfaces.IHeloCheck, "check_helo"),
    (Stage.MAIL, stage_interfaces.IMailCheck, "check_mail"),
    (Stage.RCPT, stage_interfaces.IRcptCheck, "check_rcpt"),
    (Stage.HEADERS, stage_interfaces.IHeaderCheck, "check_headers"),
    (Stage.END_OF_MESSAGE, stage_interfaces.IEndOfMessageCheck, "check_end_of_message"),
)

_WORD_BREAK = re.compile(r"[^a-z0-9]+")  # a third party's name is module:Class
Ask = Callable[..., Awaitable[Verdict | None]]


@dataclass(frozen=True)
class ChainEntry:
    """One check of the chain with its settings.

    @ivar name: as in C{[policy] checks}; for third parties C{module:Class}.
    @ivar roles: listener roles in which it is asked.
    """

    check: ICheck
    name: str
    mode: Mode = "enforce"
    action: Action = "refuse"
    on_temporary_failure: OnTemporaryFailure = "skip"
    roles: frozenset[Role] = frozenset(Role)


Asked = tuple[ChainEntry, Ask]


class Inquiry:
    """What one run through a stage needs to know besides its subject.

    @ivar role: the listener's role. @ivar settled: whether a verdict stands, so that only local checks
        are still asked, for the record.
    @ivar out_of_time: set before the run is cancelled because the budget is spent; otherwise a
        cancellation means that the MTA went away.
    """

    __slots__ = ("is_settled", "out_of_time", "outcomes", "recipient", "role")

    def __init__(
        self, role: Role, outcomes: list[Outcome], is_settled: Callable[[], bool], recipient: str = ""
    ) -> None:
        """Remember where outcomes go, whom they are about, and whom to ask whether a verdict stands."""
        self.recipient = recipient
        self.role = role
        self.outcomes = outcomes
        self.is_settled = is_settled
        self.out_of_time = False


class CheckChain:
    """An ordered list of checks that the administrator can read.

    @ivar asks_last: whether any check wants to be asked when no other has decided.
    @param on_bug: what the verdict is when a check fails by its own fault: C{skip} or C{tempfail}.
    @param clock: reactor seconds. @param report: told once of each fault with the check's name; logs the
        current exception.
    """

    def __init__(
        self,
        entries: tuple[ChainEntry, ...],
        *,
        on_bug: str,
        clock: Callable[[], float],
        report: Callable[[str, str], None],
    ) -> None:
        self.entries = tuple(entry for entry in entries if entry.mode != "off")
        self._on_bug = on_bug
        self._clock = clock
        self._report = report
        # whoever judges may ask what the client is to us, wherever it stands in the list
        classifiers_first = sorted(self.entries, key=lambda entry: not _is_classifier(entry))
        by_stage: dict[Stage, tuple[Asked, ...]] = {
            stage: tuple(
                (entry, getattr(entry.check, method))
                for entry in classifiers_first
                if interface.providedBy(entry.check)
            )
            for stage, interface, method in _STAGES
        }
        at_connect = by_stage[Stage.CONNECT]
        by_stage[Stage.CONNECT] = tuple(asked for asked in at_connect if not _is_classifier(asked[0]))
        self._by_stage = by_stage
        self._asked = {stage: _by_role(asked) for stage, asked in by_stage.items()}
        self._classifiers = _by_role(tuple(asked for asked in at_connect if _is_classifier(asked[0])))
        self._last = _by_role(
            tuple(
                (entry, entry.check.check_last)
                for entry in self.entries
                if stage_interfaces.ILastCheck.providedBy(entry.check)
            )
        )
        self.asks_last = any(self._last.values())
        self._name_judges = tuple(
            entry.check for entry in self.entries if stage_interfaces.INameJudge.providedBy(entry.check)
        )
        self._body = tuple(
            (entry, entry.check.body_chunk)
            for entry in self.entries
            if stage_interfaces.IBodyCheck.providedBy(entry.check)
        )

    def asks_at(self, stage: Stage) -> bool:
        """Whether any check wants to be asked at this stage."""
        return bool(self._body) if stage is Stage.BODY else bool(self._by_stage.get(stage))

    def judges_at(self, stage: Stage) -> bool:
        """Whether any check may object at this stage; one that classes clients never does."""
        return any(not _is_classifier(entry) for entry, _ask in self._by_stage.get(stage, ()))

    def looks_dynamic(self, connection: Connection) -> bool:
        """Whether a check takes the MTA's name of the client for that of a lent address; False if none can tell."""
        return any(judge.looks_dynamic(connection) for judge in self._name_judges)

    def entry(self, name: str) -> ChainEntry | None:
        """The entry of that name; None if the chain has none."""
        return next((entry for entry in self.entries if entry.name == name), None)

    async def ask(self, stage: Stage, inquiry: Inquiry, subject: object, *arguments: object) -> None:
        """Ask every check of a stage in order; each answer becomes an outcome.

        @raise CancelledError: the MTA went away.
        """
        await self._ask_each(self._asked[stage][inquiry.role], stage, inquiry, subject, *arguments)

    async def classify(self, inquiry: Inquiry, connection: Connection) -> None:
        """Ask what the client is to us, before anything else is asked of it.

        @raise CancelledError: the MTA went away.
        """
        await self._ask_each(self._classifiers[inquiry.role], Stage.CONNECT, inquiry, connection)

    async def ask_last(self, inquiry: Inquiry, transaction: Transaction) -> None:
        """Ask the checks that come last; for a message that nothing has decided.

        @raise CancelledError: the MTA went away.
        """
        await self._ask_each(self._last[inquiry.role], Stage.END_OF_MESSAGE, inquiry, transaction)

    async def _ask_each(
        self, every: tuple[Asked, ...], stage: Stage, inquiry: Inquiry, subject: object, *arguments: object
    ) -> None:
        outcomes, clock = inquiry.outcomes, self._clock
        started = clock()
        for entry, ask in every:
            if not entry.check.local and inquiry.is_settled():
                continue
            if inquiry.out_of_time:
                outcomes.append(self._not_asked(entry, stage))
                continue
            note = ""
            try:
                verdict = _checked(await ask(subject, *arguments))
            except Exception as fault:  # noqa: BLE001 - a check's bug must not take the mail with it; it is logged
                verdict, note = self._without_answer(entry, fault, inquiry, subject)
            mode = "recorded" if inquiry.is_settled() else entry.mode
            ended = clock()
            milliseconds = round((ended - started) * 1000, 3)
            started = ended
            outcomes.append(Outcome(entry.name, stage, verdict, mode, milliseconds, note, inquiry.recipient))

    def _without_answer(
        self, entry: ChainEntry, fault: Exception, inquiry: Inquiry, subject: object
    ) -> tuple[Verdict | None, str]:
        """What counts in place of an answer, and a note that says why.

        @raise CancelledError: the MTA went away.
        """
        if isinstance(fault, TemporaryFailure):
            return _unanswered(entry, str(fault)), str(fault)
        if isinstance(fault, CancelledError):
            if not inquiry.out_of_time:
                raise fault
            return _unanswered(entry, "it took too long"), "out of time"
        self._report(entry.name, _reference(subject))
        return self._verdict_of_bug(entry), f"failed: {type(fault).__name__}"

    def _not_asked(self, entry: ChainEntry, stage: Stage) -> Outcome:
        verdict = _unanswered(entry, "no time was left to ask")
        return Outcome(entry.name, stage, verdict, entry.mode, 0.0, "not asked")

    def _verdict_of_bug(self, entry: ChainEntry) -> Verdict:
        text = f"{entry.name} failed by its own fault; this is logged"
        if self._on_bug == "tempfail":
            return TempFail(Reason("check-failed", text), status="4.3.0")
        return Mark(Reason("check-failed", text))

    def body_chunk(self, role: Role, transaction: Transaction, octets: bytes) -> None:
        """Show the next octets of the body to the checks that read it."""
        for entry, take in self._body:
            if role not in entry.roles:
                continue
            try:
                take(transaction, octets)
            except Exception as fault:  # noqa: BLE001 - as in _ask_each
                self._report(entry.name, transaction.id)
                note = f"failed: {type(fault).__name__}"
                verdict = self._verdict_of_bug(entry)
                transaction.outcomes.append(Outcome(entry.name, Stage.BODY, verdict, entry.mode, 0.0, note))


def _checked(answer: object) -> Verdict | None:
    """The answer of a check.

    @raise TypeError: it is neither a verdict nor None: the check's fault.
    """
    if answer is None or isinstance(answer, Verdict):
        return answer
    raise TypeError(f"a check answers a Verdict or None, not {answer!r:.80}")


def _by_role(every: tuple[Asked, ...]) -> dict[Role, tuple[Asked, ...]]:
    """Who is asked on a listener of each role."""
    return {role: tuple(asked for asked in every if role in asked[0].roles) for role in Role}


def _is_classifier(entry: ChainEntry) -> bool:
    return bool(stage_interfaces.IClientClassifier.providedBy(entry.check))


def _reference(subject: object) -> str:
    return subject.id if isinstance(subject, Transaction) else f"connection-{getattr(subject, 'number', '?')}"


def _unanswered(entry: ChainEntry, why: str) -> Verdict | None:
    """The verdict of a check that could not find out."""
    if entry.on_temporary_failure == "skip":
        return None
    return TempFail(Reason(f"{_WORD_BREAK.sub('-', entry.name.lower()).strip('-')}-temperror", why), status="4.4.3")
