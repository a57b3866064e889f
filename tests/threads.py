"""A reactor whose threads are run at once."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.python.failure import Failure


class ThreadlessReactor(Clock):
    """A clock with threads; what they give comes back at once.

    @ivar in_threads: how often something was done in one.
    """

    in_threads = 0

    def getThreadPool(self) -> ThreadlessReactor:
        """Ourselves."""
        return self

    def callInThreadWithCallback(
        self, done: Callable[[bool, object], None], function: Callable[..., object], *arguments: object
    ) -> None:
        """Run it now."""
        self.in_threads += 1
        try:
            result = function(*arguments)
        except Exception:  # noqa: BLE001 - as a thread pool does
            done(False, Failure())
        else:
            done(True, result)

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it now."""
        function(*arguments)
