"""Tests of one session with an exchanger on a transport; those with a real one are in C{test_callback}."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.callback_connection import CallbackProtocol
from twistedmilter.errors import TemporaryFailure
from twistedmilter.model.address import parse_path
from twistedmilter.wire.smtp_client import SMTPClientSession

WAIT = 10.0  # seconds
WHOLE = b"220 a\r\n", b"250 a\r\n", b"250 ok\r\n", b"250 ok\r\n"


class ClosingTests(SynchronousTestCase):
    """C3: a server that does not let go keeps no connection of ours."""

    def setUp(self) -> None:
        """Connected to a server that has said nothing yet."""
        self.clock = Clock()
        self.transport = StringTransport()
        session = SMTPClientSession("mx.example.org", [parse_path("<bob@example.com>")])
        self.protocol = CallbackProtocol(self.clock, session, WAIT, lambda _: None)
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def hear(self, *said: bytes) -> None:
        """The server says this."""
        for each in said:
            self.protocol.dataReceived(each)

    def test_server_that_stays(self) -> None:
        """After QUIT the server has as long as for a reply; TLS would wait for its close for ever."""
        self.hear(*WHOLE)
        self.assertEqual(len(self.successResultOf(self.protocol.ended).answers), 1)
        self.assertTrue(self.transport.disconnecting)
        self.clock.advance(WAIT - 1)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnected)

    def test_server_that_is_silent(self) -> None:
        """So it is when a reply did not come: what was to be sent may still wait for the server's window."""
        self.clock.advance(WAIT)
        self.failureResultOf(self.protocol.ended, TemporaryFailure)
        self.clock.advance(WAIT)
        self.assertTrue(self.transport.disconnected)

    def test_server_that_goes(self) -> None:
        """Nothing is left to do once the connection is gone."""
        self.hear(*WHOLE)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(self.protocol.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_server_that_goes_early(self) -> None:
        """Nor when it goes before it has answered."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(self.protocol.ended, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late_words(self) -> None:
        """What a server says when it was given up is not listened to."""
        self.clock.advance(WAIT)
        self.failureResultOf(self.protocol.ended, TemporaryFailure)
        self.hear(*WHOLE)
        self.assertEqual(self.transport.value(), b"")

    def test_cancelled(self) -> None:
        """Who is cancelled leaves at once."""
        self.protocol.ended.cancel()
        self.failureResultOf(self.protocol.ended, CancelledError)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])
