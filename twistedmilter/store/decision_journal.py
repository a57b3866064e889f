"""Decisions on their way into the database, where a killed process loses none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Raw
from msgspec.json import Decoder, Encoder

from twistedmilter.errors import TemporaryFailure

Row = tuple[str, str, str, float]  # id, queue id, record as JSON, when it expires [seconds since the epoch]

FULL = 4_194_304  # octets; then the other file has its turn
_ENCODER = Encoder()
_DECODER = Decoder(tuple[str, str, Raw, float])


class DecisionJournal:
    """Two files that take turns; one is emptied when all its rows are in the database.

    A line is the system's as soon as it is written, before the log tells of the decision; the database has it a moment
    later, together with others.  What fails here is not told: the database is what counts.

    @param path: of the database; the files stand beside it.
    """

    def __init__(self, path: Path) -> None:
        self._paths = tuple(path.with_name(f"{path.name}.decisions-{number}") for number in (0, 1))
        self._descriptors: list[int] = []
        self._awaited = [0, 0]  # rows of each that are not in the database yet
        self._turn = 0
        self._size = 0
        self._is_torn = False  # the last line has no end

    def open(self) -> list[Row]:
        """Take up what a process left that was killed; each file waits for L{done}.

        @raise TemporaryFailure: there can be no such files.
        """
        rows: list[Row] = []
        try:
            for path in self._paths:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._descriptors.append(os.open(path, flags, 0o600))
                rows += _rows_in(path.read_bytes())
        except OSError as error:
            self._close_files()
            raise TemporaryFailure(f"{path}: {error.strerror}") from error
        self._awaited = [1, 1]
        return rows

    def write(self, row: Row) -> int:
        """Keep a row until it is in the database.

        @return: what to tell L{done}.
        """
        if self._size > FULL and not self._awaited[1 - self._turn]:
            self._turn = 1 - self._turn
            self._empty(self._turn)
            self._size = 0
        self._awaited[self._turn] += 1
        if self._descriptors:
            reference, queue_id, text, expires = row
            octets = _ENCODER.encode((reference, queue_id, Raw(text.encode()), expires))
            line = (b"\n" if self._is_torn else b"") + octets + b"\n"
            with suppress(OSError):
                written = os.write(self._descriptors[self._turn], line)
                self._is_torn = written < len(line)  # a full disk takes what it has room for
                self._size += written
        return self._turn

    def done(self, turn: int) -> None:
        """A row is in the database, or will never be."""
        self._awaited[turn] -= 1

    def close(self) -> None:
        """Leave nothing, unless something is still awaited."""
        for turn, awaited in enumerate(self._awaited):
            if not awaited:
                self._empty(turn)
        self._close_files()

    def _empty(self, turn: int) -> None:
        if self._descriptors:
            with suppress(OSError):
                os.ftruncate(self._descriptors[turn], 0)

    def _close_files(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def _rows_in(content: bytes) -> list[Row]:
    rows = []
    for line in content.splitlines():
        with suppress(DecodeError, UnicodeDecodeError):  # the last line of a disk that was full
            reference, queue_id, record, expires = _DECODER.decode(line)
            rows.append((reference, queue_id, bytes(record).decode(), expires))
    return rows
