"""C{twistedmilter list import}: the files of pymilter's bms."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twistedmilter.cli.errors import CommandError

if TYPE_CHECKING:
    from twistedmilter.store.ancestor_files import Found

SQLITE = b"SQLite format 3\0"
BERKELEY_DB = (b"\x00\x06\x15\x61", b"\x61\x15\x06\x00", b"\x00\x05\x31\x62", b"\x62\x31\x05\x00")  # hash and btree
AT_ONCE = 20  # entries in one request: each has less than 3,000 octets, a request 65,536
GREYLIST = "SELECT ip, sender, recipient, firstseen, lastseen, cnt FROM greylist"


def read_files(files: Sequence[str], kind: str | None, now: float) -> Found:
    """What is in files that are named as the ancestor's are.

    @param kind: what they all are, whatever their names say.
    @param now: wall clock. [seconds since the epoch]
    @raise CommandError: one of them is none of the ancestor's.
    @raise OSError: one of them cannot be read.
    """
    from twistedmilter.store.ancestor_files import Found, kind_of

    found = Found()
    for file in files:
        path = Path(file)
        try:
            what, generation = (kind, 0) if kind else kind_of(path.name)
        except ValueError as error:
            raise CommandError(f"{error}; say which with --kind") from error
        _read(found, path, what, generation, now)
    return found


def _read(found: Found, path: Path, kind: str, generation: int, now: float) -> None:
    from twistedmilter.store.ancestor_files import read_lines

    with path.open("rb") as stream:
        magic = stream.read(16)
    if magic == SQLITE:
        _read_database(found, path)
    elif magic[12:16] in BERKELEY_DB:
        raise CommandError(f"{path} is a Berkeley DB of pickles, which are not read: export it as CSV first")
    else:
        opener: Any = gzip.open if magic.startswith(b"\x1f\x8b") else open
        with opener(path, "rt", encoding="utf-8", errors="backslashreplace") as lines:
            read_lines(found, kind, lines, source=path.name, generation=generation, now=now)


def _read_database(found: Found, path: Path) -> None:
    """The ancestor's greylist in SQLite."""
    from twistedmilter.store.ancestor_files import take_contact

    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(GREYLIST).fetchall()
    except sqlite3.Error as error:
        raise CommandError(f"{path} is not a greylist of the ancestor: {error}") from error
    for row in rows:
        try:
            take_contact(found, map(str, row[:3]), (float(row[3]), float(row[4]), int(row[5] or 0)))
        except (TypeError, ValueError) as error:
            found.troubles.append(f"{path.name}: {row[0]} {row[1]} {row[2]}: {error}")


def requests_of(found: Found) -> Iterator[dict[str, object]]:
    """The arguments of C{list-import}, in pieces that fit a request."""
    from msgspec import to_builtins

    for first in range(0, len(found.answers), AT_ONCE):
        yield {"answers": to_builtins(found.answers[first : first + AT_ONCE])}
    for which, entries in found.senders.items():
        for first in range(0, len(entries), AT_ONCE):
            yield {"senders": {which: to_builtins(entries[first : first + AT_ONCE])}}
    rows = [
        {"key": key, "first_seen": entry.first_seen, "last_seen": entry.last_seen, "accepted": entry.accepted}
        for key, entry in found.greylist
    ]
    for first in range(0, len(rows), AT_ONCE):
        yield {"greylist": rows[first : first + AT_ONCE]}


def summary_of(found: Found) -> str:
    """One line of what there was."""
    counts = {"callback answers": len(found.answers)}
    counts |= {name: len(entries) for name, entries in found.senders.items()}
    counts["greylist"] = len(found.greylist)
    told = [f"{number} {name}" for name, number in counts.items() if number]
    return f"{', '.join(told) or 'nothing'}; {found.expired} expired, {len(found.troubles)} not understood"
