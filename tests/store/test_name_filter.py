"""Names in memory in front of a list that takes time."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.store import name_filter
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.name_filter import FilteredSenderList

NOW = 1_795_525_511.5


class CountingList:
    """A list in memory that counts what it is asked, and may give its first page later, or never."""

    def __init__(self) -> None:
        self._list = cast(ISenderList, MemoryStores().whitelist)
        self.asked: list[str] = []
        self.waiting: Deferred[list[SenderEntry]] | None = None
        self.add, self.remove, self.entries = self._list.add, self._list.remove, self._list.entries

    def find(self, address: str, now: float) -> Deferred[SenderEntry | None]:
        """Count, and find."""
        self.asked.append(address)
        return self._list.find(address, now)

    def page(self, now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """Some of them, or what a test makes wait."""
        if self.waiting is not None and after is None:
            return self.waiting
        return self._list.page(now, after, most)


class FilteredSenderListTests(SynchronousTestCase):
    """L{FilteredSenderList}."""

    def setUp(self) -> None:
        """One entry of each kind."""
        self.behind = CountingList()
        for name in ("alice@a.ex", "b.ex", "*.c.ex"):
            self.successResultOf(self.behind.add(SenderEntry(name, "", NOW)))
        self.list = FilteredSenderList(cast(ISenderList, self.behind))

    def find(self, address: str) -> str | None:
        """The name of the entry that holds an address."""
        found = self.successResultOf(self.list.find(address, NOW))
        return found.name if found is not None else None

    def test_it_says_what_the_list_says(self) -> None:
        """Before and after the names are there; then strangers are not looked for."""
        verifyObject(ISenderList, self.list)
        addresses = ("Alice@A.EX", "x@b.ex", "x@y.c.ex", "bob@a.ex", "x@z.ex", "")
        expected = ["alice@a.ex", "b.ex", "*.c.ex", None, None, None]
        self.assertEqual([self.find(each) for each in addresses], expected)
        self.assertEqual(len(self.behind.asked), 6)
        self.list.load(NOW)
        self.assertEqual([self.find(each) for each in addresses], expected)
        self.assertEqual(self.behind.asked[6:], ["Alice@A.EX", "x@b.ex", "x@y.c.ex"])
        self.assertEqual(len(self.successResultOf(self.list.entries(NOW))), 3)

    def test_an_empty_list(self) -> None:
        """Nobody is in it, and nobody is asked; until somebody is entered."""
        behind = CountingList()
        self.list = FilteredSenderList(cast(ISenderList, behind))
        self.list.load(NOW)
        self.assertEqual((self.find("a@b.ex"), behind.asked), (None, []))
        self.successResultOf(self.list.add(SenderEntry("b.ex", "", NOW)))
        self.assertEqual(self.find("a@b.ex"), "b.ex")

    def test_what_is_added_and_removed(self) -> None:
        """It counts at once, also while the names are being read."""
        self.behind.waiting = Deferred()
        self.list.load(NOW)
        self.successResultOf(self.list.add(SenderEntry("Dora@D.ex", "", NOW)))
        self.behind.waiting.callback([])
        self.assertEqual(self.find("dora@d.ex"), "dora@d.ex")
        self.assertTrue(self.successResultOf(self.list.remove("dora@d.ex")))
        self.assertIsNone(self.find("dora@d.ex"))

    def test_names_that_cannot_be_read(self) -> None:
        """The list behind is asked every time, as it is after the end."""
        self.behind.waiting = fail(TemporaryFailure("disk"))
        self.list.load(NOW)
        self.find("x@z.ex")
        self.behind.waiting = None
        self.list.load(NOW)
        self.list.stop()
        self.find("x@z.ex")
        self.list.load(NOW)
        self.find("x@z.ex")
        self.assertEqual(self.behind.asked, ["x@z.ex"] * 3)

    def test_names_that_have_ended_do_not_pile_up(self) -> None:
        """When most of them may have ended they are read again, once at a time; none that still holds is missed."""
        self.patch(name_filter, "SPARE", 2)
        self.list.load(NOW)
        for number in range(5):
            self.successResultOf(self.list.add(SenderEntry(f"{number}@e.ex", "", NOW)))
            self.assertTrue(self.successResultOf(self.list.remove(f"{number}@e.ex")))
        self.list.tidy(NOW)
        self.find("1@e.ex")
        self.assertEqual(self.behind.asked, ["1@e.ex"])  # 3 + 5 are not more than 2 * 3 + 2
        self.successResultOf(self.list.add(SenderEntry("dora@d.ex", "", NOW)))
        waiting = self.behind.waiting = self.successful_entries()
        self.list.tidy(NOW)
        self.successResultOf(self.list.add(SenderEntry("eve@d.ex", "", NOW)))
        self.list.tidy(NOW)
        waiting.callback(None)  # type: ignore[arg-type] # what entries said when it was asked
        for address in ("1@e.ex", "alice@a.ex", "dora@d.ex", "eve@d.ex"):
            self.find(address)
        self.assertEqual(self.behind.asked[1:], ["alice@a.ex", "dora@d.ex", "eve@d.ex"])
        self.assertEqual(self.find("eve@d.ex"), "eve@d.ex")

    def successful_entries(self) -> Deferred[list[SenderEntry]]:
        """The entries as they are now, told later."""
        now = self.successResultOf(self.list.entries(NOW))
        later: Deferred[list[SenderEntry]] = Deferred()
        return later.addCallback(lambda _: now)
