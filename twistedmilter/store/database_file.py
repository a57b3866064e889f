"""Opening the SQLite file: checked first, and moved aside when it is of no use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from twistedmilter.store.schema import ForeignFileError, migrate

BUSY = 2.0  # seconds
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_database(path: Path, now: float) -> tuple[sqlite3.Connection, str]:
    """The one connection to a file, made when there is none; it belongs to the thread that opens it.

    A file that is damaged or not ours is moved aside, and a fresh one takes its place (B5).

    @param now: wall clock, for the name that a bad file gets.
    @return: the connection, and what has to be told; nothing, if all was well.
    @raise sqlite3.Error: it cannot be opened now: locked, no space, no permission.
    @raise OSError: likewise.
    """
    try:
        return _connect(path), ""
    except ForeignFileError as error:
        reason = str(error)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:  # the low octet of an extended code
            raise
        reason = str(error)
    aside = _move_aside(path, now)
    return _connect(path), f"{path} cannot be used ({reason}); it is now {aside}, and a new one was begun"


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # Exclusive: a second connection, which could damage the write-ahead log before SQLite 3.51.3, gets "locked".
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing; one of the host, seconds
    [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise ForeignFileError(" ".join(verdict.split()))
    migrate(connection)


def _move_aside(path: Path, now: float) -> Path:
    aside = path.with_name(f"{path.name}.bad-{int(now)}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.bad-{int(now)}-{number}")
    for suffix in ("-wal", "-shm", ""):
        found = path.with_name(path.name + suffix)
        if found.exists():
            found.rename(aside.with_name(aside.name + suffix))
    return aside
