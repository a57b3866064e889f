"""pyspf over answers that are known already: one pass of an evaluation, without waiting.

pyspf blocks, so it is never given the network.  L{Evaluation} overrides the one method that would ask it,
C{query.dns}; a question without a known answer is noted in L{KnownAnswers.missing} and ends the pass.  The list
counts and not the exception, because pyspf has a bare C{except} that eats it.

Three things differ from stock pyspf, to be as RFC 7208 says: C{exp=} is asked for only on fail (section 6.2), an
error in looking up PTR names is no match (section 5.5), and a record that would cost too much is a permerror.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import spf
from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer, IResolver

MAX_HOSTS: Final = 10  # of one MX or PTR answer (RFC 7208 section 4.6.4)
MAX_TEXT: Final = 4096  # octets of one TXT record (reliability A10)
MAX_DOMAIN_SPEC: Final = 255  # characters before expansion; pyspf's check of it takes quadratic time
MAX_MACROS: Final = 256  # expanded in one evaluation

Key = tuple[str, RdataType]
Values = list[Any]  # as pyspf has them: address texts, (preference, name), names, one-tuples of octets


class MissingAnswerError(BaseException):
    """A pass cannot go on; a BaseException so that C{except Exception} lets it through."""


class Known(Struct, frozen=True):
    """One answer as pyspf wants it.

    @ivar note: C{nodata}, C{nxdomain}, or why there is no answer.
    """

    values: Values
    note: str = ""
    failed: bool = False

    def __str__(self) -> str:
        """The answer for people, e.g. C{192.0.2.1, 192.0.2.2} or C{nxdomain}."""
        return ", ".join(map(_value_text, self.values)) or self.note or "nothing of use"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value[0], bytes):
        return f'"{shown(value[0].decode("latin-1"))}"'
    return f"{value[0]} {shown(value[1]) or '.'}"


def shown(text: str) -> str:
    """Text from the network for people: what is not printable US-ASCII is escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in text)


@dataclass(slots=True)
class KnownAnswers:
    """The DNS as one evaluation sees it: what was used stays the same through all passes.

    @ivar used: in the order of first use.
    @ivar missing: what the last pass stopped for.
    @ivar address_type: the type that holds addresses of the client's family.
    @ivar expires: reactor seconds after which the first answer in use is stale; 0 once a lookup has failed.
    """

    resolver: IResolver
    address_type: RdataType
    expires: float = inf
    used: dict[Key, Known] = field(default_factory=dict)
    missing: list[Key] = field(default_factory=list)

    def get(self, key: Key) -> Known:
        """What is known of a question.

        @raise MissingAnswerError: nothing; it is noted.
        """
        known = self.used.get(key)
        if known is None:
            answer = self.resolver.cached(*key)
            if answer is None:
                self.missing.append(key)
                raise MissingAnswerError
            known = self._use(key, answer)
        return known

    def learn(self, key: Key, outcome: Answer | TemporaryFailure) -> None:
        """Take what a lookup brought."""
        if isinstance(outcome, TemporaryFailure):
            self.used[key] = Known([], str(outcome), failed=True)
            self.expires = 0.0
        else:
            self._use(key, outcome)

    def _use(self, key: Key, answer: Answer) -> Known:
        known = self.used[key] = known_from(answer)
        self.expires = min(self.expires, answer.expires)
        return known

    def unknown_hosts(self) -> list[Key]:
        """Questions for the addresses of all MX and PTR names in use; each of them will be needed."""
        names = (name for (_, rdtype), known in self.used.items() for name in _host_names(rdtype, known.values))
        keys = dict.fromkeys((name.lower(), self.address_type) for name in names)
        return [key for key in keys if key not in self.used and self.resolver.cached(*key) is None]

    def text(self, key: Key) -> str:
        """A question that was used, with its answer, for people."""
        known = self.used[key]
        # the note of a failure names the question itself
        return known.note if known.failed else f"{key[1].name} {shown(key[0])}: {known}"

    def texts(self) -> tuple[str, ...]:
        """All of them, in the order of first use."""
        return tuple(map(self.text, self.used))


def _host_names(rdtype: RdataType, values: Values) -> Iterator[str]:
    if rdtype is RdataType.MX and len(values) <= MAX_HOSTS:  # more are a permerror
        return (name for _, name in values if name)
    return iter(values[:MAX_HOSTS] if rdtype is RdataType.PTR else ())


def known_from(answer: Answer) -> Known:
    """An answer in pyspf's terms."""
    values = [value for record in answer.records for value in _value(answer.rdtype, record)]
    if answer.rdtype is RdataType.MX:
        values.sort()
    return Known(values, "" if answer.records else answer.status.value)


def _value(rdtype: RdataType, record: Any) -> Iterator[Any]:
    match rdtype:
        case RdataType.A | RdataType.AAAA:
            yield record.address
        case RdataType.TXT:
            text = b"".join(record.strings)
            if len(text) <= MAX_TEXT or spf.RE_SPF.match(text):
                yield (text,)
        case RdataType.MX:
            yield record.preference, _name(record.exchange)  # a null MX (RFC 7505) has the empty name
        case RdataType.PTR:
            yield _name(record.target)


def _name(name: Any) -> str:
    return b".".join(name.labels).decode("latin-1").removesuffix(".")


class PendingExplanation(Struct, frozen=True):
    """Where the explanation is; asked for when the result is fail and not before.

    @ivar domain: the domain whose record named it, for the macros.
    """

    domain_spec: str
    domain: str


class Evaluation(spf.query):  # type: ignore[misc]  # pyspf has no types
    """One pass.

    @ivar record: the SPF record of the domain, or empty; None before it was asked for.
    """

    def __init__(self, ip: str, local_part: str, domain: str, helo: str, answers: KnownAnswers) -> None:
        """Prepare; C{local_part}, C{domain} and C{helo} are US-ASCII."""
        super().__init__(i=ip, s=f"{local_part}@{domain}", h=helo, strict=True, querytime=0)
        # pyspf splits at the first @; the local-part may hold one in quotes
        self.l, self.o, self.d = local_part, domain, domain
        self.record: str | None = None
        self.answers = answers
        self._macros = 0
        self._explained = False

    @property
    def is_general(self) -> bool:
        """Whether other mailboxes and HELO names would have had the same outcome.

        They would if no macro was expanded.  An explanation is rare, and may have been left out for want of time.
        """
        return not self._macros and not self._explained

    def run(self) -> tuple[str, Any] | None:
        """The result and its explanation, maybe pending; None if an answer is missing."""
        try:
            result, _, explanation = self.check()
        except MissingAnswerError:
            return None
        return result, explanation

    def explain(self, pending: PendingExplanation) -> str | None:
        """The domain's own text, empty if it has no usable one; None if an answer is missing."""
        self._explained = True
        self.d, self.void_lookups = pending.domain, 0
        try:
            text = super().get_explanation(pending.domain_spec)
        except MissingAnswerError:
            return None
        except (spf.TempError, spf.PermError):  # RFC 7208 section 6.2: as if there were no exp
            return ""
        return text or ""

    def get_explanation(self, spec: str) -> PendingExplanation:
        """Not yet; pyspf hands it through as if it were the text."""
        return PendingExplanation(spec, self.d)

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> Values:  # noqa: ARG002
        """The values known for a question, CNAME chains followed by the resolver.

        @raise spf.TempError: the lookup failed.
        @raise spf.PermError: too many void lookups (RFC 7208 section 4.6.4), or a record that is too long.
        """
        name = name.lower().removesuffix(".")
        if not all(0 < len(label) < 64 for label in name.split(".")):
            return []  # it cannot exist, and nobody was asked
        known = self.answers.get((name, RdataType[qtype]))
        if known.failed:
            raise spf.TempError(known.note)
        if qtype == "TXT" and any(len(text) > MAX_TEXT for (text,) in known.values):
            raise spf.PermError(f"SPF record of more than {MAX_TEXT} octets at {name}")
        if not known.values and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
        return known.values

    def dns_spf(self, domain: str) -> str | None:
        """The SPF record of a domain; the first one asked for is that of the identity."""
        record: str | None = super().dns_spf(domain)
        if self.record is None:
            self.record = record or ""
        return record

    def dns_ptr(self, i: str) -> list[str]:
        """The names of the client; none on an error (RFC 7208 section 5.5)."""
        try:
            names: list[str] = super().dns_ptr(i)
        except spf.TempError:
            return []
        return names

    def validated_ptrs(self) -> list[str]:
        """The names of the client that resolve to it; one that cannot be resolved is skipped (section 5.5)."""
        return [name for name in self.dns_ptr(self.i)[:MAX_HOSTS] if self._resolves_to_client(name)]

    def _resolves_to_client(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False

    def expand_domain(self, arg: str) -> str:
        """A domain-spec with its macros expanded."""
        if len(arg) > MAX_DOMAIN_SPEC:
            raise spf.PermError(f"domain-spec of more than {MAX_DOMAIN_SPEC} characters")
        expanded: str = super().expand_domain(arg)
        return expanded

    def expand(self, s: str, stripdot: bool = True) -> str:
        """A text with its macros expanded."""
        self._macros += s.count("%")
        if self._macros > MAX_MACROS:
            raise spf.PermError(f"more than {MAX_MACROS} macros")
        expanded: str = super().expand(s, stripdot)
        return expanded
