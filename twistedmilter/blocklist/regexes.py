"""Reading regular expressions: what RE2 makes of one, and what every name that it matches has in common."""

from __future__ import annotations

import re
from typing import Final

from twistedmilter.blocklist.patterns import MAX_PATTERN, SET_WEIGHT, Pattern, check_syntax
from twistedmilter.blocklist.reach import ANY_DEPTH

_TOKEN: Final = re.compile(
    rb"\(\?(?:P?<\w*>|[a-zA-Z-]*[:)])|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|[a-zA-Z0-9_-]+(?![*+?{])|.", re.DOTALL
)
_LITERAL: Final = re.compile(rb"[a-z0-9_-]+|\\[.-]", re.IGNORECASE)
_REPEATS: Final = frozenset((b"*", b"+", b"?", b"{"))
_DOTS: Final = frozenset((b".", b"\\", b"["))  # what a token begins with that may match a dot
_WITHOUT_DOT: Final = frozenset(rb"\d \w \- \_ \b \z \A".split())  # escapes that never match a dot
_REPEAT: Final = re.compile(rb"\{(\d+)(?:,(\d*))?\}")
_RANGE: Final = re.compile(rb"([^\\])-(.)")


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
    if rb"\Q" in bare:
        raise ValueError(r"\Q is not taken: put a backslash before each character that is meant literally")
    check_syntax(bare)
    tokens = _TOKEN.findall(bare)
    if not forced and _begins_without_end(tokens):
        raise ValueError("it begins with a repetition without end, so it matches names of any beginning")
    weight = _weight(tokens) if b"{" in bare else len(bare)
    if weight > SET_WEIGHT:
        raise ValueError("its repetitions multiply to too much")
    return Pattern(bare, _head(tokens), b"", _depth(tokens), weight)


def _begins_without_end(tokens: list[bytes]) -> bool:
    """Whether the first thing in it, within any parentheses, is repeated without end."""
    seen = False
    for token in tokens:
        if seen:
            return token in {b"*", b"+"} or (token[:1] == b"{" and token[-2:] == b",}")
        seen = token[:1] not in b"(^"
    return False


def _head(tokens: list[bytes]) -> bytes:
    """The literal beginning in lower case; empty if it is one alternative of several."""
    if b"|" in tokens and _has_alternatives(tokens):
        return b""
    head = b""
    for at, token in enumerate(tokens):
        if _LITERAL.fullmatch(token) is None or (at + 1 < len(tokens) and tokens[at + 1][:1] in _REPEATS):
            break
        head += token.removeprefix(b"\\")
    return head.lower()


def _has_alternatives(tokens: list[bytes]) -> bool:
    """Whether it is a choice of several, outside any parentheses."""
    depth = 0
    for token in tokens:
        if token[:1] == b"(" and token[-1:] != b")":  # (?i) opens nothing
            depth += 1
        elif token == b")":
            depth -= 1
        elif token == b"|" and not depth:
            return True
    return False


def _depth(tokens: list[bytes]) -> int:
    """How many labels a matching name has at most; alternatives are added up, which errs to the safe side."""
    dots, starts = 0, [0]
    before = 0  # dots when the last thing that can be repeated began
    for token in tokens:
        first = token[:1]
        if first == b"(":
            if token[-1:] != b")":
                starts.append(dots)
        elif first == b")":
            before = starts.pop() if len(starts) > 1 else 0
        elif first in _REPEATS:
            if first != b"?" and dots > before:
                return ANY_DEPTH
        else:
            before = dots
            dots += first in _DOTS and _may_be_a_dot(token)
    return min(dots + 1, ANY_DEPTH)


def _weight(tokens: list[bytes]) -> int:
    """How many octets a pattern would have with its counted repetitions written out."""
    total, starts = 0, [0]
    before = 0  # the total when the last thing that can be repeated began
    for token in tokens:
        repeat = _REPEAT.fullmatch(token)
        if repeat is not None:
            total += (total - before) * (max(1, int(repeat[1]), int(repeat[2] or 0)) - 1)
        elif token == b")":
            before = starts.pop() if len(starts) > 1 else 0
        else:
            before = total
            if token[:1] == b"(" and token[-1:] != b")":
                starts.append(total)
        total += len(token)
    return total


def _may_be_a_dot(token: bytes) -> bool:
    if token in {rb"\.", b"."}:
        return True
    if token.startswith(b"\\"):
        return token not in _WITHOUT_DOT and not (len(token) == 2 and not token[1:].isalnum())
    return token.startswith(b"[") and _class_may_be_a_dot(token[1:-1])


def _class_may_be_a_dot(inner: bytes) -> bool:
    """Whether a class of characters has the dot in it; where that is hard to tell, yes."""
    if inner.startswith(b"^"):
        return b"." not in inner
    if b"." in inner or b"[:" in inner or (b"\\" in inner and re.search(rb"\\[^dw_-]", inner) is not None):
        return True
    return any(low <= b"." <= high for low, high in _RANGE.findall(inner))
