"""Tests of the command C{twistedmilter verify}, run as people run it, against servers on loopback."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from tests.nameserver import NameServer
from tests.test_callback import VerifierTestCase
from tests.zonetext import Zone

COMMAND = ["-W", "ignore", "-c", "from twistedmilter.cli import main; main()", "verify", "--helo", "mx.example.org"]
ZONE = "example.com MX 10 mail.example.com\nmail.example.com A 127.0.0.1"


class VerifyCommandTests(VerifierTestCase):
    """What it prints and how it ends."""

    timeout = 60  # seconds

    def config(self, text: str) -> Path:
        """A configuration file."""
        path = Path(self.mktemp())
        path.write_text(text)
        return path

    async def run_command(self, server: Any, *arguments: str) -> tuple[int, str, str]:
        """Exit code, what was printed, and what was complained of."""
        names = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(names.stop)
        where = ["--nameserver", "{}:{}".format(*names.address), "--port", str(server.port)]
        out, err, code = await getProcessOutputAndValue(sys.executable, [*COMMAND, *where, *arguments], env=None)
        return code, out.decode(), err.decode()

    async def test_conversation(self) -> None:
        """Each line is shown, then the result; a mailbox that does not exist is exit 1."""
        server = self.serve(RCPT="550 5.1.1 no bob")
        code, out, err = await self.run_command(server, "--permit-private", "<bob@example.com>")
        self.assertEqual((code, err), (1, ""))
        self.assertIn("> RCPT TO:<bob@example.com>\n< 550 5.1.1 no bob\n> QUIT\n", out)
        self.assertTrue(out.endswith("result: invalid, mail.example.com [127.0.0.1] said to RCPT: 550 5.1.1 no bob\n"))

    async def test_exit_codes(self) -> None:
        """0 for valid, 2 for temporary, 3 for wrong usage."""
        for code, answer, arguments in (
            (0, "250 ok", ("bob@example.com",)),
            (2, "450 later", ("bob@example.com",)),
            (3, "250 ok", ("--helo", "no name", "bob@example.com")),
            (3, "250 ok", ()),
        ):
            server = self.serve(RCPT=answer)
            self.assertEqual((await self.run_command(server, "--permit-private", *arguments))[0], code, arguments)

    async def test_configuration(self) -> None:
        """Name, port and what may be called are those of the configuration, whether callbacks are on or not."""
        server = self.serve()
        file = self.config(f'[callback]\nown_name = "out.example.org"\nport = {server.port}\npermit_private = true\n')
        names = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(names.stop)
        where = ["--nameserver", "{}:{}".format(*names.address), "--config", str(file)]
        command = [part for part in COMMAND if part not in {"--helo", "mx.example.org"}]
        out, err, code = await getProcessOutputAndValue(sys.executable, [*command, *where, "bob@example.com"], env=None)
        self.assertEqual((code, err), (0, b""), out)
        self.assertEqual(server.heard[0], "EHLO out.example.org")

    async def test_private(self) -> None:
        """Loopback is not called without being told to; the JSON says why."""
        server = self.serve()
        code, out, _ = await self.run_command(server, "bob@example.com", "--json")
        told = json.loads(out)
        self.assertEqual((code, told["result"], told["stage"], server.sessions), (0, "unknown", "route", 0))
        self.assertIn("not a public address", told["text"])
