"""Reputation in running services: one learns, and the other hears of it (gossip spec 1.8, 1.12)."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from tests.test_milter_proto import CONNECT, END, HEADER, HELO, MAIL, OFFER, RCPT
from tests.test_service import OneSession
from twistedmilter.configfile import load_settings
from twistedmilter.model.reputation import Identity, Vote
from twistedmilter.service import TwistedMilterService
from twistedmilter.wire.frames import encode_frame

DAY = 86_400.0
WHOLE = (OFFER, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
QUALIFIER = "temperror"  # nobody answers for the name server


class ReputationServiceTests(TestCase):
    """Services with a milter socket each."""

    def setUp(self) -> None:
        """The time can be moved."""
        self.now = 1_795_525_200.0
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def start(self, gossip: str, *, mode: str = "enforce") -> tuple[TwistedMilterService, Path]:
        """A running service that judges by reputation alone, stopped after the test; and its directory."""
        directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))  # trial's own are too deep for a unix path
        self.addCleanup(shutil.rmtree, directory)
        config = directory / "c.toml"
        config.write_text(
            f'[server]\nstate_dir = "state"\n[milter]\nlisten = ["unix:m"]\ngrace = 0.5\n[control]\nlisten = "off"\n'
            f'[resolver]\nnameservers = ["127.0.0.1:1"]\ntimeout = 0.2\n[dns]\nlisten = []\n'
            f'[log]\nformat = "json"\nto = "./log"\n[policy]\nchecks = ["reputation"]\n'
            f'[reputation]\nmode = "{mode}"\n[gossip]\n{gossip}\n'
        )
        service = TwistedMilterService(load_settings(str(config)), reactor, lambda: self.now, {})
        service.startService()
        self.addCleanup(lambda: service.stopService() if service.running else None)
        return service, directory

    async def send(self, directory: Path) -> dict[str, Any]:
        """The record of one message."""
        protocol = OneSession(*WHOLE)
        factory = Factory.forProtocol(lambda: protocol)
        factory.noisy = False
        UNIXClientEndpoint(IReactorUNIX(reactor), str(directory / "m")).connect(factory)
        self.answers = await protocol.done
        lines = (directory / "log").read_text().splitlines()
        record: dict[str, Any] = [event for event in map(json.loads, lines) if event["event"] == "message"][-1]
        return record

    async def spam(self, service: TwistedMilterService, name: str, number: int = 80, days: float = 28.0) -> None:
        """So many messages in so many days that were refused by callbacks."""
        node = service.gossip.node
        for _ in range(number):
            self.now += days * DAY / number
            umis = node.new_umis()
            await node.ask(Identity(name, QUALIFIER), umis)
            await node.tell(umis, Vote.SPAM)

    def facts(self, record: dict[str, Any]) -> str:
        """The evidence of the check, as text."""
        return str(record["evidence"])

    async def test_a_spammer_is_refused_here_and_marked_there(self) -> None:
        """The second has never seen it; its record says who told."""
        first, here = self.start(f'listen = ["127.0.0.1:{self.port}"]')
        _second, there = self.start(f'peers = [{{name = "first", address = "127.0.0.1:{self.port}"}}]')
        record = await self.send(here)
        self.assertEqual(record["decision"]["verdict"], "continue", record)
        sender = record["mail_from"].strip("<>").rpartition("@")[2]
        await self.spam(first, sender)
        record = await self.send(here)
        self.assertEqual((record["decision"]["verdict"], record["decision"]["check"]), ("refuse", "reputation"))
        self.assertIn(b"550 5.7.1", self.answers)
        record = await self.send(there)
        self.assertEqual(record["decision"]["verdict"], "continue", record)
        self.assertIn("reputation-peers", str(record["marks"]))
        self.assertIn("first says -7", self.facts(record))

    async def test_what_goes_on_is_learnt(self) -> None:
        """One message, one vote, which is there after a restart."""
        service, directory = self.start("")
        record = await self.send(directory)
        sender = record["mail_from"].strip("<>").rpartition("@")[2]
        self.assertIn(b"X-GOSSiP", self.answers)
        await service.stopService()
        again = TwistedMilterService(load_settings(str(directory / "c.toml")), reactor, lambda: self.now, {})
        again.startService()
        self.addCleanup(again.stopService)
        [(identity, known)] = await again.stores.observations.of_name(sender)
        self.assertEqual((identity, known.hams, known.count), (Identity(sender, QUALIFIER), 1, 1))

    async def test_a_verdict_after_a_restart(self) -> None:
        """Corrects the one before it."""
        service, directory = self.start("")
        record = await self.send(directory)
        [umis] = [fact["value"] for fact in record["evidence"] if fact["name"] == "umis"]
        sender = record["mail_from"].strip("<>").rpartition("@")[2]
        await service.stopService()
        again = TwistedMilterService(load_settings(str(directory / "c.toml")), reactor, lambda: self.now, {})
        again.startService()
        self.addCleanup(again.stopService)
        await again.stores.questions.questions(self.now)  # what was asked for before has been done then
        self.assertTrue(await again.gossip.node.tell(umis, Vote.SPAM))
        [(_, known)] = await again.stores.observations.of_name(sender)
        self.assertEqual((known.hams, known.spams), (0, 1))

    async def test_observing_refuses_nobody(self) -> None:
        """And the record says who would have been."""
        service, directory = self.start("", mode="observe")
        record = await self.send(directory)
        await self.spam(service, record["mail_from"].strip("<>").rpartition("@")[2])
        record = await self.send(directory)
        self.assertEqual(record["decision"]["verdict"], "continue")
        self.assertIn("reputation-bad", str(record))
