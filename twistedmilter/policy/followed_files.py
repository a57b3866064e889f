"""What is read from files that may change while we run: read again, in a thread, when they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

INTERVAL: Final = 10.0  # seconds between two looks at files
Mark = tuple[tuple[int, int, int] | None, ...]  # of each file when it was changed, its size, its number


class FollowedFiles(Generic[T]):
    """A value that is made of files; when they change it is made anew.

    Until L{start} it stays as it was read first.  What is wrong with a change is told once, and the value stays.

    @ivar paths: the files that are looked at.
    @ivar read: makes the value; it may block, and runs in a thread.
    @ivar current: the value as it was made last. @ivar trouble: why there is no newer one; empty when all is well.
    """

    _log = Logger()

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        *,
        unreadable: type[Exception] = ValueError,
        changed: Callable[[T], None] = lambda _value: None,
        failed: Callable[[str], None] = lambda _why: None,
        interval: float = INTERVAL,
    ) -> None:
        """Read them for the first time; this blocks.

        @param unreadable: what C{read} raises if the files are wrong; its text says why.
        @param changed: told of a new value. @param failed: told why there is none.
        @param interval: seconds between two looks.
        @raise Exception: C{unreadable}.
        """
        self.paths = tuple(paths)
        self.read = read
        self._unreadable = unreadable
        self._told = changed
        self._failing = failed
        self._interval = interval
        self.trouble = ""
        self._loop: LoopingCall | None = None
        self._reactor: Any = None
        self._mark = self._look()  # before reading: what is written meanwhile is seen next time
        self.current = read()

    def start(self, reactor: Any) -> None:
        """Look at the files now and then, if there are any.

        @param reactor: has timers and threads.
        """
        if not self.paths:
            return
        self._reactor = reactor
        self._loop = LoopingCall(self.refresh)
        self._loop.clock = reactor
        self._loop.start(self._interval, now=False)

    def stop(self) -> None:
        """Look no more."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()

    def refresh(self) -> Deferred[None] | None:
        """Read the files if they have changed since they were read; None if they have not."""
        mark = self._look()
        if mark == self._mark:
            self.trouble = ""
            return None
        reading: Deferred[T] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self.read)
        return reading.addCallbacks(self._changed, self._failed, callbackArgs=(mark,))

    def _look(self) -> Mark:
        """What tells one state of the files from another."""
        return tuple(_mark_of(path) for path in self.paths)

    def _changed(self, new: T, mark: Mark) -> None:
        self.current, self._mark, self.trouble = new, mark, ""
        self._told(new)

    def _failed(self, failure: Failure) -> None:
        """Keep what there is; the next look tries again."""
        if failure.check(self._unreadable) is None:
            self._log.failure("{paths} could not be read", failure=failure, paths=", ".join(map(str, self.paths)))
            return
        trouble = failure.getErrorMessage()
        if trouble != self.trouble:
            self.trouble = trouble
            self._failing(trouble)


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    """None if it is not there."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
