"""What every implementation of an interface has to do: mixed into a trial C{TestCase} that makes one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from zope.interface.verify import verifyObject

from tests.observe.records import record
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import (
    CallbackAnswer,
    GreylistEntry,
    GreylistTimes,
    IAcceptedClients,
    ICallbackCache,
    IDecisionLog,
    IGreylistStore,
    ISenderList,
    IStores,
    SenderEntry,
)
from twistedmilter.observe.record_dict import record_to_dict
from twistedmilter.store.rules import StoreLimits

NOW = 1_795_525_511.5
TIMES = GreylistTimes(delay=300, expire=21_600, retain=3_110_400)
LIMITS = StoreLimits(callbacks=3, senders=3, accepted=3, greylist=3, notices=3, decisions=3, retention_days=1)
HOSTILE = ("a\0b@c.example", "\udc80@c.example", "x" * 1_000_000, "'; DROP TABLE sender --", "", "Ünï@c.example")


def answer(address: str = "a@b.example", stored: float = NOW, **fields: Any) -> CallbackAnswer:
    """An exchanger knows the sender, for an hour."""
    known = CallbackAnswer(address, CallbackResult.VALID, "250 ok", stored, stored + 3_600)
    return replace(known, **fields)


class StoresContract:
    """Every promise of L{IStores}; C{make} gives stores with L{LIMITS}."""

    async def make(self) -> IStores:
        """New, empty stores."""
        raise NotImplementedError

    async def test_interfaces(self: Any) -> None:
        """Each part provides what it says."""
        stores = await self.make()
        verifyObject(IStores, stores)
        verifyObject(ICallbackCache, stores.callbacks)
        verifyObject(ISenderList, stores.whitelist)
        for each in (stores.blacklist, stores.bans, stores.never_banned):
            verifyObject(ISenderList, each)
        verifyObject(IAcceptedClients, stores.accepted)
        verifyObject(IGreylistStore, stores.greylist)
        verifyObject(IDecisionLog, stores.decisions)

    async def test_an_answer_is_valid_until_it_expires(self: Any) -> None:
        """Each has its own validity, and case does not matter (I01, LL-19)."""
        cache = (await self.make()).callbacks
        await cache.keep(answer("A@b.example"))
        self.assertEqual(await cache.find("a@B.example", NOW + 3_599), answer())
        self.assertIsNone(await cache.find("a@b.example", NOW + 3_600))
        self.assertIsNone(await cache.find("other@b.example", NOW))

    async def test_the_newest_answer_wins(self: Any) -> None:
        """By the time it was learnt, not by the order of writing (LL-19)."""
        cache = (await self.make()).callbacks
        newer = answer(stored=NOW + 10, result=CallbackResult.INVALID, reply="550 who?", expires=NOW + 60)
        for each in (answer(), newer, answer(stored=NOW + 5)):
            await cache.keep(each)
        self.assertEqual(await cache.find("a@b.example", NOW + 20), newer)

    async def test_clients_with_accepted_mail(self: Any) -> None:
        """They are remembered as long as was last said, the oldest forgotten first when there are too many."""
        stores = await self.make()
        accepted = stores.accepted
        for _ in range(2):
            await accepted.note("192.0.2.1", NOW + 10)
        self.assertIs(await accepted.find("192.0.2.1", NOW + 9), True)
        self.assertIs(await accepted.find("192.0.2.1", NOW + 10), False)
        self.assertIs(await accepted.find("192.0.2.2", NOW), False)
        for number in range(2, 5):
            await accepted.note(f"192.0.2.{number}", NOW + 20)
        await stores.purge(NOW)
        self.assertEqual(
            [await accepted.find(f"192.0.2.{number}", NOW) for number in range(1, 5)], [False, *[True] * 3]
        )
        await stores.purge(NOW + 20)
        self.assertIs(await accepted.find("192.0.2.4", NOW), False)

    async def test_hostile_keys(self: Any) -> None:
        """NUL, surrogates, a megabyte and quotes are keys like others, and distinct (B9)."""
        stores = await self.make()
        for number, name in enumerate(HOSTILE):
            await stores.whitelist.add(SenderEntry(name, str(number) + "\udc80", NOW))
        for number, name in enumerate(HOSTILE):
            found = await stores.whitelist.find(name, NOW)
            self.assertEqual(found.comment, f"{number}\\udc80")
        self.assertIsNone(await stores.whitelist.find("x" * 999_999 + "y", NOW))

    async def test_an_address_comes_before_its_domain(self: Any) -> None:
        """A domain stands for every address in it, not for those below it (I09)."""
        whitelist = (await self.make()).whitelist
        domain = SenderEntry("b.example", "the domain", NOW)
        mailbox = SenderEntry("a@b.example", "the mailbox", NOW, NOW + 60)
        await whitelist.add(domain)
        await whitelist.add(mailbox)
        self.assertEqual(await whitelist.find("A@B.example", NOW), mailbox)
        self.assertEqual(await whitelist.find("a@b.example", NOW + 60), domain)
        self.assertEqual(await whitelist.find("c@b.example", NOW), domain)
        self.assertIsNone(await whitelist.find("a@sub.b.example", NOW))
        self.assertEqual(await whitelist.entries(NOW), [mailbox, domain])
        self.assertEqual(await whitelist.entries(NOW + 60), [domain])

    async def test_wildcards(self: Any) -> None:
        """C{*.} stands for what is below, the longest first, and not for the domain itself (S03)."""
        blacklist = (await self.make()).blacklist
        for name in ("*.example", "*.b.example", "c.b.example"):
            await blacklist.add(SenderEntry(name, "", NOW))
        names = ("a@c.b.example", "a@d.b.example", "a@b.example", "a@example")
        found = [await blacklist.find(name, NOW) for name in names]
        self.assertEqual([each and each.name for each in found], ["c.b.example", "*.b.example", "*.example", None])
        self.assertIsNotNone(await blacklist.find("a@" + "a." * 100_000 + "example", NOW))

    async def test_lists_are_apart(self: Any) -> None:
        """What is on one is not on the other; what is removed is gone."""
        stores = await self.make()
        await stores.whitelist.add(SenderEntry("a@b.example", "", NOW))
        self.assertIsNone(await stores.blacklist.find("a@b.example", NOW))
        self.assertFalse(await stores.blacklist.remove("a@b.example"))
        self.assertTrue(await stores.whitelist.remove("A@b.example"))
        self.assertIsNone(await stores.whitelist.find("a@b.example", NOW))

    async def test_pages(self: Any) -> None:
        """A long list comes in pages, by name, without what has ended or is on another list."""
        stores = await self.make()
        for name, expires in (("d", None), ("b", NOW + 9), ("a", None), ("c", NOW), ("", None)):
            await stores.whitelist.add(SenderEntry(name, "", NOW - 1, expires))
        await stores.blacklist.add(SenderEntry("aa", "", NOW))
        whitelist = stores.whitelist
        pages = [await whitelist.page(NOW, after, 2) for after in (None, "", "a", "b", "c", "d")]
        names = [[entry.name for entry in page] for page in pages]
        self.assertEqual(names, [["", "a"], ["a", "b"], ["b", "d"], ["d"], ["d"], []])

    async def test_a_permanent_entry_stays(self: Any) -> None:
        """It yields to a newer permanent one only (I10); others to what is newer."""
        whitelist = (await self.make()).whitelist
        permanent, newer = SenderEntry("a@b.example", "1", NOW), SenderEntry("a@b.example", "2", NOW + 1)
        for entry in (replace(permanent, expires=NOW + 5), permanent, replace(newer, expires=NOW + 90)):
            await whitelist.add(entry)
        self.assertEqual(await whitelist.find("a@b.example", NOW), permanent)
        await whitelist.add(newer)
        await whitelist.add(permanent)
        self.assertEqual(await whitelist.find("a@b.example", NOW), newer)

    async def test_greylisting(self: Any) -> None:
        """Too soon, in time, known ever after, forgotten (M02)."""
        greylist = (await self.make()).greylist
        later = (0, 299, 300, 400_000, 400_000 + TIMES.retain + 1)
        seen = [await greylist.contact("net a b", NOW + each, TIMES) for each in later]
        self.assertEqual([(each.tries, each.accepted) for each in seen], [(1, 0), (2, 0), (3, 1), (4, 2), (1, 0)])
        self.assertEqual(seen[1].first_seen, NOW)
        other = [await greylist.contact("net c d", NOW + each, TIMES) for each in (0, 21_601, 21_600)]
        self.assertEqual([each.first_seen - NOW for each in other], [0, 21_601, 21_600])

    async def test_greylist_entries_from_elsewhere(self: Any) -> None:
        """They count like contacts of our own; the one seen last stays (M05)."""
        greylist = (await self.make()).greylist
        known = GreylistEntry(NOW - 1_000, NOW - 500, 4, 3)
        await greylist.keep("Key", known, TIMES)
        await greylist.keep("key", replace(known, last_seen=NOW - 600, tries=9), TIMES)
        again = await greylist.contact("key", NOW, TIMES)
        self.assertEqual(again, GreylistEntry(NOW - 1_000, NOW, 5, 4))

    async def test_decisions(self: Any) -> None:
        """A record is found by our id and by the queue id, the newest of several; a test is not kept."""
        decisions = (await self.make()).decisions
        first, second = record(id="1", helo="\udc80"), record(id="2")
        for each in (first, second, record(id="3", queue_id="T", is_test=True), record(id="4", queue_id="")):
            await decisions.append(each)
        self.assertEqual(await decisions.find("1"), record_to_dict(first))
        self.assertEqual((await decisions.find("4XyZ"))["id"], "2")
        for nobody in ("3", "T", "", "5"):
            self.assertIsNone(await decisions.find(nobody))

    async def test_purge_drops_what_expired(self: Any) -> None:
        """And nothing else; permanent entries stay."""
        stores = await self.make()
        await stores.callbacks.keep(answer())
        await stores.blacklist.add(SenderEntry("a@b.example", "", NOW, NOW + 3_600))
        await stores.blacklist.add(SenderEntry("c@b.example", "", NOW))
        await stores.greylist.contact("key", NOW, TIMES)
        await stores.decisions.append(record(time=NOW))
        self.assertEqual(await stores.purge(NOW + 3_599), 0)
        self.assertEqual(await stores.purge(NOW + 3_600), 2)
        self.assertEqual(await stores.purge(NOW + 86_400), 2)
        self.assertEqual(len(await stores.blacklist.entries(NOW)), 1)

    async def test_purge_drops_the_oldest(self: Any) -> None:
        """What was written longest ago makes room; a permanent entry neither counts nor goes (B8)."""
        stores = await self.make()
        await stores.whitelist.add(SenderEntry("p@b.example", "", NOW))
        for name in ("1", "2", "3", "1", "4", "5"):
            await stores.callbacks.keep(answer(name))
            await stores.whitelist.add(SenderEntry(name, "", NOW, NOW + 60))
            await stores.decisions.append(record(id=name, time=NOW))
        await stores.purge(NOW)
        self.assertEqual([name for name in "12345" if await stores.callbacks.find(name, NOW)], ["1", "4", "5"])
        self.assertEqual([name for name in "12345" if await stores.decisions.find(name)], ["1", "4", "5"])
        self.assertEqual([each.name for each in await stores.whitelist.entries(NOW)], ["1", "4", "5", "p@b.example"])

    async def test_nothing_hangs_after_close(self: Any) -> None:
        """What was asked before is answered, what is asked later fails; closing twice is fine."""
        stores = await self.make()
        before = [stores.callbacks.keep(answer(str(number))) for number in range(50)]
        closed = stores.close()
        late = stores.callbacks.find("1", NOW)
        await self.assertFailure(late, TemporaryFailure)
        for each in before:
            self.assertIsNone(await each)
        await closed
        await stores.close()
        await self.assertFailure(stores.purge(NOW), TemporaryFailure)
