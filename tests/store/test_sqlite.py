"""The stores in a SQLite file: the contract, and what a file may suffer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.contracts import LIMITS, NOW, StoresContract, answer
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores
from twistedmilter.store.database_file import check_file
from twistedmilter.store.expiry import ExpiryTimer
from twistedmilter.store.schema import MIGRATIONS
from twistedmilter.store.sqlite import SQLiteStores
from twistedmilter.store.worker import Work, run_group

ROOT = Path(__file__).resolve().parents[2]


class SQLiteTestCase(TestCase):
    """Opens a file of its own, and closes it."""

    def setUp(self) -> None:
        """Choose the file."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "state.db"

    async def make(self) -> IStores:
        """The stores in the file."""
        return cast(IStores, await self.open())

    async def open(self) -> SQLiteStores:
        """The same, closed when the test ends."""
        stores = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW, LIMITS)
        stores.open()
        self.addCleanup(stores.close)
        return stores


class SQLiteStoresTests(SQLiteTestCase, StoresContract):
    """They keep the contract."""


class FileTests(SQLiteTestCase):
    """What happens to the file."""

    async def test_what_was_kept_is_there_again(self) -> None:
        """After closing and opening, in a file that only we may read."""
        stores = await self.open()
        await stores.callbacks.keep(answer())
        await stores.close()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(check_file(self.path), "ok")
        self.assertEqual(await (await self.open()).callbacks.find("a@b.example", NOW), answer())

    async def test_a_bad_file_is_moved_aside(self) -> None:
        """No database, a newer one, another program's, a damaged page: an error line, and service goes on (B5)."""
        stores = await self.open()
        await gatherResults([stores.callbacks.keep(answer("x" * 400 + str(number))) for number in range(100)])
        await stores.close()
        good = self.path.read_bytes()
        damaged = good[:4096] + bytes(b ^ 0xFF for b in good[4096:12288]) + good[12288:]
        for content in (b"this is no database" * 100, damaged, self.pragma("user_version", 99), self.foreign()):
            self.path.write_bytes(content)
            stores = await self.open()
            await stores.callbacks.keep(answer())
            self.assertEqual(await stores.callbacks.find("a@b.example", NOW), answer())
            await stores.close()
        aside = [path for path in self.path.parent.iterdir() if ".bad-" in path.name]
        self.assertEqual(len(aside), 4)

    def pragma(self, name: str, value: int) -> bytes:
        """A database of ours with another version."""
        path = self.path.with_name(name)
        with closing(sqlite3.connect(path)) as connection:
            for statement in (*MIGRATIONS[0], f"PRAGMA {name} = {value}", "PRAGMA application_id = 1953328244"):
                connection.execute(statement)
        return path.read_bytes()

    def foreign(self) -> bytes:
        """Another program's database."""
        path = self.path.with_name("foreign")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE callback (x)")
        return path.read_bytes()

    async def test_an_empty_file_is_a_new_one(self) -> None:
        """Nothing is lost with it, so nothing is said."""
        self.path.touch()
        await self.open()
        self.assertEqual([path for path in self.path.parent.iterdir() if ".bad-" in path.name], [])

    async def test_a_second_connection_is_refused(self) -> None:
        """One connection for each file: the second one fails, and the file is not taken for a bad one (B3)."""
        await self.open()
        await self.assertFailure(Deferred.fromCoroutine(self.open()), TemporaryFailure)
        self.assertEqual([path for path in self.path.parent.iterdir() if ".bad-" in path.name], [])

    async def test_no_directory(self) -> None:
        """What cannot be opened is a temporary failure that names the file."""
        self.path = self.path / "nowhere"
        failure = await self.assertFailure(Deferred.fromCoroutine(self.open()), TemporaryFailure)
        self.assertIn(str(self.path), str(failure))


class GroupTests(TestCase):
    """Several jobs, one transaction."""

    def setUp(self) -> None:
        """A table in a file of two pages at most."""
        path = Path(self.mktemp())
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE t (x)")
        self.connection.execute("PRAGMA max_page_count = 2")

    def run_statements(self, *statements: str) -> list[object]:
        """What each of a group was answered."""

        def job(statement: str) -> tuple[Deferred[Any], Work[Any]]:
            return Deferred(), lambda connection: connection.execute(statement).rowcount

        return [value for _, value in run_group(self.connection, [job(each) for each in statements])]

    def rows(self) -> int:
        """How many rows there are."""
        [count] = self.connection.execute("SELECT count(*) FROM t").fetchone()
        return cast(int, count)

    def test_one_that_fails_is_alone(self) -> None:
        """The others are committed."""
        values = self.run_statements("INSERT INTO t VALUES (1)", "nonsense", "INSERT INTO t VALUES (2)")
        self.assertEqual([values[0], values[2]], [1, 1])
        self.assertIsInstance(values[1], TemporaryFailure)
        self.assertEqual(self.rows(), 2)

    def test_a_lost_transaction_fails_them_all(self) -> None:
        """Nobody is told that a write is safe when it was taken back (I7)."""
        values = self.run_statements("INSERT INTO t VALUES (1)", "ROLLBACK", "INSERT INTO t VALUES (2)")
        self.assertEqual([type(value) for value in values], [TemporaryFailure] * 3)
        self.assertEqual(self.rows(), 0)

    def test_a_full_disk_heals(self) -> None:
        """What did not fit failed and left no trace; what fits is kept, then and later (B6)."""
        values = self.run_statements("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (zeroblob(100000))")
        self.assertIn("full", str(values[1]))
        told = sum(not isinstance(value, TemporaryFailure) for value in values)
        self.assertEqual(self.rows(), told)
        self.assertEqual(self.run_statements("INSERT INTO t VALUES (2)"), [1])
        self.assertEqual(self.rows(), told + 1)


class ExpiryTimerTests(SQLiteTestCase):
    """The timer."""

    async def test_it_goes_on_after_a_failure(self) -> None:
        """A purge that fails is told, and the next one is tried a minute later."""
        asked: list[float] = []

        class Broken:
            def purge(self, now: float) -> Deferred[int]:
                asked.append(now)
                failed: Deferred[int] = Deferred()
                failed.errback(TemporaryFailure("no"))
                return failed

        clock = Clock()
        timer = ExpiryTimer(cast(IStores, Broken()), clock, clock.seconds)
        timer.start()
        clock.advance(60)
        timer.stop()
        clock.advance(60)
        self.assertEqual(asked, [0, 60])


WRITER = """
import sys
from pathlib import Path
from twisted.internet import reactor
from tests.contracts import NOW, answer
from tests.observe.records import record
from twistedmilter.store.sqlite import SQLiteStores

def main():
    stores = SQLiteStores(Path(sys.argv[1]), reactor, lambda: NOW)
    stores.open()
    state = [0]
    def write(_=None):
        number = state[0]
        state[0] += 1
        name = str(number)
        done = stores.decisions.append(record(id=name)) if number % 2 else stores.callbacks.keep(answer(name))
        done.addCallback(lambda _: sys.stdout.write(f"{number}\\n") and sys.stdout.flush()).addCallback(write)
    for _ in range(100):
        write()
reactor.callWhenRunning(main)
reactor.run()
"""


class KillTests(SQLiteTestCase):
    """kill -9 under load."""

    async def test_what_was_acknowledged_survives(self) -> None:
        """Each write that was answered is there afterwards, and the file is sound (B1, I7)."""
        acknowledged = await deferToThread(self.write_and_kill)
        self.assertGreater(len(acknowledged), 500)
        self.assertEqual(check_file(self.path), "ok")
        with closing(sqlite3.connect(self.path)) as connection:
            kept = {row[0] for row in connection.execute("SELECT id FROM decision UNION SELECT address FROM callback")}
        self.assertEqual(set(acknowledged) - kept, set())

    def write_and_kill(self) -> list[str]:
        """The writes that a process acknowledged before it was killed."""
        command = [sys.executable, "-c", WRITER, str(self.path.resolve())]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(1000)]
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.readlines()
        return [line.strip() for line in lines if line.endswith("\n")]
