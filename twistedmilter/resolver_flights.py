"""Sharing and rationing: one question on the network for all who ask it, and a limit on how many at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer


class Flight:
    """One lookup under way, and everybody who waits for it."""

    def __init__(self) -> None:
        """Nobody waits yet; L{join}, then L{begin}."""
        self._work: Deferred[Answer] | None = None
        self._waiting: list[Deferred[Answer]] = []

    def join(self) -> Deferred[Answer]:
        """The answer, for one more; may be cancelled without harm to the others."""
        waiter: Deferred[Answer] = Deferred(self._leave)
        self._waiting.append(waiter)
        return waiter

    def begin(self, work: Deferred[Answer]) -> None:
        """Wait for the lookup; it is cancelled when the last who waits has gone."""
        self._work = work
        work.addCallbacks(self._landed, self._crashed)

    def cancel(self) -> None:
        """End the lookup; those who wait get L{TemporaryFailure}."""
        if self._work is not None:
            self._work.cancel()

    def _leave(self, waiter: Deferred[Answer]) -> None:
        self._waiting.remove(waiter)
        if not self._waiting:
            self.cancel()

    def _landed(self, answer: Answer) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(answer)

    def _crashed(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if failure.check(CancelledError):
            failure = Failure(TemporaryFailure("the resolver has stopped"))
        for waiter in waiting:
            # one exception each: a traceback grows in every coroutine that it passes
            waiter.errback(TemporaryFailure(str(failure.value)) if failure.check(TemporaryFailure) else failure)


class Slots:
    """A number of slots, and those who wait for one, first come first served."""

    def __init__(self, number: int) -> None:
        """All free; C{number} may be taken at once."""
        self._free = number
        self._waiting: deque[Deferred[Callable[[], None]]] = deque()

    @property
    def free(self) -> int:
        """How many are free now."""
        return self._free

    def take(self) -> Deferred[Callable[[], None]]:
        """A slot, now or later: a callable that gives it back, to be called once or more.

        The Deferred may be cancelled.
        """
        turn: Deferred[Callable[[], None]] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        self._serve()
        return turn

    def _serve(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().callback(self._giver_back())

    def _giver_back(self) -> Callable[[], None]:
        held = True

        def give_back() -> None:
            """Free the slot; a second call does nothing."""
            nonlocal held
            if held:
                held = False
                self._free += 1
                self._serve()

        return give_back
