"""Callbacks to a real Postfix and sendmail that know one mailbox, do not know another, and greylist a third."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.fakes import FakeResolver
from tests.integration import receiving_postfix, receiving_sendmail
from tests.integration.receiving_postfix import ReceivingPostfix
from tests.integration.receiving_sendmail import ReceivingSendmail
from twistedmilter.callback_limits import CallbackLimits
from twistedmilter.dsn import CallbackVerifier
from twistedmilter.exchangers import Guard
from twistedmilter.model.address import parse_path

ZONE = "example.com MX 10 mail.example.com\nmail.example.com A 127.0.0.1"
MAILBOXES = ("bob", "nobody", "later")


def free_port() -> int:
    """A port on loopback where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class RealExchangerTestCase(TestCase):
    """A verifier, and an exchanger at a port of its own."""

    timeout = 60  # seconds

    def setUp(self) -> None:
        """A directory for the exchanger."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.directory.chmod(0o755)  # so that user postfix can search it
        self.port = free_port()
        self.said: list[str] = []
        self.verifier = CallbackVerifier(
            reactor,
            FakeResolver(ZONE),
            "mx.example.org",
            limits=CallbackLimits(port=self.port),
            guard=Guard(permit_private=True),
            chance=lambda: 0.5,
            watch=self.said.append,
        )

    async def judge(self) -> None:
        """What is said of each mailbox, in turn on connections of their own, then of others on one."""
        expected = ["valid", "invalid", "temporary"]
        single = [(await self.verifier.verify(parse_path(f"<{name}@example.com>"))) for name in MAILBOXES]
        self.assertEqual([outcome.result for outcome in single], expected, "\n".join(self.said))
        for outcome in single:
            self.assertEqual((outcome.stage, outcome.exchanger), ("RCPT", "mail.example.com [127.0.0.1]"))
        self.assertRegex(single[1].text, "^550 5.1.1 ")
        connections = self.said.count("* mail.example.com [127.0.0.1]")
        self.assertEqual(connections, 3)
        again = [self.verifier.verify(parse_path(f"<{name}@example.com>")) for name in MAILBOXES]
        self.assertTrue(all([(await outcome).from_cache for outcome in again]))

    async def judge_together(self) -> None:
        """G17: the same on one connection."""
        asked = [
            Deferred.fromCoroutine(self.verifier.verify(parse_path(f"<{name}@example.com>"))) for name in MAILBOXES
        ]
        self.assertEqual([(await outcome).result for outcome in asked], ["valid", "invalid", "temporary"])
        self.assertEqual(self.said.count("* mail.example.com [127.0.0.1]"), 1, "\n".join(self.said))
        self.assertEqual(self.said.count("> QUIT"), 1)
        await deferLater(reactor, 0.05)  # sockets close


class PostfixTests(RealExchangerTestCase):
    """A real Postfix."""

    async def start(self) -> None:
        """Start it, or skip."""
        if problem := receiving_postfix.lacking():
            raise SkipTest(problem)
        work = self.directory / "postfix"
        postfix = await deferToThread(ReceivingPostfix, work, self.port, free_port())
        self.addCleanup(postfix.stop)

    async def test_each(self) -> None:
        """G14: its answers are understood."""
        await self.start()
        await self.judge()

    async def test_together(self) -> None:
        """G17: so they are when there are several."""
        await self.start()
        await self.judge_together()


class SendmailTests(RealExchangerTestCase):
    """A real sendmail."""

    async def start(self) -> None:
        """Start it, or skip."""
        if problem := receiving_sendmail.lacking():
            raise SkipTest(problem)
        sendmail = await deferToThread(ReceivingSendmail, self.directory / "sendmail", self.port)
        self.addCleanup(sendmail.stop)

    async def test_each(self) -> None:
        """G14: its answers are understood."""
        await self.start()
        await self.judge()

    async def test_together(self) -> None:
        """G17: so they are when there are several."""
        await self.start()
        await self.judge_together()
