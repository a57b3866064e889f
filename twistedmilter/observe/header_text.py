"""Header field values as people read them (RFC 2047); for logs only, nothing is decided by it."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, a2b_qp

MAX_VALUE = 998  # octets looked at, the longest line of RFC 5322 section 2.1.1
_ENCODED_WORD = re.compile(r"=\?([!#$%&'+\-0-9A-Z^_`a-z{|}~]+)(?:\*[^?]*)?\?([bBqQ])\?([^? ]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")  # RFC 2047 section 6.2: not displayed
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "iso-8859-2", "windows-1252", "windows-1251"})
_MORE_CHARSETS = frozenset({"koi8-r", "gb2312", "gbk", "gb18030", "big5", "iso-2022-jp", "shift_jis", "euc-kr"})


def unfolded(value: str) -> str:
    """A value on one line, its folds and runs of blanks as one blank."""
    return " ".join(value.split())


def _decoded(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    if charset.lower() not in _CHARSETS | _MORE_CHARSETS:
        return match[0]  # others may be slow codecs, or none
    try:
        octets = a2b_base64(text) if encoding in "bB" else a2b_qp(text.replace("_", " "))
        return octets.decode(charset, "replace")
    except (Error, ValueError):
        return match[0]


def decoded_words(value: bytes) -> str:
    """A raw value with its encoded-words decoded, unfolded; odd ones stay as they are."""
    text = unfolded(value[:MAX_VALUE].decode("utf-8", "surrogateescape"))
    if "=?" not in text:
        return text
    return _ENCODED_WORD.sub(_decoded, _BETWEEN_WORDS.sub(r"\1", text))
