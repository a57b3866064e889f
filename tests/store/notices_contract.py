"""What every store of notifications has to do (reliability C14): mixed into a trial C{TestCase} that makes one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from zope.interface.verify import verifyObject

from tests.contracts import NOW
from twistedmilter.interfaces.notices import INoticeStore, NoticeState, StoredNotice
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.durations import DAY

BOB = StoredNotice("Bob@b.example", "softfail", ("bob@b.example",), b"Subject: x\r\n\r\nhello\r\n", NOW, NOW + DAY)


class NoticesContract:
    """Every promise of L{INoticeStore}; C{make} gives new, empty stores."""

    async def make(self) -> IStores:
        """New, empty stores."""
        raise NotImplementedError

    async def test_one_sender_is_told_once(self: Any) -> None:
        """Whoever comes second in the time that it counts is refused; case does not matter."""
        notices = (await self.make()).notices
        verifyObject(INoticeStore, notices)
        self.assertIs(await notices.reserve(BOB), True)
        self.assertIs(await notices.reserve(replace(BOB, address="bob@B.example")), False)
        self.assertIs(await notices.reserve(replace(BOB, address="amy@b.example")), True)
        await notices.done("BOB@b.example", "250 ok")
        self.assertIs(await notices.reserve(replace(BOB, stored=NOW + DAY - 1)), False)
        self.assertIs(await notices.reserve(replace(BOB, stored=NOW + DAY)), True)

    async def test_what_was_not_sent_is_forgotten(self: Any) -> None:
        """Its sender may be told another time."""
        notices = (await self.make()).notices
        await notices.reserve(BOB)
        await notices.release("bob@b.EXAMPLE")
        await notices.release("nobody@b.example")
        self.assertIs(await notices.reserve(BOB), True)

    async def test_what_waits_comes_up_when_it_is_due(self: Any) -> None:
        """The longest due first, each as it was written, with a try more; who claims it, claims it alone."""
        notices = (await self.make()).notices
        for name, after in (("a", 20), ("b", 10), ("c", 30)):
            await notices.reserve(replace(BOB, address=name, addressees=(name, f"postmaster {name}")))
            self.assertIs(await notices.defer(name, NOW + after, "451 later", 5), True)
        due = await notices.due(NOW + 20, 5)
        self.assertEqual([each.address for each in due], ["b", "a"])
        self.assertEqual((due[1].content, due[1].addressees), (BOB.content, ("a", "postmaster a")))
        self.assertEqual((due[1].state, due[1].outcome), (NoticeState.QUEUED, "451 later"))
        self.assertEqual([each.address for each in await notices.due(NOW + 30, 1)], ["b"])
        waiting = await notices.waiting()
        self.assertEqual([(each.address, each.content) for each in waiting], [("b", b""), ("a", b""), ("c", b"")])
        self.assertEqual([await notices.claim("A"), await notices.claim("a")], [True, False])
        await notices.defer("a", NOW + 60, "still later", 5)
        self.assertEqual([each.tries for each in await notices.due(NOW + 60, 5)], [1, 1, 2])

    async def test_no_more_wait_than_may(self: Any) -> None:
        """C11: the queue has an end, and what it does not take is as it was."""
        notices = (await self.make()).notices
        for name in "ab":
            await notices.reserve(replace(BOB, address=name))
        self.assertIs(await notices.defer("a", NOW, "", 1), True)
        self.assertIs(await notices.defer("b", NOW, "", 1), False)
        self.assertEqual([each.address for each in await notices.waiting()], ["a"])
        self.assertIs(await notices.defer("nobody", NOW, "", 9), False)

    async def test_what_was_under_way_is_not_sent_again(self: Any) -> None:
        """After a kill nobody knows whether it went out: it counts as sent, and its content is gone."""
        notices = (await self.make()).notices
        for name in "abc":
            await notices.reserve(replace(BOB, address=name))
        await notices.defer("a", NOW, "", 5)
        await notices.done("b", "250 ok")
        self.assertEqual(await notices.interrupted("killed"), 1)
        self.assertEqual([each.address for each in await notices.due(NOW, 5)], ["a"])
        self.assertIs(await notices.reserve(replace(BOB, address="c")), False)

    async def test_the_last_of_each_template(self: Any) -> None:
        """G08: the newest is there as it was sent, and nothing drops it."""
        stores = await self.make()
        notices = stores.notices
        self.assertIsNone(await notices.last("softfail"))
        for name in ("bob", "amy"):
            await notices.keep_last(replace(BOB, address=name, state=NoticeState.DONE))
        await notices.keep_last(replace(BOB, template="fail", state=NoticeState.DONE))
        await stores.purge(NOW + 10 * DAY)
        self.assertEqual(await notices.last("softfail"), replace(BOB, address="amy", state=NoticeState.DONE))
        lasts = await notices.lasts()
        self.assertEqual([(each.template, each.content) for each in lasts], [("fail", b""), ("softfail", b"")])

    async def test_the_oldest_make_room(self: Any) -> None:
        """B8: no more senders than may be remembered; what has expired is dropped."""
        stores = await self.make()
        for number in range(5):
            await stores.notices.reserve(replace(BOB, address=str(number)))
        await stores.purge(NOW)
        again = [await stores.notices.reserve(replace(BOB, address=str(number))) for number in (4, 3, 2)]
        self.assertEqual(again, [False, False, False])
        self.assertEqual(await stores.purge(NOW + DAY), 3)
