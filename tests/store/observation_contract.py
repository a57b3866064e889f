"""What every store of observations has to do: mixed into a trial C{TestCase} that makes one."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from zope.interface.verify import verifyObject

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.reputation import Change, Found, IObservationStore
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.reputation import PEER, Identity, Observations, Vote
from twistedmilter.reputation.ring import begin, cast

NOW = 1_795_525_511.5
DAY = 86_400.0
LIMIT, DAYS = 20, 90.0
SPF, NEUTRAL = Identity("example.com", "SPF"), Identity("example.com", "neutral")


def seen(*votes: Vote, first: float = NOW, last: float = NOW) -> Observations:
    """A record with these votes."""
    observations = begin(first)
    for vote in votes:
        observations = cast(observations, vote, last)
    return observations


def voting(vote: Vote, now: float = NOW) -> Change:
    """Casts a vote."""
    return lambda known: cast(known or begin(now), vote, now)


def put(observations: Observations) -> Change:
    """Puts a record in."""
    return lambda _: observations


class ObservationStoreContract:
    """Every promise of L{IObservationStore}; C{make} gives stores with room for L{LIMIT} and L{DAYS}."""

    async def make(self) -> IStores:
        """New, empty stores."""
        raise NotImplementedError

    async def again(self, stores: IStores) -> IStores:
        """The same stores; if they last, after they were closed and opened."""
        return stores

    def later(self, found: object) -> Deferred[Any]:
        """What was found, now or later."""
        return maybeDeferred(lambda: found)

    async def test_interface(self: Any) -> None:
        """It provides what it says."""
        verifyObject(IObservationStore, (await self.make()).observations)

    async def test_nothing_is_known_at_first(self: Any) -> None:
        """And nothing is begun by asking."""
        stores = await self.make()
        self.assertIsNone(await self.later(stores.observations.find(SPF)))
        self.assertEqual(await stores.observations.page(None, 10), [])

    async def test_what_was_changed_is_known(self: Any) -> None:
        """At once, and in the next life; qualifiers never mix (case 8)."""
        stores = await self.make()
        known = await self.later(stores.observations.change(SPF, voting(Vote.HAM)))
        self.assertEqual(known, seen(Vote.HAM))
        self.assertEqual(await self.later(stores.observations.find(SPF)), known)
        self.assertIsNone(await self.later(stores.observations.find(NEUTRAL)))
        store = (await self.again(stores)).observations
        self.assertEqual(await self.later(store.find(SPF)), known)
        self.assertIsNone(await self.later(store.find(NEUTRAL)))

    async def test_all_votes_count(self: Any) -> None:
        """Those that come while the first one waits for the file, too."""
        stores = await self.make()
        await self.later(stores.observations.change(SPF, voting(Vote.HAM)))
        store = (await self.again(stores)).observations
        pending: list[Deferred[Found]] = [self.later(store.change(SPF, voting(Vote.SPAM))) for _ in range(10)]
        asked = self.later(store.find(SPF))
        await gatherResults(pending)
        self.assertEqual(await asked, seen(Vote.HAM, *[Vote.SPAM] * 10))
        found = await self.later((await self.again(stores)).observations.find(SPF))
        self.assertEqual((found.hams, found.spams), (1, 10))

    async def test_what_was_forgotten_is_not_known(self: Any) -> None:
        """Neither now nor in the next life."""
        stores = await self.make()
        await self.later(stores.observations.change(SPF, voting(Vote.HAM)))
        stores = await self.again(stores)
        self.assertIsNone(await self.later(stores.observations.change(SPF, lambda _: None)))
        self.assertIsNone(await self.later(stores.observations.find(SPF)))
        self.assertIsNone(await self.later((await self.again(stores)).observations.find(SPF)))

    async def test_whole_records(self: Any) -> None:
        """A full ring, all three votes, a peer's small ring: what comes out is what went in."""
        stores = await self.make()
        full = seen(*[Vote.HAM, Vote.SPAM, Vote.NONE, Vote.HAM] * 500, last=NOW + 1)
        small = cast(begin(NOW, 3), Vote.NONE, NOW)
        await self.later(stores.observations.change(SPF, put(full)))
        await self.later(stores.observations.change(Identity("peer", PEER), put(small)))
        store = (await self.again(stores)).observations
        self.assertEqual(await self.later(store.find(SPF)), full)
        self.assertEqual(await self.later(store.find(Identity("peer", PEER))), small)

    async def test_lists(self: Any) -> None:
        """The qualifiers of a name, and pages of all, in order; with what was written just now."""
        store = (await self.make()).observations
        identities = [Identity(name, qualifier) for name in ("a.example", "b.example") for qualifier in ("SPF", "none")]
        for each in reversed(identities):
            await self.later(store.change(each, voting(Vote.SPAM)))
        known = seen(Vote.SPAM)
        self.assertEqual(await store.of_name("b.example"), [(each, known) for each in identities[2:]])
        self.assertEqual(await store.of_name("c.example"), [])
        self.assertEqual(await store.page(None, 3), [(each, known) for each in identities[:3]])
        self.assertEqual(await store.page(identities[2], 3), [(identities[3], known)])

    async def test_what_is_old_goes_and_peers_stay(self: Any) -> None:
        """What was not seen for so many days."""
        stores = await self.make()
        store = stores.observations
        peer = Identity("peer", PEER)
        for identity, age in ((SPF, 89.0), (NEUTRAL, 91.0), (peer, 1_000.0)):
            moment = NOW - age * DAY
            await self.later(store.change(identity, put(seen(Vote.HAM, first=moment, last=moment))))
        self.assertEqual(await store.purge(NOW), 1)
        self.assertIsNone(await self.later(store.find(NEUTRAL)))
        self.assertIsNotNone(await self.later(store.find(SPF)))
        self.assertIsNotNone(await self.later(store.find(peer)))

    async def test_the_confident_are_kept(self: Any) -> None:
        """Of too many, those go that are known least: a flood of new names drives out itself (case 5)."""
        stores = await self.make()
        store = stores.observations
        for number in range(LIMIT // 2):
            known = seen(*[Vote.HAM] * 100, first=NOW - 30 * DAY, last=NOW)
            await self.later(store.change(Identity(f"old{number}.example", "SPF"), put(known)))
        for number in range(5 * LIMIT):
            await self.later(store.change(Identity(f"new{number}.example", "none"), voting(Vote.SPAM)))
        await store.purge(NOW)
        left = [identity.name for identity, _ in await store.page(None, 1_000)]
        self.assertLessEqual(len(left), LIMIT)
        self.assertEqual(len([name for name in left if name.startswith("old")]), LIMIT // 2)
        self.assertIsNone(await self.later(store.find(Identity("new0.example", "none"))))
        self.assertIsNotNone(await self.later(store.find(Identity("old0.example", "SPF"))))

    async def test_what_is_asked_after_the_end_fails(self: Any) -> None:
        """Never with a value that is not known to be true."""
        stores = await self.make()
        await stores.close()
        for found in (stores.observations.find(SPF), stores.observations.change(SPF, voting(Vote.HAM))):
            await self.assertFailure(found, TemporaryFailure)
