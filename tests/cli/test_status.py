"""Tests of L{twistedmilter.cli.status}."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.status import control_path, status, status_lines
from twistedmilter.control import ControlFactory
from twistedmilter.errors import ConfigError

ANSWER = {"version": "1.0", "listeners": ["inet:8890@127.0.0.1"], "counters": {"verdicts": {"refuse": 2}}, "x\x1b": []}


class StatusTests(TestCase):
    """The command and a service that answers."""

    def setUp(self) -> None:
        """A configuration whose control socket has a short name."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.config = self.write('[control]\nlisten = "unix:control"\n')

    def write(self, text: str) -> str:
        """A configuration."""
        path = self.directory / "c.toml"
        path.write_text(text)
        return str(path)

    def serve(self) -> None:
        """Answer at the control socket."""
        factory = ControlFactory({"status": lambda _: ANSWER}, own_uid=os.geteuid(), reactor=reactor)
        port = reactor.listenUNIX(str(self.directory / "control"), factory)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)

    async def status(self, *arguments: str) -> Result:
        """Run the command in a thread, for it blocks."""
        return await deferToThread(CliRunner().invoke, status, ["--config", self.config, *arguments])

    async def test_for_people(self) -> None:
        """One fact a line, counts below their name."""
        self.serve()
        result = await self.status()
        self.assertEqual(
            ["version: 1.0", "listeners: inet:8890@127.0.0.1", "counters:", "  verdicts:", "    refuse: 2"],
            result.output.splitlines()[:5],
        )

    async def test_json(self) -> None:
        """The answer as it came."""
        self.serve()
        self.assertEqual(ANSWER, json.loads((await self.status("--json")).output))

    async def test_nobody_answers(self) -> None:
        """Exit 3 and one sentence that names the socket."""
        result = await self.status()
        self.assertEqual(3, result.exit_code)
        self.assertIn(f"no service answers at {self.directory}/control", result.output)

    def test_where_the_socket_is(self) -> None:
        """By default in the state directory; off is told."""
        config = self.write(f'[server]\nstate_dir = "{self.directory}/state"\n')
        self.assertEqual(f"{self.directory}/state/control", control_path(config))
        error = self.assertRaises(CommandError, control_path, self.write('[control]\nlisten = "off"\n'))
        self.assertIn("control.listen is off", str(error))

    async def test_what_is_wrong_elsewhere_keeps_nobody_from_asking(self) -> None:
        """A service that runs has its configuration; a zone file that has vanished since is a reason to ask it."""
        zone = '[[dns.zones]]\nname = "rhsbl.example.net"\nkind = "rhsbl"\nfiles = ["gone.zone"]\n'
        self.config = self.write(f'[control]\nlisten = "unix:control"\n[spf]\nmodes = 1\n{zone}')
        self.serve()
        self.assertEqual(ANSWER, json.loads((await self.status("--json")).output))

    def test_what_is_wrong_with_the_socket_is_told(self) -> None:
        """The key is named, and a file that is no TOML."""
        for text, told in (("[control]\nlisten = 1\n", "control.listen"), ("[server\n", "line 1")):
            self.assertIn(told, str(self.assertRaises(ConfigError, control_path, self.write(text))))

    def test_lists(self) -> None:
        """An empty list says so."""
        self.assertEqual(["a b: none"], list(status_lines({"a_b": []})))
