"""What a node makes of an opinion (gossip spec 1.9)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import UNKNOWN, Opinion
from twistedmilter.reputation.decision import Thresholds, is_bad

LIMITS = Thresholds()


class DecisionTests(SynchronousTestCase):
    """Bad, or not."""

    def test_the_values_are_not_rounded(self) -> None:
        """Both are beyond their limits by a hair, though two integers would not show it (case 18)."""
        self.assertTrue(is_bad(Opinion(-50.1, 1.1), None, LIMITS))
        self.assertFalse(is_bad(Opinion(-50.0, 1.1), None, LIMITS))
        self.assertFalse(is_bad(Opinion(-50.1, 1.0), None, LIMITS))

    def test_without_an_opinion_of_ours_peers_decide(self) -> None:
        """What it means that only they say so is for the milter's policy."""
        self.assertTrue(is_bad(Opinion(-76.0, 10.0), UNKNOWN, LIMITS))

    def test_peers_do_not_excuse_what_we_are_certain_of(self) -> None:
        """Nor do they accuse whom we know as good (P3)."""
        self.assertTrue(is_bad(Opinion(-6.0, 30.0), Opinion(-76.0, 10.0), LIMITS))
        self.assertFalse(is_bad(Opinion(-6.0, 30.0), Opinion(-76.0, 9.9), LIMITS))
        self.assertFalse(is_bad(Opinion(-60.0, 30.0), Opinion(20.0, 10.0), LIMITS))
        self.assertTrue(is_bad(Opinion(-60.0, 30.0), Opinion(20.0, 9.9), LIMITS))
