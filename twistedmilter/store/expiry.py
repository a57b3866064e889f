"""The timer that drops what has expired."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.interfaces.stores import IStores

INTERVAL = 60.0  # seconds


class ExpiryTimer:
    """Purges stores every minute; what fails is told and tried again.

    @param wall: wall clock. [seconds since the epoch]
    """

    _log = Logger()

    def __init__(self, stores: IStores, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._stores = stores
        self._wall = wall
        self._loop = LoopingCall(self._purge)
        self._loop.clock = clock

    def start(self) -> None:
        """Purge now and from then on."""
        self._loop.start(INTERVAL)

    def stop(self) -> None:
        """Leave it."""
        if self._loop.running:
            self._loop.stop()

    def _purge(self) -> object:
        return self._stores.purge(self._wall()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if self._loop.running:  # else the stores were closed under it
            self._log.error("stores were not purged: {reason}", reason=failure.getErrorMessage())
