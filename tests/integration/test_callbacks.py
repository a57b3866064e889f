"""Callbacks to a real Postfix and sendmail that know one mailbox, do not know another, and greylist a third."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.fakes import FakeResolver, make_connection
from tests.integration import receiving_postfix, receiving_sendmail
from tests.integration.exchanger import Exchanger
from tests.integration.receiving_postfix import ReceivingPostfix
from tests.integration.receiving_sendmail import ReceivingSendmail
from tests.nameserver import NameServer
from tests.zonetext import Zone
from twistedmilter.callback import CallbackVerifier
from twistedmilter.callback_limits import CallbackLimits
from twistedmilter.configfile import load_settings
from twistedmilter.exchangers import Guard
from twistedmilter.model.address import parse_path
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.judge import Answer, SessionJudge
from twistedmilter.service import TwistedMilterService

ZONE = "example.com MX 10 mail.example.com\nmail.example.com A 127.0.0.1"
MAILBOXES = ("bob", "nobody", "later")
SENDERS = """
    example.com            TXT  "v=spf1 ip4:198.51.100.1 ~all"
    none.example           MX   10 mail.example.com
    6.2.0.192.in-addr.arpa PTR  192-0-2-6.dyn.example.
    192-0-2-6.dyn.example  A    192.0.2.6
"""
CONFIG = """
[server]
authserv_id = "mx.example.org"
state_dir = "state"
[milter]
listen = []
[control]
listen = "off"
[log]
to = "./log"
[resolver]
nameservers = ["{dns}"]
"""


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


class ServiceTests(TestCase):
    """The inside of a service with the stock chain, driven as the milter face drives it."""

    timeout = 60  # seconds

    def setUp(self) -> None:
        """An exchanger that knows everybody but nobody."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.port = free_port()
        self.exchanger = Exchanger("127.0.0.1", self.port)
        self.addCleanup(self.exchanger.close)
        self.names = NameServer.listening(reactor, Zone.parse(f"{ZONE}\n{SENDERS}"))
        self.addCleanup(self.names.stop)
        self.addCleanup(lambda: deferLater(reactor, 0.05))  # sockets close

    def start(self, more: str = "") -> TwistedMilterService:
        """A running service."""
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(dns="{}:{}".format(*self.names.address)) + more)
        service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        service.startService()
        return service

    async def send(self, service: TwistedMilterService, sender: str) -> Verdict | None:
        """The verdict on a message of a client without any name."""
        connection = make_connection("192.0.2.6", name="192-0-2-6.dyn.example", helo="bogus.example")
        judge = SessionJudge(service.sessions.policy, connection)
        await ensured(judge.connected())
        await ensured(judge.greeted("bogus.example"))
        await ensured(judge.mail_began(sender, ()))
        answer = await ensured(judge.recipient_named("<amy@example.org>", ()))
        if answer.decision.verdict is None:
            judge.headers([(b"Subject", b" hello")])
            await ensured(judge.headers_ended())
            answer = await ensured(judge.message_ended())
        judge.closed("accepted")
        return answer.decision.verdict

    async def test_stock(self) -> None:
        """E13: a sender with no SPF, a dynamic PTR and a bogus HELO is told its three strikes, and nobody is called."""
        service = self.start()
        self.addCleanup(service.stopService)
        verdict = await self.send(service, "<nobody@none.example>")
        assert isinstance(verdict, Refuse)
        self.assertEqual(verdict.reason.code, "three-strikes")
        self.assertEqual(len(verdict.reason.details), 3)

    async def test_after_a_restart(self) -> None:
        """G15: a softfail sender that does not exist is refused; the next process knows it without the exchanger."""
        on = f"""
[spf.policy]
softfail = "CBV"
[callback]
mode = "enforce"
port = {self.port}
permit_private = true
"""
        words = []
        for _ in range(2):
            service = self.start(on)
            verdict = await self.send(service, "<nobody@example.com>")
            assert isinstance(verdict, Refuse)
            words.append((verdict.status, verdict.reason.text))
            if len(words) == 1:
                self.assertIsNone(await self.send(service, "<bob@example.com>"))
            await service.stopService()
            self.exchanger.close()
        self.assertEqual(words[0], words[1])
        self.assertEqual(words[0][0], "5.1.8")
        self.assertIn("mail.example.com [127.0.0.1] said to RCPT: 550 5.1.1 no such user here", words[0][1])


async def ensured(answer: Answer | Deferred[Answer]) -> Answer:
    """What the judge says, now or later."""
    return await answer if isinstance(answer, Deferred) else answer
