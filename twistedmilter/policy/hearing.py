"""What is asked of the chain during one session, and what was said: of the client, its HELO name, its transaction.

Runs of the chain start as soon as their input is known and go on in the background; whoever answers the MTA waits for
them within a budget.  What the client is to us comes first: where that takes a lookup, everything else waits for it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from twistedmilter.model.stage import Stage
from twistedmilter.model.transaction import Connection, Outcome, Recipient, Transaction
from twistedmilter.policy.chain import CheckChain, Inquiry
from twistedmilter.policy.enforcement import Enforcement
from twistedmilter.policy.rules import Situation
from twistedmilter.policy.waiting import Runs


class Hearing:
    """Asks the chain about one connection.

    @ivar transaction: the open one, set by the judge; None between transactions.
    @ivar waited: how long answers to the MTA have waited since the transaction began. [seconds]
    """

    def __init__(
        self, chain: CheckChain, enforcement: Enforcement, reactor: IReactorTime, connection: Connection
    ) -> None:
        self._chain = chain
        self._enforcement = enforcement
        self._clock = reactor.seconds
        self._connection = connection
        self.transaction: Transaction | None = None
        self.waited = 0.0
        self._is_late = False
        self._client_outcomes: list[Outcome] = []
        self._helo_outcomes: list[Outcome] = []
        self._classification = Runs(reactor)
        self._client_runs = Runs(reactor)
        self._helo_runs = Runs(reactor)
        self._runs = Runs(reactor)
        self._every_run = (self._classification, self._client_runs, self._helo_runs, self._runs)

    # what is asked

    def ask_client(self, then: Callable[[], None]) -> bool:
        """Learn what the client is to us, and ask those who judge clients.

        @param then: called when it is known, if that takes a lookup.
        @return: whether it does.
        """
        inquiry = Inquiry(self._connection.role, self._client_outcomes, self._is_client_settled)

        def classified() -> None:
            then()
            for runs in self._every_run[1:]:
                runs.release()

        self._classification.start(self._chain.classify(inquiry, self._connection), inquiry, classified)
        takes_time = self._classification.pending
        if takes_time:
            for runs in self._every_run[1:]:
                runs.hold()
        self._start(self._client_runs, Stage.CONNECT, self._client_outcomes, self._connection)
        return takes_time

    def ask_helo(self) -> None:
        """Ask about the HELO name; what was said of an earlier one is void."""
        self._helo_runs.cancel()
        self._helo_outcomes = []  # a run that is not over yet keeps its own
        self._start(self._helo_runs, Stage.HELO, self._helo_outcomes, self._connection)

    def begin(self, transaction: Transaction) -> None:
        """A transaction begins: ask about its sender."""
        self.transaction = transaction
        self._is_late, self.waited = False, 0.0
        self.ask(Stage.MAIL, transaction)

    def ask(self, stage: Stage, transaction: Transaction, *arguments: object) -> None:
        """Ask those who judge at a stage of the transaction."""
        self._start(self._runs, stage, transaction.outcomes, transaction, *arguments)

    def ask_last(self, transaction: Transaction) -> None:
        """Ask those who are asked when nobody else has decided."""
        inquiry = Inquiry(self._connection.role, transaction.outcomes, self._is_settled)
        self._runs.start(self._chain.ask_last(inquiry, transaction), inquiry)

    def _start(self, runs: Runs, stage: Stage, outcomes: list[Outcome], subject: object, *arguments: object) -> None:
        if not self._chain.asks_at(stage):
            return
        about = next((each.mailbox.canonical for each in arguments if isinstance(each, Recipient)), "")
        is_settled = self._is_client_settled if subject is self._connection else self._is_settled
        inquiry = Inquiry(self._connection.role, outcomes, is_settled, about)
        runs.start(self._chain.ask(stage, inquiry, subject, *arguments), inquiry)

    # what was said

    def outcomes(self, transaction: Transaction | None) -> list[Outcome]:
        """All that was said so far of the client, its HELO name and the transaction, in this order."""
        return self._client_outcomes + self._helo_outcomes + (transaction.outcomes if transaction else [])

    def _is_client_settled(self) -> bool:
        """What is asked of the client or its HELO serves later transactions, too: only what lasts as long counts."""
        held = [outcome for outcome in self._client_outcomes if outcome.verdict is not None]
        return bool(held) and self._enforcement.is_settled(held, Situation(self._connection))

    def _is_settled(self) -> bool:
        transaction = self.transaction
        of_message = transaction.outcomes if transaction is not None else ()
        held = [
            outcome
            for outcomes in (self._client_outcomes, self._helo_outcomes, of_message)
            for outcome in outcomes
            if outcome.verdict is not None
        ]
        return bool(held) and self._enforcement.is_settled(held, Situation(self._connection, transaction))

    # waiting for it

    @property
    def is_pending(self) -> bool:
        """Whether somebody has not answered yet."""
        return any(runs.pending for runs in self._every_run)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody has not answered yet, and no command of this transaction has waited in vain."""
        return not self._is_late and self.is_pending

    def raise_fault(self) -> None:
        """A fault of our own core must not let the message pass unjudged: the face answers 451."""
        for runs in self._every_run:
            if runs.fault is not None:
                runs.fault.raiseException()

    async def settle(self, budget: float) -> bool:
        """Wait for everything that runs; whether it finished within the budget.

        @param budget: in seconds.
        """
        started = self._clock()
        are_finished = [await runs.finished(budget - (self._clock() - started)) for runs in self._every_run]
        self.waited += self._clock() - started
        return all(are_finished)

    async def settle_until(self, ends: float) -> None:
        """Wait for everything that runs, unless some command of this transaction has waited in vain already.

        @param ends: reactor seconds at which the answer to this command is due.
        """
        if self.is_awaited:
            self._is_late = not await self.settle(ends - self._clock())

    async def settle_or_give_up(self, ends: float) -> None:
        """Wait for everything that runs; what is not finished then counts as a temporary failure.

        @param ends: reactor seconds at which the answer at end of message is due.
        """
        if self.is_pending and not await self.settle(ends - self._clock()):
            for runs in self._every_run:
                runs.give_up()

    # its end

    def end(self) -> None:
        """The transaction is over; nobody wants to know any more."""
        self.transaction = None
        self._runs.cancel()
        self._runs.fault = None

    def cancel(self) -> None:
        """The session is over."""
        for runs in reversed(self._every_run):  # what was held is dropped before the classification ends
            runs.cancel()
