"""Authentication results as values (RFC 8601); the header field is written from them."""

from __future__ import annotations

import re

from msgspec import Struct

_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")  # RFC 2045 token, what an unquoted value may be
# what may be bare, too: an address, or a token with colons, as IPv6 has them; possessive, or a long value takes minutes
_PVALUE = re.compile(
    r"[!#$%&'*+\-./0-9A-Z^_`a-z{|}~]*+@[!#$%&'*+\-.0-9A-Z^_`a-z{|}~:]++|[!#$%&'*+\-.0-9A-Z^_`a-z{|}~:]++"
)


def quoted(value: str) -> str:
    """A value as RFC 8601 section 2.2 wants it: bare where it may be, else a quoted-string."""
    if _TOKEN.fullmatch(value):
        return value
    cleaned = "".join(char if char.isprintable() else "?" for char in value)
    return '"' + cleaned.replace("\\", "\\\\").replace('"', '\\"') + '"'


class AuthResult(Struct, frozen=True):
    """One method's result.

    @ivar method: C{spf}, C{iprev}, C{auth} (RFC 8601 section 2.7).
    @ivar result: the method's own word, e.g. C{pass}, C{softfail}.
    @ivar properties: pairs of C{ptype.property} and value, in the order to be written.
    @ivar reason: free text; empty writes none.
    """

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        """The resinfo of RFC 8601 section 2.2, without the leading semicolon."""
        words = [f"{self.method}={self.result}"]
        if self.reason:
            words.append(f"reason={quoted(self.reason)}")
        words += [
            f"{name}={value if _PVALUE.fullmatch(value) else quoted(value)}" for name, value in self.properties if value
        ]
        return " ".join(words)


def authentication_results(authserv_id: str, results: list[AuthResult]) -> str:
    """The value of one Authentication-Results field, folded, one result a line.

    @see: RFC 8601 section 2.2; without results it says C{none}.
    """
    if not results:
        return f"{authserv_id}; none"
    return f"{authserv_id};\n\t" + ";\n\t".join(str(result) for result in results)
