"""DNS lists of others: what is asked of them, and what their answers mean (RFC 5782)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final

from msgspec import Struct

from twistedmilter.model.dnsbl_settings import DnsListSettings, ListKind
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.keywords import Keyword, parse_keyword
from twistedmilter.policy.networks import plain

MAX_NAME: Final = 253  # characters of a domain name in text (RFC 1035 section 2.3.4)
MAX_TEXT: Final = 200  # characters of a list's own words in a reply
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMERIC_END: Final = re.compile(r"(^|\.)[0-9]+$")
_FIELD: Final = r"(\d{1,3}|\[[0-9.;]+\])"
_PATTERN: Final = re.compile(rf"{_FIELD}\.{_FIELD}\.{_FIELD}\.{_FIELD}")
_SPAN: Final = re.compile(r"(\d{1,3})(?:\.\.(\d{1,3}))?")
_LOOPBACK: Final = ip_network("127.0.0.0/8")
_ERRORS: Final = ip_network("127.255.255.0/24")
_NOT_LISTED: Final = IPv4Address("127.0.0.1")
_ALLOWED: Final = "allowed are 127.0.0.2, 127.0.0.4/30 and 127.0.0.[2..5;9]"


class CodeFilter(Struct, frozen=True):
    """A set of return codes: what each of the four octets may be.

    @ivar text: as it was written.
    """

    text: str
    octets: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, text: str) -> CodeFilter:
        """The codes of C{127.0.0.2}, C{127.0.0.4/30} or C{127.0.0.[2..5;9]} (postconf(5), reject_rbl_client).

        @raise ValueError: none of these, or codes that no list means as a listing; the text names the entry.
        """
        written = text.strip()
        match = _PATTERN.fullmatch(written)
        octets = _of_fields(match.groups(), text) if match is not None else _of_range(written, text)
        if octets[0] != {127}:
            raise ValueError(f"{text!r:.60} is no return code: those are in 127.0.0.0/8 (RFC 5782); {_ALLOWED}")
        if octets[:3] == _as_sets("127.255.255") or octets == _as_sets("127.0.0.1"):
            raise ValueError(f"{text!r:.60} is how lists say that they may not be asked, never a listing; {_ALLOWED}")
        return cls(written, octets)

    def matches(self, code: IPv4Address) -> bool:
        """Whether the code is in the set."""
        return all(octet in allowed for octet, allowed in zip(code.packed, self.octets, strict=True))


def _as_sets(text: str) -> tuple[frozenset[int], ...]:
    return tuple(frozenset({int(octet)}) for octet in text.split("."))


def _of_fields(fields: Iterable[str], text: str) -> tuple[frozenset[int], ...]:
    sets = []
    for each in fields:
        numbers: set[int] = set()
        for span in each.strip("[]").split(";"):
            match = _SPAN.fullmatch(span)
            first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (256, 256)
            if not first <= last <= 255:
                raise ValueError(f"{text!r:.60} is no return code: {span!r:.20} is no number up to 255; {_ALLOWED}")
            numbers.update(range(first, last + 1))
        sets.append(frozenset(numbers))
    return tuple(sets)


def _of_range(written: str, text: str) -> tuple[frozenset[int], ...]:
    """A range is a product of what each octet may be."""
    try:
        network = ip_network(written)
    except ValueError as problem:
        raise ValueError(f"{text!r:.60} is no return code: {problem}; {_ALLOWED}") from None
    first, last = network.network_address.packed, network.broadcast_address.packed
    return tuple(frozenset(range(low, high + 1)) for low, high in zip(first, last, strict=True))


def parse_codes(table: Mapping[str, str]) -> tuple[tuple[CodeFilter, Keyword], ...]:
    """What to do by return code, in the order of the table.

    @raise ValueError: it is empty, or a code or a word cannot be read; the text names the entry.
    """
    if not table:
        raise ValueError("codes is empty: no answer would mean anything")
    try:
        return tuple((CodeFilter.parse(code), parse_keyword(word)) for code, word in table.items())
    except ValueError as problem:
        raise ValueError(f"codes: {problem}") from None


def wrong_answer(code: IPv4Address) -> str:
    """Why an answer says nothing of who was asked about, but something of the list; empty if it is a code.

    127.255.255.0/24 and 127.0.0.1 are what lists answer to who may not ask; anything outside 127.0.0.0/8 comes from
    whoever has the domain now, or from a resolver that rewrites what does not exist.
    """
    if code in _ERRORS or code == _NOT_LISTED:
        return f"it answers {code}, by which lists say that we may not ask, or not through this resolver"
    if code not in _LOOPBACK:
        return f"it answers {code}, which is no return code (RFC 5782 section 2.1)"
    return ""


class DnsList(Struct, frozen=True):
    """One list.

    @ivar zone: lower case, A-labels. @ivar codes: what to do by return code; the first that matches decides.
    @ivar probe: what must be listed: an address, or a name.
    """

    zone: str
    kind: ListKind
    codes: tuple[tuple[CodeFilter, Keyword], ...]
    probe: str

    @classmethod
    def parse(cls, settings: DnsListSettings) -> DnsList:
        """The list of a table.

        @raise ValueError: its zone, a code, a word or its probe cannot be used; the text names it.
        """
        zone = folded_domain(settings.zone.strip().lstrip("."))
        if not is_name(zone) or "." not in zone:
            raise ValueError(f"{settings.zone!r:.80} is no domain of a list, such as bl.example.net")
        codes = parse_codes(settings.codes)
        probe = settings.probe.strip() or ("127.0.0.2" if settings.kind == "client" else "test")
        parsed = cls(zone, settings.kind, codes, probe)
        if not parsed.query(probe):
            wanted = "address" if settings.kind == "client" else "name"
            raise ValueError(f"probe: {probe!r:.80} is no {wanted} that could be listed")
        return parsed

    def query(self, subject: str) -> str:
        """The name to ask for; empty if this list cannot have the subject.

        @param subject: an address, for a list of clients; else a domain.
        """
        if self.kind == "client":
            try:
                labels = reversed_address(ip_address(subject))
            except ValueError:
                return ""
        else:
            labels = folded_domain(subject)
            if not is_name(labels):
                return ""
        name = f"{labels}.{self.zone}"
        return name if len(name) <= MAX_NAME else ""

    @property
    def never_listed(self) -> str:
        """The name of the entry that must not be there (RFC 5782 sections 5 and 2.2)."""
        return self.query("127.0.0.1" if self.kind == "client" else "invalid")

    def entry(self, codes: Sequence[IPv4Address]) -> tuple[CodeFilter, Keyword] | None:
        """What the answers mean; None if no entry names any of them."""
        return next((each for each in self.codes if any(each[0].matches(code) for code in codes)), None)


def reversed_address(ip: IPAddress) -> str:
    """The labels of an address: octets, or nibbles for IPv6, the last first (RFC 5782 sections 2.1 and 2.4)."""
    return plain(ip).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def is_name(name: str) -> bool:
    """Whether this is a host name in lower case that is no address."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None and _NUMERIC_END.search(name) is None


def clean_text(strings: Iterable[bytes]) -> str:
    """What a list says of an entry, fit for a reply: printable ASCII without quotes and backslashes, cut.

    @param strings: the character-strings of a TXT record.
    """
    text = b"".join(strings).decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")
    kept = "".join(char if " " <= char <= "~" and char not in '"\\' else " " for char in text)
    words = " ".join(kept.split())
    return words if len(words) <= MAX_TEXT else words[: MAX_TEXT - 3].rstrip() + "..."
