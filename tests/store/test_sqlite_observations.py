"""Observations in a SQLite file: the contract, what is answered at once, and what a kill loses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.store.observation_contract import (
    DAYS,
    LIMIT,
    NEUTRAL,
    NOW,
    SPF,
    ObservationStoreContract,
    put,
    seen,
    voting,
)
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.reputation import Identity, Observations, Vote
from twistedmilter.store import sqlite_observations
from twistedmilter.store.identity_filter import IdentityFilter, digest
from twistedmilter.store.observation_rules import record_of, row_of
from twistedmilter.store.rules import StoreLimits
from twistedmilter.store.sqlite import SQLiteStores
from twistedmilter.store.without_service import CallQueue

ROOT = Path(__file__).resolve().parents[2]
LIMITS = StoreLimits(observations=LIMIT, observation_days=DAYS)


class SQLiteTestCase(TestCase):
    """Opens a file of its own, and closes it."""

    def setUp(self) -> None:
        """Choose the file."""
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        self.path = directory / "state.db"

    def open(self) -> SQLiteStores:
        """The stores in the file, closed when the test ends."""
        stores = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW, LIMITS)
        stores.open()
        self.addCleanup(stores.close)
        return stores

    async def settled(self, stores: SQLiteStores) -> SQLiteStores:
        """The same, when it knows which identities it has."""
        while stores.observations._filter is None:
            await deferLater(cast(Any, reactor), 0.01)
        return stores


class SQLiteObservationStoreTests(SQLiteTestCase, ObservationStoreContract):
    """They keep the contract."""

    async def make(self) -> IStores:
        """New, empty stores."""
        self.stores = self.open()
        return cast(IStores, self.stores)

    async def again(self, stores: IStores) -> IStores:
        """Closed and opened."""
        await self.stores.close()
        return await self.make()


class AtHandTests(SQLiteTestCase):
    """What needs no trip to the file."""

    async def test_strangers_are_answered_at_once(self) -> None:
        """Which is nearly everybody."""
        store = (await self.settled(self.open())).observations
        self.assertIsNone(store.find(SPF))

    async def test_who_was_asked_for_lately_is_answered_at_once(self) -> None:
        """Having been fetched once; or changed, before it is written."""
        stores = self.open()
        await cast(Any, stores.observations.change(SPF, voting(Vote.HAM)))
        await stores.close()
        store = (await self.settled(self.open())).observations
        fetched = store.find(SPF)
        self.assertIsInstance(fetched, Deferred)
        self.assertEqual(await cast(Any, fetched), seen(Vote.HAM))
        self.assertEqual(store.find(SPF), seen(Vote.HAM))
        self.assertEqual(store.change(NEUTRAL, voting(Vote.SPAM)), seen(Vote.SPAM))

    async def test_memory_is_bounded(self) -> None:
        """What was not used for longest leaves it, and is still known."""
        self.patch(sqlite_observations, "RECENT", 2)
        store = (await self.settled(self.open())).observations
        for number in range(5):
            store.change(Identity(f"d{number}.example", "SPF"), voting(Vote.HAM))
        self.assertEqual(len(store._recent), 2)
        self.assertEqual(store.find(Identity("d0.example", "SPF")), seen(Vote.HAM))  # not written yet
        await store.flush()
        self.assertEqual(await cast(Any, store.find(Identity("d0.example", "SPF"))), seen(Vote.HAM))

    async def test_what_cannot_be_written_is_tried_again(self) -> None:
        """With the votes that came meanwhile; it is told once."""
        stores = await self.settled(self.open())
        store = stores.observations
        run = stores._worker.run
        stores._worker.run = lambda _work, **_: cast(Any, self.failed())  # type: ignore[method-assign]
        store.change(SPF, voting(Vote.HAM))
        for _ in range(2):
            await self.assertFailure(store.flush(), TemporaryFailure)
        store.change(SPF, voting(Vote.SPAM))
        stores._worker.run = run  # type: ignore[method-assign]
        await store.flush()
        self.assertEqual([known for _, known in await store.of_name("example.com")], [seen(Vote.HAM, Vote.SPAM)])
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def failed(self) -> Deferred[None]:
        """As from a disk that is full."""
        return succeed(None).addCallback(lambda _: (_ for _ in ()).throw(TemporaryFailure("no space")))

    def test_a_command_writes_at_once(self) -> None:
        """Where no reactor runs there are no timers either."""
        queue = CallQueue()
        stores = SQLiteStores(self.path, queue, lambda: NOW, LIMITS)
        stores.open()
        changed = stores.observations.change(SPF, voting(Vote.HAM))
        queue.wait(cast(Any, changed) if isinstance(changed, Deferred) else succeed(None))
        queue.wait(stores.close())
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT name, total FROM observation").fetchall(), [("example.com", 1)])


class KillTests(SQLiteTestCase):
    """What a killed process leaves."""

    def test_a_second_is_lost_at_most(self) -> None:
        """Of what was voted a second before it, nothing (B1)."""
        script = f"""
import sys, time
from pathlib import Path
from twisted.internet import reactor
from tests.store.observation_contract import SPF, voting
from twistedmilter.model.reputation import Vote
from twistedmilter.store.sqlite import SQLiteStores
stores = SQLiteStores(Path({str(self.path)!r}), reactor, time.time)
stores.open()
def vote():
    stores.observations.change(SPF, voting(Vote.HAM))
    reactor.callLater(1.0, print, "now", flush=True)
    reactor.callLater(0.01, vote_more)
def vote_more():
    stores.observations.change(SPF, voting(Vote.SPAM))
    reactor.callLater(0.01, vote_more)
reactor.callWhenRunning(vote)
reactor.run()
"""
        process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.addCleanup(cast(Any, process.stdout).close)
        try:
            self.assertEqual(cast(Any, process.stdout).readline(), "now\n")
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(0.01)
        with closing(sqlite3.connect(self.path)) as connection:
            row = connection.execute(
                "SELECT name, qualifier, size, total, ham, nul, first_seen, last_seen FROM observation"
            ).fetchone()
        identity, known = record_of(row)
        self.assertEqual((identity, known.hams), (SPF, 1))
        self.assertGreater(known.spams, 10)


class RowTests(SynchronousTestCase):
    """A record as columns."""

    @given(st.integers(1, 2_000), st.integers(0, 5_000), st.integers(0, 2**1_100), st.integers(0, 2**1_100))
    def test_what_is_in_a_row_is_repaired(self, size: int, total: int, ham: int, null: int) -> None:
        """A file that was tampered with gives no impossible counts (case 17)."""
        row = row_of(SPF, Observations(size, total, ham, null, 5.0, 4.0))
        identity, known = record_of(row)
        self.assertEqual(identity, SPF)
        self.assertGreaterEqual(known.spams, 0)
        self.assertEqual(record_of(row_of(SPF, known)), (SPF, known))

    def test_whole_records(self) -> None:
        """Nothing is lost."""
        known = seen(Vote.HAM, Vote.SPAM, Vote.NONE, Vote.HAM)
        self.assertEqual(record_of(row_of(NEUTRAL, known)), (NEUTRAL, known))
        self.assertEqual(put(known)(None), known)


class FilterTests(SynchronousTestCase):
    """Who is certainly not in the file."""

    def test_who_was_added_may_be_there_and_hardly_anybody_else(self) -> None:
        """No false no, and one false yes in some hundreds."""
        known = IdentityFilter(10_000)
        there = [digest(Identity(f"d{number}.example", "SPF")) for number in range(10_000)]
        for each in there:
            known.add(each)
        self.assertTrue(all(map(known.may_hold, there)))
        others = [digest(Identity(f"d{number}.example", "none")) for number in range(10_000)]
        self.assertLess(sum(map(known.may_hold, others)), 150)
