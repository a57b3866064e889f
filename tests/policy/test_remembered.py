"""What is remembered while DNS answers are good."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.remembered import Remembered


class RememberedTests(SynchronousTestCase):
    """Values with an end of their own."""

    def test_it_is_bounded(self) -> None:
        """When full, the one not used for longest goes."""
        known: Remembered[str, int] = Remembered(2)
        for number, key in enumerate("abc"):
            known.put(key, number, 9.0)
            known.get("a", 0.0)
        self.assertEqual(([key for key in "abc" if known.get(key, 0.0) is not None], len(known)), (["a", "c"], 2))

    def test_it_ends(self) -> None:
        """At its end a value is forgotten, and its place is free."""
        known: Remembered[str, int] = Remembered(2)
        known.put("a", 1, 9.0)
        self.assertEqual((known.get("a", 8.9), known.get("a", 9.0), len(known)), (1, None, 0))
