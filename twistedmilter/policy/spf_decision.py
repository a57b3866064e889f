"""Which SPF result policy acts on: the official one, or what stands in its place (seed-spec 3.6, E05 to E12, E18, E25).

Pure: outcomes in, a decision out.  The official result is never changed; what differs from it is called the effective
result, and says on what it is based.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult

_USABLE: Final = frozenset({SPFResult.PASS, SPFResult.FAIL, SPFResult.SOFTFAIL, SPFResult.NEUTRAL})


class Basis(StrEnum):
    """What the effective result rests on.  The words go into evidence."""

    OFFICIAL = "official"
    FORWARDER = "trusted forwarder"
    LAX = "lax reading"
    DELEGATE = "local record"
    HOPE = "best that may still come"
    GUESS = "best guess"
    HELO = "HELO name of the domain"


class Facts(Struct, frozen=True):
    """What is known of the sender; what was not asked for, or is not switched on, is None.

    @ivar official: of MAIL FROM, or of HELO for the null reverse-path.
    @ivar helo: of HELO, official. @ivar helo_guess: of HELO, guessed.
    @ivar lax: of MAIL FROM, read past its mistakes. @ivar delegate: of MAIL FROM, by a local record.
    @ivar guess: of MAIL FROM, by a record of our making. @ivar hope: the best that a temperror may turn out to be.
    @ivar forwarder: the trusted forwarder whose host this is, or empty.
    @ivar unsure_forwarder: one whose host this may be, since its record cannot be looked up now, or empty.
    @ivar may_vouch: whether a HELO name may pass for its domain (E12).
    """

    official: SPFOutcome
    helo: SPFOutcome | None = None
    lax: SPFOutcome | None = None
    delegate: SPFOutcome | None = None
    guess: SPFOutcome | None = None
    helo_guess: SPFOutcome | None = None
    hope: SPFOutcome | None = None
    forwarder: str = ""
    unsure_forwarder: str = ""
    may_vouch: bool = False


class Effective(Struct, frozen=True):
    """The result that policy acts on.

    @ivar outcome: as the official one, with the result and its circumstances.
    """

    outcome: SPFOutcome
    official: SPFOutcome
    basis: Basis = Basis.OFFICIAL

    @property
    def is_official(self) -> bool:
        """Whether it is the official one."""
        return self.basis is Basis.OFFICIAL

    @property
    def vouches(self) -> bool:
        """Whether HELO needs no look, since the sender passes or may still pass (E08)."""
        return self.outcome.result in (SPFResult.PASS, SPFResult.TEMPERROR)

    def __str__(self) -> str:
        """The result and its basis, as evidence."""
        return f"{self.outcome.result.value} ({self.basis})"


def effective(facts: Facts) -> Effective:
    """The effective result.

    A trusted forwarder passes whatever the sender's record says (E05).  A permerror is what its lax reading says
    (E07), a none what a local record says (E14); a temperror that cannot turn out a pass is the best that it can turn
    out (E25).  For a domain without any record, a guess that passes is a pass (E10), and so is a HELO name that
    passes and is the domain's own (E12).  A guess that does not pass says nothing: a guess only ever helps.
    """
    official = facts.official
    if facts.forwarder:
        return Effective(_as(official, SPFResult.PASS, facts.forwarder), official, Basis.FORWARDER)
    match official.result:
        case SPFResult.PERMERROR if facts.lax is not None and facts.lax.result in _USABLE:
            return Effective(facts.lax, official, Basis.LAX)
        case SPFResult.TEMPERROR if facts.hope is not None and facts.hope.result is not SPFResult.PASS:
            return Effective(structs.replace(facts.hope, problem=""), official, Basis.HOPE)
        case SPFResult.NONE:
            return _without_record(facts)
    return Effective(official, official)


def _without_record(facts: Facts) -> Effective:
    if facts.delegate is not None and facts.delegate.result in _USABLE:
        return Effective(facts.delegate, facts.official, Basis.DELEGATE)
    if facts.guess is not None and facts.guess.result is SPFResult.PASS:
        return Effective(facts.guess, facts.official, Basis.GUESS)
    passing = facts.helo if is_pass(facts.helo) else facts.helo_guess
    if facts.may_vouch and passing is not None and is_pass(passing) and is_own_host(passing.domain, facts.official):
        return Effective(_as(facts.official, SPFResult.PASS, passing.domain), facts.official, Basis.HELO)
    return Effective(facts.official, facts.official)


def is_pass(outcome: SPFOutcome | None) -> bool:
    """Whether there is an outcome, and it is a pass."""
    return outcome is not None and outcome.result is SPFResult.PASS


def has_good_helo(facts: Facts) -> bool:
    """Whether the HELO name passes, or is guessed to; for the null reverse-path it is the official outcome."""
    helo = facts.official if facts.official.identity is Identity.HELO else facts.helo
    return is_pass(helo) or is_pass(facts.helo_guess)


def is_own_host(helo: str, judged: SPFOutcome) -> bool:
    """Whether a HELO name is the domain that was judged, or below it (E12); not for the null reverse-path."""
    if judged.identity is Identity.HELO or not judged.domain:
        return False
    return helo == judged.domain or helo.endswith(f".{judged.domain}")


def _as(official: SPFOutcome, result: SPFResult, by: str) -> SPFOutcome:
    return structs.replace(official, result=result, mechanism=by, problem="", explanation="", correction="")


def needs_guess(facts: Facts) -> bool:
    """Whether there is no record at all, so that a guess may help; a HELO name is looked at after the guess."""
    return facts.official.result is SPFResult.NONE and effective(structs.replace(facts, may_vouch=False)).is_official
