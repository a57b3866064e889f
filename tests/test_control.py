"""Tests of L{twistedmilter.control}."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twistedmilter import __version__
from twistedmilter.control import (
    IDLE_TIMEOUT,
    MAX_REQUEST,
    CommandError,
    ControlFactory,
    ask,
    peer_uid,
)
from twistedmilter.errors import TemporaryFailure


class ControlProtocolTests(SynchronousTestCase):
    """One client, on a transport in memory."""

    def setUp(self) -> None:
        """A client of our own user and four commands."""
        self.clock = Clock()
        self.later: Deferred[object] = Deferred()
        self.commands: dict[str, Any] = {
            "echo": lambda arguments: arguments,
            "later": lambda _arguments: self.later,
            "busy": self.busy,
            "broken": lambda arguments: arguments["no such key"],
        }
        self.connect(uid=os.geteuid())

    def busy(self, _arguments: Mapping[str, object]) -> object:
        """A command that cannot answer now."""
        raise TemporaryFailure("the store is locked")

    def connect(self, uid: int | None) -> None:
        """Connect as a user."""
        factory = ControlFactory(self.commands, own_uid=os.geteuid(), reactor=self.clock, peer_uid=lambda _: uid)
        self.protocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def ask(self, *requests: object) -> list[dict[str, Any]]:
        """Send requests in one piece and read the answers so far."""
        self.protocol.dataReceived(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        answers = [json.loads(line) for line in self.transport.value().splitlines()]
        self.transport.clear()
        return answers

    def test_a_command_is_answered(self) -> None:
        """It is given its arguments, without its name."""
        self.assertEqual([{"ok": True, "result": {"a": 1}}], self.ask({"command": "echo", "a": 1}))

    def test_ping_and_version_are_always_there(self) -> None:
        """A client can find out whom it talks to."""
        results = [answer["result"] for answer in self.ask({"command": "ping"}, {"command": "version"})]
        self.assertEqual(["pong", __version__], results)

    def test_a_later_answer_keeps_its_turn(self) -> None:
        """The next request waits; answers come in the order of the requests."""
        self.assertEqual([], self.ask({"command": "later"}, {"command": "echo"}))
        self.later.callback("done")
        self.assertEqual(["done", {}], [answer["result"] for answer in self.ask()])

    def test_thousands_of_requests_in_one_piece(self) -> None:
        """They are served in a loop, not in a recursion."""
        self.assertEqual(3000, len(self.ask(*[{"command": "ping"}] * 3000)))

    def test_a_client_that_leaves_cancels_its_command(self) -> None:
        """Nothing goes on for nobody."""
        cancelled: list[object] = []
        self.later = Deferred(cancelled.append)
        self.ask({"command": "later"})
        self.protocol.connectionLost()
        self.assertEqual([self.later], cancelled)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_errors_are_objects(self) -> None:
        """Unknown, not JSON, not an object, not now: one sentence each, and the connection stays."""
        self.protocol.dataReceived(b"{\n")
        answers = self.ask([], {"command": "reboot"}, {"command": 1}, {"command": "busy"}, {"command": "ping"})
        self.assertEqual([False] * 5 + [True], [answer["ok"] for answer in answers])
        self.assertIn("unknown command 'reboot'; known are broken, busy, echo", answers[2]["error"])
        self.assertEqual("the store is locked", answers[4]["error"])

    def test_a_bug_is_logged_and_told(self) -> None:
        """The traceback is in the log, not in the answer."""
        (answer,) = self.ask({"command": "broken"})
        self.assertNotIn("no such key", answer["error"])
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))

    def test_a_stranger_is_turned_away(self) -> None:
        """Another user, or one that the system does not tell, is told so and not served."""
        for uid in (os.geteuid() + 1, None):
            self.connect(uid)
            (answer,) = self.ask({"command": "ping"})
            self.assertFalse(answer["ok"])
            self.assertTrue(self.transport.disconnecting)

    def test_root_is_served(self) -> None:
        """Root may do what it wants anyhow."""
        self.connect(0)
        self.assertTrue(self.ask({"command": "ping"})[0]["ok"])

    def test_a_long_line_ends_the_connection(self) -> None:
        """64 KiB are enough for a request."""
        self.protocol.dataReceived(b"x" * (MAX_REQUEST + 2))
        self.assertIn(str(MAX_REQUEST), self.transport.value().decode())
        self.assertTrue(self.transport.disconnecting)

    def test_an_idle_client_is_closed(self) -> None:
        """Half a minute after the last request."""
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.ask({"command": "ping"})
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)


class SocketTests(TestCase):
    """A real unix socket and the blocking client."""

    def setUp(self) -> None:
        """Listen in a directory with a short name."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = str(Path(directory.name) / "control")

    def listen(self, own_uid: int) -> None:
        """Serve one command as a user."""
        factory = ControlFactory({"echo": dict}, own_uid=own_uid, reactor=reactor)
        port = reactor.listenUNIX(self.path, factory, mode=0o600)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)

    async def test_a_question_is_answered(self) -> None:
        """The client's own user is told by the system (SO_PEERCRED)."""
        self.listen(os.geteuid())
        self.assertEqual({"a": "b"}, await deferToThread(ask, self.path, "echo", a="b"))

    async def test_the_services_error_is_the_clients(self) -> None:
        """What the service says is wrong is raised."""
        self.listen(os.geteuid())
        with self.assertRaises(CommandError) as caught:
            await deferToThread(ask, self.path, "reboot")
        self.assertIn("unknown command", str(caught.exception))

    def test_nobody_answers(self) -> None:
        """No socket is one sentence with its path."""
        error = self.assertRaises(CommandError, ask, self.path, "ping")
        self.assertEqual(f"no service answers at {self.path}: No such file or directory", str(error))

    def test_other_transports_have_no_user(self) -> None:
        """What is no socket tells nobody."""
        self.assertIsNone(peer_uid(object()))
