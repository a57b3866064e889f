"""Strangers without any identity: no SPF, no valid HELO name, no real PTR name (seed-spec E13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck, INameJudge
from twistedmilter.interfaces.dns import IResolver, ISPFEvaluator
from twistedmilter.model.check_settings import ThreeStrikesSettings
from twistedmilter.model.spf import Identity, SPFResult
from twistedmilter.model.transaction import Connection, IPAddress, Transaction
from twistedmilter.model.verdict import Reason, Verdict
from twistedmilter.policy.acting import Case, Means, act, template_of
from twistedmilter.policy.checks.iprev import addresses_of, recorded_name, reverse_name
from twistedmilter.policy.dynamic_ptr import DynamicPatterns, DynamicPTR, judge_ptr
from twistedmilter.policy.keywords import Keyword, parse_keyword
from twistedmilter.policy.networks import plain
from twistedmilter.policy.policy_table import PolicyTable
from twistedmilter.policy.spf_identity import EFFECTIVE, is_host_name, judged

REMEMBERED: Final = 10_000  # names whose looks are known


class Standing(StrEnum):
    """What became of the search for one identity.

    C{UNKNOWN}: a lookup failed, which is nobody's strike.
    """

    FOUND = "found"
    STRIKE = "strike"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One of the three identities.

    @ivar what: C{SPF}, C{HELO} or C{PTR}.
    @ivar fact: a clause that says what was seen; may quote hostile text.
    @ivar rule: by which rule of seed-spec 4 a name is dynamic, or empty.
    """

    what: str
    standing: Standing
    fact: str
    rule: str = ""

    def __str__(self) -> str:
        """The finding as evidence."""
        return f"{self.standing.value}: {self.fact}" + (f" ({self.rule})" if self.rule else "")


@implementer(IMailCheck, INameJudge)
@dataclass(eq=False)
class ThreeStrikesCheck:
    """Refuses a stranger who has none of the three; each of them is recorded with what was seen.

      1. SPF: the domain of the sender publishes a record, whatever it says (temperror is the spf check's matter), or
         the spf check has another result for it, such as a guess that passes;
      2. HELO: its name passes SPF, or has the client's address and does not look dynamic;
      3. PTR: a name that leads back to the client and does not look dynamic.

    For the null reverse-path the first is asked of the HELO name (E03).  Where an identity cannot be looked up and no
    other is found, nothing can be said.  What three strikes lead to is the word for C{spf-none} with the sender's
    address or a domain of it, if there is one, else C{[three_strikes] policy}.  A known sender is spared, unless that
    word is C{REJECT!} (F14).

    Evidence: C{spf}, C{helo} and C{ptr}, each with its standing and the fact, C{strikes}, C{policy} if an entry
    decides, and C{spared} with what the sender is known for.
    Reason code: C{three-strikes}.

    @ivar evaluator: None: the check has no opinion (E23).
    @ivar table: where entries for C{spf-none} are. @ivar means: whether senders can be asked and told.
    @raise ValueError: C{policy} is no keyword.
    """

    settings: ThreeStrikesSettings
    resolver: IResolver
    evaluator: ISPFEvaluator | None
    patterns: DynamicPatterns
    table: PolicyTable = field(default_factory=lambda: PolicyTable({}))
    means: Means = field(default_factory=Means)
    name: str = "three_strikes"
    local: bool = False
    _keyword: Keyword = field(init=False)
    _judge_name: Callable[[str, IPAddress | None], DynamicPTR] = field(init=False)

    def __post_init__(self) -> None:
        """Parse the policy once."""
        self._keyword = parse_keyword(self.settings.policy)
        # a name is often asked about twice, as HELO and as PTR, and again with the next message
        self._judge_name = lru_cache(maxsize=REMEMBERED)(lambda name, ip: judge_ptr(name, ip, self.patterns))

    def looks_dynamic(self, connection: Connection) -> bool:
        """See L{INameJudge}."""
        return self._judge_name(connection.client.name, connection.client.ip).is_dynamic

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Look for the three identities of a stranger.

        @raise TemporaryFailure: none was found, and one could not be looked up.
        """
        ip = transaction.connection.client.ip
        if ip is None or self.evaluator is None or not transaction.connection.is_external:
            return None
        ip = plain(ip)
        findings = [
            await self._find_spf(transaction),
            await self._find_helo(transaction, ip),
            await self._find_ptr(transaction.connection, ip),
        ]
        self._record(transaction, findings)
        standings = [finding.standing for finding in findings]
        if Standing.FOUND in standings:
            return None
        if Standing.UNKNOWN in standings:
            unknown = [f"{each.what}: {each.fact}" for each in findings if each.standing is Standing.UNKNOWN]
            raise TemporaryFailure("; ".join(unknown))
        return self._act(transaction, _reason(ip, findings))

    def _act(self, transaction: Transaction, reason: Reason) -> Verdict | None:
        keyword = self._keyword
        judged_as = transaction.spf.get(Identity.MAIL_FROM.value)
        entry = self.table.find("spf-none", judged_as.sender if judged_as is not None else "")
        if entry is not None and entry.names_sender:
            keyword = entry.keyword
            transaction.note(self.name, "policy", f"{keyword.word}: {entry}")
        if transaction.known_sender and not keyword.is_strong:
            transaction.note(self.name, "spared", transaction.known_sender)
            return None
        return act(keyword, transaction, Case(self.name, reason, template_of(SPFResult.NONE)), self.means)

    def _record(self, transaction: Transaction, findings: list[Finding]) -> None:
        for finding in findings:
            transaction.note(self.name, finding.what.lower(), str(finding))
        strikes = sum(finding.standing is Standing.STRIKE for finding in findings)
        transaction.note(self.name, "strikes", f"{strikes} of {len(findings)}")
        if 0 < strikes < len(findings) and transaction.known_sender:
            transaction.note(self.name, "spared", transaction.known_sender)  # greylisting goes by one or two as well

    async def _find_spf(self, transaction: Transaction) -> Finding:
        outcome = await judged(transaction, Identity.MAIL_FROM, self.evaluator)
        if outcome is None:
            return Finding("SPF", Standing.STRIKE, "neither the sender nor HELO names a domain")
        other = transaction.spf.get(EFFECTIVE)
        if outcome.result is SPFResult.NONE and other is not None:
            return Finding("SPF", Standing.FOUND, f"{other.result.value} for {outcome.domain}, though without a record")
        if outcome.result is SPFResult.NONE:
            return Finding("SPF", Standing.STRIKE, f"{outcome.domain or 'the sender'} publishes no SPF record")
        return Finding("SPF", Standing.FOUND, f"{outcome.result.value} for {outcome.domain}")

    async def _find_helo(self, transaction: Transaction, ip: IPAddress) -> Finding:
        helo = transaction.connection.helo.strip()
        if not is_host_name(helo):
            return Finding("HELO", Standing.STRIKE, f"{helo or 'an empty name'} is no full host name")
        outcome = await judged(transaction, Identity.HELO, self.evaluator)
        if outcome is not None and outcome.result is SPFResult.PASS:
            return Finding("HELO", Standing.FOUND, f"{helo} passes SPF")
        finding = await self._find_helo_address(helo, ip)
        may_still_pass = outcome is not None and outcome.result is SPFResult.TEMPERROR
        if may_still_pass and finding.standing is Standing.STRIKE:
            return Finding("HELO", Standing.UNKNOWN, f"SPF of {helo} cannot be looked up")
        return finding

    async def _find_helo_address(self, helo: str, ip: IPAddress) -> Finding:
        dynamic = self._judge_name(helo, ip)
        if dynamic.is_dynamic:
            return Finding("HELO", Standing.STRIKE, f"{helo} looks like a dynamic name", dynamic.rule)
        try:
            addresses = await addresses_of(helo, ip, self.resolver)
        except TemporaryFailure as failure:
            return Finding("HELO", Standing.UNKNOWN, str(failure))
        if ip in addresses:
            return Finding("HELO", Standing.FOUND, f"{helo} has the address {ip}")
        return Finding("HELO", Standing.STRIKE, f"{helo} neither passes SPF nor has the address {ip}")

    async def _find_ptr(self, connection: Connection, ip: IPAddress) -> Finding:
        found = recorded_name(connection) or await reverse_name(ip, self.resolver)
        if found.result == "temperror":
            return Finding("PTR", Standing.UNKNOWN, found.problem)
        if not found.names:
            return Finding("PTR", Standing.STRIKE, f"{ip} has no PTR record")
        if not found.confirmed:
            return Finding("PTR", Standing.STRIKE, f"{found.names[0]}, the name of {ip}, does not lead back to it")
        dynamic = self._judge_name(found.confirmed, ip)
        if dynamic.is_dynamic:
            fact = f"{found.confirmed}, the name of {ip}, looks like a dynamic name"
            return Finding("PTR", Standing.STRIKE, fact, dynamic.rule)
        return Finding("PTR", Standing.FOUND, found.confirmed)


def _reason(ip: IPAddress, findings: list[Finding]) -> Reason:
    """What the sender is told: which three are missing, and that one suffices."""
    text = (
        f"{ip} shows no identity: SPF record, valid HELO name and real PTR name are all missing; one of them suffices"
    )
    return Reason("three-strikes", text, tuple(f"{each.what}: {each.fact}" for each in findings))
