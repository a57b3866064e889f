"""Reading regular expressions: what RE2 makes of one, and what every name that it matches has in common."""

from __future__ import annotations

import re
from typing import Final

import re2

from twistedmilter.blocklist.patterns import MAX_PATTERN, SET_WEIGHT, Pattern, options
from twistedmilter.blocklist.reach import ANY_DEPTH

_TOKEN: Final = re.compile(rb"\(\?(?:P?<\w*>|[a-zA-Z-]*[:)])|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)
_LITERAL: Final = re.compile(rb"[a-z0-9_-]|\\[.-]", re.IGNORECASE)
_REPEATS: Final = (b"*", b"+", b"?", b"{")
_WITHOUT_DOT: Final = frozenset(rb"\d \w \- \_ \b \z \A \Q \E".split())  # escapes that never match a dot
_MEMORY: Final = 8 * 2**20


def regex_pattern(text: bytes, *, forced: bool = False) -> Pattern:
    """The pattern of a regular expression, which is for the whole name; C{^} and C{$} at its ends change nothing.

    @param forced: it may begin with a repetition without end, which matches any name that ends in the right way.
    @raise ValueError: RE2 cannot read it, it is too long or too wide; the text says why.
    """
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} octets, this one {len(text)}")
    bare = text.removeprefix(b"^")
    if bare.endswith(b"$") and not bare.endswith(b"\\$"):
        bare = bare[:-1]
    if not bare:
        raise ValueError("the pattern is empty")
    try:
        re2.compile(bare, options(_MEMORY))
    except re2.error as error:
        raise ValueError(f"RE2 cannot read it: {_words_of(error)}") from None
    tokens = _TOKEN.findall(bare)
    if not forced and _begins_without_end(tokens):
        raise ValueError("it begins with a repetition without end, so it matches names of any beginning")
    pattern = Pattern(bare, _head(tokens), b"", _depth(tokens))
    if pattern.weight > SET_WEIGHT:
        raise ValueError("its repetitions multiply to too much")
    return pattern


def _words_of(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)


def _begins_without_end(tokens: list[bytes]) -> bool:
    """Whether the first thing in it, within any parentheses, is repeated without end."""
    inner = [token for token in tokens if token != b"^" and not token.startswith(b"(")][:2]
    return len(inner) == 2 and _is_endless(inner[1])


def _opens(token: bytes) -> bool:
    """Whether it opens a group; C{(?i)} does not."""
    return token.startswith(b"(") and not token.endswith(b")")


def _is_endless(token: bytes) -> bool:
    return token in {b"*", b"+"} or (token.startswith(b"{") and token.endswith(b",}"))


def _head(tokens: list[bytes]) -> bytes:
    """The literal beginning in lower case; empty if it is an alternative of several."""
    depth = 0
    for token in tokens:
        depth += _opens(token) - (token == b")")
        if token == b"|" and not depth:
            return b""
    head: list[bytes] = []
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else b""
        if _LITERAL.fullmatch(token) is None or following.startswith(_REPEATS):
            break
        head.append(token[-1:].lower())
    return b"".join(head)


def _depth(tokens: list[bytes]) -> int:
    """How many labels a matching name has at most; alternatives are added up, which errs to the safe side."""
    dots, starts = 0, [0]
    before = 0  # dots when the last thing that can be repeated began
    for token in tokens:
        if _opens(token):
            starts.append(dots)
        elif token == b")":
            before = starts.pop() if len(starts) > 1 else 0
        elif token.startswith(_REPEATS):
            if token != b"?" and dots > before:
                return ANY_DEPTH
        elif not token.startswith(b"("):
            before = dots
            dots += _may_be_a_dot(token)
    return min(dots + 1, ANY_DEPTH)


def _may_be_a_dot(token: bytes) -> bool:
    if token in {rb"\.", b"."}:
        return True
    if token.startswith(b"\\"):
        return token not in _WITHOUT_DOT and not (len(token) == 2 and not token[1:].isalnum())
    if token.startswith(b"["):
        return re2.compile(token, options(_MEMORY)).fullmatch(b".") is not None
    return False
