"""Checks that have something to do between messages: the service starts, shows and stops them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.nameserver import NameServer
from tests.zonetext import Zone
from twistedmilter.configfile import load_settings
from twistedmilter.service import TwistedMilterService

CONFIG = """
[server]
state_dir = "state"
[milter]
listen = []
[control]
listen = "off"
[log]
format = "json"
to = "./log"
[resolver]
nameservers = ["{dns}"]
"""
LISTS = """
[[dnsbl.lists]]
zone = "good.example.net"
[[dnsbl.lists]]
zone = "world.example.net"
kind = "sender"
"""
ZONE = "2.0.0.127.good.example.net A 127.0.0.2\n*.world.example.net A 127.0.0.2"


class RunningCheckTests(TestCase):
    """The check C{dnsbl} in a running service."""

    timeout = 30  # seconds

    def setUp(self) -> None:
        """A directory and a name server."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.names = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(self.names.stop)
        self.addCleanup(lambda: deferLater(reactor, 0.05))  # sockets close

    def start(self, more: str) -> TwistedMilterService:
        """A running service."""
        config = self.directory / "twistedmilter.toml"
        config.write_text(CONFIG.format(dns="{}:{}".format(*self.names.address)) + more)
        service = TwistedMilterService(load_settings(str(config)), reactor, lambda: 1_795_525_200.0, {})
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def test_lists_are_probed_at_the_start(self) -> None:
        """Before any message came: one list is used, the other told as trouble once."""
        service = self.start(LISTS)
        for _ in range(200):
            lists = cast(dict[str, dict[str, str]], service.status()["dnsbl"])
            states = {name: each["state"] for name, each in lists.items()}
            if "not probed yet" not in states.values():
                break
            await deferLater(reactor, 0.02)
        self.assertEqual(states, {"good.example.net (client)": "used", "world.example.net (sender)": "not used"})
        self.assertIn("as if it listed the world", lists["world.example.net (sender)"]["problem"])
        log = (self.directory / "log").read_text()
        self.assertEqual(log.count("world.example.net is not used"), 1)
        self.assertNotIn("good.example.net", log)

    def test_nothing_by_default(self) -> None:
        """Without lists nobody is asked, and there is nothing to show."""
        service = self.start("")
        self.assertNotIn("dnsbl", service.status())
        self.assertEqual(self.names.asked, [])
