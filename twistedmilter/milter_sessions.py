"""All open MTA connections: their number, their deadlines, and how they end together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall

from twistedmilter.policy.judge import Policy
from twistedmilter.wire.negotiation import Wants

SWEEP_INTERVAL = 5.0  # seconds between looks at deadlines; one timer for all instead of one each
WRITE_TIMEOUT = 30.0  # seconds in which an MTA must take something of what it was sent (row 57)


class MilterConnection(Protocol):
    """What the book-keeping needs to know of one connection; times are reactor seconds.

    @ivar heard_at: when the MTA last said something.
    @ivar frame_since: since when a frame, or the first one, is awaited; None between frames.
    @ivar blocked_since: since when the MTA takes no octets; None while it does.
    """

    heard_at: float
    frame_since: float | None
    blocked_since: float | None

    @property
    def is_waiting(self) -> bool:
        """Whether the MTA waits for us."""

    def describe(self) -> str:
        """Who it is, for a log line."""

    def abort(self, ended: str) -> None:
        """Close at once."""

    def close_when_idle(self) -> bool:
        """Close now if no transaction is open; whether it was closed."""


class MilterSessions:
    """The connections of all milter listeners of one service.

    @param policy: replaced on reload; sessions in flight keep the one they began with.
    """

    def __init__(self, policy: Policy, wants: Wants) -> None:
        self.policy = policy
        self.wants = wants
        self.next_number: Callable[[], int] = count(1).__next__
        self.ports: list[IListeningPort] = []
        self._open: set[MilterConnection] = set()
        self._is_full = False
        self._stopped: Deferred[None] | None = None
        self._sweeper = LoopingCall(self.sweep)
        self._sweeper.clock = policy.reactor

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def start(self) -> None:
        """Begin to watch deadlines."""
        self._sweeper.start(SWEEP_INTERVAL, now=False)

    def joined(self, connection: MilterConnection) -> None:
        """A connection was opened; at the limit no more are accepted, they wait in the kernel's queue."""
        self._open.add(connection)
        if not self._is_full and len(self._open) >= self.policy.settings.milter.max_connections:
            self._is_full = True
            self.trouble("-", f"{len(self._open)} MTA connections are open, the limit; more have to wait")
            self._each_port("stopReading")

    def left(self, connection: MilterConnection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        if self._is_full and len(self._open) < self.policy.settings.milter.max_connections:
            self._is_full = False
            if self._stopped is None:
                self._each_port("startReading")
        if self._stopped is not None and not self._open and not self._stopped.called:
            self._stopped.callback(None)

    def _each_port(self, method: str) -> None:
        for port in self.ports:
            getattr(port, method)()

    def trouble(self, reference: str, problem: str, kind: str = "milter") -> None:
        """One line for the administrator.

        @param kind: lines of one kind are limited together.
        """
        self.policy.observer.trouble(reference, kind, problem)

    def transaction_ended(self, connection: MilterConnection) -> None:
        """At shutdown a session ends with its transaction."""
        if self._stopped is not None:
            connection.close_when_idle()

    def sweep(self) -> None:
        """Close what has been silent, slow or stuck for too long."""
        now = self.policy.reactor.seconds()
        limits = self.policy.settings.milter
        late: list[tuple[MilterConnection, str]] = []
        for each in self._open:
            if each.blocked_since is not None and now - each.blocked_since > WRITE_TIMEOUT:
                late.append((each, f"the MTA took no answer for {WRITE_TIMEOUT:g} s"))
            elif each.frame_since is not None and now - each.frame_since > limits.frame_timeout:
                late.append((each, f"no complete frame in {limits.frame_timeout:g} s"))
            elif not each.is_waiting and now - each.heard_at > limits.idle_timeout:
                late.append((each, f"silent for {limits.idle_timeout:g} s"))
        for each, why in late:
            self.trouble("-", f"{each.describe()}: {why}; closed")
            each.abort("lost")

    def stop(self, grace: float) -> Deferred[None]:
        """Close idle connections now, the others when their transaction ends, all after the grace.

        @param grace: in seconds.
        @return: fires when none is open.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        if self._sweeper.running:
            self._sweeper.stop()
        close_idle(list(self._open))
        if not self._open:
            stopped.callback(None)
            return stopped
        timer = self.policy.reactor.callLater(grace, self._abort_all)

        def forget_timer(_none: None) -> None:
            if timer.active():
                timer.cancel()

        return stopped.addCallback(forget_timer)

    def _abort_all(self) -> None:
        self.trouble("-", f"{len(self._open)} sessions are still open after the grace period; closed")
        for each in list(self._open):
            each.abort("lost")


def close_idle(connections: Iterable[MilterConnection]) -> None:
    """Close those that have no transaction open."""
    for each in connections:
        each.close_when_idle()
