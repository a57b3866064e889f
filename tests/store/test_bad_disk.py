"""Stores on a disk that is missing, full, read-only or stuck (B6, B4): the service goes on, and heals."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any, cast
from unittest import SkipTest

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.contracts import LIMITS, NOW, TIMES, answer
from tests.observe.records import record
from tests.store.notices_contract import BOB
from tests.store.observation_contract import SPF, voting
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import SenderEntry
from twistedmilter.model.reputation import Vote
from twistedmilter.store import database, database_file, stand_in, worker
from twistedmilter.store.database import DiskPolicy, is_of_the_disk
from twistedmilter.store.schema import migrate
from twistedmilter.store.sqlite import SQLiteStores

ROOT = Path(__file__).resolve().parents[2]
SERVICE = DiskPolicy(may_stand_in=True)


def texts(captured: Sequence[dict[str, Any]]) -> str:
    """What the log was told, as one text."""
    return "\n".join(str(event["log_format"]).format(**event) for event in captured if event.get("log_format"))


class DiskTestCase(TestCase):
    """Opens stores whose directory may not be there."""

    def setUp(self) -> None:
        """No directory yet."""
        self.directory = Path(self.mktemp())
        self.path = self.directory / "state.db"

    def open(self, disk: DiskPolicy = SERVICE) -> SQLiteStores:
        """Stores, closed when the test ends."""
        stores = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW, LIMITS, disk)
        stores.open()
        self.addCleanup(stores.close)
        return stores

    def rows(self, query: str) -> list[Any]:
        """What is in the file, which nobody has open."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()


class StandInTests(DiskTestCase):
    """A file that cannot be opened at start."""

    async def test_service_goes_on_in_memory_and_heals(self) -> None:
        """It starts, says so, keeps everything in memory, and has it in the file when that can be had."""
        with capturedLogs() as told:
            stores = self.open()
        self.assertIn("everything is kept in memory", texts(told))
        self.assertIn("state.db", stores.trouble)
        await stores.callbacks.keep(answer())
        await stores.bans.add(SenderEntry("192.0.2.1", "by hand", NOW))
        await stores.greylist.contact("key", NOW, TIMES)
        await stores.accepted.note("192.0.2.2", NOW + 60)
        await stores.decisions.append(record(id="1", time=NOW))
        await stores.purge(NOW)
        self.assertNotEqual(stores.trouble, "")
        self.directory.mkdir()
        with capturedLogs() as told:
            await stores.purge(NOW)
        self.assertEqual(stores.trouble, "")
        self.assertIn("is written again", texts(told))
        await stores.decisions.append(record(id="2", time=NOW))
        found = await stores.bans.find("192.0.2.1", NOW)
        self.assertEqual(found and found.comment, "by hand")
        await stores.close()
        self.assertEqual(self.rows("SELECT id FROM decision ORDER BY id"), [("1",), ("2",)])
        for table in ("callback", "sender", "greylist", "accepted"):
            self.assertEqual(self.rows(f"SELECT count(*) FROM {table}"), [(1,)], table)

    async def test_what_the_file_knows_better_stays(self) -> None:
        """Newer answers and permanent entries of the file are not overwritten by what was learnt meanwhile."""
        stores = self.open()
        await stores.callbacks.keep(answer(reply="memory"))
        await stores.whitelist.add(SenderEntry("a@b.example", "memory", NOW + 9, NOW + 60))
        await stores.whitelist.add(SenderEntry("c@b.example", "memory", NOW + 9, NOW + 60))
        self.directory.mkdir()
        other = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW, LIMITS)
        other.open()
        await other.callbacks.keep(answer(stored=NOW + 1, reply="file"))
        await other.whitelist.add(SenderEntry("a@b.example", "file", NOW))
        await other.whitelist.add(SenderEntry("c@b.example", "file", NOW, NOW + 50))
        await other.close()
        await stores.purge(NOW)
        await stores.close()
        self.assertEqual(self.rows("SELECT reply FROM callback"), [("file",)])
        self.assertEqual(self.rows("SELECT comment FROM sender ORDER BY name"), [("file",), ("memory",)])

    async def test_lists_of_a_file_that_cannot_be_written(self) -> None:
        """Bans hold though nobody may write; what is removed meanwhile is removed in the end."""
        self.directory.mkdir()
        stores = self.open()
        for number in (1, 2):
            await stores.bans.add(SenderEntry(f"192.0.2.{number}", "", NOW))
        for address in ("told@b.example", "waits@b.example"):
            await stores.notices.reserve(replace(BOB, address=address))
        await stores.notices.done("told@b.example", "sent")
        await stores.notices.defer("waits@b.example", NOW + 60, "451 later", 10)
        await stores.close()
        real = database_file.open_database

        def read_only(path: Path, now: float) -> Any:
            raise OSError(30, "Read-only file system")

        self.patch(database, "open_database", read_only)
        stores = self.open()
        self.assertIn("Read-only file system", stores.trouble)
        self.assertIsNotNone(await stores.bans.find("192.0.2.1", NOW))
        self.assertTrue(await stores.bans.remove("192.0.2.1"))
        self.assertIs(await stores.notices.reserve(replace(BOB, address="told@b.example")), False)
        self.assertIs(await stores.notices.reserve(replace(BOB, address="new@b.example")), True)
        self.patch(database, "open_database", real)
        await stores.purge(NOW)
        await stores.close()
        self.assertEqual(self.rows("SELECT name FROM sender"), [("192.0.2.2",)])
        told = [("new@b.example", "sending"), ("told@b.example", "done"), ("waits@b.example", "queued")]
        self.assertEqual(self.rows("SELECT address, state FROM notice ORDER BY address"), told)

    async def test_a_command_is_not_deceived(self) -> None:
        """What a person enters is in the file, or the command fails."""
        self.assertRaises(TemporaryFailure, self.open, DiskPolicy())

    async def test_decisions_do_not_fill_the_memory(self) -> None:
        """They stop before lists and bans have no room."""
        self.patch(database, "STAND_IN_SIZE", 2**20)
        self.patch(database, "LOOK", 0.0)
        stores = self.open()
        failed = 0
        for number in range(1_000):
            try:
                await stores.callbacks.keep(answer(str(number), reply="x" * 1_000))
            except TemporaryFailure:
                failed += 1
        self.assertGreater(failed, 100)
        self.assertLess(failed, 900)
        await stores.bans.add(SenderEntry("192.0.2.1", "", NOW))

    async def test_the_last_chance(self) -> None:
        """A file that can be had at the end gets what was kept in memory."""
        stores = self.open()
        await stores.bans.add(SenderEntry("192.0.2.1", "", NOW))
        self.directory.mkdir()
        with capturedLogs() as told:
            await stores.close()
        self.assertIn("is written again", texts(told))
        self.assertEqual(self.rows("SELECT name FROM sender"), [("192.0.2.1",)])

    async def test_decisions_of_a_file_that_never_came_back(self) -> None:
        """The journal, if there could be one, has those that memory had."""
        self.directory.mkdir()
        real = database_file.open_database

        def read_only(path: Path, now: float) -> Any:
            raise OSError(28, "No space left on device")

        self.patch(database, "open_database", read_only)
        stores = self.open()
        await stores.decisions.append(record(id="1", time=NOW))
        await stores.close()
        self.patch(database, "open_database", real)
        self.assertIsNotNone(await self.open().decisions.find("1"))


class FailureTests(DiskTestCase):
    """Writes that fail while the service runs."""

    async def test_it_is_told_once(self) -> None:
        """That it began and that it ended, in the log and in C{status}; to read says nothing about that (I9)."""
        self.directory.mkdir()
        stores = self.open()
        await stores.callbacks.find("nobody", NOW)
        await self.limit_pages(stores, 1)
        failed = 0
        with capturedLogs() as told:
            for number in range(30):
                try:
                    await stores.callbacks.keep(answer(f"{number}@b.example", reply="x" * 1_000))
                except TemporaryFailure:
                    failed += 1
                    await stores.callbacks.find("nobody", NOW)
                    self.assertIn("full", stores.trouble)
            await self.limit_pages(stores, 1_000)
            await stores.callbacks.keep(answer(reply="x" * 1_000))
        self.assertGreater(failed, 10)
        self.assertEqual(stores.trouble, "")
        self.assertEqual(texts(told).count("cannot be written: store: database or disk is full"), 1)
        self.assertEqual(texts(told).count("can be written again"), 1)

    async def limit_pages(self, stores: SQLiteStores, most: int) -> None:
        """The file is not to have more pages than this, or than it has."""
        await stores._worker.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {most}").fetchone())


class TablesTests(SynchronousTestCase):
    """What comes back from memory."""

    def test_every_table(self) -> None:
        """Each is put back; observations do not go into the stand-in at all, and wait for the file."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection)
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.assertEqual(tables - {"observation"}, set(stand_in._PUT_BACK))


class ErrorTests(SynchronousTestCase):
    """Which errors a stand-in is for."""

    def test_kinds(self) -> None:
        """Those that pass by themselves; a lock or a directory in the way is for a person."""
        locked = sqlite3.OperationalError("database is locked")
        locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
        full = sqlite3.OperationalError("disk I/O error")
        full.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        cases = {OSError(28, "full"): True, full: True, locked: False, IsADirectoryError(21, "x"): False}
        for error, expected in cases.items():
            self.assertIs(is_of_the_disk(error), expected, error)


class ShortageTests(DiskTestCase):
    """Little space is left."""

    async def test_only_what_is_vital_is_written(self) -> None:
        """Below the limit decisions and caches fail, lists and bans are kept; said once; it ends by itself (B6)."""
        self.directory.mkdir()
        free = [2**40]
        self.patch(database, "_free", lambda _directory: free[0])
        self.patch(database, "LOOK", 0.0)
        self.patch(worker, "LOOK", 0.02)
        stores = self.open(DiskPolicy(min_free=64 * 2**20))
        await stores.callbacks.keep(answer())
        with capturedLogs() as told:
            free[0] = 64 * 2**20 - 1
            await stores.callbacks.find("nobody", NOW)
            await self.until(lambda: bool(stores.trouble))
            refused: tuple[Deferred[Any], ...] = (
                stores.callbacks.keep(answer()),
                stores.greylist.contact("key", NOW, TIMES),
                stores.accepted.note("192.0.2.1", NOW + 1),
                stores.decisions.append(record()),
            )
            for each in refused:
                failure = await self.assertFailure(each, TemporaryFailure)
                self.assertIn("too little space", str(failure))
            await maybeDeferred(stores.observations.change, SPF, voting(Vote.HAM))
            await self.assertFailure(stores.observations.flush(), TemporaryFailure)
            await stores.purge(NOW)
            await stores.bans.add(SenderEntry("192.0.2.1", "", NOW))
            await stores.whitelist.add(SenderEntry("a@b.example", "", NOW))
            self.assertEqual(await stores.callbacks.find("a@b.example", NOW), answer())
            free[0] = 65 * 2**20  # not enough to begin again
            await deferLater(cast(Any, reactor), 0.06)
            self.assertNotEqual(stores.trouble, "")
            free[0] = 100 * 2**20
            await self.until(lambda: not stores.trouble)
        await stores.decisions.append(record())
        await stores.observations.flush()
        self.assertEqual(texts(told).count("state.db: too little space"), 1)
        self.assertEqual(texts(told).count("there is space again"), 1)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for it, 5 s at most."""
        for _ in range(500):
            if is_so():
                return
            await deferLater(cast(Any, reactor), 0.01)
        self.fail("it did not happen")


class StuckTests(DiskTestCase):
    """The disk hangs when the service stops."""

    async def test_stopping_has_an_end(self) -> None:
        """After the time for it everybody has an answer, the log says how much is undone; the journal keeps it."""
        self.directory.mkdir()
        stores = self.open(DiskPolicy(closing=0.2))
        await stores.callbacks.find("nobody", NOW)
        busy, go_on = Event(), Event()
        self.addCleanup(go_on.set)
        stuck = stores._worker.run(lambda _connection: (busy.set(), go_on.wait(20)))  # type: ignore[func-returns-value]
        await deferToThread(busy.wait, 5)
        waiting: list[Deferred[Any]] = [
            stores.callbacks.keep(answer()),
            stores.decisions.append(record(id="1", time=NOW)),
        ]
        began = time.monotonic()
        with capturedLogs() as told:
            await stores.close()
        self.assertLess(time.monotonic() - began, 2)
        self.assertRegex(texts(told), r"does not answer; [34] writes")
        self.assertIn("1 decisions could not be written; they wait in the journal", texts(told))
        for each in (cast("Deferred[Any]", stuck), *waiting):
            await self.assertFailure(each, TemporaryFailure)
        go_on.set()
        await deferLater(cast(Any, reactor), 0.3)
        await stores.close()

    async def test_an_undone_decision_is_put_in_at_the_next_start(self) -> None:
        """What the last group could not write stays in the journal."""
        self.directory.mkdir()
        stores = self.open()
        await stores._worker.run(lambda connection: connection.execute("PRAGMA query_only = 1"))
        kept = stores.decisions.append(record(id="1", time=NOW))
        await stores.close()
        await self.assertFailure(kept, TemporaryFailure)
        self.assertIsNotNone(await self.open().decisions.find("1"))

    async def test_time_enough(self) -> None:
        """Otherwise nothing is said, and no timer is left."""
        self.directory.mkdir()
        stores = self.open(DiskPolicy(closing=5.0))
        kept = [stores.decisions.append(record(id=str(number), time=NOW)) for number in range(50)]
        with capturedLogs() as told:
            await stores.close()
        await gatherResults(kept)
        self.assertEqual(texts(told), "")


FULL = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from tests.contracts import NOW, answer
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import SenderEntry
from twistedmilter.store.database import DiskPolicy
from twistedmilter.store.schema import migrate
from twistedmilter.store.sqlite import SQLiteStores

directory = Path(sys.argv[1])
path = directory / "state.db"

def new():
    stores = SQLiteStores(path, reactor, lambda: NOW, None, DiskPolicy(may_stand_in=True))
    stores.open()
    return stores

def fill():
    with (directory / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass

async def main():
    fill()
    stores = new()
    print("started", bool(stores.trouble))
    await stores.bans.add(SenderEntry("192.0.2.1", "", NOW))
    (directory / "filler").unlink()
    await stores.purge(NOW)
    print("healed", not stores.trouble)
    await stores.close()
    fill()
    stores = new()
    print("known", bool(await stores.bans.find("192.0.2.1", NOW)))
    failed = 0
    for number in range(50):
        try:
            await stores.callbacks.keep(answer(str(number), reply="x" * 900))
        except TemporaryFailure:
            failed += 1
    print("failed", failed > 0)
    (directory / "filler").unlink()
    await stores.purge(NOW)
    await stores.callbacks.keep(answer("again"))
    print("kept", bool(await stores.callbacks.find("again", NOW)), bool(stores.trouble))
    await stores.close()

def begin():
    Deferred.fromCoroutine(main()).addErrback(lambda f: f.printTraceback()).addBoth(lambda _: reactor.stop())
reactor.callWhenRunning(begin)
reactor.run()
"""


class FullDiskTests(DiskTestCase):
    """A real disk of 1 MiB, full before the start: once without a file, once with one."""

    async def test_full_at_start(self) -> None:
        """The service starts both times, knows its bans, and writes when there is space."""
        self.directory.mkdir()
        script = 'mount -t tmpfs -o size=1m none "$1" 2>/dev/null || exit 77; exec "$2" -c "$3" "$1"'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", str(self.directory.resolve()), sys.executable, FULL]
        done = await deferToThread(self.finished, command)
        if done.returncode in (1, 77) and not done.stdout:
            raise SkipTest("no file system can be mounted here")
        self.assertEqual(
            done.stdout.split("\n"),
            ["started True", "healed True", "known True", "failed True", "kept True False", ""],
            done.stderr,
        )

    def finished(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """What became of a command."""
        try:
            return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError:
            raise SkipTest("there is no unshare") from None
