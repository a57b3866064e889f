"""Reverse-paths and forward-paths in canonical form (seed-spec D01, D02, D13, Z01)."""

from __future__ import annotations

import re

from msgspec import Struct

_ATOM = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+)*"
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SOURCE_ROUTE = re.compile(r"@[^:\s\"]*:")  # RFC 5321 section 4.1.2 A-d-l; to be ignored, section 3.3


class Mailbox(Struct, frozen=True):
    """A reverse-path or forward-path, parsed.

    @ivar raw: as the MTA gave it, without the angle brackets.
    @ivar local_part: unquoted; its case is kept (RFC 5321 section 2.4).
    @ivar domain: lower case without a trailing dot, or the address-literal; empty when unqualified.
    """

    raw: str
    local_part: str
    domain: str

    @property
    def is_null(self) -> bool:
        """Whether this is the null reverse-path of RFC 5321 section 4.5.5."""
        return not self.raw

    @property
    def is_qualified(self) -> bool:
        """Whether there is a domain to judge (seed-spec D13)."""
        return bool(self.domain)

    @property
    def canonical(self) -> str:
        """The shortest spelling of the same mailbox: quotes only where the grammar needs them."""
        if not self.local_part and not self.domain:
            return ""
        local = self.local_part
        if _ATOM.fullmatch(local) is None:
            local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """The canonical form in lower case, for tables and sets (seed-spec LL-16)."""
        return self.canonical.lower()

    def __str__(self) -> str:
        """The path as people write it, in angle brackets."""
        return f"<{self.canonical}>"


NULL_MAILBOX = Mailbox("", "", "")


def _last_at_outside_quotes(text: str) -> int:
    """The index of the C{@} before the domain, or -1 (seed-spec LL-22: the last one decides)."""
    quoted = escaped = False
    position = -1
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\" and quoted:
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "@" and not quoted:
            position = index
    return position if not quoted else text.rfind("@")


def parse_path(path: str) -> Mailbox:
    """The mailbox of a path as an MTA hands it over; never fails, odd input stays odd.

    @param path: with or without angle brackets; empty and C{<>} are the null reverse-path.
    """
    raw = path.strip()
    if raw.startswith("<") and raw.endswith(">"):
        raw = raw[1:-1]
    if not raw:
        return NULL_MAILBOX
    text = raw
    if text.startswith("@") and (route := _SOURCE_ROUTE.match(text)):
        text = text[route.end() :]
    # most paths have one @ and no quotes
    at = text.rfind("@") if '"' not in text else _last_at_outside_quotes(text)
    local, domain = (text[:at], text[at + 1 :]) if at >= 0 else (text, "")
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return Mailbox(raw, local, domain.lower().rstrip("."))
