"""Tests of counting by the hour."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.durations import HOUR
from twistedmilter.policy.hourly_count import SLOT, HourlyCount


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

    def test_what_did_not_happen(self) -> None:
        """It is taken back where it was counted, once; what nobody counted, or has ended, is nothing to take back."""
        counts = HourlyCount()
        for now in (0.0, 600.0, 600.0):
            counts.add("a", now)
        counts.take_back("a", 600.0)
        counts.take_back("a", 300.0)
        counts.take_back("b", 0.0)
        self.assertEqual([counts.total("a", now) for now in (600.0, HOUR, HOUR + 660.0)], [2, 1, 0])
        counts.take_back("a", 600.0)
        counts.add("a", 0.0)
        for _ in range(2):
            counts.take_back("a", 0.0)
        self.assertEqual(counts.total("a", 0.0), 0)

    def test_a_clock_that_is_set_back(self) -> None:
        """What is in its future counts no more, or an hour of limits could last a year."""
        counts = HourlyCount()
        for now in (0.0, 90_000.0, 90_060.0):
            counts.add("a", now)
        self.assertEqual(counts.total("a", 90_000.0), 1)
        counts.add("a", 600.0)
        self.assertEqual(counts.total("a", 600.0), 1)
        counts.add("b", 90_000.0)
        self.assertEqual(counts.total("b", 0.0), 0)
