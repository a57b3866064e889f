"""The command twistedmilter secret."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from tests.cli.commands import CommandTestCase
from twistedmilter.secret_files import read_secrets


class SecretTests(CommandTestCase):
    """Makes secrets, and never shows one."""

    def test_new(self) -> None:
        """The file of the configuration, relative to it; the newest first; ids tell them apart."""
        config = self.config('[srs]\nsecret_file = "srs.secret"\n')
        path = Path(config).with_name("srs.secret")
        for _ in range(2):
            result = self.run_command("secret", "new", "--config", config)
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn("srs.secret: secret ", result.stdout)
        shown = self.run_command("secret", "show", "--config", config)
        self.assertRegex(shown.stdout, r"^[0-9a-f]{8} signs\n[0-9a-f]{8} verifies since \d{4}-\d\d-\d\d\n$")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_group(self) -> None:
        """A group may read it, if it is told so."""
        path = self.mktemp_directory() / "batv.secret"
        group = grp.getgrgid(os.getegid()).gr_name
        self.assertEqual(self.run_command("secret", "new", "--group", group, str(path)).exit_code, 0)
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(len(read_secrets(path).secrets), 1)
        self.assert_one_line(self.run_command("secret", "new", "--group", "no-such-group", str(path)), "no group")

    def test_wrong(self) -> None:
        """No directory, no file, and one that others can read, are told in one line."""
        directory = self.mktemp_directory()
        loose = directory / "loose"
        loose.write_text("correct horse battery\n")
        loose.chmod(0o644)
        self.assert_one_line(self.run_command("secret", "new", str(directory / "x" / "y")), "no directory")
        self.assert_one_line(self.run_command("secret", "new", str(loose)), "0644")
        self.assert_one_line(self.run_command("secret", "show", str(loose)), "0644")
        self.assert_one_line(self.run_command("secret", "show", str(directory / "none")), "none")
