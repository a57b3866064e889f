"""Taking addresses apart for signing, and saying which ones cannot be signed."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_LOCAL_PART: Final = 64  # octets; RFC 5321 section 4.5.3.1.1
MAX_DOMAIN: Final = 255  # octets; RFC 5321 section 4.5.3.1.2
MAX_PATH: Final = 254  # octets; RFC 5321 section 4.5.3.1.3, without the angle brackets
MAX_INPUT: Final = 512  # octets that are looked at; PostSRSd's limit

_DOT_STRING: Final = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"')
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_\-\x80-\U0010ffff]+(\.[A-Za-z0-9_\-\x80-\U0010ffff]+)*")


class Unsignable(Exception):  # noqa: N818 - it is nobody's fault
    """An address that has to stay as it is; the text says why."""


class Parts(NamedTuple):
    """An address in its parts.

    @ivar local: without the quotes, but with the backslashes that stood in them.
    @ivar domain: as given.
    @ivar quoted: whether there were quotes.
    """

    local: str
    domain: str
    quoted: bool

    def with_local(self, local: str, domain: str) -> str:
        """Another address, quoted if this one was or if it has to be."""
        if self.quoted or _DOT_STRING.fullmatch(local) is None:
            return f'"{local}"@{domain}'
        return f"{local}@{domain}"


def octets_of(text: str) -> bytes:
    """The octets that a text was decoded from."""
    return text.encode("utf-8", "surrogateescape")


def split_address(address: str) -> Parts:
    """The parts of an address.

    @param address: local-part and domain, without angle brackets; octets that are not UTF-8 as surrogate escapes.
    @raise Unsignable: it is not one address of RFC 5321 with a domain name.
    """
    if len(address) > MAX_INPUT:
        raise Unsignable("address too long")
    local, at, domain = address.rpartition("@")
    if not at:
        raise Unsignable("no domain")
    if _DOMAIN.fullmatch(domain) is None:
        raise Unsignable("the domain is not a domain name")
    if _DOT_STRING.fullmatch(local) is not None:
        return Parts(local, domain, quoted=False)
    quoted = _QUOTED.fullmatch(local)
    if quoted is None:
        raise Unsignable("not one plain address")
    return Parts(quoted[1], domain, quoted=True)


def fitting(address: str, max_local_part: int = MAX_LOCAL_PART) -> str:
    """The address, if mail servers have to take it.

    @param max_local_part: RFC 5321's limit, or what the administrator knows to work. [octets]
    @raise Unsignable: it exceeds a limit of RFC 5321 section 4.5.3.1.
    """
    octets = octets_of(address)
    local = octets.rfind(b"@")
    if local > max_local_part:
        raise Unsignable(f"the local part would have {local} octets, allowed are {max_local_part}")
    if len(octets) - local - 1 > MAX_DOMAIN or len(octets) > MAX_PATH + max_local_part - MAX_LOCAL_PART:
        raise Unsignable("the address would be longer than RFC 5321 allows")
    return address
