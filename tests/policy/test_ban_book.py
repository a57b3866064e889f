"""Tests of the book of bans (B10, S01)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores, SenderEntry
from twistedmilter.model.durations import DAY, HOUR
from twistedmilter.policy import ban_book
from twistedmilter.policy.ban_book import REFRESH, Alarm, BanBook, ban_key
from twistedmilter.store.memory import MemoryStores

CLIENT = ip_address("192.0.2.1")
START = 1_795_525_511.5


class BanBookTests(SynchronousTestCase):
    """Who is banned, and for how long."""

    def setUp(self) -> None:
        """An empty book."""
        self.now = START
        self.stores = MemoryStores()
        self.book = self.new_book()

    def new_book(self, new_per_hour: int = 1_000) -> BanBook:
        """A book as after a restart: the store is what it was."""
        return BanBook(cast(IStores, self.stores), lambda: self.now, new_per_hour)

    def get(self, coroutine: Any) -> Any:
        """What a coroutine gives at once."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def add(self, ip: str = "192.0.2.1", seconds: float = 4 * HOUR, book: BanBook | None = None) -> SenderEntry | None:
        """Ban a client."""
        entry: SenderEntry | None = self.get((book or self.book).add(ip_address(ip), "9 demerits", seconds))
        return entry

    def is_banned(self, ip: str = "192.0.2.1", book: BanBook | None = None) -> bool:
        """Whether a client is banned now."""
        return self.get((book or self.book).find(ip_address(ip))) is not None

    def test_a_ban_expires(self) -> None:
        """After its time, to the second; others are not concerned."""
        self.assertFalse(self.is_banned())
        entry = self.add()
        assert entry is not None
        self.assertEqual((entry.name, entry.comment, entry.expires), ("192.0.2.1", "9 demerits", START + 4 * HOUR))
        self.now += 4 * HOUR - 1
        self.assertTrue(self.is_banned())
        self.assertFalse(self.is_banned("192.0.2.2"))
        self.now += 1
        self.assertFalse(self.is_banned())

    def test_ipv6(self) -> None:
        """The /64 is banned; a mapped address is the IPv4 one."""
        self.add("2001:db8:1:2::3")
        self.assertTrue(self.is_banned("2001:db8:1:2:ffff::1"))
        self.assertFalse(self.is_banned("2001:db8:1:3::3"))
        self.assertEqual(ban_key(ip_address("::ffff:192.0.2.1")), "192.0.2.1")

    def test_it_survives_a_restart(self) -> None:
        """It is in the store."""
        self.add()
        self.assertTrue(self.is_banned(book=self.new_book()))

    def test_what_is_changed_in_the_store_is_seen(self) -> None:
        """A ban by command, of one IPv6 address too, and one taken back."""
        self.assertFalse(self.is_banned("2001:db8::1"))
        self.get_deferred(self.stores.bans.add(SenderEntry("2001:db8::1", "by hand", self.now)))
        self.assertFalse(self.is_banned("2001:db8::1"))
        self.now += REFRESH
        self.assertTrue(self.is_banned("2001:db8::1"))
        self.get_deferred(self.stores.bans.remove("2001:db8::1"))
        self.now += REFRESH
        self.assertFalse(self.is_banned("2001:db8::1"))

    def get_deferred(self, deferred: Any) -> Any:
        """What has been answered."""
        return self.successResultOf(deferred)

    def test_accepted_mail_spares(self) -> None:
        """For so long, also after a restart; and it begins anew with each accepted message."""
        self.get(self.book.accepted(CLIENT, 30 * DAY))
        self.assertIsNone(self.add())
        self.now += 29 * DAY
        restarted = self.new_book()
        self.assertIsNone(self.add(book=restarted))
        self.get(self.book.accepted(CLIENT, 30 * DAY))
        self.now += 29 * DAY
        self.assertIsNone(self.add())
        self.assertIsNone(self.add(book=self.new_book()))
        self.now += 2 * DAY
        self.assertIsNotNone(self.add())

    def test_accepted_mail_is_written_once_a_day(self) -> None:
        """Not with each message."""
        noted: list[str] = []
        note = self.stores.accepted.note

        def counted(address: str, expires: float) -> Deferred[None]:
            noted.append(address)
            return note(address, expires)

        self.patch(self.stores.accepted, "note", counted)
        for _ in range(3):
            self.get(self.book.accepted(CLIENT, 30 * DAY))
        self.assertEqual(noted, ["192.0.2.1"])
        self.now += DAY
        self.get(self.book.accepted(CLIENT, 30 * DAY))
        self.assertEqual(len(noted), 2)

    def test_accepted_mail_that_could_not_be_noted(self) -> None:
        """Is noted with the next message."""
        self.patch(self.stores.accepted, "note", lambda _address, _expires: fail(TemporaryFailure("full")))
        self.failureResultOf(Deferred.fromCoroutine(self.book.accepted(CLIENT, 30 * DAY)), TemporaryFailure)
        self.assertFalse(self.book.was_noted(CLIENT, 30 * DAY))

    def test_nobody_is_spared_for_no_time(self) -> None:
        """spared_days = 0."""
        self.get(self.book.accepted(CLIENT, 0))
        self.assertIsNotNone(self.add())

    def test_never_banned(self) -> None:
        """The list of those has the last word: addresses and networks."""
        for name in ("192.0.2.1", "198.51.100.0/24", "2001:db8:1:2::/64"):
            self.get_deferred(self.stores.never_banned.add(SenderEntry(name, "our bank", START)))
        for ip in ("192.0.2.1", "198.51.100.7", "2001:db8:1:2::3"):
            self.assertIsNone(self.add(ip), ip)
        for ip in ("192.0.2.2", "198.51.101.7", "2001:db8:1:3::3"):
            self.assertIsNotNone(self.add(ip), ip)

    def test_too_many_new_bans(self) -> None:
        """S01: at the limit of an hour there are no more, until it is over; the old ones hold."""
        book = self.new_book(new_per_hour=3)
        for number in range(3):
            self.assertIsNotNone(self.add(f"192.0.2.{number}", book=book))
            self.now += 600
        with self.assertRaises(Alarm) as raised:
            self.get_or_raise(book.add(ip_address("192.0.2.9"), "", HOUR))
        self.assertIn("3 new bans within an hour", str(raised.exception))
        self.assertTrue(self.is_banned("192.0.2.2", book=book))
        self.now = START + HOUR
        self.assertIsNotNone(self.add("192.0.2.9", book=book))

    def get_or_raise(self, coroutine: Any) -> None:
        """Raise what it raised."""
        self.failureResultOf(Deferred.fromCoroutine(coroutine), Alarm).raiseException()

    def test_a_ban_that_is_entered_while_the_list_is_read(self) -> None:
        """It is not lost with the older list."""
        reading: Deferred[list[SenderEntry]] = Deferred()
        self.patch(self.stores.bans, "page", lambda _now, _after, _most: reading)
        waiting = Deferred.fromCoroutine(self.book.find(CLIENT))
        self.assertNoResult(waiting)
        self.now += 1
        self.add("192.0.2.2")
        reading.callback([])
        self.successResultOf(waiting)
        self.assertTrue(self.is_banned("192.0.2.2"))

    def test_a_long_list_is_read_in_pages(self) -> None:
        """All of it, however many pages there are."""
        self.patch(ban_book, "PAGE", 2)
        for number in range(5):
            self.get_deferred(self.stores.bans.add(SenderEntry(f"192.0.2.{number}", "", START)))
        for number in range(5):
            self.assertTrue(self.is_banned(f"192.0.2.{number}"))
        self.assertFalse(self.is_banned("192.0.2.5"))

    def test_a_second_ban_is_none(self) -> None:
        """Who is banned is not banned anew."""
        self.assertIsNotNone(self.add())
        self.assertIsNone(self.add())

    def test_the_store_is_away(self) -> None:
        """Nothing is known then, and it is asked again."""
        self.get_deferred(self.stores.close())
        for _ in range(2):
            self.failureResultOf(Deferred.fromCoroutine(self.book.find(CLIENT)), TemporaryFailure)

    def test_without_a_store(self) -> None:
        """It is all in memory."""
        book = BanBook(None, lambda: self.now, 10)
        self.assertIsNotNone(self.add(book=book))
        self.assertTrue(self.is_banned(book=book))
        self.get(book.accepted(ip_address("192.0.2.2"), DAY))
        self.assertIsNone(self.add("192.0.2.2", book=book))
