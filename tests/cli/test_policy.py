"""Tests of C{twistedmilter policy}."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import CommandTestCase

CONFIG = """\
[policy]
access = "access"
[networks]
internal_domains = ["example.org"]
[spf]
accept_softfail = ["lenient.example"]
[spf.policy]
"softfail:a.example" = "CBV"
fail = 'ERROR:"551 5.7.1 not for {recipient}"'
"""
ACCESS = "spf-softfail:bob@a.example REJECT\nsmtp-auth:ann@example.com OK\n"


class PolicyCommandTests(CommandTestCase):
    """Which entry decides."""

    def setUp(self) -> None:
        """A configuration with an access map."""
        self.path = self.config(CONFIG)
        (Path(self.path).parent / "access").write_text(ACCESS)

    def tell(self, *arguments: str) -> str:
        """The last line that it prints."""
        result = self.run_command("policy", *arguments, "--config", self.path)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout.splitlines()[-1]

    def test_every_step_is_shown(self) -> None:
        """F03: each key is shown in its order with what is there, and the first entry decides."""
        result = self.run_command("policy", "<bob@x.a.example>", "--result", "softfail", "--config", self.path)
        where = "[spf.policy] softfail:a.example"
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "spf-softfail for bob@x.a.example",
                "  spf-softfail:bob@x.a.example  -",
                "  spf-softfail:x.a.example      -",
                f"  spf-softfail:.a.example       {where}  <- decides",
                "  spf-softfail:.example         -",
                "  spf-softfail:                 -",
                "  spf-softfail                  -",
                f"CBV, by {where}: the message goes on, marked, since what CBV needs is off",
            ],
        )

    def test_who_decides(self) -> None:
        """The more particular entry of the two sources, a list, or the default."""
        access = Path(self.path).parent / "access"
        for arguments, expected in (
            (("bob@a.example", "--result", "softfail"), f"REJECT, by {access}:1: spf-softfail:bob@a.example: "),
            (("eve@a.example", "--result", "SOFTFAIL"), "CBV, by [spf.policy] softfail:a.example: "),
            (("b@lenient.example", "--result", "softfail"), "OK, by [spf] accept_softfail: the message goes on"),
            (("b@c.example", "--result", "softfail"), "OK, by default: the message goes on"),
            (("c.example", "--helo", "--result", "fail"), "REJECT, by default: the message is refused"),
            (("x@c.example", "--result", "fail"), 'ERROR:"551 5.7.1 not for {recipient}", by [spf.policy] fail: '),
        ):
            self.assertTrue(self.tell(*arguments).startswith(expected), (arguments, self.tell(*arguments)))
        self.assertTrue(self.tell("x@c.example", "--result", "fail").endswith("551 5.7.1 not for RECIPIENT"))

    def test_users(self) -> None:
        """D16, D08: what a user may use, and why."""
        for user, sender, expected in (
            ("ann", "info@example.com", f"OK, by {Path(self.path).parent}/access:2: smtp-auth:ann@example.com: "),
            ("bob", "example.org", "OK, by no entry: "),
            ("bob", "info@example.com", "REJECT, by networks.internal_domains, where it is not: "),
        ):
            self.assertTrue(self.tell(sender, "--user", user).startswith(expected), self.tell(sender, "--user", user))

    def test_json(self) -> None:
        """One object with every step."""
        told = json.loads(self.tell("eve@a.example", "--result", "softfail", "--json"))
        self.assertEqual((told["word"], told["source"]), ("CBV", "[spf.policy] softfail:a.example"))
        self.assertEqual(told["looked_up"][0], {"key": "spf-softfail:eve@a.example", "entry": ""})

    def test_a_check_that_does_not_count(self) -> None:
        """That nothing of it is enforced is told."""
        self.path = self.config("[spf]\nmode = 'observe'")
        self.assertEqual(
            self.tell("a.example", "--result", "fail"), "the check's mode is observe: nothing of it counts"
        )

    def test_the_ancestors_way(self) -> None:
        """F08: with compat its defaults are shown, and that it looks at more."""
        self.path = self.config("[spf]\ncompat = 'seed'")
        result = self.run_command("policy", "a.example", "--result", "softfail", "--config", self.path)
        word, more = result.stdout.splitlines()[-2:]
        self.assertTrue(word.startswith("CBV, by default: "), word)
        self.assertIn("compat = seed", more)

    def test_another_result(self) -> None:
        """Where policy may act on a lax result or a guess instead, that is said."""
        self.path = self.config("[spf]\nlax = true\nbest_guess = true\n")
        self.assertIn("spf.lax may put another", self.tell("bob@a.example", "--result", "permerror"))
        self.assertIn("spf.best_guess may put another", self.tell("bob@a.example", "--result", "none"))
        self.assertNotIn("another", self.tell("bob@a.example", "--result", "softfail"))

    def test_wrong_usage(self) -> None:
        """What is missing, too much or not known is one line, and exit code 3."""
        for arguments in ((), ("--result", "fail", "--user", "a"), ("--helo", "--user", "a"), ("--result", "fial")):
            self.assert_one_line(self.run_command("policy", "a.example", *arguments, "--config", self.path))
        (Path(self.path).parent / "access").unlink()
        result = self.run_command("policy", "a.example", "--result", "fail", "--config", self.path)
        self.assert_one_line(result, "policy.access: ", "No such file or directory")
