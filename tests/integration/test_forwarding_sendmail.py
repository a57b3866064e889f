"""A real sendmail forwards mail with the shipped hack and our service, and its bounces come back (issue 6, part 3)."""

from __future__ import annotations

import shutil
import smtplib
import tempfile
import time
from functools import partial
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.integration import receiving_sendmail
from tests.integration.forwarding import send
from tests.integration.forwarding_sendmail import EXEMPT_HOP, ForwardingSendmail
from tests.integration.receiving_sendmail import LOOPBACK
from tests.integration.smtp_sink import Delivered, SmtpSink
from tests.integration.test_callbacks import free_port
from tests.integration.test_forwarding_postfix import address_of
from twistedmilter.configfile import load_settings
from twistedmilter.service import TwistedMilterService

SENDER = "Alice@orig.example"
CONFIG = """
[server]
state_dir = "state"
[milter]
listen = []
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
sign_domains = ["signed.example"]
[socketmap]
listen = ["unix:socketmap"]
"""


class SendmailTests(TestCase):
    """The documented lines of sendmail.mc."""

    timeout = 120  # seconds

    def setUp(self) -> None:
        """A directory, a secret, and a host where mail ends."""
        if problem := receiving_sendmail.lacking():
            raise SkipTest(problem)
        # sendmail uses no socket below a directory that everybody may write to
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-", dir="/run"))
        self.addCleanup(shutil.rmtree, self.directory)
        secret = self.directory / "srs.secret"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        self.port, self.sink_port = free_port(), free_port()
        self.sink = SmtpSink(LOOPBACK, self.sink_port)
        self.addCleanup(self.sink.close)

    def serve(self) -> TwistedMilterService:
        """Our service."""
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG)
        service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def start(self, before: str = "") -> ForwardingSendmail:
        """Sendmail, that asks it."""
        start = partial(
            ForwardingSendmail,
            self.directory / "sendmail",
            self.port,
            self.sink_port,
            self.directory / "socketmap",
            before,
        )
        sendmail: ForwardingSendmail = await deferToThread(start)
        self.addCleanup(sendmail.stop)
        return sendmail

    async def delivered(self, sender: str, *recipients: str) -> Delivered:
        """What arrives at the sink of a message that is sent here."""
        await deferToThread(send, self.port, sender, list(recipients))
        message: Delivered | None = await deferToThread(self.sink.next_message, 20.0)
        assert message is not None, "nothing was delivered"
        return message

    async def refusal(self, recipient: str) -> tuple[int, bytes]:
        """How a recipient of a bounce is refused."""
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as caught:
            await deferToThread(send, self.port, "", [recipient])
        code, text = caught.exception.recipients[recipient]
        return int(code), text

    async def test_there_and_back(self) -> None:
        """The sender leaves rewritten, with its capitals; its bounce is reversed and goes to the sender."""
        self.serve()
        await self.start()
        message = await self.delivered(SENDER, "bob@fwd.example")
        rewritten = address_of(message.sender)
        self.assertRegex(rewritten, r"^SRS0=[\w-]{8}=[A-Z2-7]{2}=orig\.example=Alice@fwd\.example$")
        self.assertEqual(address_of(message.recipients[0]), "bob@dest.example")
        bounce = await self.delivered("", rewritten)
        self.assertEqual((bounce.sender.partition(" ")[0], address_of(bounce.recipients[0])), ("<>", SENDER))

    async def test_others(self) -> None:
        """Own senders and null senders leave as they are, those of signed domains signed; quotes are kept."""
        self.serve()
        await self.start()
        for sender, pattern in (
            ("carol@own.example", r"^carol@own\.example$"),
            ("", "^$"),
            ("dave@signed.example", r"^SRS0=[\w-]{8}=..==dave@signed\.example$"),
            ('"a b"@orig.example', r'^"SRS0=[\w-]{8}=..=orig\.example=a b"@fwd\.example$'),
        ):
            message = await self.delivered(sender, "bob@fwd.example")
            self.assertRegex(address_of(message.sender), pattern)

    async def test_forged(self) -> None:
        """A forged recipient stays one of this host, and nothing is relayed."""
        self.serve()
        await self.start()
        await deferToThread(send, self.port, "", ["SRS0=AAAAAAAA=AA=orig.example=alice@fwd.example"])
        self.assertIsNone(await deferToThread(self.sink.next_message, 2.0))

    async def test_mixed_recipients(self) -> None:
        """Of one message the exempt next hop gets the original sender, the other the rewritten one."""
        self.serve()
        await self.start()
        exempt = SmtpSink(EXEMPT_HOP, self.sink_port)
        self.addCleanup(exempt.close)
        message = await self.delivered(SENDER, "amy@fwd.example", "bob@fwd.example")
        other: Delivered | None = await deferToThread(exempt.next_message, 20.0)
        assert other is not None
        self.assertRegex(address_of(message.sender), "^SRS0=")
        self.assertEqual((address_of(other.sender), address_of(other.recipients[0])), (SENDER, "amy@dest.example"))

    async def test_service_away(self) -> None:
        """S7: without the service mail waits in the queue, and signed recipients hear 451."""
        sendmail = await self.start()
        await deferToThread(send, self.port, SENDER, ["bob@fwd.example"])
        self.assertIsNone(await deferToThread(self.sink.next_message, 2.0))
        self.assertEqual(sendmail.queued(), 1)
        code, text = await self.refusal("SRS0=AAAAAAAA=AA=orig.example=alice@fwd.example")
        self.assertEqual((code, b"cannot be verified now" in text), (451, True))

    async def test_deliver_all_the_same(self) -> None:
        """With SRS_DELIVER mail goes on with its sender as it is."""
        await self.start("define(`SRS_DELIVER', `1')dnl\n")
        message = await self.delivered(SENDER, "bob@fwd.example")
        self.assertEqual(address_of(message.sender), SENDER)
