"""Tests of L{twistedmilter.cli.reputation}."""

from __future__ import annotations

import csv
import dbm.dumb
import fcntl
import json
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter.cli import main
from twistedmilter.control import ControlFactory
from twistedmilter.gossip_node import Node
from twistedmilter.model.reputation import Identity, Opinion, Vote
from twistedmilter.reputation.decision import Thresholds
from twistedmilter.reputation_commands import ReputationCommands
from twistedmilter.store.memory import MemoryStores


class ReputationTestCase(TestCase):
    """A configuration with a state directory."""

    def setUp(self) -> None:
        """It was used by a service, which does not run."""
        directory = tempfile.TemporaryDirectory()  # trial's own are too deep for a unix path
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.config = self.directory / "c.toml"
        self.config.write_text('[server]\nstate_dir = "."\n[control]\nlisten = "unix:control"\n')
        (self.directory / "lock").touch()

    def run_command(self, *arguments: str) -> Result:
        """The result of the command."""
        return CliRunner().invoke(main, ["reputation", *arguments, "--config", str(self.config)])

    def output(self, *arguments: str) -> str:
        """What a command that goes well prints."""
        result = self.run_command(*arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.output


class WithoutServiceTests(ReputationTestCase):
    """The file is opened."""

    def test_set_show_reset(self) -> None:
        """What was put in is there for the next command, until it is forgotten."""
        self.output("set", "Example.com", "SPF", "--ham", "300")
        self.output("set", "example.com", "neutral", "--spam", "20", "--days", "1")
        shown = self.output("show", "example.com").splitlines()
        self.assertRegex(shown[0], r"^example\.com:SPF  76,29  300 ham, 0 spam, 0 null  ")
        self.assertRegex(shown[1], r"^example\.com:neutral  -76,1 bad  0 ham, 20 spam, 0 null  ")
        [first, _] = json.loads(self.output("show", "example.com", "--json"))
        self.assertEqual((first["ham"], first["reputation"], first["is_bad"]), (300, 76.159, False))
        self.output("reset", "example.com", "spf")
        self.assertEqual(len(self.output("show", "example.com").splitlines()), 1)
        self.output("reset", "example.com")
        for command in ("show", "reset"):
            result = self.run_command(command, "example.com")
            self.assertEqual((result.exit_code, result.output), (1, "nothing is known of example.com\n"))

    def test_what_is_no_name(self) -> None:
        """Is told in one line."""
        result = self.run_command("show", "a b")
        self.assertEqual(result.exit_code, 3)
        self.assertIn("is no domain name", result.output)
        self.assertEqual(len(result.output.splitlines()), 1)

    def test_a_verdict_needs_the_service(self) -> None:
        """It alone knows what was asked."""
        result = self.run_command("spam", "u")
        self.assertEqual(result.exit_code, 3)
        self.assertIn("no service runs", result.output)

    def test_export(self) -> None:
        """One line a record, with the names of the columns first."""
        for number in range(3):
            self.output("set", f"d{number}.example", "SPF", "--ham", str(number))
        rows = list(csv.DictReader(self.output("export").splitlines()))
        self.assertEqual([(row["name"], row["ham"]) for row in rows], [(f"d{n}.example", str(n)) for n in range(3)])

    def test_import(self) -> None:
        """Of pygossip's shelf, once; what is newer here stays."""
        path = self.directory / "gossip4.db"
        now = time.time()
        state = (10, 10, 0, 0, 1_024, now - 1_000.0, now - 10.0, 0, 0)
        with dbm.dumb.open(str(path), "c") as shelf:
            shelf[b"spammer.example:SPF"] = pickle.dumps(state, 2)
            shelf[b"known.example:SPF"] = pickle.dumps(state, 2)
            shelf[b"bad.example:SPF"] = b"x"
        self.output("set", "known.example", "SPF", "--ham", "5")
        self.assertIn("2 records, 0 put in, 1 not understood", self.output("import", str(path), "--dry-run"))
        self.assertIn("2 records, 1 put in, 1 not understood", self.output("import", str(path)))
        self.assertIn("0 ham, 10 spam", self.output("show", "spammer.example"))
        self.assertIn("5 ham, 0 spam", self.output("show", "known.example"))


class OnePeer:
    """A peer that knows a spammer."""

    def __bool__(self) -> bool:
        return True

    async def ask(self, query: object, *, but: str) -> list[tuple[str, Opinion]]:
        """Always the same."""
        return [("there", Opinion(-76.0, 49.0))]


class WithServiceTests(ReputationTestCase):
    """A service is asked."""

    def setUp(self) -> None:
        """It runs, and has a peer."""
        super().setUp()
        lock = (self.directory / "lock").open("r+")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        store: Any = MemoryStores().observations
        self.node = Node(store, OnePeer(), time.time, lambda number: b"r" * number)
        commands = ReputationCommands(store, time.time, Thresholds(), self.node).commands
        factory = ControlFactory(commands, own_uid=os.geteuid(), reactor=cast(Any, reactor))
        port = cast(Any, reactor).listenUNIX(str(self.directory / "control"), factory)
        self.addCleanup(port.stopListening)

    async def ask(self, *arguments: str) -> Result:
        """A command, while the reactor runs."""
        return await deferToThread(self.run_command, *arguments)

    async def test_verdicts(self) -> None:
        """On a message that was asked about, which may be corrected; on another, exit code 1."""
        await self.node.ask(Identity("example.com", "SPF"), "u")
        self.assertEqual((await self.ask("spam", "u")).exit_code, 0)
        self.assertIn("0 ham, 1 spam", (await self.ask("show", "example.com")).output)
        self.assertEqual((await self.ask("ham", "u")).exit_code, 0)
        self.assertIn("1 ham, 0 spam", (await self.ask("show", "example.com")).output)
        self.assertEqual((await self.ask("spam", "v")).exit_code, 1)

    async def test_peers(self) -> None:
        """What each says, what that weighs, and what comes of it."""
        await self.node.ask(Identity("example.com", "SPF"), "u")
        await self.node.tell("u", Vote.HAM)
        shown = (await self.ask("show", "example.com", "--peers")).output.splitlines()
        self.assertEqual(shown[1:], ["  there says -76,49, which weighs 10", "  together -76,10 bad"])
