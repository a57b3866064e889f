"""The body of one message, in memory up to a limit and on disk beyond it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

_READ_SIZE = 65_536


class BodySpool:
    """Keeps octets for checks that read the body at end of message.

    @param in_memory: octets kept in memory before the rest goes to a temporary file.
    @param limit: octets kept at all; what is beyond is counted, not kept.
    """

    def __init__(self, in_memory: int, limit: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory, prefix="twistedmilter-")  # noqa: SIM115
        self._room = limit
        self.is_truncated = False

    def append(self, octets: bytes) -> None:
        """Keep the next octets as far as there is room.

        @raise OSError: the disk is full or failing.
        """
        if len(octets) > self._room:
            self.is_truncated = True
            octets = octets[: self._room]
        self._room -= len(octets)
        self._file.write(octets)

    def chunks(self) -> Iterator[bytes]:
        """The octets from the beginning; may be asked for several times."""
        self._file.seek(0)
        while octets := self._file.read(_READ_SIZE):
            yield octets

    def close(self) -> None:
        """Give memory and disk back."""
        self._file.close()
