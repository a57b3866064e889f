"""twistedmilter check-config."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import CommandTestCase


class CheckConfigTests(CommandTestCase):
    """All problems of a file at once."""

    def test_a_good_file(self) -> None:
        """A file without problems is one line, and exit code 0."""
        path = self.config("[log]\nformat = 'json'")
        result = self.run_command("check-config", path)
        self.assertEqual((result.exit_code, result.output), (0, f"{path}: ok\n"))

    def test_problems(self) -> None:
        """Each problem is one line that begins with the file, and the exit code is 1."""
        path = self.config("[resolver]\ntimeuot = 1\ntimeout = 0")
        result = self.run_command("check-config", path)
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            result.stdout.splitlines(),
            [
                f"{path}: resolver.timeuot: unknown key; did you mean timeout?",
                f"{path}: resolver.timeout: is 0; allowed: a number above 0 and at most 86_400",
            ],
        )

    def test_broken_toml_is_a_problem(self) -> None:
        """What is no TOML is told with its line, and exit code 1."""
        result = self.run_command("check-config", self.config("x = ="))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("line 1, column 5: ", result.stdout)

    def test_a_check_that_cannot_be_made(self) -> None:
        """A third party's check that is not installed is a problem of its place in the chain."""
        path = self.config("[policy]\nchecks = ['spf', 'not_installed_here:Check']")
        result = self.run_command("check-config", path)
        self.assertEqual(result.exit_code, 1)
        self.assertIn(f"{path}: policy.checks[1]: not_installed_here:Check cannot be used", result.stdout)

    def test_a_check_that_is_not_there_beside_other_problems(self) -> None:
        """It is told together with all else that is wrong, in the order of the file."""
        path = self.config("[policy]\nchecks = ['trusted_client', 'not_installed_here:Check']\n[resolver]\ntimeout = 0")
        told = self.run_command("check-config", path).stdout.splitlines()
        self.assertEqual([line.split(": ")[1] for line in told], ["policy.checks[1]", "resolver.timeout"])
        self.assertIn("No module named 'not_installed_here'", told[0])

    def test_a_chain_that_does_not_know_its_clients(self) -> None:
        """Without trusted_client our own users are judged as strangers: a warning names the checks that do."""
        result = self.run_command("check-config", self.config("[policy]\nchecks = ['helo', 'spf']"))
        self.assertEqual(result.exit_code, 0)
        self.assertIn("warning: policy.checks has no trusted_client: to helo, spf every client", result.stderr)
        for fine in ("checks = []", "checks = ['spf', 'trusted_client']"):
            self.assertEqual(self.run_command("check-config", self.config(f"[policy]\n{fine}")).stderr, "")

    def test_policies_that_cannot_do_what_they_say(self) -> None:
        """A word that would ask a sender is warned of while that is off, and so are odd lines of an access map."""
        path = self.config("[policy]\naccess = 'access'\n[spf.policy]\nsoftfail = 'CBV'")
        (Path(path).parent / "access").write_text("spf-fail: PERHAPS\n")
        result = self.run_command("check-config", path)
        self.assertEqual((result.exit_code, result.stdout), (0, f"{path}: ok\n"))
        self.assertIn("warning: [spf.policy] softfail says CBV, which marks only: [callback] is off", result.stderr)
        self.assertIn("access:1: 'spf-fail:': 'PERHAPS' is no policy word", result.stderr)

    def test_an_access_map_that_cannot_be_read(self) -> None:
        """It is a problem of its key."""
        result = self.run_command("check-config", self.config("[policy]\naccess = 'none'"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn(": policy.access: ", result.stdout)

    def test_a_zone_file_with_a_typo(self) -> None:
        """It is told with file, line and column; what is only odd does not fail."""
        Path("a.zone").write_text(".example.com\nregexp:x+\n")
        path = self.config(f"[[dns.zones]]\nname = 'bl.example.net'\nfiles = ['{Path('a.zone').resolve()}']")
        result = self.run_command("check-config", path)
        self.assertEqual(result.exit_code, 1)
        self.assertRegex(result.stdout, r"dns\.zones\[0\]\.files: /.*/a\.zone:2:1: ")
        Path("a.zone").write_text(".example.com\n")
        self.assertEqual(self.run_command("check-config", path).output, f"{path}: ok\n")

    def test_a_missing_file_is_wrong_usage(self) -> None:
        """A file that is not there is not a file with problems."""
        self.assert_one_line(self.run_command("check-config", "/nonexistent/x.toml"), "No such file or directory")

    def test_config_option(self) -> None:
        """The file may be given as --config too; two different ones are wrong usage."""
        path = self.config("")
        self.assertEqual(self.run_command("check-config", "--config", path).exit_code, 0)
        self.assert_one_line(self.run_command("check-config", "--config", path, "other"), "two configurations")

    def test_warnings_do_not_fail(self) -> None:
        """A file that all may write is warned about on stderr."""
        path = self.config("")
        Path(path).chmod(0o666)
        result = self.run_command("check-config", path)
        self.assertEqual((result.exit_code, result.stdout), (0, f"{path}: ok\n"))
        self.assertIn("warning: every user", result.stderr)
