"""Postfix's tcp_table(5) protocol: C{get SP KEY LF}, answered by a code and a text, percent-encoded.

@see: gossip-srs-dns-spec 5.4; tcp_table(5), version of Postfix 2.x
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.socketmap import Reply, Status

MAX_LINE: Final = 4_096  # octets with the line feed
CODES: Final = {Status.OK: b"200", Status.NOTFOUND: b"500", Status.PERM: b"500"}  # the others: 400, try again
_TRY_AGAIN: Final = b"400"
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_UNSAFE: Final = re.compile(rb"[^!-$&-~]")  # all but printable ASCII without the blank and the percent sign


def _quote(octets: bytes) -> bytes:
    """Percent-encoded, as the protocol wants it."""
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], octets)


def _unquote(text: bytes) -> bytes | None:
    """The octets behind percent-encoding; None if a percent sign encodes nothing."""
    if any(match[1] is None for match in _ESCAPE.finditer(text)):
        return None
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text)


def encode_get(key: bytes) -> bytes:
    """A request on the wire."""
    return b"get " + _quote(key) + b"\n"


def parse_get(line: bytes) -> bytes | None:
    """The key that is asked for; None if this is no readable C{get}.

    @param line: without its line feed.
    """
    verb, _, text = line.removesuffix(b"\r").partition(b" ")
    return _unquote(text) if verb == b"get" and text else None


def encode_answer(reply: Reply) -> bytes:
    """A reply on the wire, at most L{MAX_LINE} octets."""
    line = CODES.get(reply.status, _TRY_AGAIN) + b" " + _quote(reply.text or reply.status.value) + b"\n"
    return line if len(line) <= MAX_LINE else _TRY_AGAIN + b" The%20answer%20is%20too%20long.\n"


class LineDecoder:
    """Splits a stream of octets into lines, however it was cut."""

    __slots__ = ("_buffer", "_violation")

    def __init__(self) -> None:
        """Start at the beginning of a line."""
        self._buffer = bytearray()
        self._violation: ProtocolViolation | None = None

    @property
    def is_between(self) -> bool:
        """Whether no line has begun."""
        return not self._buffer

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        if self._violation is None:
            self._buffer += data

    def next_string(self) -> bytes | None:
        """The next line without its line feed; None when more octets are needed.

        @raise ProtocolViolation: a line is too long; from then on always.
        """
        if self._violation is not None:
            raise self._violation
        end = self._buffer.find(b"\n", 0, MAX_LINE)
        if end < 0:
            if len(self._buffer) >= MAX_LINE:
                self._fail()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _fail(self) -> NoReturn:
        self._violation = ProtocolViolation(f"a line is longer than {MAX_LINE} octets", bytes(self._buffer[:64]))
        self._buffer.clear()
        raise self._violation
