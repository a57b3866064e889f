"""Octets to frames and back: a length word, a command byte, a payload (milter-spec 1.1 and 1.2)."""

from __future__ import annotations

from struct import Struct
from typing import Final, NoReturn

from twistedmilter.errors import ProtocolViolation

MAX_FRAME: Final = 65_536  # the largest length word without MDS: a command byte and 65,535 octets
MAX_PAYLOAD: Final = MAX_FRAME - 1

_LENGTH: Final = Struct(">I")
HEAD: Final = Struct(">IB")  # length word and command byte
WORD: Final = _LENGTH.size
SHORTEST: Final = HEAD.size  # octets of a frame without payload

# what the first four octets of another protocol look like (milter-spec 8.1, rows 7 to 9)
_STRANGERS: Final = {
    **dict.fromkeys((b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PATC", b"TRAC", b"PRI "), "HTTP"),
    **dict.fromkeys((b"EHLO", b"HELO", b"LHLO", b"HELP", b"MAIL", b"RCPT", b"DATA", b"QUIT", b"NOOP", b"RSET"), "SMTP"),
    **dict.fromkeys((b"STAR", b"AUTH", b"VRFY", b"XCLI"), "SMTP"),
    b"PROX": "PROXY protocol version 1",
    b"\r\n\r\n": "PROXY protocol version 2",
    b"SSH-": "SSH",
}


def encode_frame(letter: int, payload: bytes = b"") -> bytes:
    """One frame on the wire.

    @param letter: the command byte.
    """
    return HEAD.pack(len(payload) + 1, letter) + payload


def _stranger(word: bytes) -> str:
    """Which other protocol begins with these four octets, or an empty text."""
    if word[:2] == b"\x16\x03":
        return "TLS"
    return _STRANGERS.get(word.upper(), "")


class FrameDecoder:
    """Splits a stream of octets into frames, in linear time and however it was cut.

    Nothing is allocated from a length word: memory grows only with octets that came.

    @ivar _buffer: octets from which frames are sliced; C{_offset} is where the next one begins.
    @ivar _tail: octets that came while the buffer was not used up; they become the next buffer.
    """

    __slots__ = ("_buffer", "_limit", "_offset", "_peer", "_stopped", "_tail", "_violation")

    def __init__(self, limit: int = MAX_FRAME, *, peer: str = "client") -> None:
        """Start between frames.

        @param limit: the largest length word allowed. [octets]
        @param peer: what the other side should be, C{client} or C{filter}, for the text of a violation.
        """
        self._limit = limit
        self._peer = peer
        self._buffer = b""
        self._offset = 0
        self._tail = bytearray()
        self._stopped = False
        self._violation: ProtocolViolation | None = None

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        if self._stopped:
            return
        if self._offset < len(self._buffer) or self._tail:
            self._tail += data
        else:
            self._buffer = data
            self._offset = 0

    def next_frame(self) -> tuple[int, bytes] | None:
        """The command byte and the payload of the next frame; None when more octets are needed.

        @raise ProtocolViolation: a length outside 1..limit; again at every later call.
        """
        buffer = self._buffer
        start = self._offset
        if len(buffer) - start >= SHORTEST:
            length, letter = HEAD.unpack_from(buffer, start)
            end = start + WORD + length
            if 0 < length <= self._limit and end <= len(buffer):
                self._offset = end
                return letter, buffer[start + SHORTEST : end]
        return self.next_frame() if self._gather() else None

    def _gather(self) -> bool:
        """Join what came later to an unfinished frame; whether a whole frame is in the buffer now.

        @raise ProtocolViolation: as L{next_frame}.
        """
        if self._violation is not None:
            raise self._violation
        tail = self._tail
        if self._offset < len(self._buffer):
            tail[:0] = self._buffer[self._offset :]
        self._buffer = b""
        self._offset = 0
        if len(tail) < WORD:
            return False
        (length,) = _LENGTH.unpack_from(tail)
        if not 0 < length <= self._limit:
            self._refuse(length)
        if len(tail) < WORD + length:
            return False
        self._buffer = bytes(tail)
        self._tail = bytearray()
        return True

    def _refuse(self, length: int) -> NoReturn:
        """Drop everything and say what this stream looks like."""
        beginning = bytes(self._tail[:64])
        reason = f"frame of {length} octets, allowed 1..{self._limit}"
        if looks := _stranger(beginning[:WORD]):
            reason += f": not a milter {self._peer} (looks like {looks})"
        violation = ProtocolViolation(reason, beginning)
        self.stop(violation)
        raise violation

    def stop(self, violation: ProtocolViolation | None = None) -> None:
        """Drop the octets held and all that come, as after QUIT.

        @param violation: what every later C{next_frame} raises; None lets it return None.
        """
        self._stopped = True
        self._violation = violation
        self._buffer = b""
        self._offset = 0
        self._tail = bytearray()

    @property
    def buffered(self) -> int:
        """How many octets are held."""
        return len(self._buffer) - self._offset + len(self._tail)

    @property
    def pending(self) -> int:
        """How many octets of an unfinished frame are held; 0 between frames and while a whole one waits."""
        held = self.buffered
        if held < WORD:
            return held
        word = self._buffer[self._offset : self._offset + WORD] + self._tail[:WORD]
        (length,) = _LENGTH.unpack_from(word)
        return held if held < WORD + length else 0
