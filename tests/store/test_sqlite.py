"""The stores in a SQLite file: the contract, and what a file may suffer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.contracts import LIMITS, NOW, StoresContract, answer
from tests.observe.records import record
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.stores import IStores
from twistedmilter.store import sqlite as sqlite_stores
from twistedmilter.store import worker
from twistedmilter.store.expiry import ExpiryTimer
from twistedmilter.store.schema import APPLICATION_ID, MIGRATIONS
from twistedmilter.store.sqlite import SQLiteStores
from twistedmilter.store.sqlite_decisions import BATCH
from twistedmilter.store.worker import LINGER, LostError, Work, run_group

ROOT = Path(__file__).resolve().parents[2]


def check_file(path: Path) -> str:
    """C{ok}, or the first thing that is wrong with a file that nobody has open."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])


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

    async def test_an_older_file_is_brought_up_to_date(self) -> None:
        """What is in a file of the first version is there in the newest, with tables that came since."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in (*MIGRATIONS[0], "PRAGMA user_version = 1", f"PRAGMA application_id = {APPLICATION_ID}"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO callback VALUES ('a@b.example', 'valid', '250 ok', ?, ?)", (NOW, NOW + 3_600)
            )
        stores = await self.open()
        self.assertEqual(await stores.callbacks.find("a@b.example", NOW), answer())
        await stores.accepted.note("192.0.2.1", NOW + 1)
        await stores.close()
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (len(MIGRATIONS),))

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
        self.assertEqual([type(value) for value in values], [LostError] * 3)
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
import time
from pathlib import Path
from twisted.internet import reactor
from tests.contracts import NOW, answer
from tests.observe.records import record
from twistedmilter.store.sqlite import SQLiteStores

def say(word, number):
    sys.stdout.write(f"{word} {number} {time.monotonic()}\\n")
    sys.stdout.flush()

def main():
    stores = SQLiteStores(Path(sys.argv[1]), reactor, lambda: NOW)
    stores.open()
    state = [0]
    def write(_=None):
        number = state[0]
        state[0] += 1
        name = str(number)
        done = stores.decisions.append(record(id=name)) if number % 2 else stores.callbacks.keep(answer(name))
        say("logged" if number % 2 else "asked", number)
        done.addCallback(lambda _: say("done", number)).addCallback(write)
    for _ in range(100):
        write()
reactor.callWhenRunning(main)
reactor.run()
"""


class KillTests(SQLiteTestCase):
    """kill -9 under load."""

    async def test_what_was_acknowledged_survives(self) -> None:
        """Each write that was answered is there, all of a second ago, and each decision; the file is sound (B1, I7)."""
        lines = [line.split() for line in await deferToThread(self.write_and_kill)]
        acknowledged = {number for word, number, _ in lines if word == "done"}
        last = max(float(when) for _, _, when in lines)
        old = {number for word, number, when in lines if word != "done" and float(when) < last - 1}
        self.assertGreater(len(acknowledged), 500)
        self.assertGreater(len(old), 500)
        self.assertEqual(check_file(self.path), "ok")
        with closing(sqlite3.connect(self.path)) as connection:
            kept = {row[0] for row in connection.execute("SELECT id FROM decision UNION SELECT address FROM callback")}
        self.assertEqual((acknowledged | old) - kept, set())
        stores = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW)
        stores.open()
        self.addCleanup(stores.close)
        logged = [number for word, number, _ in lines if word == "logged"]
        found = [await stores.decisions.find(number) is not None for number in logged]
        self.assertEqual(found, [True] * len(logged))

    def write_and_kill(self) -> list[str]:
        """What a process said of its writes in the two seconds before it was killed."""
        command = [sys.executable, "-c", WRITER, str(self.path.resolve())]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            lines = [process.stdout.readline()]
            began = time.monotonic()
            while time.monotonic() - began < 2:
                lines.append(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.readlines()
        return [line for line in lines if line.endswith("\n")]


class RecentAnswerTests(SQLiteTestCase):
    """Answers that are at hand."""

    async def test_they_are_answered_at_once(self) -> None:
        """What was kept or found needs no trip to the file; not after its end, and not when something was dropped."""
        cache = (await self.open()).callbacks
        await cache.keep(answer())
        self.assertEqual(self.successResultOf(cache.find("A@b.example", NOW)), answer())
        later = cache.find("a@b.example", NOW + 3_600)
        self.assertNoResult(later)
        self.assertIsNone(await later)
        cache.forget()
        found = cache.find("a@b.example", NOW)
        self.assertNoResult(found)
        self.assertEqual(await found, answer())
        self.assertEqual(self.successResultOf(cache.find("a@b.example", NOW)), answer())

    async def test_an_older_answer_takes_nobodys_place(self) -> None:
        """Neither in the file nor at hand (LL-19)."""
        cache = (await self.open()).callbacks
        await cache.keep(answer(stored=NOW + 5))
        await cache.keep(answer(stored=NOW))
        self.assertEqual(self.successResultOf(cache.find("a@b.example", NOW)), answer(stored=NOW + 5))
        cache.forget()
        self.assertEqual(await cache.find("a@b.example", NOW), answer(stored=NOW + 5))

    async def test_only_so_many(self) -> None:
        """The one that was looked for longest ago makes room."""
        self.patch(sqlite_stores, "RECENT", 2)
        cache = (await self.open()).callbacks
        for name in ("1", "2", "3"):
            await cache.keep(answer(name))
        self.assertNoResult(cache.find("1", NOW))
        self.assertEqual(self.successResultOf(cache.find("3", NOW)), answer("3"))


class PatientWorkTests(SQLiteTestCase):
    """Writes that nobody waits for."""

    async def test_they_are_done_soon(self) -> None:
        """Alone after a moment; at once with what does not wait; more than a group in several (I7)."""
        stores = await self.open()
        await stores.callbacks.find("nobody", NOW)
        began = time.monotonic()
        await stores.decisions.append(record(id="1"))
        self.assertGreater(time.monotonic() - began, LINGER * 0.9)
        self.patch(worker, "GROUP", 10)
        waiting = [stores.decisions.append(record(id=str(number), time=NOW)) for number in range(35)]
        self.assertIsNotNone(await stores.decisions.find("5"))
        await gatherResults(waiting)

    async def test_many_do_not_wait(self) -> None:
        """As soon as there are enough for a trip to the file they are written; so are those that come meanwhile."""
        self.patch(worker, "LINGER", 5.0)
        stores = await self.open()
        await stores.callbacks.find("nobody", NOW)
        began = time.monotonic()
        await gatherResults([stores.decisions.append(record(id=str(number), time=NOW)) for number in range(BATCH)])
        self.assertLess(time.monotonic() - began, 4)

    async def test_none_is_left_at_the_end(self) -> None:
        """However many there are (B1)."""
        self.patch(worker, "GROUP", 10)
        stores = await self.open()
        waiting = [stores.decisions.append(record(id=str(number), time=NOW)) for number in range(35)]
        await stores.close()
        await gatherResults(waiting)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM decision").fetchone(), (35,))

    async def test_what_waits_for_a_batch_under_way_is_not_left(self) -> None:
        """The stores may be closed while the thread is busy with earlier decisions."""
        stores = await self.open()
        busy, go_on = Event(), Event()
        kept = [stores.decisions.append(record(id="1", time=NOW))]
        stores._worker.run(lambda _connection: (busy.set(), go_on.wait(5)))  # type: ignore[func-returns-value]
        await deferToThread(busy.wait, 5)
        kept.append(stores.decisions.append(record(id="2", time=NOW)))
        closed = stores.close()
        go_on.set()
        await gatherResults([*kept, closed])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT id FROM decision ORDER BY id").fetchall(), [("1",), ("2",)])

    async def test_they_fail_when_the_file_cannot_be_opened(self) -> None:
        """What was asked for before the start is answered too."""
        self.path.mkdir()
        stores = SQLiteStores(self.path, cast(IReactorFromThreads, reactor), lambda: NOW, LIMITS)
        early = [stores.decisions.append(record()), stores.callbacks.keep(answer())]
        self.assertRaises(TemporaryFailure, stores.open)
        for each in early:
            await self.assertFailure(each, TemporaryFailure)
