"""A database in memory for a file that cannot be had now, and its way back into the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from twistedmilter.store.schema import migrate

STAND_IN_SIZE: Final = 64 * 2**20  # octets; what is more is refused

# What is wanted of a file that can be read; notifications that wait there are sent when it can be written.
_READ: Final[Mapping[str, str]] = MappingProxyType({"sender": "true", "notice": "state <> 'queued'"})
# Of two rows the newer stays, and what a person entered for good is not taken back; as the stores themselves have it.
_PUT_BACK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "callback": (
            "INSERT OR REPLACE INTO callback SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE NOT EXISTS (SELECT 1 FROM callback WHERE address = ?1 AND stored > ?4)"
        ),
        "sender": (
            "INSERT OR REPLACE INTO sender SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM sender"
            " WHERE list = ?1 AND name = ?2 AND (stored > ?4 OR expires IS NULL AND ?5 IS NOT NULL))"
        ),
        "greylist": (
            "INSERT OR REPLACE INTO greylist SELECT ?1, ?2, ?3, ?4, ?5, ?6"
            " WHERE NOT EXISTS (SELECT 1 FROM greylist WHERE key = ?1 AND last_seen > ?3)"
        ),
        "accepted": (
            "INSERT OR REPLACE INTO accepted SELECT ?1, ?2"
            " WHERE NOT EXISTS (SELECT 1 FROM accepted WHERE address = ?1 AND expires > ?2)"
        ),
        "notice": (
            "INSERT OR REPLACE INTO notice SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10"
            " WHERE NOT EXISTS (SELECT 1 FROM notice WHERE address = ?1 AND stored > ?5)"
        ),
        "last_notice": (
            "INSERT OR REPLACE INTO last_notice SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10"
            " WHERE NOT EXISTS (SELECT 1 FROM last_notice WHERE template = ?1 AND stored > ?5)"
        ),
        "question": "INSERT OR REPLACE INTO question VALUES (?, ?, ?, ?, ?, ?, ?)",
        "decision": "INSERT OR IGNORE INTO decision VALUES (?, ?, ?, ?)",
    }
)
_NAMES: Final = "SELECT list, name FROM sender"
_SIZES: Final = ("page_size", "page_count", "freelist_count")


class StandIn:
    """A database in memory, with the lists of the file in it, and who was told, if they can be read.

    It belongs to the thread that makes it.

    @ivar connection: has the tables of the file.
    """

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection)
        [page] = self.connection.execute("PRAGMA page_size").fetchone()
        self.connection.execute(f"PRAGMA max_page_count = {STAND_IN_SIZE // page}")
        self._known: set[tuple[str, str]] = set()  # what the file has in its lists
        with suppress(OSError, sqlite3.Error):
            self._read_lists(path)

    def _read_lists(self, path: Path) -> None:
        """Who is banned, spared, known or told stays so, as far as a file that nobody may write tells."""
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            return  # the file alone is not sound, and to read both takes a place to write
        source = f"file:{quote(str(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(source, uri=True, isolation_level=None)) as connection:
            for table, which in _READ.items():
                rows = connection.execute(f"SELECT * FROM {table} WHERE {which}").fetchall()  # noqa: S608 - ours
                if rows:
                    places = ", ".join("?" * len(rows[0]))
                    self.connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608
        self._known = set(self.connection.execute(_NAMES))

    @property
    def size(self) -> int:
        """Octets in use."""
        page, pages, free = (self.connection.execute(f"PRAGMA {what}").fetchone()[0] for what in _SIZES)
        return int(page * (pages - free))

    def put_back(self, file: sqlite3.Connection) -> None:
        """Have the file know what was learnt meanwhile, in one transaction.

        @raise sqlite3.Error: it cannot be written; nothing was.
        """
        file.execute("BEGIN IMMEDIATE")
        try:
            for table, statement in _PUT_BACK.items():
                rows = self.connection.execute(f"SELECT * FROM {table} ORDER BY rowid")  # noqa: S608 - the name is ours
                file.executemany(statement, rows)
            gone = self._known.difference(self.connection.execute(_NAMES))
            file.executemany("DELETE FROM sender WHERE list = ? AND name = ?", gone)
            file.execute("COMMIT")
        except sqlite3.Error:
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise
