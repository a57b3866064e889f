"""Tests of counting by the hour."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.hourly_count import HOUR, SLOT, HourlyCount


class HourlyCountTests(SynchronousTestCase):
    """How many there were."""

    def test_what_is_older_than_an_hour_is_forgotten(self) -> None:
        """To the minute, and a key that has nothing left as a whole."""
        counts = HourlyCount()
        for now in (0.0, 1.0, 1_800.0):
            counts.add("a", now)
        self.assertEqual(counts.total("a", 1_800.0), 3)
        self.assertEqual(counts.total("a", HOUR - 1), 3)
        self.assertEqual(counts.total("a", HOUR), 1)
        self.assertEqual(counts.total("a", HOUR + 1_800.0 + SLOT), 0)
        self.assertEqual(counts.total("b", 0.0), 0)

    def test_keys_are_bounded(self) -> None:
        """The one that was quiet for the longest time goes."""
        counts = HourlyCount(max_keys=2)
        for key in ("a", "b", "a", "c"):
            counts.add(key, 0.0)
        self.assertEqual([counts.total(key, 0.0) for key in "abc"], [2, 0, 1])
