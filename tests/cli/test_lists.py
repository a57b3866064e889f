"""Tests of L{twistedmilter.cli.lists}."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter import list_commands
from twistedmilter.cli import main
from twistedmilter.control import ControlFactory
from twistedmilter.list_commands import ListCommands
from twistedmilter.store.memory import MemoryStores


class ListsTestCase(TestCase):
    """A configuration with a state directory."""

    def setUp(self) -> None:
        """It was used by a service, which does not run."""
        directory = tempfile.TemporaryDirectory()  # trial's own are too deep for a unix path
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.config = self.directory / "c.toml"
        self.write("")
        (self.directory / "lock").touch()

    def write(self, more: str) -> None:
        """The configuration with more in it."""
        self.config.write_text(f'[server]\nstate_dir = "."\n[control]\nlisten = "unix:control"\n{more}')

    def run_list(self, *arguments: str) -> Result:
        """The result of the command."""
        return CliRunner().invoke(main, ["list", *arguments, "--config", str(self.config)])

    def trouble(self, *arguments: str) -> str:
        """Why the command cannot go on."""
        result = self.run_list(*arguments)
        self.assertEqual((result.exit_code, len(result.output.splitlines())), (3, 1), result.output)
        return result.output


class WithoutServiceTests(ListsTestCase):
    """The file is opened."""

    def test_add_show_remove(self) -> None:
        """What was entered is there for the next command, until it is taken out."""
        added = self.run_list("add", "whitelist", "A@b.example", "--comment", "a\x1bb")
        self.assertEqual((added.exit_code, added.output), (0, "a@b.example  for good                a\\x1bb\n"))
        self.run_list("add", "whitelist", "c.example", "--expires", "4h")
        shown = json.loads(self.run_list("show", "whitelist", "--json").output)
        self.assertEqual([entry["name"] for entry in shown], ["a@b.example", "c.example"])
        self.assertLess(abs(shown[1]["expires"] - time.time() - 4 * 3_600), 60)
        self.assertRegex(self.run_list("show", "whitelist").output, r"c\.example +until \d{4}-\d\d-\d\d \d\d:\d\d\n")
        self.assertEqual(self.run_list("remove", "whitelist", "a@b.example").exit_code, 0)
        gone = self.run_list("remove", "whitelist", "a@b.example")
        self.assertEqual((gone.exit_code, gone.output), (1, "a@b.example is not in the whitelist\n"))

    def test_a_long_list(self) -> None:
        """It is asked for in pages, and shown whole."""
        self.patch(list_commands, "PAGE", 2)
        names = [f"{number}.example" for number in range(5)]
        for name in names:
            self.run_list("add", "blacklist", name)
        shown = json.loads(self.run_list("show", "blacklist", "--json").output)
        self.assertEqual([entry["name"] for entry in shown], names)

    def test_an_empty_list(self) -> None:
        """No line, or an empty array."""
        self.assertEqual(self.run_list("show", "bans").output, "")
        self.assertEqual(self.run_list("show", "bans", "--json").output, "[]\n")

    def test_times(self) -> None:
        """Spans, dates, and what is neither."""
        for text in ("90m", "1w", "2999-12-31", "2999-12-31T10:00+01:00"):
            self.assertEqual(self.run_list("add", "bans", "192.0.2.1", "--expires", text).exit_code, 0, text)
        for text in ("tomorrow", "5", "-4h", "2999-13-01", "9999999d"):
            self.assertEqual(self.run_list("add", "bans", "192.0.2.1", "--expires", text).exit_code, 3, text)
        self.assertIn("expired already", self.trouble("add", "bans", "192.0.2.1", "--expires", "2001-01-01"))
        self.assertIn("later than any date", self.trouble("add", "bans", "192.0.2.1", "--expires", "999999w"))

    def test_troubles(self) -> None:
        """Each is one line that says what to do."""
        self.assertIn("not an IP address", self.trouble("add", "bans", "b.example"))
        self.write('[store]\nurl = "memory"')
        self.assertIn("no service runs", self.trouble("show", "bans"))
        (self.directory / "lock").unlink()
        self.assertIn("no service has been started", self.trouble("show", "bans"))

    def test_a_service_of_somebody_else(self) -> None:
        """The file is not made by root, or the service could not open it."""
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        self.assertIn("run this as that user", self.trouble("show", "bans"))
        self.assertEqual(list(self.directory.glob("*.db")), [])


class NothingIsOpenedTests(ListsTestCase):
    """Commands that only look."""

    def test_scan_and_check_config(self) -> None:
        """They open no store and make no file."""
        self.write('[policy]\nchecks = ["trusted_client", "helo"]')
        message = self.directory / "a.eml"
        message.write_bytes(b"From: a@b.example\n\nHello\n")
        before = sorted(path.name for path in self.directory.iterdir())
        for command in (["check-config"], ["scan", str(message)]):
            result = CliRunner().invoke(main, [*command, "--config", str(self.config)])
            self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), before)


class WithServiceTests(ListsTestCase):
    """The service that has the lock is asked."""

    def setUp(self) -> None:
        """A lock that is held."""
        super().setUp()
        lock = (self.directory / "lock").open("w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)

    async def test_it_is_asked(self) -> None:
        """What it has in memory is shown and changed, and what it refuses is told."""
        commands = ListCommands(MemoryStores(), time.time).commands
        factory = ControlFactory(commands, own_uid=os.geteuid(), reactor=reactor)
        port = reactor.listenUNIX(str(self.directory / "control"), factory)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        added = await deferToThread(self.run_list, "add", "bans", "192.0.2.1", "--comment", "noisy")
        shown = await deferToThread(self.run_list, "show", "bans")
        self.assertEqual(added.output, shown.output)
        self.assertIn("noisy", shown.output)
        self.assertIn("not an IP address", await deferToThread(self.trouble, "add", "bans", "b.example"))

    def test_it_does_not_answer(self) -> None:
        """The file is not opened under it."""
        self.assertIn("no service answers", self.trouble("show", "bans"))
        self.assertEqual(list(self.directory.glob("*.db")), [])
