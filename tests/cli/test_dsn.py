"""Tests of C{twistedmilter dsn show} (G08)."""

from __future__ import annotations

from email import message_from_string
from pathlib import Path
from typing import Any

from tests.cli.commands import CommandTestCase
from twistedmilter.templates import NAMES


class ShowTests(CommandTestCase):
    """Prints what would be sent."""

    def test_all(self) -> None:
        """Each packaged text as a whole report, to the sender, or to postmaster@HELO (G24)."""
        for name in NAMES:
            done = self.run_command("dsn", "show", name, "--sender", "bob@example.com", "--helo", "mx.example.com")
            self.assertEqual(done.exit_code, 0, done.stderr)
            report: Any = message_from_string(done.stdout)
            self.assertEqual(report["To"], "postmaster@mx.example.com" if name == "heloerror" else "bob@example.com")
            self.assertEqual(report.get_content_type(), "multipart/report")
            self.assertIn("you@mx.example.org", report.get_payload()[0].get_payload())

    def test_site(self) -> None:
        """The text of the configuration; a wrong one is told with its key, and an unknown name with all names."""
        place = Path(self.mktemp())
        place.mkdir()
        (place / "config.toml").write_text('[dsn]\ntemplates = "texts"\n')
        (place / "texts").mkdir()
        (place / "texts" / "fail.txt").write_text("Subject: ours %(sender_domain)s\n\nbody\n")
        config = ("--config", str(place / "config.toml"))
        self.assertIn("Subject: ours example.com\n", self.run_command("dsn", "show", "fail", *config).stdout)
        done = self.run_command("dsn", "show", "nothing", *config)
        self.assertEqual(done.exit_code, 3)
        self.assertIn("there are fail, heloerror", done.stderr)
        (place / "texts" / "fail.txt").write_text("Subject: %(nothing)s\n\nbody\n")
        done = self.run_command("dsn", "show", "softfail", *config)
        self.assertEqual(done.exit_code, 3)
        self.assertIn("dsn.templates", done.stderr)
