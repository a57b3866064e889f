"""Settings printed as TOML and JSON."""

from __future__ import annotations

import datetime as dt
import json
import tomllib

from hypothesis import example, given
from hypothesis import strategies as st

from tests.configfile.files import ConfigFileTestCase
from twistedmilter.configfile import load_settings
from twistedmilter.configfile.rendering import as_json, as_toml, toml_value

FULL = """\
[server]
state_dir = "state"
[milter]
listen = ["unix:a.sock", {address = "inet:1@0.0.0.0", role = "submission", allow = ["192.0.2.0/24"]}]
[policy]
checks = ["spf", "a.b:C"]
[[rule]]
name = "quo\\"te"
senders = ["<>", "!a@b.example"]
mode = "enforce"
action = "hold"
[spf.policy]
"fail:example.com" = 'ERROR:"550 5.7.1 no"'
[check."a.b:C"]
api_token = "canary"
secret_file = "shown"
when = 1979-05-27
nested = {password = "canary", list = [1, 2.5, true]}
[log]
to = "./log"
"""
TOML_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates() | st.datetimes() | st.times(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class AsTomlTests(ConfigFileTestCase):
    """show-config's usual output."""

    def test_round_trip(self) -> None:
        """What is printed loads to the same settings, from whatever directory."""
        for text in ("", FULL.replace("api_token", "a").replace("password", "b")):
            loaded = self.load(text)
            again = load_settings(str(self.write(as_toml(loaded))))
            self.assertEqual(again.settings, loaded.settings)

    def test_every_value_has_its_origin(self) -> None:
        """Lines of values end with file or default."""
        lines = as_toml(self.load("[log]\nformat = 'json'")).splitlines()
        self.assertIn('format = "json"  # file', lines)
        self.assertIn('to = "stderr"  # default', lines)
        for line in lines:
            if " = " in line:
                self.assertTrue(line.endswith(("  # file", "  # default")), line)

    def test_secrets_are_not_shown(self) -> None:
        """A value whose key says that it is secret is replaced, at any depth, in both forms (O3)."""
        for text in (as_toml(self.load(FULL)), as_json(self.load(FULL))):
            self.assertNotIn("canary", text)
            self.assertIn("***", text)
            self.assertIn("shown", text)

    def test_a_path_with_line_breaks_stays_in_its_comment(self) -> None:
        """The name of the file cannot add lines."""
        path = self.write("", "a\nb.toml")
        self.assertIn("a?b.toml", as_toml(load_settings(str(path))).splitlines()[0])

    def test_a_list_of_listeners_is_one_value(self) -> None:
        """Listeners that are all tables stand on the line of their key."""
        text = as_toml(self.load("[milter]\nlisten = [{address = 'inet:1'}]"))
        self.assertIn('listen = [{address = "inet:1", role = "inbound", ', text)

    @example("\x7f")
    @given(TOML_VALUES)
    def test_values(self, value: object) -> None:
        """Any value that TOML has is read back as it was."""
        self.assertEqual(tomllib.loads(f"x = {toml_value(value)}")["x"], value)

    def test_an_offset_is_kept(self) -> None:
        """A time with its zone is read back."""
        value = dt.datetime(1979, 5, 27, tzinfo=dt.UTC)
        self.assertEqual(tomllib.loads(f"x = {toml_value(value)}")["x"], value)


class AsJsonTests(ConfigFileTestCase):
    """show-config --json."""

    def test_the_same_facts(self) -> None:
        """One object with source, settings and origins."""
        loaded = self.load("[log]\nformat = 'json'")
        value = json.loads(as_json(loaded))
        self.assertEqual(value["source"], loaded.source)
        self.assertEqual(value["settings"]["log"], {"format": "json", "to": "stderr"})
        self.assertEqual(value["origins"]["log.format"], "file")
