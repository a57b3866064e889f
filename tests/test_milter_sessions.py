"""Deadlines, the limit of connections, and the end of all."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.scripted import PolicyBuilder
from twistedmilter.milter_sessions import SWEEP_INTERVAL, MilterSessions
from twistedmilter.policy.wants import wants_of


class FakeConnection:
    """One connection as the book-keeping sees it."""

    def __init__(self, sessions: MilterSessions, *, is_idle: bool = True) -> None:
        self.sessions = sessions
        self.heard_at = 0.0
        self.frame_since: float | None = None
        self.blocked_since: float | None = None
        self.is_waiting = False
        self.is_idle = is_idle
        self.ended = ""
        sessions.joined(self)

    def describe(self) -> str:
        """A name."""
        return "MTA test"

    def abort(self, ended: str) -> None:
        """Close at once."""
        self.ended = ended
        self.sessions.left(self)

    def close_when_idle(self) -> bool:
        """Close if idle."""
        if self.is_idle:
            self.abort("quit")
        return self.is_idle


class FakePort:
    """A port that can stop to accept."""

    def __init__(self) -> None:
        self.is_reading = True

    def stopReading(self) -> None:
        """Accept no more."""
        self.is_reading = False

    def startReading(self) -> None:
        """Accept again."""
        self.is_reading = True


class MilterSessionsTests(SynchronousTestCase):
    """One book for all connections."""

    def setUp(self) -> None:
        """Sessions on a test clock."""
        self.builder = PolicyBuilder()
        self.builder.milter = replace(self.builder.milter, max_connections=2, idle_timeout=100.0)
        policy = self.builder.build()
        self.sessions = MilterSessions(policy, wants_of(policy.chain, policy.settings.policy))
        self.port = FakePort()
        self.sessions.ports = [self.port]  # type: ignore[list-item]
        self.sessions.start()

    def advance(self, seconds: float) -> None:
        """Let time go by, sweep by sweep."""
        self.builder.clock.pump([SWEEP_INTERVAL] * int(seconds / SWEEP_INTERVAL))

    def test_silence_within_a_frame_ends_it(self) -> None:
        """Rows 2 and 10: 30 s for a started frame, with one line that says so."""
        slow = FakeConnection(self.sessions)
        slow.frame_since = 0.0
        self.advance(30)
        self.assertEqual(slow.ended, "")
        self.advance(5)
        self.assertEqual((slow.ended, len(self.builder.observer.troubles)), ("lost", 1))

    def test_silence_between_commands_is_allowed_for_long(self) -> None:
        """Clients may be silent; only the idle timeout ends it."""
        idle = FakeConnection(self.sessions)
        self.advance(100)
        self.assertEqual(idle.ended, "")
        self.advance(5)
        self.assertEqual(idle.ended, "lost")

    def test_who_waits_for_us_is_not_silent(self) -> None:
        """While we owe an answer the MTA has nothing to say."""
        waiting = FakeConnection(self.sessions)
        waiting.is_waiting = True
        self.advance(200)
        self.assertEqual(waiting.ended, "")

    def test_who_never_reads_is_closed(self) -> None:
        """Row 57: the outgoing buffer is stuck for 30 s."""
        stuck = FakeConnection(self.sessions)
        stuck.blocked_since = 0.0
        self.advance(35)
        self.assertEqual(stuck.ended, "lost")

    def test_at_the_limit_no_more_are_accepted(self) -> None:
        """Row 60: ports stop to accept and begin again, nobody is refused."""
        first, _second = FakeConnection(self.sessions), FakeConnection(self.sessions)
        self.assertFalse(self.port.is_reading)
        first.abort("quit")
        self.assertTrue(self.port.is_reading)

    def test_stopping_closes_the_idle_and_waits_for_the_rest(self) -> None:
        """Row 62: a session in flight ends with its transaction, then the stop is done."""
        idle, busy = FakeConnection(self.sessions), FakeConnection(self.sessions, is_idle=False)
        stopped = self.sessions.stop(25)
        self.assertEqual((idle.ended, busy.ended), ("quit", ""))
        self.assertNoResult(stopped)
        busy.is_idle = True
        self.sessions.transaction_ended(busy)
        self.successResultOf(stopped)
        self.assertEqual(self.builder.clock.getDelayedCalls(), [])

    def test_the_grace_ends(self) -> None:
        """What has not finished by then is closed."""
        busy = FakeConnection(self.sessions, is_idle=False)
        stopped = self.sessions.stop(25)
        self.builder.clock.advance(25)
        self.successResultOf(stopped)
        self.assertEqual(busy.ended, "lost")
