"""Tests of the command C{twistedmilter spf}, run as people run it, against a name server on loopback."""

from __future__ import annotations

import json
import sys

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.nameserver import NameServer
from tests.zonetext import Zone

ZONE = """
    example.com     TXT  "v=spf1 ip4:192.0.2.1 -all"
    broken.example  TXT  SERVFAIL
    wrong.example   TXT  "v=spf1 moo -all"
"""
COMMAND = ["-W", "ignore", "-c", "from twistedmilter.cli import main; main()", "spf"]


class SPFCommandTests(TestCase):
    """What it prints and how it ends."""

    timeout = 60  # seconds

    async def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, what was printed, and what was complained of."""
        server = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(server.stop)
        where = "{}:{}".format(*server.address)
        out, err, code = await getProcessOutputAndValue(
            sys.executable, [*COMMAND, "--nameserver", where, *arguments], env=None
        )
        return code, out.decode(), err.decode()

    async def test_steps(self) -> None:
        """The evaluation is printed line by line; pass is exit 0."""
        code, out, err = await self.run_command("192.0.2.1", "<bob@example.com>", "mail.example.net")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out.splitlines()[-1], "result: pass, by ip4:192.0.2.1")

    async def test_exit_codes(self) -> None:
        """0 for what is no refusal, 1 for fail and permerror, 2 for temperror, 3 for wrong usage."""
        for code, arguments in (
            (0, ("192.0.2.1", "", "nothing.example")),
            (1, ("192.0.2.2", "bob@example.com", "mail.example.net")),
            (1, ("192.0.2.2", "bob@wrong.example", "mail.example.net")),
            (2, ("192.0.2.2", "bob@broken.example", "mail.example.net")),
            (3, ("192.0.2.2.2", "bob@example.com", "mail.example.net")),
            (3, ("--nameserver", "ns.example.com", "192.0.2.2", "bob@example.com", "mail.example.net")),
        ):
            self.assertEqual((await self.run_command(*arguments))[0], code, arguments)

    async def test_json(self) -> None:
        """One object with everything."""
        _, out, _ = await self.run_command("192.0.2.2", "bob@example.com", "mail.example.net", "--json")
        told = json.loads(out)
        self.assertEqual((told["result"], told["mechanism"]), ("fail", "-all"))
        self.assertIn("result: fail, by -all", told["steps"])

    async def test_complaint_is_one_line(self) -> None:
        """No traceback, and the option is named."""
        _, out, err = await self.run_command("--nameserver", "x", "192.0.2.2", "bob@example.com", "mail.example.net")
        self.assertEqual((out, err.count("\n")), ("", 1))
        self.assertIn("'x' is not a name server", err)
