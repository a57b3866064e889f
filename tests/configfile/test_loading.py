"""From a path, or from none, to settings."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.configfile.files import ConfigFileTestCase
from twistedmilter.configfile import EMBEDDED, UnreadableConfigError, load_settings
from twistedmilter.configfile.loading import from_raw
from twistedmilter.configfile.reading import MAX_CONFIG, RawConfig, parse_config
from twistedmilter.errors import ConfigError
from twistedmilter.model.settings import Settings, shipped_rules

PACKAGED = Path(__file__).parents[2] / "twistedmilter/data/twistedmilter.toml"


class LoadSettingsTests(ConfigFileTestCase):
    """Which file is taken, and what it becomes."""

    def test_no_file_means_the_embedded_defaults(self) -> None:
        """Without a path and without the default file the defaults are used, and the source says so."""
        loaded = load_settings(None, default_path="/nonexistent/twistedmilter.toml")
        self.assertEqual(loaded.source, EMBEDDED)
        self.assertEqual(loaded.settings.milter, Settings().milter)
        self.assertEqual(set(loaded.origins.values()), {"default"})

    def test_the_default_file_is_taken_when_it_is_there(self) -> None:
        """Without a path the default file is read."""
        path = self.write("[log]\nformat = 'json'")
        loaded = load_settings(None, default_path=str(path))
        self.assertEqual((loaded.source, loaded.settings.log.format), (str(path), "json"))

    def test_a_default_file_that_cannot_be_read_is_an_error(self) -> None:
        """A default file that is there is not passed over for the defaults."""
        self.assertRaises(UnreadableConfigError, load_settings, None, default_path="/")

    def test_a_given_file_that_is_missing_is_an_error(self) -> None:
        """A path that was given is not passed over."""
        error = self.assertRaises(UnreadableConfigError, load_settings, "/nonexistent/x.toml")
        self.assertEqual(str(error), "/nonexistent/x.toml: cannot be read: No such file or directory")

    def test_a_path_with_a_nul_is_an_error(self) -> None:
        """No path makes anything but a ConfigError."""
        self.assertRaises(UnreadableConfigError, load_settings, "a\0b")

    def test_origins(self) -> None:
        """Each key says whether it is from the file."""
        origins = self.load('[resolver]\ntimeout = 3\n[spf.policy]\n"fail:a.example" = "OK"\n').origins
        self.assertEqual(origins["resolver.timeout"], "file")
        self.assertEqual(origins["resolver.in_flight"], "default")
        self.assertEqual(origins['spf.policy."fail:a.example"'], "file")
        self.assertEqual(origins["rule[0].name"], "default")

    def test_own_rules_come_before_the_shipped_ones(self) -> None:
        """The shipped rules follow, unless a rule of the file has their name."""
        [shipped] = shipped_rules()
        rules = self.load('[[rule]]\nname = "mine"\nmode = "off"\n').settings.rule
        self.assertEqual([rule.name for rule in rules], ["mine", shipped.name])
        [rule] = self.load(f'[[rule]]\nname = "{shipped.name}"\nmode = "off"\n').settings.rule
        self.assertEqual(rule.mode, "off")

    def test_relative_paths_begin_at_the_file(self) -> None:
        """State directory, unix sockets and the log file are seen from the file's directory, not from ours."""
        path = self.write(
            '[server]\nstate_dir = "../state"\n[log]\nto = "./mail.log"\n[control]\nlisten = "unix:control"\n'
            '[milter]\nlisten = ["unix:a/b", {address = "local:c"}, "inet:1"]\n'
        )
        here = path.parent
        settings = load_settings(os.path.relpath(path)).settings
        self.assertEqual(settings.server.state_dir, str(here.parent / "state"))
        self.assertEqual((settings.log.to, settings.control.listen), (f"{here}/mail.log", f"unix:{here}/control"))
        addresses = [entry if isinstance(entry, str) else entry.address for entry in settings.milter.listen]
        self.assertEqual(addresses, [f"unix:{here}/a/b", f"unix:{here}/c", "inet:1"])

    def test_control_stays_below_the_state_directory(self) -> None:
        """The word STATE_DIR is not taken for a relative path."""
        self.assertEqual(self.load("").settings.control.listen, "unix:STATE_DIR/control")

    def test_file_entries_are_looked_for_beside_the_file(self) -> None:
        """file:NAME is read from the file's directory, and a missing one is a problem of its key."""
        path = self.write('[networks]\ninternal_domains = ["file:example.com"]\n')
        error = self.assertRaises(ConfigError, load_settings, str(path))
        self.assertIn("networks.internal_domains[0]", str(error))
        (path.parent / "example.com").write_text("alice\n")
        self.assertEqual(load_settings(str(path)).base_dir, path.parent)

    def test_a_file_that_all_may_write_is_warned_about(self) -> None:
        """A configuration that every user can change is used, with a warning (O8)."""
        path = self.write("")
        path.chmod(0o644)
        self.assertEqual(load_settings(str(path)).warnings, ())
        path.chmod(0o646)
        [warning] = load_settings(str(path)).warnings
        self.assertIn("every user", warning)

    def test_the_packaged_file(self) -> None:
        """The file that is installed is right, observes only, and listens on a unix socket only."""
        loaded = load_settings(str(PACKAGED))
        self.assertEqual((loaded.settings.policy.mode, loaded.warnings), ("observe", ()))
        [listener] = loaded.settings.milter.listen
        self.assertIn("unix:/run/twistedmilter/milter", str(listener))


class ReadingTests(ConfigFileTestCase):
    """What is not a TOML file within limits (O10)."""

    def test_what_is_no_toml_names_the_line(self) -> None:
        """Broken TOML, duplicate keys and text that is not UTF-8 are told with their place."""
        self.assertEqual(self.problem("[log]\nformat = json\n"), "line 2, column 10: Invalid value")
        self.assertEqual(self.problem("a = 1\na = 2\n"), "line 2, column 6: Cannot overwrite a value")
        self.assertEqual(self.problem("a = ["), "end of document: Invalid value")
        self.assertEqual(self.problems(b"a = 1\n# \xff\n"), ["line 2: not UTF-8"])

    def test_bombs(self) -> None:
        """What would cost time or memory without end is refused: length, depth, long numbers, long dotted keys."""
        for bomb, reason in {
            "#" * (MAX_CONFIG + 1): "longer than 1048576 octets",
            "a = " + "[" * 100_000: "too deeply nested",
            "a = " + "{a=" * 100_000: "too deeply nested",
            "a = " + "9" * 100_000: "Exceeds the limit",
            "a." * 100_000 + "a = 1": "line 1: a key of more than 40 parts",
            "x = 1\n[" + '"a".' * 1000 + "a]": "line 2: a key of more than 40 parts",
            '[check."m:C"]\nx' + ".x" * 30 + " = 1": "nested",
        }.items():
            self.assertIn(reason, str(self.error(bomb)))

    def test_dots_in_values_and_comments_are_no_keys(self) -> None:
        """A line with many addresses is not taken for a long key."""
        addresses = ", ".join(f'"192.0.2.{number}"' for number in range(100))
        self.load(f"[networks]\ninternal = [{addresses}]  # {'.' * 100}\n")

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        """An editor's mark at the beginning does no harm."""
        self.assertEqual(self.load(b"\xef\xbb\xbf[log]\nformat = 'json'").settings.log.format, "json")


KEYS = [name for section in Settings.__struct_fields__ for name in (section, f"{section}.mode", f"{section}.listen")]
KEYS += [
    "policy.checks",
    "spf.policy.fail",
    "rule",
    "milter.listen",
    "log.to",
    "check.x",
    'check."m:C".mode',
    "resolver",
]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["unix:", "inet:0@::", "spf", "m:C", "192.0.2.0/33", "file:/", "ERROR:", "!", "<>", "@", "syslog:"]
    ),
    st.datetimes(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "address", "allow", "x"]), inner)
    ),
    max_leaves=6,
)


class BrokenConfigurationTests(ConfigFileTestCase):
    """Nothing that a file may hold raises anything but ConfigError (reliability G11, O10)."""

    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=5))
    @example([("rule", [{"name": float("nan")}])])
    def test_any_values(self, entries: list[tuple[str, object]]) -> None:
        """Five hundred random configurations are settings, or a ConfigError that names what is wrong."""
        tables: dict[str, object] = {}
        for key, value in entries:
            section, _, rest = key.partition(".")
            inner = tables.setdefault(section, {})
            if rest and isinstance(inner, dict):
                inner[rest] = value
            else:
                tables[section] = value
        try:
            from_raw(RawConfig(EMBEDDED, tables))
        except ConfigError as error:
            self.assertTrue(all(problem.where and problem.wrong for problem in error.problems), error)

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=200) | st.text("[]{}\"'=.,#\n\\u0a1-:é ", max_size=200).map(str.encode))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are tables or a ConfigError."""
        try:
            parse_config("file", octets)
        except ConfigError as error:
            self.assertEqual(len(error.problems), 1)
