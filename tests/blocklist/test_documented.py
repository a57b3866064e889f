"""Tests of what docs/zones.md says."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import asked, zone_of
from twistedmilter.blocklist.lints import MAX_LINTS
from twistedmilter.blocklist.loading import DEFAULT_SHARE, MAX_LINE, MAX_LINES
from twistedmilter.blocklist.patterns import MAX_PATTERN, MAX_PATTERNS
from twistedmilter.blocklist.rules import MAX_SOURCES
from twistedmilter.blocklist.written_rules import MAX_FAMILY

PAGE = Path(__file__).resolve().parents[2] / "docs/zones.md"


class PageTests(SynchronousTestCase):
    """A newcomer copies the example."""

    def test_the_example_is_taken(self) -> None:
        """Every line of it means what the page says."""
        [text] = re.findall(r"^```zone\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        zone = zone_of(text)
        answers = {
            "ded304.com": (2, b"Listed: ded304.com, see https://example.net/why"),
            "x.spam.example": (4, b"Spam from x.spam.example"),
            "y.hosting.example": (5, b"Listed: y.hosting.example, see https://example.net/why"),
            "ded399.com": (3, b"Throwaway domain ded399.com"),
            "cheap-x.biz": (2, b"Listed: cheap-x.biz, see https://example.net/why"),
            "smtp12.deals.net": (2, b"Listed: smtp12.deals.net, see https://example.net/why"),
            "mx.late.example": (6, b"until the end of the year"),
            "8.2.0.192": (2, b"Listed: 192.0.2.8, see https://example.net/why"),
        }
        for name, (code, text_of_rule) in answers.items():
            listing = asked(zone, name)
            assert listing is not None, name
            self.assertEqual((listing.codes[0][3], listing.text(name.encode())), (code, text_of_rule))
        for name in ("good.spam.example", "hosting.example", "ded30.com", "ded0304.com", "7.2.0.192", "late.example"):
            self.assertIsNone(asked(zone, name), name)

    def test_limits(self) -> None:
        """The numbers on the page are those of the code."""
        page = PAGE.read_text()
        for number in (MAX_LINES, MAX_LINE, MAX_PATTERNS, MAX_FAMILY):
            self.assertIn(f"{number:,}", page)
        for words in (f"{MAX_PATTERN} octets a\npattern", f"{MAX_SOURCES} files a zone"):
            self.assertIn(words, page)
        self.assertEqual((DEFAULT_SHARE, MAX_LINTS), (0.001, 100))
