"""What a sender is told about an SPF result."""

from __future__ import annotations

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.verdict import Reason
from twistedmilter.policy.spf_decision import Effective
from twistedmilter.policy.spf_identity import Source


def reason_of(source: Source, chosen: Effective, *, explain: bool) -> Reason:
    """Why: which identity, which address, which client; a result that is not the official one says what it is.

    @param explain: quote the domain's own explanation.
    """
    outcome, official = chosen.outcome, chosen.official
    is_helo = outcome.identity is Identity.HELO
    code = f"spf-{'helo-' if is_helo else ''}{outcome.result.value}"
    who = f"HELO {outcome.domain}" if is_helo else f"MAIL FROM {outcome.sender}"
    text = f"SPF {outcome.result.value} for {who} ({outcome.identity.value} identity) from {source.ip}"
    text += detail_of(source, outcome)
    if not chosen.is_official:
        text += f"; this is by {chosen.basis}, the official result is {official.result.value}"
        text += detail_of(source, official) if official.result is SPFResult.PERMERROR else ""
    if outcome.explanation and explain:
        return Reason(code, text, (f"{outcome.domain} explains: {outcome.explanation}",))
    return Reason(code, text)


def detail_of(source: Source, outcome: SPFOutcome) -> str:
    """What is wrong, as the rest of a sentence; a permerror names what was probably meant."""
    if outcome.result is SPFResult.FAIL:
        return f": {outcome.domain} does not let {source.ip} send for it"
    if outcome.result is SPFResult.TEMPERROR:
        return ": no answer from the DNS"  # which of our name servers failed, and how, is for the record
    if not outcome.problem:
        return ""
    return f": {outcome.problem}" + (f" (probably meant: {outcome.correction})" if outcome.correction else "")
