"""Bans in the lists that are served (seed-spec S02, S03, S05)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twistedmilter.blocklist.listing import Listing
from twistedmilter.dns_bans import PAGE, REFRESH, TTL, PublishedBans
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import ISenderList, IStores, SenderEntry
from twistedmilter.model.settings import NetworksSettings
from twistedmilter.policy.dns_lists import reversed_address
from twistedmilter.store.memory import MemoryStores

NOW = 1_795_525_200.0


class PublishedBansTests(SynchronousTestCase):
    """Stores in memory, and what is published of them."""

    def setUp(self) -> None:
        """Nothing is banned; our networks are 10.0.0.0/8 and one relay."""
        self.clock = Clock()
        self.original = cast(IStores, MemoryStores())
        self.changes = 0
        self.bans = self.publish()
        self.stores = self.bans.stores

    def publish(self, *, is_on: bool = True) -> PublishedBans:
        """What is published."""
        networks = NetworksSettings(internal=["10.0.0.0/8", "mail.example.com"], trusted_relays=["192.0.2.25"])
        bans = PublishedBans(self.original, networks, self.clock, self.wall, is_on=is_on)
        bans.when_changed(self.changed)
        return bans

    def wall(self) -> float:
        """The time."""
        return NOW + self.clock.seconds()

    def changed(self) -> None:
        """Count."""
        self.changes += 1

    def enter(self, which: str, name: str, *, stores: IStores | None = None, **more: Any) -> None:
        """Enter something in a list."""
        entry = SenderEntry(name, more.pop("comment", ""), self.wall(), **more)
        self.successResultOf(getattr(stores or self.stores, which).add(entry))

    def find(self, name: str, kind: str = "rhsbl") -> Listing | None:
        """What a zone of this kind has on a name or address."""
        key = (reversed_address(ip_address(name)) if name[-1].isdigit() or ":" in name else name).encode()
        live = self.bans.live_names(kind)
        assert live is not None
        return live.find(tuple(key.split(b".")), key)

    def text(self, name: str, kind: str = "rhsbl") -> str:
        """Its text, or nothing."""
        listing = self.find(name, kind)
        key = reversed_address(ip_address(name)) if name[-1].isdigit() or ":" in name else name
        return (listing.text(key.encode()) or b"").decode() if listing is not None else ""

    def test_interfaces(self) -> None:
        """The stores that tell are stores."""
        verifyObject(IStores, self.stores)
        for each in (self.stores.blacklist, self.stores.bans, self.stores.never_banned):
            verifyObject(ISenderList, each)
        self.assertIs(self.stores.whitelist, self.original.whitelist)

    def test_off(self) -> None:
        """Without publish_bans there are no lists, the stores stay what they are, and nobody reads them."""
        bans = self.publish(is_on=False)
        self.successResultOf(bans.start())
        self.assertIs(bans.stores, self.original)
        self.assertIsNone(bans.live_names("rhsbl"))
        self.assertEqual((bans.status(), self.clock.getDelayedCalls()), ({}, []))
        bans.stop()

    def test_entered_and_removed(self) -> None:
        """S02: what is entered is there at once, with its reason; what is taken out is not."""
        self.enter("blacklist", "Spam.example", comment="costs $5")
        self.enter("bans", "192.0.2.9", comment="9 demerits")
        self.assertEqual(self.text("spam.example"), "Mail from spam.example is banned here: costs $5")
        self.assertEqual(self.text("192.0.2.9", "ipbl"), "192.0.2.9 is banned here: 9 demerits")
        self.assertEqual(self.changes, 2)
        self.assertTrue(self.successResultOf(self.stores.blacklist.remove("SPAM.example")))
        self.assertTrue(self.successResultOf(self.stores.bans.remove("192.0.2.9")))
        self.assertEqual((self.find("spam.example"), self.find("192.0.2.9", "ipbl"), self.changes), (None, None, 4))
        self.assertEqual(self.successResultOf(self.original.blacklist.entries(NOW)), [])

    def test_wildcards(self) -> None:
        """S03: C{*.name} is for any depth below, not for the name itself."""
        self.enter("blacklist", "*.spam.example")
        for name, is_there in (("a.spam.example", True), ("a.b.spam.example", True), ("spam.example", False)):
            self.assertEqual(self.find(name) is not None, is_there, name)

    def test_zones_by_kind(self) -> None:
        """Domains are in lists of domains, clients in lists of addresses, both in mixed ones."""
        self.enter("blacklist", "spam.example")
        self.enter("bans", "2001:db8:1:2::/64")
        for kind, expected in (("rhsbl", (True, False)), ("ipbl", (False, True)), ("mixed", (True, True))):
            found = self.find("spam.example", kind), self.find("2001:db8:1:2::99", kind)
            self.assertEqual(tuple(each is not None for each in found), expected, kind)
        live = self.bans.live_names("mixed")
        assert live is not None
        self.assertTrue(live.reaches_below((b"example",), b"example"))
        self.assertFalse(live.reaches_below((b"org",), b"org"))

    def test_names_above(self) -> None:
        """What is above an entry exists as long as something is below it (RFC 8020)."""
        live = self.bans.live_names("rhsbl")
        assert live is not None
        above = (b"spam", b"example"), b"spam.example"
        for name in ("a.spam.example", "b.spam.example"):
            self.enter("blacklist", name)
        for name, is_above in (("a.spam.example", True), ("b.spam.example", False)):
            self.successResultOf(self.stores.blacklist.remove(name))
            self.assertEqual(live.reaches_below(*above), is_above)
        self.assertFalse(live.reaches_below((b"example",), b"example"))

    def test_what_is_not_published(self) -> None:
        """Full addresses and literals; clients of ours, relays, and those that are never banned."""
        self.enter("never_banned", "198.51.100.0/24")
        for name in ("bob@spam.example", "[192.0.2.1]"):
            self.enter("blacklist", name)
        for name in ("10.1.2.3", "192.0.2.25", "198.51.100.7"):
            self.enter("bans", name)
            self.assertIsNone(self.find(name, "ipbl"), name)
        self.assertEqual(self.bans.status(), {"domains": 0, "clients": 0, "trouble": ""})

    def test_never_banned_later(self) -> None:
        """Who is entered among those that are never banned is taken off the list."""
        self.enter("bans", "198.51.100.7")
        self.assertIsNotNone(self.find("198.51.100.7", "ipbl"))
        self.clock.advance(1)
        self.enter("never_banned", "198.51.100.0/24")
        self.assertIsNone(self.find("198.51.100.7", "ipbl"))
        self.clock.advance(1)
        self.successResultOf(self.stores.never_banned.remove("198.51.100.0/24"))
        self.assertIsNotNone(self.find("198.51.100.7", "ipbl"))

    def test_expiry(self) -> None:
        """A ban ends when it says, and no resolver is to keep it for longer."""
        self.enter("bans", "192.0.2.9", expires=self.wall() + 100)
        found = [self.find("192.0.2.9", "ipbl")]
        self.clock.advance(70)
        found.append(self.find("192.0.2.9", "ipbl"))
        self.clock.advance(30)
        self.assertEqual([each.ttl for each in found if each is not None], [TTL, 30])
        self.assertIsNone(self.find("192.0.2.9", "ipbl"))

    def test_what_was_there(self) -> None:
        """At the start all pages are read; and again later, for what others enter and remove in shared stores."""
        for number in range(PAGE + 5):
            self.enter("blacklist", f"spam{number}.example", stores=self.original)
        ready = self.bans.start()
        self.addCleanup(self.bans.stop)
        self.assertNoResult(ready)  # others have their turn
        self.clock.advance(0)
        self.successResultOf(ready)
        self.assertEqual(self.bans.status()["domains"], PAGE + 5)
        self.assertEqual(self.changes, 1)
        self.clock.advance(1)
        self.enter("blacklist", "late.example", stores=self.original)
        self.successResultOf(self.original.blacklist.remove("spam7.example"))
        self.clock.pump([REFRESH, 0])
        self.assertIsNotNone(self.find("late.example"))
        self.assertIsNone(self.find("spam7.example"))
        self.assertEqual(self.changes, 2)
        self.clock.pump([REFRESH, 0])
        self.assertEqual(self.changes, 2)
        for number in range(PAGE + 5):
            self.successResultOf(self.original.blacklist.remove(f"spam{number}.example"))
        self.clock.pump([REFRESH, 0, 0])
        self.assertEqual(self.bans.status()["domains"], 1)

    def test_a_permanent_entry_stays(self) -> None:
        """As in the stores: what expires does not replace what a person entered for good."""
        self.enter("bans", "192.0.2.9")
        self.clock.advance(1)
        self.enter("bans", "192.0.2.9", expires=self.wall() + 10)
        self.bans.refresh()
        self.clock.advance(20)
        self.assertIsNotNone(self.find("192.0.2.9", "ipbl"))

    def test_stores_that_fail(self) -> None:
        """What is published stays; it is told once, and tried again."""
        self.enter("bans", "192.0.2.9")

        def page(*_arguments: object) -> Deferred[list[SenderEntry]]:
            return fail(TemporaryFailure("disk full"))

        self.patch(self.original.bans, "page", page)
        with capturedLogs() as logs:
            self.successResultOf(self.bans.start())  # lists do not wait for it for ever
            self.addCleanup(self.bans.stop)
            self.clock.advance(REFRESH)
        self.assertEqual(len([each for each in logs if "disk full" in str(each.get("trouble"))]), 1)
        self.assertEqual(self.bans.status()["trouble"], "disk full")
        self.assertIsNotNone(self.find("192.0.2.9", "ipbl"))

    def test_the_end(self) -> None:
        """A reading that is under way is given up without a word."""
        never: Deferred[list[SenderEntry]] = Deferred()
        self.patch(self.original.never_banned, "entries", lambda _now: never)
        ready = self.bans.start()
        self.bans.stop()
        self.bans.stop()
        self.assertNoResult(ready)
        self.assertTrue(never.called)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_bug(self) -> None:
        """A fault of our own is logged, and ends nothing."""
        self.patch(self.original.never_banned, "entries", lambda _now: fail(RuntimeError("bug")))
        self.bans.start()
        self.bans.stop()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
