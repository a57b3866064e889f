"""The spf check as it is with C{compat = "seed"}: the ancestor's decision, turned into a verdict of ours."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.keywords import Keyword, Word
from twistedmilter.policy.spf_compat import SeedCase, SeedDecision, Why, decide
from twistedmilter.policy.spf_decision import Facts, has_good_helo
from twistedmilter.policy.spf_identity import Source
from twistedmilter.policy.spf_policy import SPFPolicy
from twistedmilter.policy.spf_text import detail_of

_USABLE = frozenset({SPFResult.PASS, SPFResult.FAIL, SPFResult.SOFTFAIL, SPFResult.NEUTRAL, SPFResult.NONE})


class SeedJudgement(Struct, frozen=True):
    """The verdict, and what C{Received-SPF} is to say: the ancestor let a forwarder stand for the sender."""

    verdict: Verdict | None
    official: SPFOutcome


class SeedJudge(Struct, frozen=True):
    """Decides as the ancestor did.

    @ivar policy: with the ancestor's defaults. @ivar check: whose evidence and inquiries these are.
    """

    policy: SPFPolicy
    means: Means
    check: str

    def judge(self, transaction: Transaction, source: Source, facts: Facts, *, has_dynamic_ptr: bool) -> SeedJudgement:
        """The judgement on a sender; a guess or a lax result is told in C{X-Guessed-SPF} (E11)."""
        official = self._official(facts)
        is_null = transaction.mail_from.is_null
        case = SeedCase(
            official.result,
            lax=facts.lax.result if facts.lax is not None and facts.lax.result in _USABLE else None,
            guess=_guessed(facts.guess),
            helo=facts.helo.result if facts.helo is not None else SPFResult.NONE,
            helo_is_ok=has_good_helo(facts),
            has_dynamic_ptr=has_dynamic_ptr,
            is_null=is_null,
        )
        decision = decide(case, lambda result: self._word(replace(official, result=result)))
        if case.effective is not case.official:
            transaction.note(self.check, "effective", case.effective.value)
            if decision.official is not case.effective:
                transaction.propose(InsertHeader(0, "X-Guessed-SPF", case.effective.value))
        shown = replace(official, result=decision.official)
        return SeedJudgement(self._verdict(transaction, source, facts, case, decision), shown)

    @staticmethod
    def _official(facts: Facts) -> SPFOutcome:
        if facts.forwarder:
            return replace(
                facts.official,
                result=SPFResult.PASS,
                sender=f"postmaster@{facts.forwarder}",
                domain=facts.forwarder,
                problem="",
                mechanism="",
            )
        if facts.delegate is not None and facts.delegate.result in _USABLE:
            return facts.delegate
        return facts.official

    def _word(self, outcome: SPFOutcome) -> Keyword:
        choice = self.policy.find(outcome, Identity.MAIL_FROM)
        if outcome.result is SPFResult.NEUTRAL and choice.source == "[spf] reject_neutral":
            return Keyword(Word.OK)  # LL-09: in the ancestor the list never had an effect on neutral
        return choice.keyword

    def _verdict(
        self, transaction: Transaction, source: Source, facts: Facts, case: SeedCase, decision: SeedDecision
    ) -> Verdict | None:
        if decision.why is not None:
            reason = _refusal(source, facts, case, decision.why)
            if decision.code < 500:
                return TempFail(reason, decision.code, decision.status)
            return Refuse(reason, decision.code, decision.status)
        if not decision.template:
            return None
        word = "three-strikes" if decision.template == "strike3" else f"spf-{case.official.value}"
        text = f"SPF {case.official.value} for {facts.official.sender} from {source.ip}" + detail_of(
            source, facts.official
        )
        asking = Keyword(Word.DSN, template=decision.template)
        return act(asking, transaction, Case(self.check, Reason(word, text), decision.template), self.means)


def _guessed(guess: SPFOutcome | None) -> SPFResult | None:
    """A guess is pass or neutral, whatever went wrong with it."""
    if guess is None:
        return None
    return SPFResult.PASS if guess.result is SPFResult.PASS else SPFResult.NEUTRAL


def _refusal(source: Source, facts: Facts, case: SeedCase, why: Why) -> Reason:
    """Our own words for what the ancestor said."""
    outcome = facts.lax if case.lax is not None and facts.lax is not None else facts.official
    domain = outcome.domain
    texts = {
        Why.HELO: f"the domain of your HELO name {source.helo} does not let {source.ip} use it",
        Why.STRIKES: f"{source.ip} shows no identity: a valid HELO name, a PTR name that is not dynamic, or SPF is "
        "needed",
        Why.NEUTRAL: f"mail from {domain} must pass SPF here; use the servers of {domain}",
        Why.SOFTFAIL: f"the SPF policy of {domain}, in test mode, says that {source.ip} is not one of its servers",
        Why.FAIL: f"{domain} does not let {source.ip} send for it",
        Why.PERMERROR: f"the SPF record of {domain} is broken{detail_of(source, outcome)}",
        Why.TEMPERROR: f"the SPF record of {domain} cannot be looked up now",
    }
    code = {Why.STRIKES: "three-strikes", Why.HELO: f"spf-helo-{case.helo.value}"}.get(why, f"spf-{why.value}")
    prefix = "EXT: " if case.lax is not None and why in (Why.FAIL, Why.SOFTFAIL, Why.NEUTRAL) else ""
    told = outcome.explanation if why is Why.FAIL else ""
    return Reason(code, prefix + texts[why], (f"{domain} explains: {told}",) if told else ())
