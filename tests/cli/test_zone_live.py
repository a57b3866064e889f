"""Tests of L{twistedmilter.cli.zone_live}: bans as they are listed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter.cli import main
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
listen = ["127.0.0.1:0"]
publish_bans = {bans}
[[dns.zones]]
name = "rhsbl.example.net"
files = ["throwaway.zone"]
[[dns.zones]]
name = "ipbl.example.net"
kind = "ipbl"
files = ["clients.zone"]
"""


class ZoneLiveTests(TestCase):
    """A configuration with two zones, and a service."""

    timeout = 30  # seconds

    def setUp(self) -> None:
        """Write the zones."""
        directory = tempfile.TemporaryDirectory()  # trial's own are too deep for a unix path
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        (self.directory / "throwaway.zone").write_text("serial:ded{300-399}.com :127.0.0.3:Throwaway domain $\n")
        (self.directory / "clients.zone").write_text("198.51.100.0/24\n")
        self.config = self.directory / "c.toml"

    def start(self, *, bans: bool = True) -> TwistedMilterService:
        """A running service."""
        self.config.write_text(CONFIG.format(bans=json.dumps(bans)))
        service = TwistedMilterService(load_settings(str(self.config)), reactor, lambda: 1_795_525_200.0, {})
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def start_loaded(self) -> None:
        """A running service that has read its zones; commands are quick enough to come before."""
        service = self.start()
        while any(zone.served.zone is None for zone in service.dns.zones.values()):
            await deferLater(reactor, 0.01)

    async def run_zone(self, *arguments: str) -> Result:
        """The result of the command."""
        return await self.run_command("zone", *arguments)

    async def run_list(self, *arguments: str) -> Result:
        """The result of C{twistedmilter list}."""
        return await self.run_command("list", *arguments)

    async def run_command(self, *arguments: str) -> Result:
        """The result of a command; the reactor goes on meanwhile."""
        command: Any = [*arguments, "--config", str(self.config)]
        return await deferToThread(CliRunner().invoke, main, command)

    async def test_add_why_list_remove(self) -> None:
        """What is added is listed at once, and shown, until it is removed."""
        await self.start_loaded()
        added = await self.run_zone("add", "*.Spam.example", "--comment", "bulk")
        self.assertEqual((added.exit_code, added.output), (0, "*.spam.example  for good                bulk\n"))
        await self.run_zone("add", "192.0.2.9", "--comment", "9 demerits")
        why = await self.run_zone("why", "mail.spam.example")
        self.assertEqual(
            why.output.splitlines(),
            [
                "rhsbl.example.net: blacklist: suffix rule, 127.0.0.2, 60 s",
                "  Mail from mail.spam.example is banned here: bulk",
                "  dig mail.spam.example.rhsbl.example.net",
            ],
        )
        why = await self.run_zone("why", "192.0.2.9")
        self.assertIn("ipbl.example.net: bans: network rule", why.output)
        self.assertIn("dig 9.2.0.192.ipbl.example.net", why.output)
        shown = json.loads((await self.run_zone("list", "--json")).output)
        self.assertEqual([entry["name"] for entry in shown], ["*.spam.example", "192.0.2.9"])
        self.assertEqual((await self.run_zone("remove", "*.spam.example")).exit_code, 0)
        gone = await self.run_zone("remove", "*.spam.example")
        self.assertEqual((gone.exit_code, gone.output), (1, "*.spam.example is not banned\n"))
        why = await self.run_zone("why", "mail.spam.example")
        self.assertEqual((why.exit_code, why.output), (1, "rhsbl.example.net: mail.spam.example is not listed\n"))

    async def test_rules_of_files(self) -> None:
        """A rule of a file is shown with its line and text."""
        await self.start_loaded()
        why = await self.run_zone("why", "DED307.com")
        self.assertRegex(
            why.output.splitlines()[0],
            r"^rhsbl\.example\.net: .*throwaway\.zone:1: serial rule, 127\.0\.0\.3, 300 s$",
        )
        self.assertEqual(why.output.splitlines()[1], "  Throwaway domain ded307.com")
        self.assertIn("clients.zone:1", (await self.run_zone("why", "198.51.100.7")).output)

    async def test_wrong(self) -> None:
        """What cannot be listed is told in one line; so is that nothing is published."""
        self.start(bans=False)
        for arguments, told in (
            (("add", "bob@spam.example"), "is a full address: twistedmilter list add blacklist"),
            (("add", "a b"), "is neither an address nor a domain"),
            (("why", "a b"), "'a b' is neither a domain nor an IP address"),
        ):
            result = await self.run_zone(*arguments)
            self.assertEqual((result.exit_code, len(result.output.splitlines())), (3, 1), result.output)
            self.assertIn(told, result.output)
        added = await self.run_zone("add", "spam.example")
        self.assertIn("dns.publish_bans is false: this is in no zone", added.output)
        self.assertEqual((await self.run_zone("why", "spam.example")).exit_code, 1)

    async def test_hits(self) -> None:
        """The rules that list most come first; names that are asked for count, whoever asks."""
        service = self.start()
        while service.dns.zones["rhsbl.example.net"].served.zone is None:
            await deferLater(reactor, 0.01)
        for name in ("ded301.com", "ded302.com", "198.51.100.7"):
            await self.run_zone("why", name)
        found = json.loads((await self.run_zone("hits", "--json")).output)
        self.assertEqual(
            [(each["line"], each["kind"], each["hits"]) for each in found], [(1, "serial", 2), (1, "network", 1)]
        )
        told = await self.run_zone("hits", "-n", "1")
        self.assertRegex(told.output, r"^ +2  rhsbl\.example\.net: .*throwaway\.zone:1: serial rule\n$")

    async def test_suggest(self) -> None:
        """Without a file the bans are the domains that were entered; one command turns three into a rule."""
        service = self.start()
        for name in ("tip401.net", "*.tip402.net", "tip403.net", "someone@tip404.net"):
            await self.run_list("add", "blacklist", name)
        path = self.directory / "throwaway.zone"
        suggested = await self.run_zone("suggest", "--zone", str(path))
        self.assertEqual(suggested.output.splitlines()[0], "1. serial:tip{400-499}.net")
        self.assertIn("tip401.net, tip402.net, tip403.net", suggested.output)
        accepted = await self.run_zone("suggest", "--accept", "1", "--into", str(path))
        self.assertEqual(accepted.exit_code, 0, accepted.output)
        service.dns.reload()
        why = await self.run_zone("why", "tip477.net")
        self.assertIn("throwaway.zone:2: serial rule", why.output)

    async def test_reload(self) -> None:
        """A file that has shrunk is taken with force, and told without."""
        service = self.start()
        zone = service.dns.zones["rhsbl.example.net"]
        for text, arguments, rules in (
            ("a.example\nb.example\nc.example\n", (), 3),
            ("a.example\n", (), 3),
            ("a.example\n", ("rhsbl.example.net", "--force"), 1),
        ):
            (self.directory / "throwaway.zone").write_text(text)
            done = zone.loads + zone.failures
            result = await self.run_zone("reload", *arguments)
            self.assertEqual(
                (result.exit_code, "reading rhsbl.example.net\n" in result.output), (0, True), result.output
            )
            while zone.loads + zone.failures == done:
                await deferLater(reactor, 0.01)
            assert zone.served.zone is not None
            self.assertEqual(len(zone.served.zone), rules)
        wrong = await self.run_zone("reload", "other.example.net")
        self.assertEqual((wrong.exit_code, len(wrong.output.splitlines())), (3, 1), wrong.output)

    async def test_no_service(self) -> None:
        """Zones are those of a service: without one there is nobody to ask."""
        self.config.write_text(CONFIG.format(bans="true"))
        result = await self.run_zone("why", "spam.example")
        self.assertEqual(result.exit_code, 3)
        self.assertIn("no service answers", result.output)
