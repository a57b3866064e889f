"""The pages about the configuration say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.configfile.files import ConfigFileTestCase
from twistedmilter.configfile.rendering import toml_value
from twistedmilter.model.listen import SystemdListen, parse_listen
from twistedmilter.model.section import Section
from twistedmilter.model.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
LISTENERS = (DOCS / "listeners.md").read_text()


def blocks(language: str, page: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


class ConfigurationPageTests(ConfigFileTestCase):
    """docs/configuration.md."""

    def test_every_default_is_documented(self) -> None:
        """Each key of each section has a line with the default that the code has."""
        for section in msgspec.structs.fields(Settings()):
            value = getattr(Settings(), section.name)
            if isinstance(value, Section):
                [text] = re.findall(
                    rf"^## \[{section.name}\]\n(.*?)(?=^## |\Z)", CONFIGURATION, re.MULTILINE | re.DOTALL
                )
                for key in value.__struct_fields__:
                    self.assertIn(f"| `{key}` | `{toml_value(getattr(value, key))}` |", text)

    def test_examples_load(self) -> None:
        """The TOML on the page has no problems."""
        for text in blocks("toml", CONFIGURATION):
            self.load(text)


class ListenersPageTests(ConfigFileTestCase):
    """docs/listeners.md."""

    def test_examples_load(self) -> None:
        """The TOML on the page has no problems."""
        self.assertEqual([len(self.load(text).settings.milter.listen) for text in blocks("toml", LISTENERS)], [4, 3])

    def test_spellings(self) -> None:
        """The spellings of one line of the table mean one listener each, those of a line alike."""
        [table] = re.findall(r"\| written \| means \|\n(.*?)\n\n", LISTENERS, re.DOTALL)
        rows = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table.splitlines()[1:]]
        self.assertEqual(len(rows), 6)
        for written in rows:
            self.assertEqual(len({type(parse_listen(text)) for text in written}), 1, written)

    def test_words_for_the_mtas(self) -> None:
        """The page shows the words that the listeners themselves tell."""
        entries = [entry for text in blocks("toml", LISTENERS) for entry in self.load(text).settings.milter.listen]
        specs = [parse_listen(entry if isinstance(entry, str) else entry.address) for entry in entries]
        known = {
            word
            for spec in specs
            if not isinstance(spec, SystemdListen)
            for word in (spec.for_sendmail(), spec.for_postfix())
        }
        shown = re.findall(r"`?(S=[^,'`]+)", LISTENERS) + re.findall(
            r"smtpd_milters ?= ?((?:inet|unix):\S+)", LISTENERS
        )
        self.assertGreater(len(shown), 5)
        self.assertEqual(set(shown) - known, set())
