"""Tests of the command C{twistedmilter spf}, run as people run it, against a name server on loopback."""

from __future__ import annotations

import fnmatch
import json
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.nameserver import NameServer
from tests.zonetext import Zone

ZONE = """
    example.com     TXT  "v=spf1 ip4:192.0.2.1 -all"
    broken.example  TXT  SERVFAIL
    wrong.example   TXT  "v=spf1 moo -all"
    typo.example    TXT  "v=spf1 ipv4:192.0.2.1 ~all"
    bare.example    MX   10 mail.bare.example
    mail.bare.example  A  192.0.2.7
    helo.example    TXT  "v=spf1 ip4:192.0.2.7 -all"
"""
COMMAND = ["-W", "ignore", "-c", "from twistedmilter.cli import main; main()"]


class SPFCommandTests(TestCase):
    """What it prints and how it ends."""

    timeout = 60  # seconds

    async def run_command(self, *arguments: str, command: str = "spf") -> tuple[int, str, str]:
        """Exit code, what was printed, and what was complained of."""
        server = NameServer.listening(reactor, Zone.parse(ZONE))
        self.addCleanup(server.stop)
        where = "{}:{}".format(*server.address)
        out, err, code = await getProcessOutputAndValue(
            sys.executable, [*COMMAND, command, "--nameserver", where, *arguments], env=None
        )
        return code, out.decode(), err.decode()

    def config(self, text: str) -> str:
        """The path of a configuration with this text."""
        path = Path(self.mktemp())
        path.write_text(text, "utf-8")
        return str(path)

    async def test_steps(self) -> None:
        """The evaluation is printed line by line; pass is exit 0."""
        code, out, err = await self.run_command("192.0.2.1", "<bob@example.com>", "mail.example.net")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out.splitlines()[-1], "result: pass, by ip4:192.0.2.1")

    async def test_readings(self) -> None:
        """E07, E10: a lax result and a guess are named as such, with the correction, and what policy does with them."""
        path = self.config("[spf]\nbest_guess = true\n")
        for arguments, expected in (
            (
                ("192.0.2.1", "bob@typo.example", "x"),
                [
                    "correction: probably meant was ip4:192.0.2.1",
                    "lax reading: pass, by ipv4:192.0.2.1; this is not official, *: spf.lax is off",
                    "effective: permerror (official)",
                    "the check spf would say: mark, spf-permerror: SPF permerror for MAIL FROM bob@typo.example *",
                ],
            ),
            (
                ("192.0.2.8", "bob@bare.example", "helo.example", "--name", "host.bare.example"),
                ["HELO name: fail, by -all", "best guess: pass, by mx/24; this is not official, and policy acts on it"],
            ),
            (
                ("192.0.9.9", "bob@bare.example", "x"),
                ["best guess: neutral; this is not official, and policy does not act on it: a guess only ever helps"],
            ),
            (("192.0.2.9", "bob@example.com", "x"), ["the check spf would say: refuse with 550 5.7.23, spf-fail: *"]),
        ):
            _, out, err = await self.run_command(*arguments, "--config", path)
            for line in expected:
                self.assertTrue(fnmatch.filter(out.splitlines(), line), (line, out, err))
            self.assertTrue(out.splitlines()[-1].startswith(("result: ", "problem: ", "explanation: ")), out)

    async def test_policy(self) -> None:
        """C{policy --ip} shows what was read how, and which entry decides on what policy acts on."""
        path = self.config('[spf]\nlax = true\n[spf.policy]\n"softfail:typo.example" = "HOLD"\n')
        arguments = ("bob@typo.example", "--ip", "192.0.2.2", "--config", path)
        _, out, err = await self.run_command(*arguments, command="policy")
        lines = out.splitlines()
        self.assertEqual((lines[0], err), ("  official: permerror", ""))
        self.assertIn("  correction: probably meant was ip4:192.0.2.1", lines)
        self.assertIn("  lax reading: softfail, by ~all; this is not official, and policy acts on it", lines)
        self.assertIn("spf-softfail for bob@typo.example", lines)
        decides = "HOLD, by [spf.policy] softfail:typo.example: the message is held in quarantine"
        self.assertEqual(lines[-1], decides)

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
        policy = told["policy"]
        self.assertEqual((policy["verdict"], policy["reason"], policy["helo"]), ("refuse", "spf-fail", "none"))
        _, out, _ = await self.run_command("192.0.2.1", "bob@typo.example", "mail.example.net", "--json")
        told = json.loads(out)
        self.assertEqual((told["result"], told["correction"]), ("permerror", "ip4:192.0.2.1"))
        self.assertEqual(told["policy"]["readings"]["lax"]["result"], "pass")
        self.assertEqual(told["policy"]["effective"], {"result": "permerror", "basis": "official"})

    async def test_complaint_is_one_line(self) -> None:
        """No traceback, and the option is named."""
        _, out, err = await self.run_command("--nameserver", "x", "192.0.2.2", "bob@example.com", "mail.example.net")
        self.assertEqual((out, err.count("\n")), ("", 1))
        self.assertIn("'x' is not a name server", err)
