"""SPF of the MAIL FROM and HELO identities (RFC 7208; seed-spec E01 to E04, E15, E17, E23 and 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace
from zope.interface import implementer

from twistedmilter.interfaces.checks import IHeaderCheck, IMailCheck
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult, received_spf
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import IPAddress, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act, template_of
from twistedmilter.policy.dynamic_ptr import DynamicPatterns
from twistedmilter.policy.keywords import Keyword, Word
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.received import believed_networks, find_real_client
from twistedmilter.policy.spf_compat import default_words
from twistedmilter.policy.spf_decision import Basis, Effective, Facts, effective, has_good_helo
from twistedmilter.policy.spf_facts import FactFinder
from twistedmilter.policy.spf_identity import EFFECTIVE, Source, is_host_name, judged, source_of
from twistedmilter.policy.spf_policy import SPFPolicy, TemperrorEpisodes
from twistedmilter.policy.spf_seed_judge import SeedJudge
from twistedmilter.policy.spf_text import reason_of

# RFC 7372 section 3.2: 23 the sender is not authorised, 24 the record cannot be evaluated
_STATUS = {SPFResult.PERMERROR: "24", SPFResult.TEMPERROR: "24"}
_HOUR = 3600.0


@implementer(IMailCheck)
@dataclass(eq=False)
class SPFCheck:
    """Judges strangers at MAIL.

    MAIL FROM is judged first.  A HELO result counts only when MAIL FROM neither passes nor may still pass
    (temperror), and, but for C{REJECT!}, not for a sender whom C{WHITELIST} has made a known one (F14).  Each
    identity that was evaluated gives evidence and an authentication result, whatever the verdict.

    Policy acts on the effective result, see L{twistedmilter.policy.spf_decision}; C{Received-SPF} and the
    authentication results have the official one alone.

    Reason codes: C{spf-RESULT} and C{spf-helo-RESULT}.

    @ivar evaluator: None: the check has no opinion (E23).
    @ivar trusted: our networks and relays, to be passed on the way to the real client.
    @ivar clock: reactor seconds.
    @ivar policy: None: that of the settings, without an access map.
    @ivar means: whether senders can be asked and told.
    @ivar patterns: which names look dynamic, for guesses and C{compat}; None: none does.
    @raise ValueError: C{spf.policy} has an unknown key or word, C{spf.delegate} or C{spf.trusted_forwarders} no domain.
    """

    settings: SPFSettings
    evaluator: ISPFEvaluator | None
    trusted: NetworkSet
    clock: Callable[[], float]
    policy: SPFPolicy | None = None
    means: Means = field(default_factory=Means)
    patterns: DynamicPatterns | None = None
    name: str = "spf"
    local: bool = False
    _policy: SPFPolicy = field(init=False)
    _episodes: TemperrorEpisodes = field(init=False)
    _finder: FactFinder = field(init=False)
    _seed: SeedJudge | None = field(init=False, default=None)
    _believed: Callable[[IPAddress], bool] = field(init=False)

    def __post_init__(self) -> None:
        """Read the settings once."""
        self._policy = SPFPolicy.of(self.settings) if self.policy is None else self.policy
        self._finder = FactFinder(self.settings, self.evaluator, self.patterns)
        if self.settings.compat:
            defaults = default_words(reject_noptr=self.settings.reject_noptr)
            self._seed = SeedJudge(replace(self._policy, defaults=defaults), self.means, self.name)
        self._episodes = TemperrorEpisodes(self.settings.temperror_hours * _HOUR)
        self._believed = believed_networks(self.trusted)

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge a stranger (E01)."""
        if not transaction.connection.is_external:
            return None
        return await self._judge(transaction)

    async def _judge(self, transaction: Transaction) -> Verdict | None:
        source = source_of(transaction)
        official = await judged(transaction, Identity.MAIL_FROM, self.evaluator)
        if source is None or official is None:
            return None
        helo = None
        if official.identity is not Identity.HELO and is_host_name(source.helo):
            helo = await judged(transaction, Identity.HELO, self.evaluator)
        facts = await self._finder.find(transaction, source, official, helo)
        if self._seed is not None:
            return self._judge_as_seed(self._seed, transaction, source, facts)
        self._record(transaction, source, official, official)
        if helo is not None:
            self._record_result(transaction, helo)
        verdict = self._decide(transaction, source, facts)
        if facts.unsure_forwarder and isinstance(verdict, Refuse):
            return self._unsure(transaction, source, facts, verdict)
        return verdict

    def _unsure(self, transaction: Transaction, source: Source, facts: Facts, verdict: Refuse) -> Verdict:
        """Not to be refused yet, for it may come from a trusted forwarder; that too has an end."""
        forwarder = facts.unsure_forwarder
        remember = not transaction.connection.is_test
        if self._episodes.is_over(forwarder, source.ip, self.clock(), remember=remember):
            return verdict
        text = f"{source.ip} may be a host of the forwarder {forwarder}, whose SPF record cannot be looked up now"
        return TempFail(Reason("spf-forwarder-unknown", text), 451, "4.7.24")

    def _decide(self, transaction: Transaction, source: Source, facts: Facts) -> Verdict | None:
        chosen = effective(facts)
        if not chosen.is_official:
            transaction.note(self.name, "effective", str(chosen))
            transaction.spf[EFFECTIVE] = chosen.outcome
        if facts.forwarder:
            transaction.note(self.name, "forwarder", facts.forwarder)
            if self.means.counts:
                transaction.known_sender = transaction.known_sender or f"trusted forwarder {facts.forwarder}"
        verdict = self._verdict(transaction, source, facts, chosen, Identity.MAIL_FROM)
        if facts.helo is None or chosen.vouches or (verdict is not None and not isinstance(verdict, Mark)):
            return verdict
        return self._verdict(transaction, source, facts, Effective(facts.helo, facts.helo), Identity.HELO) or verdict

    def _judge_as_seed(self, seed: SeedJudge, transaction: Transaction, source: Source, facts: Facts) -> Verdict | None:
        judgement = seed.judge(
            transaction, source, facts, has_dynamic_ptr=self._finder.has_dynamic_ptr(transaction, source)
        )
        if facts.forwarder:
            transaction.note(self.name, "forwarder", facts.forwarder)
        self._record(transaction, source, facts.official, judgement.official)
        if facts.helo is not None:
            self._record_result(transaction, facts.helo)
        return judgement.verdict

    def _verdict(
        self, transaction: Transaction, source: Source, facts: Facts, chosen: Effective, identity: Identity
    ) -> Verdict | None:
        notice = None
        if chosen.basis is Basis.LAX and self._policy.find(chosen.official, identity).keyword.word is Word.DSN:
            # E27: whose record is broken is told so, whatever the lax result leads to
            broken = Effective(chosen.official, chosen.official)
            notice = self._act(transaction, source, facts, broken, identity)
        return self._act(transaction, source, facts, chosen, identity) or notice

    def _act(
        self, transaction: Transaction, source: Source, facts: Facts, chosen: Effective, identity: Identity
    ) -> Verdict | None:
        is_helo = identity is Identity.HELO
        choice = self._policy.find(chosen.outcome, identity)
        keyword = choice.keyword
        if not choice.is_default:
            transaction.note(self.name, "policy", f"{keyword.word}: {choice.source}")
        waited_enough = self._waited_enough(transaction, source, chosen.official)
        if keyword.word is Word.OK or (is_helo and transaction.known_sender and not keyword.is_strong):
            return None
        if keyword.asks and self.settings.cbv_needs_helo_pass and not has_good_helo(facts):
            keyword = Keyword(Word.REJECT)
        reason = reason_of(source, chosen, explain=self.settings.explain)
        if keyword.word is Word.TEMPFAIL and waited_enough:
            hours = f"no answer for {self.settings.temperror_hours:g} hours"
            return Mark(Reason(reason.code, f"{reason.text}; {hours}"))
        number = _STATUS.get(chosen.outcome.result, "23")
        template = template_of(chosen.outcome.result, is_helo=is_helo)
        return act(
            keyword, transaction, Case(self.name, reason, template, f"5.7.{number}", f"4.7.{number}"), self.means
        )

    def _waited_enough(self, transaction: Transaction, source: Source, outcome: SPFOutcome) -> bool:
        """Whether a temperror has been waited out; a test leaves no trace of having asked."""
        remember = not transaction.connection.is_test
        if outcome.result is SPFResult.TEMPERROR:
            return self._episodes.is_over(outcome.domain, source.ip, self.clock(), remember=remember)
        if remember:
            self._episodes.end(outcome.domain, source.ip)
        return False

    def _record(self, transaction: Transaction, source: Source, outcome: SPFOutcome, shown: SPFOutcome) -> None:
        """Record an outcome; C{Received-SPF} shows the other."""
        self._record_result(transaction, outcome)
        if self.settings.received_spf:
            value = received_spf(
                shown,
                ip=source.ip,
                helo=source.helo,
                mail_from=transaction.mail_from.canonical,
                receiver=transaction.connection.own_name,
            )
            transaction.propose(InsertHeader(0, "Received-SPF", value))

    def _record_result(self, transaction: Transaction, outcome: SPFOutcome) -> None:
        kind = str(outcome.identity)
        if outcome.identity is Identity.HELO:
            properties = (("smtp.helo", outcome.domain),)
        else:
            properties = (("smtp.mailfrom", transaction.mail_from.canonical),)
        transaction.auth_results.append(AuthResult("spf", str(outcome.result), properties))
        transaction.note(self.name, kind, f"{outcome.result} {outcome.domain}")
        for fact, value in _facts_of(outcome):
            if value:
                transaction.note(self.name, f"{kind}_{fact}", value)


def _facts_of(outcome: SPFOutcome) -> tuple[tuple[str, str], ...]:
    return ("mechanism", outcome.mechanism), ("problem", outcome.problem), ("correction", outcome.correction)


@implementer(IHeaderCheck)
class RelayedSPFCheck(SPFCheck):
    """Judges also the real client behind a trusted relay, at the end of the header section.

    Without trusted relays nobody needs the end of the header section, and the MTA is not made to wait there.
    A relay has accepted the message already: a refusal would make it send a bounce to a sender who may be
    forged.  So behind a relay a refusal or tempfail becomes a mark.
    """

    async def check_headers(self, transaction: Transaction) -> Verdict | None:
        """Judge the real client behind a trusted relay; at most a mark."""
        if transaction.connection.client_class is not ClientClass.TRUSTED_RELAY or self.evaluator is None:
            return None
        real = find_real_client(transaction.header_values("Received"), self._believed)
        transaction.real_client = real
        if real is None:
            transaction.note(self.name, "real_client", "not told by Received")
            return None
        transaction.note(self.name, "real_client", f"{real.ip} {real.name} {real.helo}")
        verdict = await self._judge(transaction)
        return Mark(verdict.reason) if isinstance(verdict, (Refuse, TempFail)) else verdict
