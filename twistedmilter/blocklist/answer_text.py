"""What stands behind an entry: code and text, and how the text becomes a template.

@see: rbldnsd(8), "Resulting A values and TXT templates".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.listing import DEFAULT_CODE, NAME_MARK, RULE_MARK, Values, cleaned
from twistedmilter.blocklist.problems import LineError

ALLOWED: Final = "write :127.0.0.2:reason, :2:reason, :2 or reason"
MAX_TEMPLATE: Final = 1_000  # octets; what is sent is cut anyway
_RAW: Final = b"\2"  # what a template begins with until the end of its file
UNSET_TTL: Final = -1  # until the end of the file, which may say more
_CODE: Final = re.compile(rb":([0-9.]*)[ \t]*(:?)")
_REFERENCE: Final = re.compile(rb"\$(\$|[0-9]|=|r)?")


class Default(Struct, frozen=True):
    """What an entry answers with that says nothing itself.

    @ivar text: as written; None: there is no TXT record.
    """

    code: bytes = DEFAULT_CODE
    text: bytes | None = None


def parse_answer(text: bytes, default: Default, *, is_native: bool) -> Default:
    """Code and text of what stands behind an entry, or in a line of defaults.

    @param default: what is not written. @param is_native: the code must be one of 127.0.0.0/8 (6.4).
    @raise LineError: it cannot be read; its column counts from the beginning of C{text}.
    """
    text = text.strip(b" \t\r\n")
    if not text or text[:1] in b"#;":
        return default
    if text[:1] != b":":
        return Default(default.code, _kept(text))
    form = _CODE.match(text)
    assert form is not None
    code = _code(form[1], is_native=is_native)
    rest = text[form.end() :].strip(b" \t")
    if form[2]:
        return Default(code, _kept(rest) if rest else None)
    if rest:
        raise LineError("a second colon is missing between code and reason", ALLOWED, form.end() + 1)
    return Default(code, default.text)


def _code(text: bytes, *, is_native: bool) -> bytes:
    """The four octets of a code; C{4} is 127.0.0.4."""
    if text.isdigit() and 0 < int(text) < 256:
        return DEFAULT_CODE[:3] + bytes([int(text)])
    try:
        code = IPv4Address(text.decode()).packed
    except ValueError:
        raise LineError(f"{text.decode() or 'nothing'!r} is no code", ALLOWED, 2) from None
    if is_native and code[0] != 127:
        raise LineError(f"the code {text.decode()} is not in 127.0.0.0/8", ALLOWED, 2)
    return code


def _kept(text: bytes) -> bytes:
    return cleaned(text.replace(b"\t", b" "))[:MAX_TEMPLATE]


def raw_values(answer: Default, ttl: int, added: float, expires: float) -> Values:
    """Values whose template and TTL are settled at the end of the file, by L{settle}."""
    template = None if answer.text is None else _RAW + answer.text
    return Values((answer.code,), template, ttl, added, expires)


def settle(values: Values, ttl: int, variables: Mapping[bytes, bytes], *, is_native: bool) -> Values:
    """Values with what the whole file says filled in.

    @param ttl: of entries that have none. @param variables: C{$0} to C{$9} and C{$=} by their last octet.
    """
    template = values.template
    base = variables.get(b"=")
    if template is None and base is not None:
        template = _RAW + b"$"
    if template is not None and template[:1] == _RAW:
        template = expand(template[1:], variables, is_native=is_native)
    return Values(values.codes, template, ttl if values.ttl == UNSET_TTL else values.ttl, values.added, values.expires)


def expand(text: bytes, variables: Mapping[bytes, bytes], *, is_native: bool) -> bytes:
    """The template of a text: C{$} is the name, C{$$} a dollar sign, C{$1} a variable, in our own files C{$r} the rule.

    The base template C{$=} goes around every text that does not begin with C{=}.
    """
    base = variables.get(b"=")
    if text[:1] == b"=":
        text, base = text[1:], None

    def filled(reference: re.Match[bytes], inner: bytes) -> bytes:
        mark: bytes | None = reference[1]
        if mark is None:
            return NAME_MARK
        if mark == b"$":
            return b"$"
        if mark == b"r":
            return RULE_MARK if is_native else NAME_MARK + b"r"
        return inner if mark == b"=" else variables.get(mark, reference[0])

    text = _REFERENCE.sub(lambda reference: filled(reference, b"$="), text)
    return text if base is None else _REFERENCE.sub(lambda reference: filled(reference, text), base)
