"""A listing: what a zone knows about one name or address, and the rule that says so.

@see: RFC 5782 section 2; gossip-srs-dns-spec 6.3 and 6.4.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv6Address
from typing import Final

from msgspec import Struct

MAX_TEXT: Final = 255  # octets of one TXT string (RFC 1035 section 3.3)
DEFAULT_CODE: Final = b"\x7f\0\0\2"  # 127.0.0.2 (RFC 5782 section 2.1)
DEFAULT_TTL: Final = 300  # seconds

# What a template holds where a name or a rule is filled in; no text that may be sent contains them.
NAME_MARK: Final = b"\0"
RULE_MARK: Final = b"\1"

_PRINTABLE: Final = bytes(octet for octet in range(0x20, 0x7F) if octet not in b'"\\')
_UNFIT: Final = bytes(octet for octet in range(256) if octet not in _PRINTABLE)
_NIBBLES: Final = 32


class RuleKind(Enum):
    """What a rule is made of, in order of precedence (6.3): what comes first decides."""

    EXCLUDE = "exclude"
    EXACT = "exact"
    SUFFIX = "suffix"
    SERIAL = "serial"
    GLOB = "glob"
    REGEX = "regex"
    NETWORK = "network"


class Values(Struct, frozen=True, gc=False):
    """What a rule answers with; rules of one text share it.

    @ivar codes: of the A record set, 4 octets each, in 127.0.0.0/8, at least one.
    @ivar template: of the TXT record, ready for L{Listing.text}; None: there is no TXT record.  See L{template_of}.
    @ivar ttl: seconds.
    @ivar added: when somebody entered it, seconds since the epoch; 0: it is not known.
    @ivar expires: when it ends, seconds since the epoch; 0: never.
    """

    codes: tuple[bytes, ...] = (DEFAULT_CODE,)
    template: bytes | None = None
    ttl: int = DEFAULT_TTL
    added: float = 0
    expires: float = 0


class Rule(Struct, frozen=True, gc=False):
    """Where a listing comes from.

    @ivar source: the file as the configuration names it, or a word such as C{bans}.
    @ivar line: in that file, from 1; 0: the source has no lines.
    """

    kind: RuleKind
    source: str
    line: int

    @property
    def ident(self) -> str:
        """What C{$r} stands for in a template: C{throwaway.zone:12}, without the directories."""
        name = self.source.rpartition("/")[2]
        return f"{name}:{self.line}" if self.line else name


class Listing(Struct, frozen=True, gc=False):
    """What a zone answers about one name or address.

    @ivar codes: addresses of the A record set, 4 octets each, at least one.
    @ivar ttl: seconds; never beyond the end of the rule.
    @ivar template: see L{Values}.
    """

    codes: tuple[bytes, ...]
    ttl: int
    rule: Rule
    template: bytes | None = None

    def text(self, name: bytes) -> bytes | None:
        """The TXT string about a name; None: there is none.  Printable ASCII, at most L{MAX_TEXT} octets (6.4).

        @param name: the labels left of the apex, joined with dots; if the rule is about addresses, they are turned
            round to the address as people write it.
        """
        template = self.template
        if template is None:
            return None
        if NAME_MARK in template:
            subject = address_text(name) if self.rule.kind is RuleKind.NETWORK else name
            template = template.replace(NAME_MARK, subject.translate(None, _UNFIT))
        if RULE_MARK in template:
            template = template.replace(RULE_MARK, cleaned(self.rule.ident.encode()))
        return template[:MAX_TEXT]


def template_of(text: bytes) -> bytes:
    """The template of a text: C{$} is the name, C{$r} the rule, C{$$} a dollar sign (6.4).

    What may not stand in an SMTP reply is left out: only printable ASCII stays, without quotation mark and backslash.
    """
    parts = text.translate(None, _UNFIT).split(b"$$")
    return b"$".join(part.replace(b"$r", RULE_MARK).replace(b"$", NAME_MARK) for part in parts)


def cleaned(text: bytes) -> bytes:
    """Text without what may not stand in a TXT string; the marks of a template go as well."""
    return text.translate(None, _UNFIT)


def address_text(reversed_labels: bytes) -> bytes:
    """The address of a name in a zone of addresses: C{4.3.2.1} is C{1.2.3.4}, 32 nibbles are an IPv6 address."""
    labels = reversed_labels.split(b".")[::-1]
    if len(labels) != _NIBBLES:
        return b".".join(labels)
    return str(IPv6Address(int(b"".join(labels), 16))).encode()
