"""Runs of the chain that go on in the background: awaited within a budget, cancelled together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twistedmilter.policy.chain import Inquiry


class Runs:
    """A set of coroutines that were started and may not have finished.

    @ivar fault: the last failure of a run by our own fault, or None.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._running: dict[Deferred[None], Inquiry] = {}
        self._waiter: Deferred[bool] | None = None
        self._held: list[tuple[Coroutine[Deferred[object], object, None], Inquiry]] | None = None
        self.fault: Failure | None = None

    @property
    def pending(self) -> bool:
        """Whether anything is still running, or held."""
        return bool(self._running or self._held)

    def start(
        self,
        coroutine: Coroutine[Deferred[object], object, None],
        inquiry: Inquiry,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Run until it has to wait; what finishes at once leaves no trace, and needs no Deferred.

        @param then: called when a run that had to wait has ended, however it ended.
        """
        if self._held is not None:
            self._held.append((coroutine, inquiry))
            return
        try:
            coroutine.send(None)
        except (StopIteration, CancelledError):
            return
        except Exception:  # noqa: BLE001 - our own; whoever answers next raises it
            self.fault = Failure()
            return
        # it waits for a Deferred; sent None again, that gives itself until it has a result
        run: Deferred[None] = Deferred.fromCoroutine(coroutine)
        self._running[run] = inquiry
        run.addBoth(self._ended, run, then)

    def _ended(self, result: object, run: Deferred[None], then: Callable[[], None] | None) -> None:
        self._running.pop(run, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self.fault = result  # our own; whoever answers next raises it
        if then is not None:
            then()
        if not self._running and self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(True)

    def hold(self) -> None:
        """Start nothing until L{release}: something must be known first."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Start what was held, in order."""
        held, self._held = self._held, None
        for coroutine, inquiry in held or ():
            self.start(coroutine, inquiry)

    async def finished(self, budget: float) -> bool:
        """Wait until nothing runs any more; False if the budget ended first.

        @param budget: in seconds.
        """
        if not self._running:
            return True
        if budget <= 0:
            return False
        self._waiter = Deferred()
        timer = self._reactor.callLater(budget, self._out_of_time)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if timer.active():
                timer.cancel()

    def _out_of_time(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(False)

    def give_up(self) -> None:
        """The budget is spent: what runs is told so and ends with a temporary failure."""
        for run, inquiry in list(self._running.items()):
            inquiry.out_of_time = True
            run.cancel()

    def cancel(self) -> None:
        """Nobody wants the results any more."""
        if self._held:
            for coroutine, _inquiry in self._held:
                coroutine.close()
            self._held.clear()
        if not self._running:
            return
        for run in list(self._running):
            run.cancel()
