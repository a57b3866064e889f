"""Octets to lines, for both sides of GOSSiP (gossip spec 1.1)."""

from __future__ import annotations

from typing import Final

from twistedmilter.errors import ProtocolViolation

MAX_LINE: Final = 1_024  # octets before the LF


class LineDecoder:
    """Splits a stream of octets into lines, however it was cut; holds at most one line that is not complete.

    @ivar _buffer: octets from which lines are sliced; C{_offset} is where the next one begins.
    """

    __slots__ = ("_buffer", "_limit", "_offset")

    def __init__(self, limit: int = MAX_LINE) -> None:
        """Start before a line.

        @param limit: of a line. [octets]
        """
        self._limit = limit
        self._buffer = b""
        self._offset = 0

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        self._buffer = self._buffer[self._offset :] + data if self._offset < len(self._buffer) else data
        self._offset = 0

    def next_line(self) -> bytes | None:
        """The next line without the blanks around it, which may leave nothing; None when more octets are needed.

        @raise ProtocolViolation: it is longer than the limit, complete or not; and again whenever it is asked for.
        """
        start = self._offset
        end = self._buffer.find(b"\n", start)
        if (len(self._buffer) if end < 0 else end) - start > self._limit:
            raise ProtocolViolation(f"a line of more than {self._limit} octets", self._buffer[start : start + 64])
        if end < 0:
            return None
        self._offset = end + 1
        return self._buffer[start:end].strip()
