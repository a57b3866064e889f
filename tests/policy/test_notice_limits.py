"""Tests of how many notifications may go out (C11)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.notices import StoredNotice
from twistedmilter.model.address import parse_path
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.durations import HOUR
from twistedmilter.policy.hourly_count import HourlyCount
from twistedmilter.policy.notice_limits import NoticeLimits
from twistedmilter.store.memory import MemoryStores

NOW = 1_764_000_000.0


class NoticeLimitsTests(SynchronousTestCase):
    """Times are arguments."""

    def setUp(self) -> None:
        """Nobody was told."""
        self.stores = MemoryStores()

    def limits(self, **settings: Any) -> NoticeLimits:
        """Those of these settings, with the store as it is."""
        return NoticeLimits(DsnSettings(**settings), self.stores.notices)

    def take(self, limits: NoticeLimits, address: str, now: float = NOW) -> str:
        """Why it may not go out."""
        notice = StoredNotice(address, "fail", (address,), b"x", now, limits.expiry(now))
        why: str = self.successResultOf(Deferred.fromCoroutine(limits.take(notice, parse_path(address))))
        return why

    def test_sliding_hour(self) -> None:
        """The hour slides: each notification makes room an hour after it went out, not before."""
        limits = self.limits(per_hour=2)
        self.assertEqual([self.take(limits, f"{name}@x.ex", NOW + at) for name, at in (("a", 0), ("b", 60))], ["", ""])
        self.assertIn("within an hour", self.take(limits, "c@x.ex", NOW + HOUR - 1))
        self.assertEqual(self.take(limits, "c@x.ex", NOW + HOUR), "")
        self.assertIn("within an hour", self.take(limits, "d@x.ex", NOW + HOUR + 59))

    def test_per_domain(self) -> None:
        """So many to one domain."""
        limits = self.limits(per_domain=2)
        self.assertEqual([self.take(limits, "a@x.ex"), self.take(limits, "b@x.ex")], ["", ""])
        self.assertIn("2 notifications went to x.ex", self.take(limits, "c@x.ex"))
        self.assertEqual(self.take(limits, "c@y.ex"), "")

    def test_stored(self) -> None:
        """What was reserved outlives the process, and what is refused for that does not count for the hour."""
        self.assertEqual(self.take(self.limits(sender_days=1), "bob@x.ex"), "")
        second = self.limits(sender_days=1, per_hour=1)
        self.assertEqual(self.take(second, "BOB@x.ex", NOW + 86_399), "the sender was told within 1 days")
        self.assertEqual(self.take(second, "bob@x.ex", NOW + 86_400), "")

    def test_two_messages_at_once(self) -> None:
        """While the store is being asked about one, it counts for the hour already."""
        limits = self.limits(per_hour=1)
        slow: Deferred[bool] = Deferred()
        self.patch(self.stores.notices, "reserve", lambda _: slow)
        notice = StoredNotice("a@x.ex", "fail", ("a@x.ex",), b"x", NOW, NOW + 1)
        first = Deferred.fromCoroutine(limits.take(notice, parse_path("a@x.ex")))
        self.assertIn("within an hour", self.take(limits, "b@x.ex"))
        slow.errback(TemporaryFailure("full"))
        self.failureResultOf(first, TemporaryFailure)
        self.assertEqual(limits.objection(parse_path("b@x.ex"), NOW), "")

    def test_a_store_without_its_file(self) -> None:
        """C14: nothing goes out whose mark would be lost at a restart; when the file can be had again it does."""
        limits = self.limits()
        limits.trouble = lambda: "state.db: Read-only file system"
        self.assertIn("for long: state.db: Read-only", self.take(limits, "a@x.ex"))
        limits.trouble = str
        self.assertEqual(self.take(limits, "a@x.ex"), "")

    def test_without_a_store(self) -> None:
        """Nothing goes out that nobody remembers."""
        self.assertEqual(self.take(NoticeLimits(DsnSettings(), None), "a@x.ex"), "nothing is remembered here")

    def test_memory_is_bounded(self) -> None:
        """A storm of domains is forgotten from its old end."""
        limits = self.limits()
        limits._by_domain = HourlyCount(10)
        for number in range(100):
            self.take(limits, f"a@d{number}.ex", NOW + number * HOUR)
        self.assertEqual((len(limits._by_domain), limits._in_all.total("", NOW + 99 * HOUR)), (10, 1))
