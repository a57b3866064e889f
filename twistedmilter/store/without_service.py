"""Waiting for stores where no reactor runs: commands, while no service does."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from zope.interface import implementer

T = TypeVar("T")


@implementer(IReactorFromThreads)
class CallQueue:
    """Takes the calls that a store makes from its thread, and makes them while somebody waits."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., Any], *args: object, **kwargs: object) -> None:  # type: ignore[override]
        """See C{IReactorFromThreads}."""
        self._calls.put(lambda: function(*args, **kwargs))

    def wait(self, deferred: Deferred[T]) -> T:
        """The result of a C{Deferred} that nothing but a store fires; this blocks.

        @raise Exception: what it failed with.
        """
        results: list[T | Failure] = []
        deferred.addBoth(results.append)
        while not results:
            self._calls.get()()
        [result] = results
        if isinstance(result, Failure):
            result.raiseException()
        return result
