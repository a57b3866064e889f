"""An SPF record read otherwise than RFC 7208 wants: lax, guessed, delegated, or with hope (E02, E10, E14, E25)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import spf
from msgspec import Struct

from twistedmilter.model.spf import Reading
from twistedmilter.spf_query import Evaluation, KnownAnswers, Values

_TERM: Final = re.compile(r"(?P<sign>[-+~?]?)(?P<name>[^:/]*)(?P<rest>.*)", re.DOTALL)
_ADDRESS: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_NO_OPINION: Final = (b"v=spf1 ?all",)  # as pyspf has a TXT record
# what is best for a sender comes first; a permerror is delivered unless the administrator says otherwise
_BEST_FIRST: Final = ("pass", "none", "neutral", "permerror", "softfail", "fail")


def corrected(term: str) -> str:
    """What a term that is wrong was probably meant to be, e.g. C{ip4:192.0.2.1} for C{ip:192.0.2.1}.

    @return: empty if there is no telling.
    """
    match = _TERM.fullmatch(term.rstrip(","))
    assert match is not None  # every text is of that form
    sign, name, rest = match["sign"], match["name"], match["rest"]
    name = spf.COMMON_MISTAKES.get(name.lower(), name)
    if _ADDRESS.fullmatch(name):
        name, rest = "ip4", f":{name}{rest}"
    elif name.lower() == "a" and _ADDRESS.match(rest[1:]):
        name = "ip4"
    elif name.lower() == "all":
        rest = ""
    known = name.lower() in spf.ALL_MECHANISMS
    better = f"{sign}{name}{rest}"
    return better if known and better != term else ""


def evaluation_of(reading: Reading) -> Callable[..., Evaluation]:
    """What makes the passes of a reading."""
    if reading.record:
        return partial(GuessingEvaluation, record=reading.record)
    if reading.delegate:
        return partial(DelegatedEvaluation, delegate=reading.delegate)
    return LaxEvaluation if reading.is_lax else HopefulEvaluation


class LaxEvaluation(Evaluation):
    """A pass that goes on past mistakes in the record; pyspf keeps the first of them with the result."""

    def __init__(self, *args: Any) -> None:
        """Prepare, see L{Evaluation}."""
        super().__init__(*args)
        self.strict = False

    def run(self) -> tuple[str, Any] | None:
        """The result in spite of the mistakes; permerror where there is none."""
        said = super().run()
        extended = self.perm_error.ext if said is not None and said[0] == "permerror" and self.perm_error else None
        return (extended[0], extended[2]) if extended else said


class GuessingEvaluation(Evaluation):
    """A pass over a record that we made up; the domain is not asked for one."""

    def __init__(self, *args: Any, record: str) -> None:
        """Prepare, see L{Evaluation}.

        @param record: what we take for the record.
        """
        super().__init__(*args)
        self._guess = record

    def dns_spf(self, domain: str) -> str | None:
        """The guess first; then what other domains publish."""
        if self.record is None:
            self.record = self._guess
            return self.record
        return super().dns_spf(domain)


class DelegatedEvaluation(Evaluation):
    """A pass over the record that a third party has for the domain; none if it has not exactly one."""

    def __init__(self, *args: Any, delegate: str) -> None:
        """Prepare, see L{Evaluation}.

        @param delegate: the domain below which the records are.
        """
        super().__init__(*args)
        self._delegate = delegate

    def dns_spf(self, domain: str) -> str | None:
        """The record of the third party first; then what other domains publish."""
        if self.record is not None:
            return super().dns_spf(domain)
        texts = self.dns_txt(f"{domain}._spf.{self._delegate}", ignore_void=True)
        records = [text for text in texts if spf.RE_SPF.match(text)]
        self.record = spf.to_ascii(records[0]) if len(records) == 1 else ""
        return self.record


class HopefulEvaluation(Evaluation):
    """A pass in which a failed lookup is no match, but what a match would have given is kept as a hope.

    The result is the best of the hopes and of what the rest of the record says.  A failure inside an include counts
    as if the include could match; one where a whole record is missing as if anything could pass.
    """

    def __init__(self, ip: str, local_part: str, domain: str, helo: str, answers: KnownAnswers) -> None:
        """Prepare, see L{Evaluation}."""
        super().__init__(ip, local_part, domain, helo, answers)
        self._depth = 0
        self._match = "pass"
        self._hopes: set[str] = set()

    def run(self) -> tuple[str, Any] | None:
        """The best result that the record can still give, without explanation."""
        said = super().run()
        return said and (min({said[0], *self._hopes}, key=_BEST_FIRST.index), said[1])

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> Values:
        """The values known for a question; where the lookup failed nothing, or a record without an opinion."""
        try:
            return super().dns(name, qtype, cnames, ignore_void)
        except spf.TempError:
            is_redirect = qtype == "TXT" and "redirect=" in (self.record or "").lower()
            self._hopes.add("pass" if is_redirect else self._match)
            return [_NO_OPINION] if qtype == "TXT" else []

    def check0(self, spf: str | None, recursion: int) -> tuple[str, int, Any]:
        """One record, at this depth of include."""
        outer, self._depth = self._depth, recursion
        try:
            result: tuple[str, int, Any] = super().check0(spf, recursion)
            return result
        finally:
            self._depth = outer

    def validate_mechanism(self, mech: str) -> Any:
        """Note what a mechanism gives when its turn comes."""
        parts = super().validate_mechanism(mech)
        return parts if self._depth else _Turn(parts, self._set_match)

    def _set_match(self, result: str) -> None:
        self._match = result


class _Turn(Struct, frozen=True):
    """A mechanism of pyspf's list, which unpacks it when its turn comes."""

    parts: tuple[Any, ...]
    taken: Callable[[str], None]

    def __iter__(self) -> Iterator[Any]:
        self.taken(self.parts[4])
        return iter(self.parts)
