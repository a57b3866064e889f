"""The questions that may be followed by a verdict (gossip spec 1.3, cases 2 to 4)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import Identity
from twistedmilter.reputation.pending import PendingQuestions

SPF = Identity("example.com", "SPF")


class PendingQuestionsTests(SynchronousTestCase):
    """What is remembered, and for how long."""

    def test_a_question_is_new_once(self) -> None:
        """And stays what it was, whoever comes with the same name for another."""
        pending = PendingQuestions()
        self.assertTrue(pending.add("u", SPF, "a", 0.0))
        self.assertFalse(pending.add("u", Identity("other.example", "SPF"), "b", 1.0))
        known = pending.find("u", 1.0)
        assert known is not None
        self.assertEqual((known.identity, known.source), (SPF, "a"))

    def test_a_question_ends(self) -> None:
        """Then its name is free."""
        pending = PendingQuestions(lifetime=10.0)
        pending.add("u", SPF, "a", 0.0)
        self.assertIsNotNone(pending.find("u", 9.9))
        self.assertIsNone(pending.find("u", 10.0))
        self.assertTrue(pending.add("u", SPF, "b", 10.0))
        self.assertIsNotNone(pending.find("u", 11.0))

    def test_a_flood_drives_out_itself(self) -> None:
        """Not the questions of others (case 4)."""
        pending = PendingQuestions(most=3)
        pending.add("mail", SPF, "inside", 0.0)
        for number in range(100):
            pending.add(f"flood{number}", SPF, "loopback", 0.0)
        self.assertIsNotNone(pending.find("mail", 0.0))
        left = [number for number in range(100) if pending.find(f"flood{number}", 0.0)]
        self.assertEqual(left, [97, 98, 99])
