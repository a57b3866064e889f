"""A real Postfix forwards mail with SRS by our service, and its bounces come back (issue 6, parts 2 and 3)."""

from __future__ import annotations

import shutil
import smtplib
import tempfile
import time
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.fakes import FakeResolver
from tests.integration import receiving_postfix
from tests.integration.exchanger import Exchanger
from tests.integration.forwarding import PostSRSd, forwarder, send, srs_lines
from tests.integration.receiving_postfix import LOOPBACK, ReceivingPostfix
from tests.integration.smtp_sink import Delivered, SmtpSink
from tests.integration.test_callbacks import free_port
from twistedmilter.configfile import load_settings
from twistedmilter.model.spf import SPFResult
from twistedmilter.service import TwistedMilterService
from twistedmilter.spf_driver import SPFEvaluator

OURS = "fwd.example"
OTHERS = "second.example"
SENDER = "alice@orig.example"
DESTINATION = "bob@dest.example"
SPF = f'orig.example TXT "v=spf1 ip4:192.0.2.1 -all"\n{OURS} TXT "v=spf1 ip4:192.0.2.25 -all"'
CONFIG = """
[server]
state_dir = "state"
[milter]
listen = {milters}
[policy]
checks = ["bounce"]
[control]
listen = "off"
[log]
to = "./log"
[resolver]
nameservers = ["127.0.0.1:1"]
[networks]
internal_domains = ["own.example"]
[srs]
secret_file = "srs.secret"
forward_domain = "fwd.example"
[[socketmap.listen]]
address = "unix:socketmap"
group = "postfix"
users = ["postfix"]
[[socketmap.listen]]
address = "inet:{port}@127.0.0.1"
protocol = "tcp_table"
map = "forward"
"""


class ForwardingTestCase(TestCase):
    """Our service, a Postfix that asks it, and the host where mail ends."""

    timeout = 120  # seconds

    def setUp(self) -> None:
        """A directory, a secret and ports."""
        if problem := receiving_postfix.lacking():
            raise SkipTest(problem)
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.directory.chmod(0o755)  # so that user postfix can search it
        secret = self.directory / "srs.secret"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        self.port, self.other_port, self.table_port, sink_port = (free_port() for _ in range(4))
        self.sink = SmtpSink(LOOPBACK, sink_port)
        self.addCleanup(self.sink.close)
        self.sink_port = sink_port
        self.socket = self.directory / "socketmap"

    def serve(self, more: str = "", milters: str = "[]") -> TwistedMilterService:
        """The service, as it is configured."""
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(port=self.table_port, milters=milters) + more)
        service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def forward(self, *, destination: str = DESTINATION, srs: str = "", **transports: int) -> ReceivingPostfix:
        """Our Postfix, that sends what it forwards to the sink or to these hosts."""
        start = partial(
            forwarder,
            self.directory / "postfix",
            self.port,
            self.sink_port,
            domain=OURS,
            destination=destination,
            srs=srs or srs_lines(self.socket),
            transports={name.replace("_", "."): port for name, port in transports.items()},
        )
        postfix: ReceivingPostfix = await deferToThread(start)
        self.addCleanup(postfix.stop)
        return postfix

    async def delivered(self, port: int, sender: str, recipients: list[str]) -> Delivered:
        """What arrives at the sink of a message that is sent here."""
        await deferToThread(send, port, sender, recipients)
        message: Delivered | None = await deferToThread(self.sink.next_message, 30.0)
        assert message is not None, "nothing was delivered"
        return message

    async def refusal(self, port: int, sender: str, recipient: str) -> int:
        """The code by which a recipient is refused."""
        try:
            await deferToThread(send, port, sender, [recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            return int(refused.recipients[recipient][0])
        return 250


def address_of(argument: str) -> str:
    """The address in the argument of MAIL or RCPT."""
    return argument.partition(">")[0].lstrip("<")


class PostfixTests(ForwardingTestCase):
    """The documented lines of main.cf."""

    async def test_there_and_back(self) -> None:
        """The sender leaves rewritten and passes SPF; its bounce comes back, is reversed and goes to the sender."""
        service = self.serve()
        await self.forward()
        message = await self.delivered(self.port, SENDER, [f"bob@{OURS}"])
        rewritten = address_of(message.sender)
        self.assertRegex(rewritten, rf"^SRS0=[\w-]{{8}}=[A-Z2-7]{{2}}=orig\.example=alice@{OURS}$")
        self.assertEqual(address_of(message.recipients[0]), DESTINATION)
        spf = SPFEvaluator(FakeResolver(SPF), reactor.seconds)
        before = await Deferred.fromCoroutine(spf.check_host(ip_address("192.0.2.25"), SENDER, "mx.example"))
        after = await Deferred.fromCoroutine(spf.check_host(ip_address("192.0.2.25"), rewritten, "mx.example"))
        self.assertEqual((before.result, after.result), (SPFResult.FAIL, SPFResult.PASS))
        bounce = await self.delivered(self.port, "", [rewritten])
        self.assertEqual((bounce.sender.partition(" ")[0], address_of(bounce.recipients[0])), ("<>", SENDER))
        folded = await self.delivered(self.port, "", [rewritten.lower()])
        self.assertEqual(address_of(folded.recipients[0]), SENDER)
        self.assertGreater(service.status()["socketmap"]["replies"]["OK"], 2)  # type: ignore[index]

    async def test_our_own_bounce(self) -> None:
        """What the next hop refuses, Postfix itself returns to the original sender."""
        self.serve()
        exchanger = Exchanger(LOOPBACK, refusing := free_port())
        self.addCleanup(exchanger.close)
        await self.forward(destination="nobody@dest.example", dest_example=refusing)
        bounce = await self.delivered(self.port, SENDER, [f"bob@{OURS}"])
        self.assertEqual((bounce.sender.partition(" ")[0], address_of(bounce.recipients[0])), ("<>", SENDER))
        self.assertIn(b"no such user here", bounce.content)

    async def test_bounce_of_the_next_hop(self) -> None:
        """What the next hop takes and cannot deliver comes back to us, and goes to the original sender."""
        self.serve()
        exchanger = Exchanger(LOOPBACK, refusing := free_port())
        self.addCleanup(exchanger.close)
        await self.forward(destination=f"bob@{OTHERS}", second_example=self.other_port)
        start = partial(
            forwarder,
            self.directory / "other",
            self.other_port,
            self.sink_port,
            domain=OTHERS,
            destination="nobody@dest.example",
            srs="",
            transports={"dest.example": refusing, OURS: self.port},
        )
        other: ReceivingPostfix = await deferToThread(start)
        self.addCleanup(other.stop)
        bounce = await self.delivered(self.port, SENDER, [f"bob@{OURS}"])
        self.assertEqual((bounce.sender.partition(" ")[0], address_of(bounce.recipients[0])), ("<>", SENDER))
        self.assertRegex(bounce.content, rb"(?i)reporting-mta: dns; *mail.example.com")

    async def test_nobody_else(self) -> None:
        """A forged address is not known here; own senders, null senders and long ones leave as they are."""
        self.serve()
        await self.forward()
        code = await self.refusal(self.port, "", f"SRS0=AAAAAAAA=AA=orig.example=alice@{OURS}")
        self.assertEqual(code, 550)
        long = f"{'x' * 60}@orig.example"
        for sender in ("carol@own.example", f"dave@{OURS}", "", long):
            message = await self.delivered(self.port, sender, [f"bob@{OURS}"])
            self.assertEqual(address_of(message.sender), sender)

    async def test_tcp_table(self) -> None:
        """The same by Postfix's other protocol."""
        self.serve()
        lines = (
            f"sender_canonical_maps = tcp:{LOOPBACK}:{self.table_port}\nsender_canonical_classes = envelope_sender\n"
        )
        await self.forward(srs=lines)
        message = await self.delivered(self.port, SENDER, [f"bob@{OURS}"])
        self.assertRegex(address_of(message.sender), rf"^SRS0=.*=orig\.example=alice@{OURS}$")

    async def test_service_away(self) -> None:
        """S7: without the service mail is deferred, never sent on unchanged."""
        await self.forward()
        self.assertEqual(await self.refusal(self.port, SENDER, f"bob@{OURS}"), 451)
        self.assertIsNone(await deferToThread(self.sink.next_message, 1.0))


class BounceTests(ForwardingTestCase):
    """The check C{bounce} behind a real Postfix, for a domain whose senders are signed."""

    async def test_bounces(self) -> None:
        """A signed bounce arrives; an unsigned one is refused with its reason, but not before the message."""
        milter = free_port()
        signing = f'[ses]\ndomains = ["{OURS}"]\n[bounce]\nmode = "enforce"\nrequire_signature = true\n'
        self.serve(signing, f'["inet:{milter}@{LOOPBACK}"]')
        await self.forward(srs=srs_lines(self.socket) + f"smtpd_milters = inet:{LOOPBACK}:{milter}\n")
        message = await self.delivered(self.port, f"bob@{OURS}", [f"bob@{OURS}"])
        signed = address_of(message.sender)
        self.assertRegex(signed, rf"^SES=[A-Z0-9_-]{{17}}=bob@{OURS}$")
        bounce = await self.delivered(self.port, "", [signed])
        self.assertEqual(address_of(bounce.recipients[0]), DESTINATION)
        probe = await deferToThread(self.probe, f"bob@{OURS}")
        self.assertEqual(probe, 250)
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            await deferToThread(send, self.port, "", [f"bob@{OURS}"])
        self.assertEqual(caught.exception.smtp_code, 550)
        self.assertIn(b"this is not an answer to any", caught.exception.smtp_error)

    def probe(self, recipient: str) -> int:
        """The answer to a callback that stops at RCPT."""
        with smtplib.SMTP(LOOPBACK, self.port, local_hostname="prober.example", timeout=30) as client:
            client.ehlo()
            client.mail("")
            return client.rcpt(recipient)[0]


class TwoHopsTests(ForwardingTestCase):
    """Debian's postsrsd at the other forwarder: SRS1, both ways round."""

    def setUp(self) -> None:
        """The other forwarder's program."""
        super().setUp()
        if problem := PostSRSd.lacking():
            raise SkipTest(problem)
        forward, reverse = free_port(), free_port()
        self.postsrsd = PostSRSd(self.directory / "postsrsd", OTHERS, forward, reverse)
        self.addCleanup(self.postsrsd.stop)
        self.serve()

    async def forward_elsewhere(self, destination: str, **transports: int) -> None:
        """The other Postfix."""
        start = partial(
            forwarder,
            self.directory / "other",
            self.other_port,
            self.sink_port,
            domain=OTHERS,
            destination=destination,
            srs=self.postsrsd.lines,
            transports={name.replace("_", "."): port for name, port in transports.items()},
        )
        postfix: ReceivingPostfix = await deferToThread(start)
        self.addCleanup(postfix.stop)

    async def test_ours_first(self) -> None:
        """We forward to a forwarder; a bounce goes back through both."""
        await self.forward(destination=f"bob@{OTHERS}", second_example=self.other_port)
        await self.forward_elsewhere(DESTINATION, fwd_example=self.port)
        message = await self.delivered(self.port, SENDER, [f"bob@{OURS}"])
        twice = address_of(message.sender)
        self.assertRegex(twice, rf"^SRS1=\w[^=]*=fwd\.example==[\w-]{{8}}=..=orig\.example=alice@{OTHERS}$")
        bounce = await self.delivered(self.other_port, "", [twice])
        self.assertEqual(address_of(bounce.recipients[0]), SENDER)

    async def test_ours_second(self) -> None:
        """A forwarder forwards to us; a bounce goes back through both."""
        await self.forward_elsewhere(f"bob@{OURS}", fwd_example=self.port)
        await self.forward(second_example=self.other_port)
        message = await self.delivered(self.other_port, SENDER, [f"bob@{OTHERS}"])
        twice = address_of(message.sender)
        self.assertRegex(twice, rf"^SRS1=[\w-]{{8}}=second\.example==.*=orig\.example=alice@{OURS}$")
        bounce = await self.delivered(self.port, "", [twice])
        self.assertEqual(address_of(bounce.recipients[0]), SENDER)
