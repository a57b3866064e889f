"""Notifications in a SQLite file: the contract, and what a file may suffer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from tests.contracts import NOW, answer
from tests.store.notices_contract import BOB, NoticesContract
from tests.store.test_sqlite import SQLiteTestCase
from twistedmilter.model.durations import DAY
from twistedmilter.store.schema import APPLICATION_ID, MIGRATIONS

ROOT = Path(__file__).resolve().parents[2]
RESERVE_AND_DIE = """
import sys
from pathlib import Path
from twisted.internet import reactor
from tests.contracts import NOW
from tests.store.notices_contract import BOB
from twistedmilter.store.sqlite import SQLiteStores
stores = SQLiteStores(Path(sys.argv[1]), reactor, lambda: NOW)
stores.open()
def reserved(was):
    print(was, flush=True)  # the test kills us now, as we are about to send
reactor.callWhenRunning(lambda: stores.notices.reserve(BOB).addCallback(reserved))
reactor.run()
"""


def killed_as_it_sends(path: Path) -> str:
    """What a process said that has reserved a notification in this file, and was killed then."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RESERVE_AND_DIE, str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    return said


class SQLiteNoticesTests(SQLiteTestCase, NoticesContract):
    """They keep the contract, over a restart and a kill."""

    async def test_what_waits_is_there_again(self) -> None:
        """After closing and opening: the queue, and who was told."""
        stores = await self.open()
        await stores.notices.reserve(BOB)
        await stores.notices.defer(BOB.address, NOW, "451 later", 5)
        await stores.notices.keep_last(BOB)
        await stores.close()
        stores = await self.open()
        self.assertEqual([each.content for each in await stores.notices.due(NOW, 5)], [BOB.content])
        self.assertIs(await stores.notices.reserve(BOB), False)
        self.assertIsNotNone(await stores.notices.last("softfail"))

    async def test_killed_while_sending(self) -> None:
        """C14: who was about to be told when the process was killed is not told again."""
        self.assertEqual(killed_as_it_sends(self.path.absolute()), "True\n")
        stores = await self.open()
        self.assertEqual(await stores.notices.interrupted("killed"), 1)
        self.assertIs(await stores.notices.reserve(BOB), False)
        self.assertEqual(await stores.notices.due(NOW + DAY, 5), [])

    async def test_marks_of_an_older_file(self) -> None:
        """Who was told stood among the answers of exchangers: it is still known, and the answers are alone there."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statements in MIGRATIONS[:2]:
                for statement in statements:
                    connection.execute(statement)
            row = ("valid", "250 ok", NOW, NOW + DAY)
            connection.execute("INSERT INTO callback VALUES ('told:bob@b.example', ?, ?, ?, ?)", row)
            connection.execute("INSERT INTO callback VALUES ('a@b.example', ?, ?, ?, ?)", row)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA user_version = 2")
        stores = await self.open()
        self.assertIs(await stores.notices.reserve(replace(BOB, stored=NOW + 1)), False)
        self.assertIsNone(await stores.callbacks.find("told:bob@b.example", NOW))
        self.assertEqual(await stores.callbacks.find("a@b.example", NOW), answer(expires=NOW + DAY))
