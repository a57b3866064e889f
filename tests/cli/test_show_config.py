"""twistedmilter show-config."""

from __future__ import annotations

import json
import tomllib

from tests.cli.commands import CommandTestCase


class ShowConfigTests(CommandTestCase):
    """The effective configuration with origins."""

    def test_toml(self) -> None:
        """The output is TOML, each value with its origin."""
        result = self.run_command("show-config", self.config("[log]\nformat = 'json'"))
        self.assertEqual(result.exit_code, 0)
        self.assertIn('format = "json"  # file\n', result.stdout)
        self.assertEqual(tomllib.loads(result.stdout)["log"], {"format": "json", "to": "stderr"})

    def test_json(self) -> None:
        """--json is one object."""
        result = self.run_command("show-config", "--json", "--config", self.config("[log]\nformat = 'json'"))
        self.assertEqual(json.loads(result.stdout)["origins"]["log.format"], "file")

    def test_a_configuration_with_problems(self) -> None:
        """The first problem is told in one line, with the way to the others."""
        path = self.config("a = 1\nb = 2")
        self.assert_one_line(self.run_command("show-config", path), path, "a: unknown", "and 1 more", "check-config")
