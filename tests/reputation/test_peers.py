"""What peers' opinions are worth (gossip spec 1.8, cases 9 and 10, reliability P3 and P10)."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import UNKNOWN, Observations, Opinion, Vote
from twistedmilter.reputation.opinion import opinion_of
from twistedmilter.reputation.peers import (
    UNLIMITED,
    PeerLimits,
    assessment,
    deliberate,
    trust,
    weights,
    within_range,
)
from twistedmilter.reputation.ring import PEER_SIZE, begin, cast

HAM10, SPAM_A_BIT = Opinion(76.159416, 9.765625), Opinion(-76.159416, 0.488281)
SPAM50 = Opinion(-76.159416, 49.999)  # fifty less a hair: time has passed since the last vote
Peer = tuple[tuple[int, int], tuple[int, int]]  # what it said; votes on it so far, for and against
LIMITS = PeerLimits()


def votes(ham: int, spam: int) -> Opinion:
    """What is thought of a peer after so many votes."""
    observations = begin(0.0, PEER_SIZE)
    for vote in [Vote.HAM] * ham + [Vote.SPAM] * spam:
        observations = cast(observations, vote, 0.0)
    return opinion_of(observations, 0.0)


def answer(own: Opinion | None, peers: list[Peer], limits: PeerLimits = UNLIMITED) -> Opinion:
    """What a node says."""
    said = [(f"peer{number}", within_range(*words), trust(votes(*past))) for number, (words, past) in enumerate(peers)]
    return deliberate(own, weights(own, said, limits))


class DeliberationTests(SynchronousTestCase):
    """Our own opinion and those of peers as one."""

    VECTORS: tuple[tuple[str, Opinion | None, list[Peer], str, list[int | None]], ...] = (
        ("P1", HAM10, [((-76, 49), (0, 0))], "-50,29", [-1]),
        ("P2", UNKNOWN, [((-76, 49), (0, 0))], "-76,49", [None]),
        ("P3", HAM10, [((-76, 49), (0, 10))], "-6,10", [-1]),
        ("P4", HAM10, [((-76, 49), (10, 0))], "-50,29", [-1]),
        ("P5", SPAM50, [((-70, 20), (0, 0)), ((60, 1), (0, 0))], "-74,34", [1, -1]),
        ("P6", SPAM50, [((76, 100), (5, 5)), ((76, 100), (2, 8))], "37,65", [-1, -1]),
        ("P7", UNKNOWN, [((76, 0), (0, 0))], "38,0", [None]),
        ("P8", SPAM_A_BIT, [((0, 0), (0, 0)), ((0, 0), (0, 0))], "-76,0", [None, None]),
        ("P9 and P11", SPAM50, [], "-76,49", []),
        ("P10", None, [((76, 10), (0, 0))], "76,10", [None]),
        (
            "P12",
            Opinion(-76.159416, 100.0),
            [((-76, 100), (20, 0)), ((-70, 90), (20, 0)), ((76, 100), (0, 20))],
            "-74,96",
            [1, 1, -1],
        ),
        ("P13", Opinion(0.0, 29.296875), [((40, 5), (0, 0))], "5,17", [0]),
    )

    def test_vectors(self) -> None:
        """P1 to P13, with the reference's weights."""
        for name, own, peers, expected, _ in self.VECTORS:
            with self.subTest(name):
                self.assertEqual(str(answer(own, peers)), expected)

    def test_the_unrounded_value_is_beyond_the_threshold(self) -> None:
        """Of P1 the wire shows -50, and the node has -50.71, which is bad (case 18)."""
        self.assertAlmostEqual(answer(HAM10, [((-76, 49), (0, 0))]).reputation, -50.714, 3)

    def test_peers_are_judged_by_what_we_have_seen(self) -> None:
        """Not by the aggregate, as in the reference: of P1 and P6 it took liars for honest."""
        for name, own, peers, _, expected in self.VECTORS:
            with self.subTest(name):
                found = [assessment(own, within_range(*said)) for said, _ in peers]
                self.assertEqual(found, expected)


class TrustTests(SynchronousTestCase):
    """How far a peer is believed."""

    def test_vectors(self) -> None:
        """Less, the more often it was wrong; never more than it says itself."""
        for ham, spam, expected in ((0, 10, 0.238406), (2, 8, 0.462950), (5, 5, 1.0), (10, 0, 1.0), (0, 0, 1.0)):
            self.assertAlmostEqual(trust(votes(ham, spam)), expected, 5)

    def test_a_peer_loses_it_and_wins_it_again(self) -> None:
        """One that flips after many good answers (P3): a hundred bad ones, and nothing else is remembered."""
        observations = begin(0.0, PEER_SIZE)
        for _ in range(10_000):
            observations = cast(observations, Vote.HAM, 0.0)
        for _ in range(PEER_SIZE):
            observations = cast(observations, Vote.SPAM, 0.0)
        self.assertAlmostEqual(trust(opinion_of(observations, 0.0)), 0.238406, 5)


class LimitTests(SynchronousTestCase):
    """What peers cannot do."""

    @given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
    def test_what_a_peer_says_is_clamped(self, reputation: int, confidence: int) -> None:
        """Case 9: 99999 and 10^9 are 100 and 100."""
        said = within_range(reputation, confidence)
        self.assertTrue(-100 <= said.reputation <= 100)
        self.assertTrue(0 <= said.confidence <= 100)

    @given(
        st.floats(-76, 76),
        st.floats(7, 100),
        st.tuples(st.integers(-100, 100), st.integers(0, 100)),
    )
    def test_one_peer_has_30_percent_at_most(self, own: float, sure: float, said: tuple[int, int]) -> None:
        """Where we are sure ourselves: so far the answer moves towards it, and no further (P3)."""
        ours = Opinion(own, sure)
        found = answer(ours, [(said, (0, 0))], LIMITS)
        self.assertLessEqual(abs(found.reputation - own), 0.3 * abs(said[0] - own) + 1e-6)

    @given(st.floats(6.1, 100), st.lists(st.integers(0, 100), min_size=1, max_size=16))
    def test_liars_do_not_turn_what_we_are_sure_of(self, sure: float, confidences: list[int]) -> None:
        """However many they are, all say the opposite, and as sure as they like (case 10, P3)."""
        found = answer(Opinion(-76.0, sure), [((100, confidence), (0, 0)) for confidence in confidences], LIMITS)
        self.assertLess(found.reputation, 0)

    def test_where_we_know_nothing_peers_fill_the_gap(self) -> None:
        """So that a spammer is known by gossip: at most as much as the limit."""
        self.assertEqual(str(answer(UNKNOWN, [((-76, 49), (0, 0))], LIMITS)), "-76,10")
        self.assertEqual(str(answer(UNKNOWN, [((-76, 7), (0, 0))], LIMITS)), "-76,7")

    def test_who_claims_more_is_trusted_no_more(self) -> None:
        """A liar that is sure of everything weighs as little as one that is less sure than the limit."""
        honest, liar = ("honest", Opinion(-76.0, 20.0), 1.0), ("liar", Opinion(100.0, 100.0), 0.25)
        found = weights(UNKNOWN, [honest, liar], LIMITS)
        self.assertAlmostEqual(found[0].weight, 4 * found[1].weight)

    @given(st.floats(0, 100), st.lists(st.tuples(st.integers(0, 100), st.floats(0, 1)), max_size=16))
    def test_the_sum_of_weights_is_bounded(self, sure: float, peers: list[tuple[int, float]]) -> None:
        """By our own and a constant, and nobody gains weight by it (case 10)."""
        own = Opinion(1.0, sure)
        said = [("peer", Opinion(1.0, confidence), factor) for confidence, factor in peers]
        found = weights(own, said, LIMITS)
        self.assertLessEqual(sum(each.weight for each in found), sure + LIMITS.silence + 1e-6)
        for each, (confidence, factor) in zip(found, peers, strict=True):
            self.assertLessEqual(each.weight, confidence * factor + 1e-6)

    def test_a_simulation_with_liars(self) -> None:
        """Five peers, none to four of whom lie, and a sender that we know: the answer keeps its sign (P3)."""
        for liars in range(5):
            random = Random(liars)
            past: list[Observations] = [begin(0.0, PEER_SIZE) for _ in range(5)]
            for _ in range(200):
                truth = random.choice((-1, 1))
                own = Opinion(truth * random.uniform(70, 76), random.uniform(6, 100))
                said = []
                for number in range(5):
                    sign = -truth if number < liars else truth
                    said.append(within_range(sign * random.randint(40, 100), random.randint(1, 100)))
                trusted = [
                    (str(number), words, trust(opinion_of(past[number], 0.0))) for number, words in enumerate(said)
                ]
                self.assertGreater(truth * deliberate(own, weights(own, trusted, LIMITS)).reputation, 0)
                for number, words in enumerate(said):
                    vote = assessment(own, words)
                    if vote is not None:
                        past[number] = cast(past[number], vote, 0.0)
            self.assertTrue(all(trust(opinion_of(each, 0.0)) < 0.25 for each in past[:liars]))
            self.assertTrue(all(trust(opinion_of(each, 0.0)) == 1.0 for each in past[liars:]))
