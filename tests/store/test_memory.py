"""The stores in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.contracts import LIMITS, NOW, StoresContract
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores, SenderEntry
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.memory_table import SLICE
from twistedmilter.store.rules import MEMORY_LIMITS


class MemoryStoresTests(StoresContract, TestCase):
    """They keep the contract."""

    async def make(self) -> IStores:
        """New, empty stores."""
        return MemoryStores(LIMITS)

    def test_a_purge_gives_others_their_turn(self) -> None:
        """However much has ended, a slice is dropped at once, and what is written meanwhile is not."""
        turns: list[Deferred[None]] = []

        def pause() -> Deferred[None]:
            turns.append(Deferred())
            return turns[-1]

        stores = MemoryStores(MEMORY_LIMITS, pause)
        for number in range(2 * SLICE + 1):
            stores.accepted.note(str(number), NOW)
            stores.accepted.note(f"later {number}", NOW + 1)
        dropped = stores.purge(NOW)
        steps = 0
        while len(turns) > steps:
            before = len(stores.accepted.table)
            stores.accepted.note(str(2 * SLICE), NOW + 60)
            steps += 1
            turns[-1].callback(None)
            self.assertLessEqual(before - len(stores.accepted.table), SLICE)
        self.assertEqual(self.successResultOf(dropped), 2 * SLICE)
        self.assertEqual(len(stores.accepted.table), 2 * SLICE + 2)
        self.assertGreater(steps, 5)

    def test_a_purge_ends_with_the_stores(self) -> None:
        """What is closed is not purged further."""
        turn: Deferred[None] = Deferred()
        stores = MemoryStores(LIMITS, lambda: turn)
        purged = stores.purge(NOW)
        stores.close()
        turn.callback(None)
        self.failureResultOf(purged, TemporaryFailure)

    async def test_names_of_entries_that_ended_do_not_pile_up(self) -> None:
        """A purge forgets them, too."""
        stores = MemoryStores(LIMITS)
        for number in range(10):
            await stores.whitelist.add(SenderEntry(str(number), "", NOW, NOW + number))
        await stores.purge(NOW + 8)
        self.assertEqual(list(stores.whitelist._names.after(None)), ["9"])
