"""Tests of L{twistedmilter.cli.ban}."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from tests.cli.test_lists import ListsTestCase
from twistedmilter.cli import main


class BanTests(ListsTestCase):
    """Bans in the file of a service that does not run; L{tests.cli.test_lists} asks one that does."""

    def ban(self, *arguments: str) -> Result:
        """The result of the command."""
        return CliRunner().invoke(main, ["ban", *arguments, "--config", str(self.config)])

    def test_add_list_remove(self) -> None:
        """B10: bans are listed and removed by command."""
        added = self.ban("add", "192.0.2.1", "--expires", "4h", "--comment", "attack")
        self.assertEqual(added.exit_code, 0, added.output)
        self.assertRegex(self.ban("list").output, r"^192\.0\.2\.1  until \d{4}-\d\d-\d\d \d\d:\d\d +attack\n$")
        [entry] = json.loads(self.ban("list", "--json").output)
        self.assertEqual((entry["name"], entry["comment"]), ("192.0.2.1", "attack"))
        self.assertEqual(self.ban("remove", "192.0.2.1").exit_code, 0)
        gone = self.ban("remove", "192.0.2.1")
        self.assertEqual((gone.exit_code, gone.output), (1, "192.0.2.1 is not banned\n"))
        self.assertEqual(self.ban("list").output, "")

    def test_without_an_end(self) -> None:
        """It holds until it is lifted."""
        self.ban("add", "2001:db8::1")
        self.assertIn("for good", self.ban("list").output)

    def test_no_address(self) -> None:
        """One line, exit code 3."""
        result = self.ban("add", "mail.example.com")
        self.assertEqual((result.exit_code, len(result.output.splitlines())), (3, 1), result.output)
        self.assertIn("not an IP address", result.output)
