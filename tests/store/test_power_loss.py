"""What a loss of power leaves of the SQLite file: whatever the disk had of the last writes, it is sound (B2)."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random
from sqlite3 import Connection
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.contracts import NOW, answer
from twistedmilter.store import database, worker
from twistedmilter.store.database_file import open_database
from twistedmilter.store.sqlite import SQLiteStores

LOG_HEADER = 32  # octets, sqlite.org/fileformat2.html section 4.1
FRAME_HEADER = 24
INSERT = "INSERT INTO callback VALUES (?, 'valid', ?, 1, 2)"
_PAGE_SIZE = struct.Struct(">8xI")


def frames_of(log: bytes) -> list[int]:
    """Where frames of a write-ahead log end; 0 and the header come first."""
    [page] = _PAGE_SIZE.unpack_from(log)
    return [0, *range(LOG_HEADER, len(log) + 1, page + FRAME_HEADER)]


def in_memory(case: SynchronousTestCase) -> Path:
    """Where a new directory may be made that waits for no disk, if the host has such a place."""
    parent = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    case.addCleanup(shutil.rmtree, parent)
    return Path(parent) / "state"


class Disk:
    """A directory where files are put as a disk had them when the power came back."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.db"
        self.log = directory / "state.db-wal"
        directory.mkdir()

    def read(self) -> tuple[bytes, bytes]:
        """The file and its log as they are."""
        return self.path.read_bytes(), self.log.read_bytes()

    def rows_of(self, file: bytes, log: bytes) -> list[int]:
        """The numbers of the rows that the next start finds; it finds a sound file that is still this one."""
        self.path.write_bytes(file)
        self.log.write_bytes(log)
        connection, notice = open_database(self.path, NOW)
        with closing(connection):
            [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if (verdict, notice) != ("ok", ""):
                raise AssertionError(verdict, notice)
            return [int(row[0]) for row in connection.execute("SELECT address FROM callback ORDER BY rowid")]


class ReplayTests(SynchronousTestCase):
    """States of the file and its log that a disk may keep."""

    def setUp(self) -> None:
        """40 transactions of 1 to 15 rows in the log, none in the file."""
        self.live, self.later = Disk(Path(self.mktemp())), Disk(in_memory(self))
        self.connection, _ = open_database(self.live.path, NOW)
        self.addCleanup(self.connection.close)
        self.random = Random(2)
        self.count = 0
        for _ in range(40):
            self.write(self.connection, self.random.randint(1, 15))
        self.file, self.written = self.live.read()

    def write(self, connection: Connection, rows: int) -> None:
        """One transaction."""
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            connection.execute(INSERT, (str(self.count), "x" * self.random.randint(1, 1_500)))
            self.count += 1
        connection.execute("COMMIT")

    def test_a_log_that_ends_after_any_frame(self) -> None:
        """Whole transactions are there, the first ones, never fewer for more of the log."""
        known = 0
        frames = frames_of(self.written)
        for end in frames:
            rows = self.later.rows_of(self.file, self.written[:end])
            self.assertEqual(rows, list(range(len(rows))), end)
            self.assertGreaterEqual(len(rows), known)
            known = len(rows)
        self.assertEqual(known, self.count)
        self.assertGreater(len(frames), 100)

    def test_a_torn_log(self) -> None:
        """The last frame in part, or nothing or anything in the place of frames: as if the log ended before."""
        frames = frames_of(self.written)
        for _ in range(150):
            index = self.random.randrange(2, len(frames))
            start, end = frames[index - 1], frames[index]
            inside = self.random.randrange(start, end)
            size = len(self.written)
            expected = self.later.rows_of(self.file, self.written[:start])
            for tail in (b"", bytes(size - inside), self.random.randbytes(size - inside)):
                found = self.later.rows_of(self.file, self.written[:inside] + tail)
                self.assertEqual(found, expected, (index, inside))

    def test_a_checkpoint_under_way(self) -> None:
        """Any of the pages may have reached the file: the log, which was synced before, has them all."""
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        after, _ = self.live.read()
        size = 4_096
        for _ in range(100):
            torn = bytearray(self.file.ljust(len(after), b"\0"))
            for start in range(0, len(after), size):
                kept = self.random.choice((0, size // 8, size))
                torn[start : start + kept] = after[start : start + kept]
            length = self.random.randrange(len(self.file), len(after) + 1)
            self.assertEqual(len(self.later.rows_of(bytes(torn[:length]), self.written)), self.count)

    def test_a_log_that_is_used_again(self) -> None:
        """After a checkpoint the log begins anew, over frames of before, which count no more."""
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        before = self.count
        self.write(self.connection, 3)
        self.write(self.connection, 3)
        file, log = self.live.read()
        self.assertEqual(len(log), len(self.written))
        for end in frames_of(log)[1:]:
            rows = self.later.rows_of(file, log[:end])
            self.assertEqual(rows, list(range(len(rows))))
            self.assertIn(len(rows), {before, before + 3, before + 6})
        torn = log[: LOG_HEADER + 100] + self.written[LOG_HEADER + 100 :]
        self.assertEqual(len(self.later.rows_of(file, torn)), before)


class SyncTests(TestCase):
    """How much a loss of power takes."""

    async def test_the_last_second_at_most(self) -> None:
        """What was acknowledged before that is in what was synced, under load and after it (B2)."""
        period = 0.1  # seconds instead of one
        self.patch(database, "SYNC", period)
        self.patch(worker, "LOOK", period)
        live, later = Disk(Path(self.mktemp())), Disk(in_memory(self))
        stores = SQLiteStores(live.path, cast(IReactorFromThreads, reactor), time.time)
        stores.open()
        self.addCleanup(stores.close)
        acknowledged: list[float] = []
        synced: list[int] = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            real(descriptor)
            seen = os.fstat(descriptor)
            if stat.S_ISREG(seen.st_mode):
                synced.append(seen.st_size)

        self.patch(database.os, "fsync", fsync)  # type: ignore[attr-defined]
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            await stores.callbacks.keep(answer(str(len(acknowledged))))
            acknowledged.append(time.monotonic())
        size, lost = synced[-1], time.monotonic()
        file, log = live.read()
        old = sum(when < lost - period - 0.1 for when in acknowledged)
        self.assertGreater(old, 20)
        for end in filter(lambda each: each >= size, frames_of(log)):
            self.assertGreaterEqual(len(later.rows_of(file, log[:end])), old)
        await deferLater(cast(Any, reactor), 3 * period)
        file, log = live.read()
        self.assertEqual(len(later.rows_of(file, log[: synced[-1]])), len(acknowledged))
        await deferLater(cast(Any, reactor), 3 * period)
        self.assertLess(len(synced), 15)  # nothing new, nothing to sync
