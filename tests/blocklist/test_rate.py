"""Rates of responses (spec 6.9, D15, abuse case 41)."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.blocklist.rate import Rates, ResponseKind, ResponseRateLimiter, Sending, network_of

HERE, THERE = b"\xc0\0\x02", b"\xc6\x33\x64"
ONLY_POSITIVE = Rates(positive=20, negative=0, error=0, total=0)


class RateTests(SynchronousTestCase):
    """What goes out whole, truncated, not at all."""

    def judged(self, limiter: ResponseRateLimiter, count: int, now: float, owner: bytes = b"a") -> Counter[Sending]:
        """What becomes of that many positive answers at one time."""
        return Counter(limiter.judge(HERE, ResponseKind.POSITIVE, owner, now) for _ in range(count))

    def test_within_the_rate(self) -> None:
        """As many as a second allows, at once or spread."""
        limiter = ResponseRateLimiter(ONLY_POSITIVE)
        self.assertEqual(self.judged(limiter, 20, 0.0), {Sending.WHOLE: 20})
        for step in range(1, 100):
            self.assertEqual(self.judged(limiter, 2, step * 0.125), {Sending.WHOLE: 2})

    def test_over_the_rate(self) -> None:
        """Every second one of the rest is truncated (slip 2), and both are counted."""
        limiter = ResponseRateLimiter(ONLY_POSITIVE)
        expected = {Sending.WHOLE: 20, Sending.DROPPED: 40, Sending.TRUNCATED: 40}
        self.assertEqual(self.judged(limiter, 100, 0.0), expected)
        self.assertEqual((limiter.dropped, limiter.truncated), (40, 40))

    def test_slip(self) -> None:
        """0 truncates none, 1 all."""
        for slip, sending in ((0, Sending.DROPPED), (1, Sending.TRUNCATED)):
            limiter = ResponseRateLimiter(Rates(positive=1, total=0, slip=slip))
            self.assertEqual(self.judged(limiter, 11, 0.0), {Sending.WHOLE: 1, sending: 10})

    def test_the_window(self) -> None:
        """Who was over the rate gets whole answers again after the window, however much it was."""
        limiter = ResponseRateLimiter(ONLY_POSITIVE)
        self.judged(limiter, 100_000, 0.0)
        self.assertNotIn(Sending.WHOLE, self.judged(limiter, 1, 14.9))
        self.assertEqual(self.judged(limiter, 1, 16.1), {Sending.WHOLE: 1})

    def test_others_are_not_concerned(self) -> None:
        """Another network, name or kind has a rate of its own."""
        limiter = ResponseRateLimiter(Rates(total=0))
        self.judged(limiter, 1000, 0.0)
        self.assertEqual(self.judged(limiter, 1, 0.0, b"b"), {Sending.WHOLE: 1})
        self.assertIs(limiter.judge(THERE, ResponseKind.POSITIVE, b"a", 0.0), Sending.WHOLE)
        self.assertIs(limiter.judge(HERE, ResponseKind.NEGATIVE, b"a", 0.0), Sending.WHOLE)

    def test_the_total(self) -> None:
        """D15: many names do not help; 100 a second to one network."""
        limiter = ResponseRateLimiter(Rates())
        found = Counter(limiter.judge(HERE, ResponseKind.POSITIVE, number, 0.0) for number in range(300))
        self.assertEqual(found, {Sending.WHOLE: 100, Sending.DROPPED: 100, Sending.TRUNCATED: 100})

    def test_memory_is_bounded(self) -> None:
        """42: a million names leave no more buckets than are allowed, and those in use stay."""
        limiter = ResponseRateLimiter(ONLY_POSITIVE, max_buckets=100)
        self.judged(limiter, 1000, 0.0)
        for number in range(10_000):
            limiter.judge(THERE, ResponseKind.POSITIVE, number, 0.0)
            if number % 40 == 0:
                self.assertNotIn(Sending.WHOLE, self.judged(limiter, 1, 0.0))
        self.assertLessEqual(len(limiter), 100)

    def test_the_clock_stands_still_or_steps_back(self) -> None:
        """Nothing is gained by it."""
        limiter = ResponseRateLimiter(ONLY_POSITIVE)
        self.judged(limiter, 20, 100.0)
        self.assertNotIn(Sending.WHOLE, self.judged(limiter, 1, 99.0))

    def test_networks(self) -> None:
        """A /24 and a /56."""
        self.assertEqual(network_of(bytes(range(4))), bytes(range(3)))
        self.assertEqual(network_of(bytes(range(16))), bytes(range(7)))
