"""A ban is in the answers of a running service within a second, and what was asked before does not hide it."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter import control
from twistedmilter.configfile import load_settings
from twistedmilter.service import TwistedMilterService

CONFIG = """
[server]
state_dir = "state"
[milter]
listen = []
[control]
listen = "unix:k"
[log]
to = "./log"
[dns]
listen = ["127.0.0.1:{port}"]
publish_bans = true
processes = {processes}
[[dns.zones]]
name = "rhsbl.example.net"
[[dns.zones]]
name = "ipbl.example.net"
kind = "ipbl"
"""


class PublishedBanTests(TestCase):
    """Lists of bans alone, in a service with its control socket."""

    timeout = 30  # seconds

    def setUp(self) -> None:
        """A running service."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port: int = server.getsockname()[1]
        self.addCleanup(lambda: deferLater(reactor, 0.05))  # sockets close

    def start(self, *, processes: int = 0) -> TwistedMilterService:
        """Start it; the next one finds what this one kept."""
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(port=self.port, processes=processes))
        service = TwistedMilterService(load_settings(str(config)), reactor, time.time, {})
        service.startService()
        return service

    async def ask(self, name: str, rdtype: str = "A") -> list[str]:
        """What the server answers, or the name of its error."""
        query = dns.message.make_query(name, rdtype)
        answer = await deferToThread(dns.query.udp, query, "127.0.0.1", 5.0, self.port)
        if answer.rcode():
            return [dns.rcode.to_text(answer.rcode())]
        return [str(record) for found in answer.answer for record in found]

    async def command(self, command: str, **arguments: Any) -> object:
        """What the service says to a command."""
        path = str(self.directory / "k")
        return await deferToThread(lambda: control.ask(path, command, **arguments))

    async def wait_for(self, name: str, answer: str, seconds: float = 10.0) -> None:
        """Ask until it is answered so; what is asked for is kept."""
        deadline = time.monotonic() + seconds
        self.answers = [await self.ask(name)]
        while self.answers[-1] != [answer] and time.monotonic() < deadline:
            await deferLater(reactor, 0.01)
            self.answers.append(await self.ask(name))
        self.assertEqual(self.answers[-1], [answer])

    async def test_processes(self) -> None:
        """Processes of their own are told: what was there when they start, and every change after that."""
        first = self.start()
        await self.command("list-add", list="blacklist", name="old.example")
        await first.stopService()
        service = self.start(processes=2)
        self.addCleanup(service.stopService)
        await self.wait_for("old.example.rhsbl.example.net", "127.0.0.2")
        self.assertNotIn(["NXDOMAIN"], self.answers)
        client = "9.2.0.192.ipbl.example.net"
        self.assertEqual(await self.ask(client), ["NXDOMAIN"])
        await self.command("list-add", list="bans", name="192.0.2.9")
        await self.wait_for(client, "127.0.0.2", seconds=1.0)
        await self.command("list-remove", list="bans", name="192.0.2.9")
        await self.wait_for(client, "NXDOMAIN", seconds=1.0)
        for command in ("dns-hits", "dns-why"):  # said, and not answered with nothing
            with self.assertRaisesRegex(control.CommandError, "processes of their own"):
                await self.command(command, name="old.example")
        assert service.dns._processes is not None
        workers = list(service.dns._processes._workers)
        await self.command("list-add", list="bans", name="192.0.2.9", comment="x" * 60_000)
        await self.wait_for(client, "127.0.0.2", seconds=3.0)
        self.assertEqual([each.is_running for each in workers], [True, True])  # none has ended for a long line

    async def test_seen_within_a_second(self) -> None:
        """S02, S05: entered by a command, with its reason; negative answers that are remembered are forgotten."""
        service = self.start()
        self.addCleanup(service.stopService)
        name, client = "spam.example.rhsbl.example.net", "9.2.0.192.ipbl.example.net"
        await self.wait_for(name, "NXDOMAIN")
        for _ in range(4):
            self.assertEqual([await self.ask(name), await self.ask(client)], [["NXDOMAIN"], ["NXDOMAIN"]])
        self.assertEqual(await self.ask("test.rhsbl.example.net"), ["127.0.0.2"])
        began = time.monotonic()
        await self.command("list-add", list="blacklist", name="spam.example", comment="bulk")
        await self.command("list-add", list="bans", name="192.0.2.9", comment="9 demerits")
        self.assertEqual([await self.ask(name), await self.ask(client)], [["127.0.0.2"], ["127.0.0.2"]])
        self.assertLess(time.monotonic() - began, 1.0)
        self.assertEqual(await self.ask(name, "TXT"), ['"Mail from spam.example is banned here: bulk"'])
        self.assertEqual(await self.ask("example.rhsbl.example.net"), [])  # something is below
        await self.command("list-remove", list="bans", name="192.0.2.9")
        self.assertEqual(await self.ask(client), ["NXDOMAIN"])

    async def test_after_a_restart(self) -> None:
        """What the stores have kept is served again; until it is known, the answer is SERVFAIL, never "not listed"."""
        first = self.start()
        await self.command("list-add", list="blacklist", name="*.spam.example")
        await first.stopService()
        second = self.start()
        self.addCleanup(second.stopService)
        await self.wait_for("mail.spam.example.rhsbl.example.net", "127.0.0.2")
        self.assertNotIn(["NXDOMAIN"], self.answers)
        self.assertEqual(second.status()["dns_server"]["published_bans"]["domains"], 1)  # type: ignore[index]
