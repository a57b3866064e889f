"""Tests of L{tests.integration.private_postfix}: what needs no Postfix."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.private_postfix import said_once


class MainCfTests(SynchronousTestCase):
    """Lines of main.cf."""

    def test_the_last_line_counts(self) -> None:
        """As for Postfix, which would warn of the others; a line that begins with a blank goes on."""
        self.assertEqual(said_once("a = 1\nb = 2\n  3\na = 4\n\nc=\n"), "b = 2\n  3\na = 4\nc=\n")
