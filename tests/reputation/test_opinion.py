"""Reputation, confidence and the aggregate (gossip spec 1.6, 1.7)."""

from __future__ import annotations

from math import tanh

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import UNKNOWN, Observations, Opinion, Vote
from twistedmilter.reputation.opinion import aggregate, confidence, opinion_of, reputation
from twistedmilter.reputation.ring import begin, cast

HOUR, DAY = 3_600.0, 86_400.0

opinions = st.builds(Opinion, st.floats(-100, 100), st.floats(0, 100))


def observed(ham: int, spam: int, null: int, size: int = 1_024) -> Observations:
    """A ring with so many votes."""
    observations = begin(0.0, size)
    for vote, number in ((Vote.SPAM, spam), (Vote.HAM, ham), (Vote.NONE, null)):
        for _ in range(number):
            observations = cast(observations, vote, 0.0)
    return observations


def lived(count: int, size: int, first: float, last: float) -> Observations:
    """A ring with so many spams, and its times."""
    return Observations(size, count, 0, 0, first, last)


class ReputationTests(SynchronousTestCase):
    """How good a sender is."""

    def test_vectors(self) -> None:
        """R0 to R15: what is computed, and what is shown of it."""
        vectors = {
            "R0": (0, 0, 0, 0.0, 0),
            "R1": (1, 0, 0, 76.159416, 76),
            "R2": (0, 1, 0, -76.159416, -76),
            "R5": (5, 5, 0, 0.0, 0),
            "R6": (9, 1, 0, 66.403677, 66),
            "R7": (1, 9, 0, -66.403677, -66),
            "R8": (3, 0, 1, 63.514895, 63),
            "R9": (0, 0, 4, 0.0, 0),
            "R10": (0, 2, 8, -19.737532, -19),
            "R11": (600, 200, 0, 46.211716, 46),
            "R12": (0, 1_024, 0, -76.159416, -76),
            "R14": (874, 100, 50, 63.863157, 63),
            "R15": (3, 20, 0, -62.861950, -62),
            "test.dat example.org": (14, 2, 0, 63.5149, 63),
            "test.dat spammer.com": (0, 21, 0, -76.1594, -76),
        }
        for name, (ham, spam, null, expected, shown) in vectors.items():
            with self.subTest(name):
                found = reputation(observed(ham, spam, null))
                self.assertAlmostEqual(found, expected, 4 if name.startswith("test") else 6)
                self.assertEqual(str(Opinion(found, 0.0)), f"{shown},0")

    def test_ham_takes_the_place_of_spam(self) -> None:
        """R13: 512 hams after a ring full of spam are as much as the other half."""
        observations = observed(0, 1_024, 0)
        for _ in range(512):
            observations = cast(observations, Vote.HAM, 0.0)
        self.assertEqual(reputation(observations), 0.0)

    def test_the_table_of_the_curve(self) -> None:
        """C{100 tanh(d)}, by the difference of the shares."""
        table = {2: 19.737532, 4: 37.994896, 5: 46.211716, 6: 53.704957, 8: 66.403677, 9: 71.629787, 10: 76.159416}
        for tenths, expected in table.items():
            null = 10 - tenths
            self.assertAlmostEqual(reputation(observed(tenths, 0, null)), expected, 6)
            self.assertAlmostEqual(100 * tanh(tenths / 10), expected, 6)

    @given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
    def test_bounds_and_signs(self, ham: int, spam: int, null: int) -> None:
        """Never beyond 76.16; what is more often good than bad is positive."""
        found = reputation(observed(ham, spam, null, 100))
        self.assertLessEqual(abs(found), 76.1595)
        self.assertEqual((found > 0, found < 0), (ham > spam, ham < spam))

    def test_how_much_spam_crosses_a_threshold(self) -> None:
        """What -51 and -71 mean, by the hams that there are (1.12)."""
        for ham, fifty_one, seventy_one in ((0, 1, 1), (1, 4, 17), (10, 36, 168)):
            for spam, limit in ((fifty_one, -51), (seventy_one, -71)):
                self.assertLessEqual(int(reputation(observed(ham, spam, 0))), limit)
                self.assertGreater(int(reputation(observed(ham, spam - 1, 0))), limit)


class ConfidenceTests(SynchronousTestCase):
    """How sure that is."""

    def test_vectors(self) -> None:
        """C1 to C11."""
        vectors = (
            (1, 1_024, 0, 0, 0, 0.0),
            (1, 1_024, 0, 100, 100, 0.097656),
            (30, 1_024, 0, DAY, DAY, 2.929688),
            (52, 1_024, 0, DAY, 2 * DAY, 2.539062),
            (100, 1_024, 0, 864_000, 1_728_000, 4.882812),
            (512, 1_024, 0, 2_592_000, 2_592_000, 50.0),
            (1_024, 1_024, 0, 7_776_000, 31_104_000, 25.0),
            (1_024, 1_024, 0, 31_536_000, 31_536_000, 100.0),
            (50, 100, 0, 1_000, 2_000, 25.0),
            (100, 100, 0, 5_000, 5_001, 99.980004),
            (10, 1_024, 0, 0, 500, 0.0),
        )
        for number, (count, size, first, last, now, expected) in enumerate(vectors, 1):
            with self.subTest(f"C{number}"):
                self.assertAlmostEqual(confidence(lived(count, size, first, last), now), expected, 5)

    def test_silence_wears_it_away(self) -> None:
        """Ten votes a minute apart, and a full ring of them, then nothing."""
        for count, first, expected in (
            (10, 0.0, (0.976562, 0.139509, 0.006735, 0.000968, 0.000226)),
            (1_024, 0.0, (100.0, 94.464945, 41.558442, 9.221902, 2.315485)),
        ):
            last = 60.0 * count
            for idle, each in zip((0, HOUR, DAY, 7 * DAY, 30 * DAY), expected, strict=True):
                self.assertAlmostEqual(confidence(lived(count, 1_024, first, last), last + idle), each, 5)

    @given(st.integers(0, 2_000), st.floats(0, 1e10), st.floats(0, 1e10), st.floats(-1e10, 1e10))
    def test_bounds(self, count: int, first: float, last: float, now: float) -> None:
        """From 0 to 100, whatever the clocks say (case 16, P10)."""
        found = confidence(lived(count, 1_024, first, max(first, last)), now)
        self.assertGreaterEqual(found, 0.0)
        self.assertLessEqual(found, 100.0)

    def test_of_nothing_there_is_no_opinion(self) -> None:
        """Neither good nor bad, and not sure."""
        self.assertEqual(opinion_of(None, 5.0), UNKNOWN)
        self.assertEqual(str(opinion_of(lived(512, 1_024, 0, DAY), DAY)), "-76,50")


class AggregateTests(SynchronousTestCase):
    """Several opinions as one."""

    def test_vectors(self) -> None:
        """A1 to A13."""
        vectors: dict[str, tuple[list[tuple[float, float]], float, float]] = {
            "A1": ([(-76.159416, 0.219053), (0, 0)], -76.159416, 0.219053),
            "A2": ([(76, 10), (0, 0.5)], 76, 10),
            "A3": ([(76, 0), (0, 0)], 38, 0),
            "A4": ([(50, 40)], 50, 40),
            "A5": ([(0, 0), (-80, 30)], -80, 30),
            "A6": ([(60, 20), (-60, 20)], 0, 20),
            "A7": ([(60, 30), (-60, 10)], 30, 20),
            "A8": ([(-76, 12), (-70, 8), (-65, 20), (76, 1)], -69.3, 13.333333),
            "A9": ([(-70, 10), *[(-71, 10)] * 6, (76, 1)], -70.857143, 10),
            "A10": ([*[(-76, 50)] * 12, (76, 1)], -76, 50),
            "A11": ([(0, 0)] * 3, 0, 0),
            "A12": ([(40, 5), (40, 15)], 40, 10),
            "A13": ([(-50, 0), (-50, 0)], 0, 0),
            "none": ([], 0, 0),
        }
        for name, (values, expected, sure) in vectors.items():
            with self.subTest(name):
                found = aggregate([Opinion(*value) for value in values])
                self.assertAlmostEqual(found.reputation, expected, 6)
                self.assertAlmostEqual(found.confidence, sure, 6)

    def test_the_set_of_the_reference(self) -> None:
        """A14: seventeen opinions, of which none is an outlier."""
        values = (
            (100, 20), (100, 7), (94, 16), (90, 31), (90, 20), (88, 24), (86, 7), (83, 6), (83, 30), (80, 66),
            (80, 5), (77, 43), (74, 43), (70, 23), (69, 64), (67, 6), (56, 18),
        )  # fmt: skip
        found = aggregate([Opinion(*value) for value in values])
        self.assertAlmostEqual(found.reputation, 79.498834, 6)
        self.assertAlmostEqual(found.confidence, 25.235294, 6)

    @given(st.lists(opinions, max_size=20))
    def test_bounds(self, given_opinions: list[Opinion]) -> None:
        """It lies between the opinions, or at nothing; and is no surer than the surest."""
        found = aggregate(given_opinions)
        values = [0.0, *(each.reputation for each in given_opinions)]
        self.assertLessEqual(min(values) - 1e-6, found.reputation)
        self.assertLessEqual(found.reputation, max(values) + 1e-6)
        self.assertLessEqual(found.confidence, max((each.confidence for each in given_opinions), default=0.0) + 1e-6)

    @given(st.lists(opinions, max_size=8))
    def test_the_order_does_not_matter(self, given_opinions: list[Opinion]) -> None:
        """Nobody gains by being asked first."""
        forward, backward = aggregate(given_opinions), aggregate(given_opinions[::-1])
        self.assertAlmostEqual(forward.reputation, backward.reputation, 6)
        self.assertAlmostEqual(forward.confidence, backward.confidence, 6)
