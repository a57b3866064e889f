"""Text from the network as one printable line (reliability O1)."""

from __future__ import annotations

MAX_FIELD = 256  # characters of one field in a log line
MAX_LINE = 8192  # octets of a log line, without its line end

_SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CUT = "..."


def _escape(char: str) -> str:
    """One character, in the spelling of C where it is not printable."""
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # an octet that was not UTF-8, see L{twistedmilter.model.modification}
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str, limit: int = MAX_FIELD) -> str:
    r"""A text that stays on its line and means what it shows.

    Printable text passes unchanged.  Control characters, line and paragraph separators, bidi controls and
    everything else that C{str.isprintable} denies become C{\n}, C{\xNN} (also octets that are not UTF-8),
    C{\uNNNN} or C{\UNNNNNNNN}; a backslash is doubled.

    @param limit: characters of the answer; a longer text ends in C{...}.
    """
    if len(text) <= limit and text.isprintable() and "\\" not in text:
        return text
    pieces: list[str] = []
    room = limit
    for char in text[: limit + 1]:
        piece = _escape(char)
        room -= len(piece)
        pieces.append(piece)
        if room < 0:
            return _cut(pieces, limit)
    return "".join(pieces)


def _cut(pieces: list[str], limit: int) -> str:
    """As many whole pieces as leave room for the sign that something is missing."""
    length = sum(map(len, pieces))
    while pieces and length > limit - len(_CUT):
        length -= len(pieces.pop())
    return "".join(pieces) + _CUT


def one_word(text: str, limit: int = MAX_FIELD) -> str:
    r"""A text as one word of a C{key=value} line: blanks become C{\x20}; nothing is C{-}."""
    return one_line(text, limit).replace(" ", "\\x20") or "-"


def short_line(line: str) -> str:
    """A sanitised line of at most L{MAX_LINE} octets of UTF-8."""
    if len(line) * 4 <= MAX_LINE:
        return line
    octets = line.encode()
    if len(octets) <= MAX_LINE:
        return line
    return octets[: MAX_LINE - len(_CUT)].decode("utf-8", "ignore") + _CUT
