"""SMTP replies: octets in, values out (RFC 5321 section 4.2)."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from twistedmilter.errors import ProtocolViolation

MAX_LINE: Final = 2_048  # octets of a reply line with its line end; RFC 5321 section 4.5.3.1.5 says 512
MAX_LINES: Final = 50  # lines of one reply
MAX_REPLY: Final = 8_192  # octets of one reply
MAX_QUOTE: Final = 200  # characters of foreign text that we repeat

_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_STATUS_LAST: Final = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\)\s*$")  # where qmail has it
_CUT: Final = "..."


class Reply(Struct, frozen=True):
    """One reply of an SMTP server.

    @ivar code: reply code, 200 to 599.
    @ivar lines: the text of each line without the code; octets that are not UTF-8 are surrogates (PEP 383).
    """

    code: int
    lines: tuple[str, ...]

    @property
    def status(self) -> str:
        """The status code that begins the first line (RFC 2034 section 4) or ends the last, or an empty text."""
        match = _STATUS.match(self.lines[0]) or _STATUS_LAST.search(self.lines[-1])
        return match[1] if match is not None and match[1][0] == str(self.code)[0] else ""

    @property
    def first_word(self) -> str:
        """The first word of the text in lower case: the server's name in a banner and in answer to EHLO."""
        words = self.lines[0].split(maxsplit=1)
        return words[0].lower().rstrip(".") if words else ""

    @property
    def quoted(self) -> str:
        """The code and the text as one printable line of at most L{MAX_QUOTE} characters."""
        return quotable(" ".join([str(self.code), *self.lines]))


def quotable(text: str, limit: int = MAX_QUOTE) -> str:
    """Foreign text that may stand in a reply, a header field or a log line of ours.

    Everything but printable ASCII becomes C{?}; runs of blanks become one.

    @param limit: characters of the answer; a longer text ends in C{...}.
    """
    plain = " ".join("".join(char if " " <= char <= "~" or char.isspace() else "?" for char in text).split())
    return plain if len(plain) <= limit else plain[: limit - len(_CUT)] + _CUT


class ReplyDecoder:
    """Splits a stream of octets into replies, however it was cut.

    A line may end in LF alone; some servers do that.
    """

    __slots__ = ("_buffer", "_code", "_lines", "_searched", "_size")

    def __init__(self) -> None:
        """Start between replies."""
        self._buffer = bytearray()
        self._searched = 0
        self._code = b""
        self._lines: list[str] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything that came was used up by whole replies."""
        return not self._buffer and not self._lines

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        self._buffer += data

    def next_reply(self) -> Reply | None:
        """The next whole reply; None when more octets are needed.

        @raise ProtocolViolation: no reply, one with different codes, or one over a limit; nothing is read after it.
        """
        while (line := self._next_line()) is not None:
            match = _LINE.fullmatch(line)
            if match is None:
                raise ProtocolViolation("what came is no SMTP reply", line)
            code, hyphen, text = match.groups()
            if self._code and code != self._code:
                raise ProtocolViolation("the lines of one reply have different codes", line)
            self._code = code
            self._lines.append((text or b"").decode("utf-8", "surrogateescape"))
            if hyphen != b"-":
                return self._finish()
            if len(self._lines) >= MAX_LINES:
                raise ProtocolViolation(f"a reply has more than {MAX_LINES} lines", line)
        return None

    def _next_line(self) -> bytes | None:
        """A line without its end; the limits hold for what is not whole yet, too."""
        end = self._buffer.find(b"\n", self._searched, MAX_LINE)
        if end < 0:
            if len(self._buffer) >= MAX_LINE:
                raise ProtocolViolation(f"a reply line is longer than {MAX_LINE} octets", bytes(self._buffer[:64]))
            self._searched = len(self._buffer)
            return None
        self._size += end + 1
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        if self._size > MAX_REPLY:
            raise ProtocolViolation(f"a reply is longer than {MAX_REPLY} octets", line)
        return line.removesuffix(b"\r")

    def _finish(self) -> Reply:
        reply = Reply(int(self._code), tuple(self._lines))
        self._code, self._lines, self._size = b"", [], 0
        return reply
