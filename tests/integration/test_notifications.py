"""Notifications end to end: the service's policy, a name server, and exchangers that are a sink and a real Postfix."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.fakes import make_connection
from tests.integration.receiving_postfix import LOOPBACK, ReceivingPostfix, lacking
from tests.integration.smtp_sink import Delivered, SmtpSink
from tests.nameserver import NameServer
from tests.zonetext import Zone
from twistedmilter import dsn_queue
from twistedmilter.configfile import load_settings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.verdict import Discard, Refuse, Verdict
from twistedmilter.policy import notice_delivery
from twistedmilter.policy.judge import Answer, SessionJudge
from twistedmilter.service import TwistedMilterService

ZONE = """
    example.com       MX   10 mail.example.com
    example.com       TXT  "v=spf1 ip4:192.0.2.5 ~all"
    mail.example.com  A    127.0.0.1
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
[policy]
checks = ["trusted_client", "spf", "dsn", "callback"]
[spf.policy]
pass = "DSN:neutral"
softfail = "DSN"
[callback]
mode = "enforce"
port = {port}
permit_private = true
[dsn]
mode = "enforce"
"""
GOOD, FORGED = "192.0.2.5", "192.0.2.6"


def free_port() -> int:
    """A port on loopback where nothing listens."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def _answer(answer: Answer | Deferred[Answer]) -> Answer:
    """What the judge says, now or later."""
    return await answer if isinstance(answer, Deferred) else answer


class NotificationTestCase(TestCase):
    """The inside of a service, driven as the milter face drives it."""

    timeout = 60  # seconds

    def setUp(self) -> None:
        """A sink that keeps what arrives."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.directory.chmod(0o755)  # so that user postfix can search it
        self.sink_port = free_port()
        self.sink = SmtpSink(LOOPBACK, self.sink_port)
        self.addCleanup(self.sink.close)

    def start(self, port: int, more: str = "") -> TwistedMilterService:
        """The running service; exchangers are called at that port."""
        names = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(names.stop)
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(dns="{}:{}".format(*names.address), port=port) + more)
        service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        service.startService()
        self.addCleanup(lambda: deferLater(reactor, 0.05))  # sockets close
        self.addCleanup(self.stop, service)
        return service

    @staticmethod
    def stop(service: TwistedMilterService) -> Deferred[object] | None:
        """End it, unless it has ended."""
        return service.stopService() if service.running else None

    async def send(
        self,
        service: TwistedMilterService,
        ip: str = GOOD,
        sender: str = "<bob@example.com>",
        to: str = "<amy@example.org>",
        body: bytes = b"",
    ) -> Verdict | None:
        """The verdict on a message at its end."""
        connection = make_connection(ip, helo="mail.example.com", client_class=ClientClass.EXTERNAL)
        judge = SessionJudge(service.sessions.policy, connection)
        for begin in (
            judge.connected,
            lambda: judge.greeted("mail.example.com"),
            lambda: judge.mail_began(sender, ()),
            lambda: judge.recipient_named(to, ()),
        ):
            await _answer(begin())
        judge.headers([(b"Subject", b" Undelivered: hello")])
        await _answer(judge.headers_ended())
        judge.body_chunk(body)
        answer = await _answer(judge.message_ended())
        judge.told()
        judge.closed("accepted")
        return answer.decision.verdict

    async def arrived(self, seconds: float = 10.0) -> Delivered | None:
        """The next message in the sink."""
        found: Delivered | None = await deferToThread(self.sink.next_message, seconds)
        return found


class ServiceTests(NotificationTestCase):
    """An exchanger that takes everything."""

    async def test_exactly_one(self) -> None:
        """A sender that qualifies gets one notification; the second message goes on by what is remembered."""
        service = self.start(self.sink_port)
        self.assertIsNone(await self.send(service))
        self.assertIsNone(await self.send(service))
        notice = await self.arrived()
        assert notice is not None
        self.assertEqual((notice.sender, notice.recipients), ("<>", ("<bob@example.com>",)))
        self.assertEqual(dict(notice.headers())["Subject"], "Was this mail sent by you? (SPF pass)")
        self.assertIsNone(await self.arrived(0.2))

    async def test_over_a_restart(self) -> None:
        """Who was told is known in the next life of the service."""
        service = self.start(self.sink_port)
        await self.send(service)
        self.assertIsNotNone(await self.arrived())
        await maybeDeferred(self.stop, service)
        self.assertIsNone(await self.send(self.start(self.sink_port)))
        self.assertIsNone(await self.arrived(0.2))

    async def test_tried_again(self) -> None:
        """C14: what an exchanger does not take now goes out once it does, once, be it in the service's next life."""
        self.patch(notice_delivery, "FIRST_WAIT", 0.05)
        self.patch(dsn_queue, "INTERVAL", 0.05)
        service = self.start(free_port())  # where nobody listens
        await self.send(service)
        await deferLater(reactor, 0.2)
        self.assertEqual(service.status()["notifications_waiting"], 1)
        await maybeDeferred(self.stop, service)
        service = self.start(self.sink_port)
        notice = await self.arrived()
        assert notice is not None
        self.assertEqual((notice.sender, notice.recipients), ("<>", ("<bob@example.com>",)))
        self.assertIsNone(await self.send(service))
        self.assertIsNone(await self.arrived(0.3))
        self.assertEqual(service.status()["notifications_waiting"], 0)

    async def test_forged(self) -> None:
        """A softfail sender is not told; its exchanger is only asked, and it goes on."""
        service = self.start(self.sink_port)
        self.assertIsNone(await self.send(service, FORGED))
        self.assertIsNone(await self.arrived(0.2))

    async def test_unauthenticated(self) -> None:
        """Unless the administrator says so: then a softfail sender is told, too."""
        service = self.start(self.sink_port, "unauthenticated = true\n")
        self.assertIsNone(await self.send(service, FORGED))
        notice = await self.arrived()
        assert notice is not None
        self.assertEqual(dict(notice.headers())["Subject"], "Your mail looks forged (SPF softfail)")

    async def test_bounced(self) -> None:
        """G21: the bounce of a notification blacklists whom it was for, and is dropped; the secret is ours alone.

        The shipped rule that lets everything through to postmaster is stronger, unless another one comes first.
        """
        rule = '[[rule]]\nname = "bounced"\nchecks = ["dsn"]\nrecipients = ["postmaster@"]\nmode = "enforce"\n'
        service = self.start(self.sink_port, rule)
        await self.send(service)
        notice = await self.arrived()
        assert notice is not None
        secret = service.state_dir / "dsn.secret"
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        verdict = await self.send(service, FORGED, "<>", "<postmaster@mx.example.org>", notice.content)
        self.assertIsInstance(verdict, Discard)
        entry = await service.stores.blacklist.find("bob@example.com", time.time())
        assert entry is not None
        self.assertIn("our notification bounced", entry.comment)


class PostfixTests(NotificationTestCase):
    """A real exchanger that knows who is there."""

    def setUp(self) -> None:
        """Postfix in front of the sink."""
        if problem := lacking():
            raise SkipTest(problem)
        super().setUp()
        self.port = free_port()
        self.postfix = ReceivingPostfix(self.directory / "postfix", self.port, self.sink_port)
        self.addCleanup(self.postfix.stop)

    async def test_told(self) -> None:
        """G26: Postfix takes one message for the sender and its postmaster, and delivers it whole."""
        service = self.start(self.port, "copy_to_postmaster = true\n")
        self.assertIsNone(await self.send(service), self.postfix.log())
        notice = await self.arrived()
        assert notice is not None, self.postfix.log()
        arrived = [notice, *([more] if (more := await self.arrived(0.5)) else [])]
        told = {recipient.partition(" ")[0] for each in arrived for recipient in each.recipients}
        self.assertEqual(told, {"<bob@example.com>", "<postmaster@example.com>"})
        report: Any = message_from_bytes(notice.content)
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report["Auto-Submitted"], "auto-replied (sender verification)")
        self.assertEqual(report.get_payload()[1].get_payload()[1]["Final-Recipient"], "rfc822; amy@example.org")
        self.assertIn("status=sent", self.postfix.log())

    async def test_nobody(self) -> None:
        """A sender that does not exist is refused with Postfix' words, and nothing is delivered."""
        service = self.start(self.port)
        verdict = await self.send(service, sender="<nobody@example.com>")
        assert isinstance(verdict, Refuse)
        self.assertIn("mail.example.com [127.0.0.1] said to RCPT: 550 5.1.1", verdict.reason.text)
        self.assertIsNone(await self.arrived(0.2))
