"""C{[spf] compat = "seed"}: what the ancestor of 2005 decided (seed-spec 3.1 to 3.4 and 3.8).

Pure: results in, a decision out.  Its texts are our own; its reply codes are as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from twistedmilter.model.spf import SPFResult
from twistedmilter.policy.keywords import Keyword, Word

_HELO_REFUSES: Final = frozenset({SPFResult.FAIL, SPFResult.SOFTFAIL, SPFResult.NEUTRAL})
SEED_DEFAULTS: Mapping[str, Keyword] = MappingProxyType(  # F08
    {
        "spf-none": Keyword(Word.CBV),
        "spf-fail": Keyword(Word.REJECT),
        "spf-softfail": Keyword(Word.CBV),
        "spf-permerror": Keyword(Word.REJECT),
    }
)
# G02: the notification goes by the official result
_TEMPLATES: Mapping[SPFResult, str] = MappingProxyType(
    {
        SPFResult.FAIL: "softfail",
        SPFResult.SOFTFAIL: "softfail",
        SPFResult.PERMERROR: "permerror",
        SPFResult.NEUTRAL: "neutral",
    }
)


class Why(StrEnum):
    """What a refusal is about."""

    HELO = "helo"
    STRIKES = "three-strikes"
    NEUTRAL = "neutral"
    SOFTFAIL = "softfail"
    FAIL = "fail"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


_REPLIES: Mapping[Why, tuple[int, str]] = MappingProxyType(
    dict.fromkeys(Why, (550, "5.7.1")) | {Why.PERMERROR: (550, "5.5.2"), Why.TEMPERROR: (450, "4.3.0")}
)
_BY_RESULT: Mapping[SPFResult, Why] = MappingProxyType(
    {each: Why(each.value) for each in (SPFResult.NEUTRAL, SPFResult.SOFTFAIL, SPFResult.FAIL, SPFResult.PERMERROR)}
)


class SeedCase(Struct, frozen=True):
    """What the decision depends on.

    @ivar official: of MAIL FROM or of the forwarder; for the null reverse-path of HELO.
    @ivar lax: the lax result behind a permerror, or None. @ivar guess: the guess behind a none, or None if off.
    @ivar helo: of HELO; none for the null reverse-path, which is not looked at twice.
    @ivar helo_is_ok: HELO passes, or is guessed to.
    @ivar has_dynamic_ptr: the client has no PTR name, or one that looks dynamic.
    """

    official: SPFResult
    lax: SPFResult | None = None
    guess: SPFResult | None = None
    helo: SPFResult = SPFResult.NONE
    helo_is_ok: bool = False
    has_dynamic_ptr: bool = False
    is_null: bool = False

    @property
    def effective(self) -> SPFResult:
        """The result that counts."""
        if self.official is SPFResult.PERMERROR and self.lax is not None:
            return self.lax
        return self.guess if self.official is SPFResult.NONE and self.guess is not None else self.official


class SeedDecision(Struct, frozen=True):
    """What is done.

    @ivar why: what a refusal is about; None: the message goes on. @ivar code: reply code. @ivar status: enhanced one.
    @ivar template: the notification that is due at the end of the message, or empty.
    @ivar official: what Received-SPF says; a CBV on neutral changes it (row 21).
    """

    official: SPFResult
    why: Why | None = None
    code: int = 0
    status: str = ""
    template: str = ""


def decide(case: SeedCase, find: Callable[[SPFResult], Keyword]) -> SeedDecision:
    """What the ancestor did.

    @param find: the policy word for a result, from the access map, the lists or the defaults.
    """
    result = case.effective
    flagged = SeedDecision(case.official, template="permerror" if case.lax is not None else "")
    if result is SPFResult.TEMPERROR:
        return _refuse(case, Why.TEMPERROR)
    if result is SPFResult.PASS:
        return flagged
    if not case.is_null and case.helo in _HELO_REFUSES:
        return _refuse(case, Why.HELO)
    if case.official is SPFResult.NONE and case.has_dynamic_ptr and not case.helo_is_ok:
        keyword = find(SPFResult.NONE)
        if keyword.word is Word.CBV:
            flagged = replace(flagged, template="strike3")
        elif keyword.word is not Word.OK:
            return _refuse(case, Why.STRIKES)
    if result is not SPFResult.NONE:
        flagged = _by_policy(case, result, find(result), flagged)
    return replace(flagged, template="") if case.is_null and case.lax is None else flagged


def _by_policy(case: SeedCase, result: SPFResult, keyword: Keyword, flagged: SeedDecision) -> SeedDecision:
    """Step 7: the word for the effective result; every word but OK and a CBV with a good HELO refuses."""
    if keyword.word is Word.OK:
        return flagged
    if keyword.word is not Word.CBV or not case.helo_is_ok:
        return _refuse(case, _BY_RESULT[result])
    official = result if result is SPFResult.NEUTRAL else case.official
    return replace(flagged, official=official, template=_TEMPLATES.get(official, "strike3"))


def _refuse(case: SeedCase, why: Why) -> SeedDecision:
    code, status = _REPLIES[why]
    return SeedDecision(case.official, why, code, status)


def default_words(*, reject_noptr: bool) -> Mapping[str, Keyword]:
    """The program defaults (F08)."""
    return {**SEED_DEFAULTS, "spf-none": Keyword(Word.REJECT)} if reject_noptr else SEED_DEFAULTS
