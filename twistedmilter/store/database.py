"""The database of the worker's thread: the file, or a stand-in in memory while the disk does not give it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from twistedmilter.store.database_file import open_database
from twistedmilter.store.stand_in import STAND_IN_SIZE, StandIn

LOOK: Final = 1.0  # seconds between two looks at the space that is free
SYNC: Final = 1.0  # seconds after which what was committed survives a loss of power
_OF_THE_DISK: Final = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO),
        *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENFILE, errno.EMFILE),
    )
)
_SQLITE_OF_THE_DISK: Final = frozenset(
    (
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    )
)


@dataclass(frozen=True, slots=True)
class DiskPolicy:
    """How a store bears a disk that is full, read-only or stuck.

    @ivar may_stand_in: whether it goes on in memory when the file cannot be opened.
    @ivar min_free: octets; where less is free, only what has to be is written (B6); 0: whatever is free.
    @ivar closing: seconds for what is still to be written when it is closed; None: as long as it takes.
    """

    may_stand_in: bool = False
    min_free: int = 0
    closing: float | None = None


class Condition(NamedTuple):
    """How the database is.

    @ivar trouble: why the file is not written and everything is in memory; empty when all is well.
    @ivar is_low: there is too little space for what can be done without.
    @ivar failure: why the last writes failed; empty when they did not.
    """

    trouble: str = ""
    is_low: bool = False
    failure: str = ""


def is_of_the_disk(error: Exception) -> bool:
    """Whether something may be had later, without a person changing anything here."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_OF_THE_DISK  # of an extended code
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


class Database:
    """Belongs to the thread that opens it.

    @ivar connection: to the file or to what stands in for it; it changes with L{try_again}.
    @param wall: seconds since the epoch.
    """

    connection: sqlite3.Connection

    def __init__(self, path: Path, wall: Callable[[], float], disk: DiskPolicy) -> None:
        self._path = path
        self._wall = wall
        self._disk = disk
        self._stand_in: StandIn | None = None
        self._looked = 0.0
        self._synced_at, self._synced = 0.0, 0  # time, and changes of the connection until then
        self.condition = Condition()

    def open(self) -> str:
        """Open the file, or what stands in for it.

        @return: what has to be told of the file; nothing, if all was well.
        @raise sqlite3.Error: it cannot be opened now. @raise OSError: likewise.
        """
        notice = ""
        try:
            self.connection, notice = open_database(self._path, self._wall())
        except (sqlite3.Error, OSError) as error:
            if not self._disk.may_stand_in or not is_of_the_disk(error):
                raise
            self._stand_in = StandIn(self._path)
            self.connection = self._stand_in.connection
            self.condition = Condition(f"{self._path}: {_words(error)}")
        self.look()
        return notice

    def try_again(self) -> str:
        """Go back to the file, if it can be had and takes what was learnt meanwhile.

        @return: what has to be told of the file.
        """
        if self._stand_in is None:
            return ""
        try:
            connection, notice = open_database(self._path, self._wall())
        except (sqlite3.Error, OSError) as error:
            self.condition = self.condition._replace(trouble=f"{self._path}: {_words(error)}")
            return ""
        try:
            self._stand_in.put_back(connection)
        except sqlite3.Error as error:
            connection.close()
            self.condition = self.condition._replace(trouble=f"{self._path}: {_words(error)}")
            return notice
        self.connection.close()
        self.connection, self._stand_in = connection, None
        self.condition, self._synced = Condition(), 0
        self.look()
        return notice

    def note(self, failure: str, *, has_written: bool) -> bool:
        """Take in what became of a transaction; one that only read says nothing about writing.

        @return: whether that is news.
        """
        before = self.condition
        if failure or has_written:
            self.condition = before._replace(failure=failure)
        return bool(failure) != bool(before.failure) and self.condition != before

    def is_look_due(self) -> bool:
        """Whether the last look is some time ago."""
        return abs(self._wall() - self._looked) >= LOOK

    def look(self) -> None:
        """See how much space is free; a little more than enough ends a shortage, so that it does not come and go."""
        self._looked = self._wall()
        if self._stand_in is not None:
            free, least = STAND_IN_SIZE - self._stand_in.size, STAND_IN_SIZE // 4
        else:
            free, least = _free(self._path.parent), self._disk.min_free
        self.condition = self.condition._replace(is_low=free < least * (1.25 if self.condition.is_low else 1))

    @property
    def is_unsynced(self) -> bool:
        """Whether something was written that a loss of power would take."""
        return self._stand_in is None and self.connection.total_changes != self._synced

    def sync_if_due(self) -> None:
        """Sync it if there is something to sync, and the last time is a while ago."""
        if self.is_unsynced and abs(self._wall() - self._synced_at) >= SYNC:
            self.sync()

    def sync(self) -> None:
        """Have what was committed survive a loss of power (B2).

        SQLite does that only when it moves a thousand pages from the log to the file, which may take hours; to do it at
        each commit would let everybody wait for the disk.
        """
        self._synced_at, self._synced = self._wall(), self.connection.total_changes
        with suppress(OSError):  # SQLite, which syncs too, tells what is wrong with the disk
            for path in (self._path.with_name(f"{self._path.name}-wal"), self._path.parent):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def close(self) -> None:
        """Give it back."""
        self.connection.close()


def _free(directory: Path) -> int:
    """Octets that we may write; many where nobody can say."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 2**63
    return found.f_bavail * found.f_frsize


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
