"""Netstrings: a length in decimal digits, a colon, so many octets, a comma (gossip-srs-dns-spec 5.1)."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from twistedmilter.errors import ProtocolViolation

MAX_QUERY: Final = 10_000  # octets; the longest that Postfix asks (reliability S1)
_LENGTH: Final = re.compile(rb"(0|[1-9][0-9]*):")
_DIGITS: Final = re.compile(rb"0|[1-9][0-9]*")


def encode_netstring(octets: bytes) -> bytes:
    """The octets on the wire; their length is of octets, never of characters (case 35)."""
    return b"%d:%b," % (len(octets), octets)


class NetstringDecoder:
    """Splits a stream of octets into netstrings, however it was cut.

    Nothing is allocated from a length: memory grows only with octets that came, and with no more than one
    string may have beyond what was not asked for yet.
    """

    __slots__ = ("_buffer", "_limit", "_violation")

    def __init__(self, limit: int = MAX_QUERY) -> None:
        """Start between strings.

        @param limit: the longest string. [octets]
        """
        self._limit = limit
        self._buffer = bytearray()
        self._violation: ProtocolViolation | None = None

    @property
    def is_between(self) -> bool:
        """Whether no string has begun."""
        return not self._buffer

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        if self._violation is None:
            self._buffer += data

    def next_string(self) -> bytes | None:
        """The next string; None when more octets are needed.

        @raise ProtocolViolation: this is no netstring, or too long a one; from then on always.
        """
        if self._violation is not None:
            raise self._violation
        if not self._buffer:
            return None
        head = _LENGTH.match(self._buffer)
        if head is None:
            self._look_at_length()
            return None
        length = int(head[1]) if len(head[1]) <= len(str(self._limit)) else self._limit + 1
        if length > self._limit:
            self._fail(f"a netstring is longer than {self._limit} octets")
        end = head.end() + length
        if len(self._buffer) <= end:
            return None
        if self._buffer[end] != ord(","):
            self._fail("a netstring does not end in a comma")
        octets = bytes(self._buffer[head.end() : end])
        del self._buffer[: end + 1]
        return octets

    def _look_at_length(self) -> None:
        """There is no colon yet: see whether one may still come."""
        if _DIGITS.fullmatch(self._buffer) is None:
            self._fail("this is no length of a netstring")
        if len(self._buffer) > len(str(self._limit)):
            self._fail(f"a netstring is longer than {self._limit} octets")

    def _fail(self, reason: str) -> NoReturn:
        self._violation = ProtocolViolation(reason, bytes(self._buffer[:64]))
        self._buffer.clear()
        raise self._violation
