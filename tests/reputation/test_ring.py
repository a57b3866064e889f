"""The ring of observations (gossip spec 1.5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import Observations, Vote
from twistedmilter.reputation.ring import begin, cast, change, repaired

votes = st.lists(st.sampled_from(Vote), max_size=40)
sizes = st.integers(1, 12)


def cast_all(observations: Observations, *runs: tuple[int, Vote]) -> Observations:
    """So many of each."""
    for number, vote in runs:
        for _ in range(number):
            observations = cast(observations, vote, 1.0)
    return observations


def counts(observations: Observations) -> tuple[int, int, int, int, int]:
    """Pointer, count, ham, null, spam: as the specification writes them."""
    return (observations.pointer, observations.count, observations.hams, observations.nulls, observations.spams)


class RingTests(SynchronousTestCase):
    """Votes in a ring."""

    def test_the_trace_of_three_slots(self) -> None:
        """Each vote leaves what the specification says (1.5)."""
        trace = (
            (-1, (1, 1, 0, 0, 1)), (+1, (2, 2, 1, 0, 1)), (0, (0, 3, 1, 1, 1)), (+1, (1, 3, 2, 1, 0)),
            (-1, (2, 3, 1, 1, 1)), (0, (0, 3, 1, 1, 1)), (0, (1, 3, 0, 2, 1)), (0, (2, 3, 0, 3, 0)),
            (+1, (0, 3, 1, 2, 0)), (+1, (1, 3, 2, 1, 0)), (+1, (2, 3, 3, 0, 0)),
        )  # fmt: skip
        observations = begin(0.0, 3)
        for vote, expected in trace:
            observations = cast(observations, Vote(vote), 0.0)
            self.assertEqual(counts(observations), expected)

    def test_the_trace_of_1024_slots(self) -> None:
        """The reference's own numbers."""
        observations = cast_all(begin(0.0), (100, Vote.SPAM))
        self.assertEqual(counts(observations)[1:3], (100, 0))
        observations = cast_all(observations, (100, Vote.HAM))
        self.assertEqual(counts(observations)[1:3], (200, 100))
        observations = cast_all(observations, (1_000, Vote.HAM))
        self.assertEqual(counts(observations)[1:3], (1_024, 1_024))
        observations = cast_all(observations, (100, Vote.SPAM))
        self.assertEqual(observations.hams, 924)
        observations = cast_all(observations, (50, Vote.NONE))
        self.assertEqual(counts(observations)[1:], (1_024, 874, 50, 100))

    @given(sizes, votes)
    def test_it_holds_the_newest_votes(self, size: int, given_votes: list[Vote]) -> None:
        """No more than it has slots, whatever comes in which order."""
        observations = begin(0.0, size)
        for vote in given_votes:
            observations = cast(observations, vote, 0.0)
        newest = given_votes[-size:]
        self.assertEqual(observations.pointer, len(given_votes) % size)
        self.assertEqual(observations.count, len(newest))
        self.assertEqual(observations.hams, newest.count(Vote.HAM))
        self.assertEqual(observations.nulls, newest.count(Vote.NONE))
        self.assertEqual(observations.spams, newest.count(Vote.SPAM))

    @given(sizes, votes, st.integers(0, 50), st.sampled_from(Vote))
    def test_a_changed_vote_is_as_if_it_had_been_cast_so(
        self, size: int, given_votes: list[Vote], number: int, vote: Vote
    ) -> None:
        """While it is in the ring; one that has left it changes nothing."""
        observations = instead = begin(0.0, size)
        for position, each in enumerate(given_votes):
            observations = cast(observations, each, 0.0)
            instead = cast(instead, vote if position == number else each, 0.0)
        self.assertEqual(change(observations, number, vote), instead)

    def test_a_clock_that_goes_back_takes_nothing_with_it(self) -> None:
        """C{last_seen} only grows (case 16)."""
        observations = cast(cast(begin(100.0), Vote.HAM, 200.0), Vote.HAM, 50.0)
        self.assertEqual((observations.first_seen, observations.last_seen), (100.0, 200.0))


class RepairTests(SynchronousTestCase):
    """What comes from a file is not believed."""

    @given(
        size=sizes,
        total=st.integers(0, 40),
        ham=st.integers(0, 2**20),
        null=st.integers(0, 2**20),
        times=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    )
    def test_the_invariants_hold_afterwards(
        self, size: int, total: int, ham: int, null: int, times: tuple[float, float]
    ) -> None:
        """No slot is counted twice, none that holds nothing, and time goes forward (1.5)."""
        found = repaired(Observations(size, total, ham, null, *times))
        self.assertEqual(found.ham & found.null, 0)
        self.assertGreaterEqual(found.spams, 0)
        self.assertLessEqual(found.hams + found.nulls, found.count)
        self.assertLessEqual(found.first_seen, found.last_seen)
        self.assertEqual(repaired(found), found)

    def test_a_good_record_stays_as_it_is(self) -> None:
        """Whatever is in it."""
        observations = cast_all(begin(0.0, 5), (3, Vote.HAM), (1, Vote.SPAM), (2, Vote.NONE))
        self.assertEqual(repaired(observations), observations)

    def test_what_is_no_ring_is_refused(self) -> None:
        """Without slots, with too many, or with votes that were taken away."""
        good = begin(0.0)
        for bad in (replace(good, size=0), replace(good, size=2**20), replace(good, total=-1)):
            with self.assertRaises(ValueError):
                repaired(bad)
