"""Tests of how many notifications may go out (C11)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.address import parse_path
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.policy import notice_limits
from twistedmilter.policy.notice_limits import HOUR, NoticeLimits
from twistedmilter.store.memory import MemoryStores

NOW = 1_764_000_000.0


class NoticeLimitsTests(SynchronousTestCase):
    """Times are arguments."""

    def take(self, limits: NoticeLimits, address: str, now: float = NOW) -> str:
        """Why it may not go out."""
        why: str = self.successResultOf(Deferred.fromCoroutine(limits.take(parse_path(address), now)))
        return why

    def test_sliding_hour(self) -> None:
        """The hour slides: each notification makes room an hour after it went out, not before."""
        limits = NoticeLimits(DsnSettings(per_hour=2), None)
        self.assertEqual([self.take(limits, f"{name}@x.ex", NOW + at) for name, at in (("a", 0), ("b", 60))], ["", ""])
        self.assertIn("within an hour", self.take(limits, "c@x.ex", NOW + HOUR - 1))
        self.assertEqual(self.take(limits, "c@x.ex", NOW + HOUR), "")
        self.assertIn("within an hour", self.take(limits, "d@x.ex", NOW + HOUR + 59))

    def test_given_back(self) -> None:
        """The sender may be told again; the hour remembers the attempt."""
        limits = NoticeLimits(DsnSettings(per_domain=2), None)
        self.assertEqual(self.take(limits, "a@x.ex"), "")
        limits.give_back(parse_path("A@x.ex"))
        self.assertEqual(self.take(limits, "a@x.ex"), "")
        limits.give_back(parse_path("a@x.ex"))
        self.assertIn("2 notifications went to x.ex", self.take(limits, "a@x.ex"))

    def test_stored(self) -> None:
        """What was taken outlives the process, and does not pass for the answer of a callback."""
        stores = MemoryStores()
        bob = parse_path("bob@x.ex")
        first = NoticeLimits(DsnSettings(sender_days=1), stores.callbacks)
        self.assertEqual(self.take(first, "bob@x.ex"), "")
        self.successResultOf(Deferred.fromCoroutine(first.keep(bob, NOW, "250 ok")))
        second = NoticeLimits(DsnSettings(sender_days=1), stores.callbacks)
        self.assertEqual(self.take(second, "BOB@x.ex", NOW + 86_399), "the sender was told within 1 days")
        self.assertEqual(self.take(second, "bob@x.ex", NOW + 86_400), "")
        self.assertIsNone(self.successResultOf(stores.callbacks.find("bob@x.ex", NOW)))

    def test_memory_is_bounded(self) -> None:
        """A storm of senders and domains is forgotten from its old end."""
        self.patch(notice_limits, "MAX_REMEMBERED", 10)
        limits = NoticeLimits(DsnSettings(), None)
        for number in range(100):
            self.take(limits, f"a@d{number}.ex", NOW + number * HOUR)
        self.assertEqual((len(limits._told), len(limits._by_domain), len(limits._in_all)), (10, 10, 1))
