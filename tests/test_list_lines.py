"""The manual's page on DNS lists in MTAs: its configurations load, and its lines have what they need."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from tests.configfile.files import ConfigFileTestCase

PAGE = (Path(__file__).parents[1] / "docs" / "mta-dns-lists.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class PageTests(ConfigFileTestCase):
    """What an administrator copies."""

    def test_foreign_lists(self) -> None:
        """The tables of the check can be used as they stand."""
        [lists] = [text for text in blocks("toml") if "dnsbl.lists" in text]
        section = self.load(lists).settings.dnsbl
        self.assertEqual([each.kind for each in section.lists], ["client", "sender"])

    def test_throwaway(self) -> None:
        """So can the section of the check that needs no DNS."""
        [text] = [text for text in blocks("toml") if "[throwaway]" in text]
        rules = self.write("serial:ded{300-399}.com\n", "throwaway.zone")
        section = self.load(text.replace("throwaway.zone", str(rules))).settings.throwaway
        self.assertEqual(section.names, ["sender", "helo"])

    def test_code_filters(self) -> None:
        """Every line that asks a list says which codes count: an error must not refuse all mail."""
        [postfix] = blocks("ini")
        self.assertEqual(len(re.findall(r"reject_r\w+ \S+=127\.0\.0\.\[2\.\.5\]", postfix)), 2)
        [sendmail] = blocks("m4")
        self.assertEqual(sendmail.count("`127.0.0.2.', `127.0.0.3.', `127.0.0.4.', `127.0.0.5.'"), 2)

    def test_unbound(self) -> None:
        """What unbound needs to ask a server on loopback for a zone that is not signed."""
        [unbound] = blocks("unbound")
        for line in ("do-not-query-localhost: no", 'domain-insecure: "rhsbl.example.net"', "127.0.0.1@8853"):
            self.assertIn(line, unbound)

    def test_the_hack_is_packaged(self) -> None:
        """Where the page says that it is; it is ours."""
        hack = (files("twistedmilter") / "data" / "rhsbl.m4").read_text("utf-8")
        self.assertIn("Part of twistedmilter, MIT licence", hack)
        self.assertIn("Local_check_mail", hack)
