"""One session before the policy: what arrives is shown to the chain, what the chain says is answered.

The judge knows SMTP's order and the budgets, not the milter protocol: the milter face, the in-memory test
runner and C{twistedmilter scan} drive the same object.  Runs of the chain start as soon as their input is
known and go on in the background; an answer waits for them within its budget (DESIGN section 4):

  - CONNECT, HELO, MAIL: with C{delay_refusals} nothing is answered here, else what is known by the budget;
  - RCPT: waits C{command_budget}, for what was asked before it and then for its own checks; what is not decided
    then is decided at end of message;
  - end of message: waits C{message_budget}; what is not finished then counts as a temporary failure.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVarTuple

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.address import parse_path
from twistedmilter.model.modification import Modification
from twistedmilter.model.record import NO_OBJECTION, Decision
from twistedmilter.model.settings import Settings
from twistedmilter.model.stage import Stage
from twistedmilter.model.transaction import Connection, Outcome, Recipient, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.body_spool import BodySpool
from twistedmilter.policy.chain import CheckChain
from twistedmilter.policy.enforcement import Enforcement, Ruling
from twistedmilter.policy.hearing import Hearing
from twistedmilter.policy.reckoning import make_record, modifications_of
from twistedmilter.policy.rules import Situation


@dataclass(frozen=True)
class Policy:
    """One snapshot of everything a session is judged by; a reload makes another one.

    @ivar authserv_id: our name in Authentication-Results; empty: the MTA's own name.
    @ivar next_id: makes reference ids. @ivar wall: seconds since the epoch, for what is stored.
    """

    settings: Settings
    chain: CheckChain
    enforcement: Enforcement
    observer: IObserver
    reactor: IReactorTime
    wall: Callable[[], float]
    next_id: Callable[[], str]


class Answer(Struct, frozen=True):
    """What to tell the MTA.

    @ivar decision: its verdict is None, Accept, Mark or Hold when the mail goes on.
    @ivar reference: the id to be quoted in a reply.
    @ivar modifications: to be sent before the verdict; at end of message only.
    """

    decision: Decision
    reference: str = ""
    modifications: tuple[Modification, ...] = ()


def is_refusal(decision: Decision) -> bool:
    """Whether the mail does not go on."""
    return isinstance(decision.verdict, (Refuse, TempFail))


Told = TypeVarTuple("Told")


def _accepted(transaction: Transaction) -> list[Recipient]:
    """The recipients that neither we nor the MTA refused."""
    return [each for each in transaction.recipients if each.verdict is None and not each.refused_by_mta]


GO_ON = Answer(NO_OBJECTION)
MaybeLater = Answer | Deferred[Answer]


class SessionJudge:
    """Judges the transactions of one connection, one after the other."""

    def __init__(self, policy: Policy, connection: Connection) -> None:
        self.policy = policy
        self.connection = connection
        self._limits = policy.settings.milter
        self.transaction: Transaction | None = None
        self._hearing = Hearing(policy.chain, policy.enforcement, policy.reactor, connection)
        self._untold: list[Callable[[], None]] | None = None
        self._spool: BodySpool | None = None
        self._reply = ""
        self._decision: Decision | None = None
        self._first_refusal: Decision | None = None
        self._recipients_over_limit = 0
        self._over_limit: Verdict | None = None
        self._modifications: tuple[Modification, ...] = ()

    # what arrives

    def connected(self) -> MaybeLater:
        """The client is known."""
        if self._hearing.ask_client(self._classified):
            self._untold = []
        self._tell(self.policy.observer.connected, self.connection)
        return self._early_answer(Stage.CONNECT)

    def greeted(self, name: str) -> MaybeLater:
        """HELO or EHLO: what was said of an earlier name is void."""
        self.closed("abort")
        self.connection.helo = name
        self._hearing.ask_helo()
        self._tell(self.policy.observer.greeted, self.connection)
        return self._early_answer(Stage.HELO)

    def mail_began(self, path: str, arguments: tuple[str, ...]) -> MaybeLater:
        """MAIL: a transaction begins."""
        policy = self.policy
        self.closed("abort")
        self.transaction = transaction = Transaction(
            policy.next_id(), self.connection, parse_path(path), arguments, policy.reactor.seconds()
        )
        self._reply = ""
        self._decision = self._first_refusal = self._over_limit = None
        self._modifications = ()
        self._recipients_over_limit = 0
        self._hearing.begin(transaction)
        self._tell(policy.observer.mail_began, transaction)
        return self._early_answer(Stage.MAIL)

    def recipient_named(self, path: str, arguments: tuple[str, ...], *, refused_by_mta: bool = False) -> MaybeLater:
        """RCPT: refusals held so far are given here, for this recipient."""
        transaction = self._open_transaction()
        recipient = Recipient(parse_path(path), arguments, refused_by_mta)
        if len(transaction.recipients) >= self.policy.settings.milter.max_recipients:
            text = f"more than {self.policy.settings.milter.max_recipients} recipients; send the rest separately"
            if not self._recipients_over_limit:
                self.policy.observer.trouble(transaction.id, "limits", text)
            self._recipients_over_limit += 1
            return self._refuse_now(Stage.RCPT, TempFail(Reason("too-many-recipients", text), 452, "4.5.3"))
        transaction.recipients.append(recipient)
        if refused_by_mta:  # we are only told
            self._tell(self.policy.observer.recipient_named, transaction, recipient)
            return GO_ON
        if self._hearing.is_awaited or self.policy.chain.asks_at(Stage.RCPT):
            return self._later(self._judge_recipient(transaction, recipient))
        return self._answer_recipient(transaction, recipient)

    def headers(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """The next header fields; over the limits the rest is dropped and the message tempfailed (row 39)."""
        transaction = self.transaction
        if transaction is None or self._over_limit is not None:
            return
        transaction.header_size += sum([len(name) + len(value) + 4 for name, value in fields])  # ": " and CRLF
        transaction.raw_headers += fields
        limits = self._limits
        if (
            transaction.header_size > limits.max_header_section
            or len(transaction.raw_headers) > limits.max_header_fields
        ):
            text = f"the header section is over {limits.max_header_section} octets or {limits.max_header_fields} fields"
            self._over_limit = TempFail(Reason("header-section-too-large", text), 451, "4.3.4")
            del transaction.raw_headers[limits.max_header_fields :]

    def headers_ended(self) -> MaybeLater:
        """The end of the header section: a refusal here saves the body its way."""
        transaction = self._open_transaction()
        if self._over_limit is not None:
            return self._refuse_now(Stage.HEADERS, self._over_limit)
        if not self.policy.chain.asks_at(Stage.HEADERS):
            return GO_ON
        self._hearing.ask(Stage.HEADERS, transaction)
        if self._hearing.is_pending:
            return self._later(self._judge_headers(transaction))
        return self._refusal_or_go_on(transaction)

    def body_chunk(self, octets: bytes) -> None:
        """The next octets of the body; kept only for checks that read it."""
        transaction = self.transaction
        if transaction is None:
            return
        transaction.body_size += len(octets)
        if not self.policy.chain.asks_at(Stage.BODY):
            return
        if self._spool is None:
            limits = self.policy.settings.milter
            self._spool = BodySpool(limits.body_in_memory, limits.max_body)
            transaction.body = self._spool.chunks
        try:
            self._spool.append(octets)
        except OSError as fault:
            text = f"the body cannot be kept: {fault.strerror}"
            self._over_limit = TempFail(Reason("body-not-kept", text), 451, "4.3.1")
        self.policy.chain.body_chunk(self.connection.role, transaction, octets)

    def message_ended(self) -> MaybeLater:
        """End of message: the last word, with all modifications."""
        transaction = self._open_transaction()
        chain = self.policy.chain
        if self._hearing.is_pending or chain.asks_at(Stage.END_OF_MESSAGE) or chain.asks_last:
            return self._later(self._judge_message(transaction))
        return self._final_answer(transaction)

    def told(self, reply: str = "") -> None:
        """The MTA was given an answer; only now may the end of a message have effects (invariant I6)."""
        if reply:
            self._reply = reply

    def closed(self, ended: str) -> None:
        """The transaction is over, for one of the words of L{Record}; its record is made."""
        transaction, self.transaction = self.transaction, None
        self._hearing.end()
        if transaction is None:
            return
        if self._recipients_over_limit:
            transaction.note("limits", "recipients_over_limit", str(self._recipients_over_limit))
        ruling = self._ruling(transaction)
        now = self.policy.reactor.seconds()
        record = make_record(
            transaction,
            outcomes=tuple(self._hearing.outcomes(transaction)),
            marks=ruling.marks,
            decision=self._decision or ruling.decision or self._refusal_of_all(transaction),
            modifications=self._modifications,
            ended=ended,
            time=self.policy.wall(),
            milliseconds=(now - transaction.started) * 1000,
            waited=self._hearing.waited * 1000,
            reply=self._reply,
        )
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._tell(self.policy.observer.ended, record)

    def failed(self) -> None:
        """A fault of our own ended the transaction: the MTA was told to try again."""
        text = "a fault of our own; it is logged"
        self._decision = Decision(Stage.END_OF_MESSAGE, TempFail(Reason("core-failed", text), status="4.3.0"), "core")
        self.closed("fault")

    def _refusal_of_all(self, transaction: Transaction) -> Decision | None:
        """What ended a transaction that has no recipient left; None if one was accepted."""
        return None if _accepted(transaction) else self._first_refusal

    def disconnected(self, ended: str) -> None:
        """The session is over; everything that is still asked is cancelled."""
        self.closed(ended)
        self._hearing.cancel()
        self.policy.observer.disconnected(self.connection)

    # how it is judged

    def _open_transaction(self) -> Transaction:
        if self.transaction is None:
            # MAIL was switched off or lost; judge what comes all the same
            self.mail_began("", ())
        assert self.transaction is not None
        return self.transaction

    def _classified(self) -> None:
        untold, self._untold = self._untold, None
        for tell in untold or ():
            tell()

    def _tell(self, tell: Callable[[*Told], None], *event: *Told) -> None:
        """Tell the observers: what the client is to us must be known first, and the order is kept."""
        if self._untold is None:
            tell(*event)
        else:
            self._untold.append(partial(tell, *event))

    def _later(self, answering: Coroutine[Deferred[object], object, Answer]) -> MaybeLater:
        answer: Deferred[Answer] = Deferred.fromCoroutine(answering)
        return answer.result if answer.called and isinstance(answer.result, Answer) else answer

    def _early_answer(self, stage: Stage) -> MaybeLater:
        """The answer to CONNECT, HELO or MAIL when refusals are not delayed."""
        if self.policy.settings.policy.delay_refusals or not self.policy.chain.asks_at(stage):
            return GO_ON
        if self._hearing.is_pending:
            return self._later(self._judge_early())
        return self._refusal_or_go_on(self.transaction)

    async def _judge_early(self) -> Answer:
        await self._hearing.settle(self.policy.settings.policy.command_budget)
        return self._refusal_or_go_on(self.transaction)

    async def _judge_recipient(self, transaction: Transaction, recipient: Recipient) -> Answer:
        hearing = self._hearing
        ends = self.policy.reactor.seconds() + self.policy.settings.policy.command_budget
        await hearing.settle_until(ends)  # checks at RCPT read what those at MAIL found: SPF, strikes, who is known
        if self.transaction is transaction:
            hearing.ask(Stage.RCPT, transaction, recipient)
        await hearing.settle_until(ends)
        return self._answer_recipient(transaction, recipient)

    def _answer_recipient(self, transaction: Transaction, recipient: Recipient) -> Answer:
        self._hearing.raise_fault()
        situation = Situation(self.connection, transaction, recipient)
        ruling = self.policy.enforcement.rule_for_one(self._hearing.outcomes(transaction), situation)
        answer = GO_ON
        decision = ruling.decision
        if decision is not None and is_refusal(decision) and not self.connection.local_submission:
            recipient.verdict = decision.verdict
            self._first_refusal = self._first_refusal or decision
            answer = Answer(decision, transaction.id)
        self._tell(self.policy.observer.recipient_named, transaction, recipient)
        return answer

    async def _judge_headers(self, transaction: Transaction) -> Answer:
        await self._hearing.settle(self.policy.settings.policy.command_budget)
        return self._refusal_or_go_on(transaction)

    def _refusal_or_go_on(self, transaction: Transaction | None) -> Answer:
        """A refusal that stands now; everything else waits for end of message."""
        decision = self._ruling(transaction).decision
        if decision is None or not is_refusal(decision):
            return GO_ON
        if transaction is None:
            # refused before MAIL: what is recorded at the end of the session has the id of the reply
            self.transaction = transaction = Transaction(
                self.policy.next_id(), self.connection, started=self.policy.reactor.seconds()
            )
        self._decision = decision
        return Answer(decision, transaction.id)

    def _refuse_now(self, stage: Stage, verdict: Verdict) -> Answer:
        transaction = self._open_transaction()
        decision = Decision(stage, verdict, "limits")
        if stage is not Stage.RCPT:
            self._decision = decision
        return Answer(decision, transaction.id)

    async def _judge_message(self, transaction: Transaction) -> Answer:
        hearing = self._hearing
        ends = self.policy.reactor.seconds() + self.policy.settings.policy.message_budget
        await hearing.settle_or_give_up(ends)
        hearing.ask(Stage.END_OF_MESSAGE, transaction)
        await hearing.settle_or_give_up(ends)
        if self.policy.chain.asks_last and not self._is_decided(transaction):
            self._drop_observed_inquiries(transaction)
            hearing.ask_last(transaction)
            await hearing.settle_or_give_up(ends)
        return self._final_answer(transaction)

    def _is_decided(self, transaction: Transaction) -> bool:
        """Whether something has decided, or would have if the configuration did not only observe (G01)."""
        enforcement = replace(self.policy.enforcement, observe=False)
        return self._over_limit is not None or self._ruling(transaction, enforcement).decision is not None

    def _drop_observed_inquiries(self, transaction: Transaction) -> None:
        """Nobody is asked or told for a check that some recipient is exempt from: it marks, where it counts."""
        accepted = [each for each in transaction.recipients if each.verdict is None]
        kept = self.policy.enforcement.counting_inquiries(transaction, accepted)
        for each in transaction.inquiries:
            if each not in kept:
                note = f"{each.mailbox} is not asked about: not every recipient wants it"
                mode = self.policy.enforcement.mode_of(each.check)
                outcome = Outcome(each.check, Stage.END_OF_MESSAGE, Mark(each.reason), mode, 0.0, note)
                transaction.outcomes.append(outcome)
        transaction.inquiries[:] = kept

    def _ruling(self, transaction: Transaction | None, enforcement: Enforcement | None = None) -> Ruling:
        """What counts now: for the message's accepted recipients, else for the client.

        @param enforcement: by which; None: by that of the policy.
        """
        situation = Situation(self.connection, transaction)
        outcomes = self._hearing.outcomes(transaction)
        accepted = _accepted(transaction) if transaction else []
        return (enforcement or self.policy.enforcement).rule_for_message(outcomes, situation, accepted)

    def _final_answer(self, transaction: Transaction) -> Answer:
        self._hearing.raise_fault()
        ruling = self._ruling(transaction)
        if self._over_limit is not None:
            ruling = Ruling(Decision(Stage.END_OF_MESSAGE, self._over_limit, "limits"), ruling.marks)
        decision = self._decision = ruling.decision or NO_OBJECTION
        if is_refusal(decision):
            return Answer(decision, transaction.id)
        self._modifications = modifications_of(self.policy.settings.server, transaction, decision, ruling.marks)
        return Answer(decision, transaction.id, self._modifications)
