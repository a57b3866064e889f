"""A sender that the service has signed, by socketmap, passes SPF at a stranger's, by DNS (gossip-srs-dns-spec 6.5)."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dns.rdatatype import RdataType
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.fakes import FakeResolver, make_connection
from tests.integration.test_callbacks import ensured, free_port
from twistedmilter.configfile import load_settings
from twistedmilter.interfaces.dns import Answer, IResolver
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.model.spf import SPFResult
from twistedmilter.policy.judge import SessionJudge
from twistedmilter.resolver import Resolver
from twistedmilter.service import TwistedMilterService
from twistedmilter.spf_driver import SPFEvaluator
from twistedmilter.wire.netstring import NetstringDecoder
from twistedmilter.wire.socketmap import encode_request

ZONE = "_ses.own.example"
RECORD = 'own.example TXT "v=spf1 ip4:192.0.2.1 exists:%{l}._ses.%{d} -all"'
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
[policy]
checks = ["bounce"]
[bounce]
mode = "enforce"
require_signature = true
[srs]
secret_file = "srs.secret"
[ses]
domains = ["own.example"]
[socketmap]
listen = [{{address = "unix:lookups", mode = "0600", users = ["root"]}}]
[dns]
listen = ["127.0.0.1:{port}"]
[[dns.zones]]
name = "_ses.own.example"
kind = "ses"
public = true
"""


@implementer(IResolver)
class Internet:
    """What a stranger sees: the record of the domain, and behind its delegation our own server."""

    def __init__(self, ours: Resolver) -> None:
        self._ours = ours
        self._others = FakeResolver(RECORD)

    async def lookup(self, name: str, rdtype: RdataType) -> Answer:
        """From the one or the other."""
        return await self._of(name).lookup(name, rdtype)

    def cached(self, name: str, rdtype: RdataType) -> Answer | None:
        """Only what is known already."""
        return self._of(name).cached(name, rdtype)

    def _of(self, name: str) -> Resolver | FakeResolver:
        return self._ours if name.lower().rstrip(".").endswith(ZONE) else self._others


class SignedSenderTests(TestCase):
    """The whole way, on real sockets."""

    timeout = 60  # seconds

    def setUp(self) -> None:
        """A service that signs and vouches, and a stranger who knows SPF."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        secret = self.directory / "srs.secret"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        port = free_port()
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(port=port))
        self.service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        self.service.startService()
        self.addCleanup(self.service.stopService)
        world: Any = reactor
        resolver = Resolver(world, ResolverSettings(), nameservers=[("127.0.0.1", port)], randomness=lambda: 4711)
        self.addCleanup(lambda: Deferred.fromCoroutine(resolver.stop()))
        self.evaluator = SPFEvaluator(Internet(resolver), reactor.seconds)

    async def look_up(self, map_name: bytes, key: bytes) -> bytes:
        """As an MTA of this host asks."""
        return await deferToThread(self._ask, encode_request(map_name, key))

    def _ask(self, request: bytes) -> bytes:
        decoder = NetstringDecoder()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.directory / "lookups"))
            connection.sendall(request)
            decoder.receive_data(connection.recv(4_096))
        payload = decoder.next_string()
        assert payload is not None
        return payload

    async def result(self, sender: str) -> SPFResult:
        """What a stranger finds when the message comes from anywhere."""
        checked = self.evaluator.check_host(ip_address("203.0.113.9"), sender, "mx.other.example")
        return (await Deferred.fromCoroutine(checked)).result

    async def bounce(self, recipient: str) -> str:
        """The reason for which a bounce of a stranger is refused; empty if it is taken."""
        connection = make_connection("203.0.113.9", helo="mx.other.example")
        judge = SessionJudge(self.service.sessions.policy, connection)
        await ensured(judge.connected())
        await ensured(judge.greeted(connection.helo))
        await ensured(judge.mail_began("<>", ()))
        answer = await ensured(judge.recipient_named(f"<{recipient}>", ()))
        if answer.decision.verdict is None:
            judge.headers([(b"Subject", b" Undelivered")])
            answer = await ensured(judge.headers_ended())
        judge.closed("accepted")
        verdict = answer.decision.verdict
        return "" if verdict is None else verdict.reason.code

    async def test_bounces(self) -> None:
        """A bounce to what was signed is taken; one to a forged or an unsigned sender is not."""
        sent = (await self.look_up(b"forward", b"joe@own.example")).removeprefix(b"OK ").decode("ascii")
        self.assertEqual(await self.bounce(sent), "")
        self.assertEqual(await self.bounce(sent.replace("joe", "jim")), "bounce-forged")
        self.assertEqual(await self.bounce("joe@own.example"), "bounce-unsigned")
        self.assertEqual(await self.bounce("joe@other.example"), "")

    async def test_signed(self) -> None:
        """The signed sender passes from any address; an unsigned and a forged one fail; its bounce is reversed."""
        self.assertEqual((self.directory / "lookups").stat().st_mode & 0o777, 0o600)
        ok, _, sent = (await self.look_up(b"forward", b"joe.doe@own.example")).partition(b" ")
        self.assertEqual(ok, b"OK")
        sender = sent.decode("ascii")
        self.assertRegex(sender, r"^SES=[A-Z0-9_-]{17}=joe\.doe@own\.example$")
        self.assertEqual(await self.result(sender), SPFResult.PASS)
        self.assertEqual(await self.result(sender.lower()), SPFResult.PASS)
        for forged in ("joe.doe@own.example", sender.replace("joe", "jim"), sender.replace("SES=", "SES=B", 1)):
            self.assertEqual(await self.result(forged), SPFResult.FAIL, forged)
        self.assertEqual(await self.look_up(b"reverse", sent), b"OK joe.doe@own.example")
        self.assertEqual(await self.look_up(b"ses_verify", sent), b"OK joe.doe@own.example")
        self.assertTrue((self.directory / "state" / "ses.numbers").exists())
