"""Tests of C{twistedmilter zone}."""

from __future__ import annotations

from tests.cli.commands import CommandTestCase

ZONE = """\
:127.0.0.2:default reason, $
ded304.com
glob:cheap-*.biz
192.0.2.0/24 :5:net $
"""


class ZoneFileTestCase(CommandTestCase):
    """Has zone files."""

    def file(self, text: str, name: str = "own.zone") -> str:
        """The path of a file with this text."""
        path = self.mktemp_directory() / name
        path.write_text(text)
        return str(path)


class ZoneTests(ZoneFileTestCase):
    """Zone files are checked, asked and written for others."""

    def test_check(self) -> None:
        """A file that is right: how many rules, and what is odd."""
        result = self.run_command("zone", "check", self.file(ZONE))
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, "3 rules, 0 warnings\n", ""))
        result = self.run_command("zone", "check", self.file(ZONE + "odd.example :127.0.0.1:x\n"))
        self.assertEqual((result.exit_code, result.stdout), (0, "4 rules, 1 warning\n"))
        self.assertIn("own.zone:5: warning: the code 127.0.0.1", result.stderr)

    def test_check_tells_everything(self) -> None:
        """Exit code 3, all errors with file, line and column, nothing on stdout."""
        path = self.file("regexp:(a\n  *foo.com\nok.example")
        result = self.run_command("zone", "check", path)
        self.assertEqual((result.exit_code, result.stdout), (3, ""))
        self.assertIn(f"{path}:1:1: regexp: is no kind of rule; did you mean regex:?\n", result.stderr)
        self.assertIn(f"{path}:2:3: ", result.stderr)
        self.assertTrue(result.stderr.endswith("2 errors: the zone cannot be used\n"), result.stderr)

    def test_check_what_is_too_wide(self) -> None:
        """Good domains protect themselves; --force takes the zone all the same."""
        good = self.file("# of last week\ncheap-flights.biz 2026-11-01\nexample.org\n", "good")
        path = self.file(ZONE)
        result = self.run_command("zone", "check", path, "--good", good)
        self.assertEqual(result.exit_code, 3)
        self.assertIn("own.zone:3: it lists 1 of 2 domains", result.stderr)
        self.assertEqual(self.run_command("zone", "check", path, "--good", good, "--force").exit_code, 0)

    def test_check_what_is_slow(self) -> None:
        """Patterns that make each question expensive are told."""
        pattern = "regex:(a|{0})?([a-z0-9-]{{1,7}}[a-f0-9]{{1,5}}){{1,9}}{0}q\\.com"
        path = self.file("\n".join(pattern.format(chr(97 + at % 26) + chr(97 + at // 26)) for at in range(300)))
        result = self.run_command("zone", "check", path, "--force")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("warning: a search takes ", result.stderr)

    def test_check_formats(self) -> None:
        """Files of rbldnsd, and zones of one kind."""
        path = self.file("192.0.2.1-9 :2:x\n")
        self.assertEqual(self.run_command("zone", "check", path, "--format", "ip4set").exit_code, 0)
        self.assertEqual(self.run_command("zone", "check", path, "--kind", "rhsbl").exit_code, 3)

    def test_why(self) -> None:
        """The file and line that list a name or an address, what is answered; or that nothing does."""
        path = self.file(ZONE)
        result = self.run_command("zone", "why", "Cheap-7.biz.", path)
        expected = f"{path}:3: glob rule, 127.0.0.2, 300 s\ndefault reason, cheap-7.biz\n"
        self.assertEqual((result.exit_code, result.stdout), (0, expected))
        self.assertIn("net 192.0.2.7", self.run_command("zone", "why", "192.0.2.7", path).stdout)
        result = self.run_command("zone", "why", "2001:db8::1", path)
        self.assertEqual((result.exit_code, result.stdout), (1, "2001:db8::1 is not listed\n"))

    def test_why_with_a_broken_file(self) -> None:
        """One line with the first error, and where the rest is told."""
        self.assert_one_line(self.run_command("zone", "why", "a.com", self.file("(\n(\n")), "own.zone:1:1:", "1 more")
        self.assert_one_line(self.run_command("zone", "why", "a.com", "/nowhere/x.zone"), "/nowhere/x.zone")

    def test_export(self) -> None:
        """A zone for others on stdout, and on stderr what they cannot be given."""
        path = self.file(ZONE)
        for how, line in (
            ("rbldnsd", "$DATASET dnset @"),
            ("bind", "@ IN NS n.example."),
            ("rpz", "ded304.com CNAME ."),
        ):
            result = self.run_command(
                "zone", "export", path, "--format", how, "--apex", "l.example.", "--ns", "n.example"
            )
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(line, result.stdout.splitlines())
            self.assertEqual(result.stderr, f"{path}:3: left out: nobody else knows glob rules\n")

    def test_help(self) -> None:
        """The group explains itself."""
        self.assertIn("zone check throwaway.zone", self.run_command("zone", "--help").stdout)


class SuggestTests(ZoneFileTestCase):
    """Rules are suggested, and entered only when somebody says so."""

    def test_suggest(self) -> None:
        """Each with its number, its evidence, what it would have caught and whom it would have hit."""
        bans = self.file("ded304.com\nded305.com 2026-11-20\n# x\n*.ded306.com 0\ncheap-a.biz soon\n", "bans")
        result = self.run_command("zone", "suggest", bans, "--good", self.file("ded307.com\n", "good"))
        expected = """\
1. serial:ded{300-399}.com
   ded and a number: ded304.com, ded305.com, ded306.com
   would have caught 3 bans and 1 good domain: ded307.com
"""
        self.assertEqual((result.exit_code, result.stdout), (0, expected))

    def test_accept(self) -> None:
        """One command enters a rule at the end of a file; then it is not suggested again."""
        bans = self.file("ded304.com\nded305.com\nded306.com\n", "bans")
        path = self.file("a.example")
        result = self.run_command("zone", "suggest", bans, "--accept", "1", "--into", path)
        self.assertEqual((result.exit_code, result.stdout), (0, f"{path}: serial:ded{{300-399}}.com\n"))
        with open(path) as stream:  # noqa: PTH123 - a path of text
            self.assertRegex(stream.read(), r"\Aa\.example\nserial:ded\{300-399\}\.com \[added=\d{4}-\d\d-\d\d\]\n\Z")
        result = self.run_command("zone", "suggest", bans, "--zone", path)
        self.assertEqual((result.exit_code, result.stdout), (1, "nothing to suggest\n"))
        self.assertEqual(self.run_command("zone", "why", "ded307.com", path).exit_code, 0)

    def test_accept_into_a_new_file(self) -> None:
        """A zone may begin with a suggestion."""
        bans = self.file("ded304.com\nded305.com\nded306.com\n", "bans")
        path = str(self.mktemp_directory() / "new.zone")
        self.assertEqual(self.run_command("zone", "suggest", bans, "--accept", "1", "--into", path).exit_code, 0)
        self.assertEqual(self.run_command("zone", "check", path).exit_code, 0)

    def test_accept_what_cannot_be(self) -> None:
        """No such number, a file that is broken already, one option without the other: nothing is written."""
        bans = self.file("ded304.com\nded305.com\nded306.com\n", "bans")
        path = self.file("(\n")
        self.assert_one_line(
            self.run_command("zone", "suggest", bans, "--accept", "2", "--into", path), "there is 1 suggestion"
        )
        self.assert_one_line(self.run_command("zone", "suggest", bans, "--accept", "1", "--into", path), "not entered")
        self.assert_one_line(self.run_command("zone", "suggest", bans, "--accept", "1"), "--into")
        with open(path) as stream:  # noqa: PTH123 - a path of text
            self.assertEqual(stream.read(), "(\n")
