"""What SPF says of a sender, read in every way that policy knows, and what policy would do with that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import Client, Connection, IPAddress, Transaction
from twistedmilter.model.verdict import Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.spf import SPFCheck
from twistedmilter.policy.dynamic_ptr import load_patterns
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.spf_decision import Basis, Effective, Facts, effective
from twistedmilter.policy.spf_facts import FactFinder
from twistedmilter.policy.spf_identity import is_host_name, judged, source_of
from twistedmilter.policy.spf_policy import SPFPolicy
from twistedmilter.spf_driver import SPFEvaluator

if TYPE_CHECKING:
    from twistedmilter.configfile import Loaded
    from twistedmilter.policy.access import AccessMap

# name of the fact, the key of [spf] that lets policy act on it, what it is called, and its basis
_READINGS: Final = (
    ("lax", "lax", "lax reading", Basis.LAX),
    ("delegate", "delegate", "local record", Basis.DELEGATE),
    ("hope", "defer_only_passes", "best that may still come", Basis.HOPE),
    ("guess", "best_guess", "best guess", Basis.GUESS),
    ("helo_guess", "helo_best_guess", "best guess for the HELO name", Basis.HELO),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose message it is.

    @ivar name: the client's host name; empty: it has none. @ivar sender: without brackets; empty: null.
    """

    ip: IPAddress
    name: str
    sender: str
    helo: str


@dataclass(frozen=True)
class SPFView:
    """Everything at a glance.

    @ivar official: of MAIL FROM, or of HELO for the null reverse-path; what headers say.
    @ivar helo: of HELO, if it was asked besides. @ivar facts: read in every way.
    @ivar effective: what policy acts on with this configuration.
    @ivar verdict: of the check C{spf}; None: no opinion. @ivar transaction: with what it noted.
    @ivar settings: C{[spf]}.
    """

    official: SPFOutcome
    helo: SPFOutcome | None
    facts: Facts
    effective: Effective
    verdict: Verdict | None
    transaction: Transaction
    settings: Any

    def readings(self) -> Iterator[tuple[str, str, SPFOutcome, str]]:
        """What is not official: key, name, outcome, and whether policy acts on it."""
        for fact, key, name, basis in _READINGS:
            outcome = getattr(self.facts, fact)
            if outcome is not None:
                yield fact, name, outcome, self._use_of(key, basis, outcome)

    def _use_of(self, key: str, basis: Basis, outcome: SPFOutcome) -> str:
        if self.effective.basis is basis:
            return "policy acts on it"
        if not getattr(self.settings, key):
            return f"policy does not act on it: spf.{key} is off"
        if basis in {Basis.GUESS, Basis.HELO} and outcome.result is not SPFResult.PASS:
            return "policy does not act on it: a guess only ever helps"
        return "policy does not act on it"

    def lines(self) -> Iterator[str]:
        """For people; what is not official says so."""
        if self.official.correction:
            yield f"correction: probably meant was {self.official.correction}"
        if self.helo is not None:
            yield f"HELO name: {_result_text(self.helo)}"
        for _fact, name, outcome, use in self.readings():
            yield f"{name}: {_result_text(outcome)}; this is not official, and {use}"
        if self.facts.forwarder:
            yield f"trusted forwarder: {self.facts.forwarder}"
        yield f"effective: {self.effective}"
        yield f"the check spf would say: {self._verdict_text()}"
        if self.settings.mode != "enforce":
            yield f"but its mode is {self.settings.mode}: nothing of it counts"

    def _verdict_text(self) -> str:
        wanted = [
            f"tell {each.mailbox} by {each.template}" if each.template else f"ask the exchangers of {each.mailbox}"
            for each in self.transaction.inquiries
        ]
        if self.verdict is None:
            return "; ".join(wanted) or "nothing, the message goes on"
        text = self.verdict.word
        if isinstance(self.verdict, Refuse | TempFail):
            text += f" with {self.verdict.code} {self.verdict.status}"
        return f"{text}, {self.verdict.reason.code}: {self.verdict.reason.text}"

    def as_dict(self) -> Mapping[str, object]:
        """For machines."""
        verdict = self.verdict
        return {
            "readings": {
                fact: {"result": outcome.result.value, "mechanism": outcome.mechanism, "use": use}
                for fact, _name, outcome, use in self.readings()
            },
            "helo": self.helo.result.value if self.helo is not None else "",
            "effective": {"result": self.effective.outcome.result.value, "basis": str(self.effective.basis)},
            "verdict": verdict.word if verdict is not None else "",
            "reason": verdict.reason.code if verdict is not None else "",
            "inquiries": [{"mailbox": str(e.mailbox), "template": e.template} for e in self.transaction.inquiries],
        }


def _result_text(outcome: SPFOutcome) -> str:
    return f"{outcome.result.value}, by {outcome.mechanism}" if outcome.mechanism else str(outcome.result.value)


async def view_of(loaded: Loaded, access: AccessMap, evaluator: SPFEvaluator, asked: Asked) -> SPFView | None:
    """What is to be shown of a sender; None when there is no name to judge."""
    transaction = _transaction(asked)
    source = source_of(transaction)
    official = await judged(transaction, Identity.MAIL_FROM, evaluator)
    if source is None or official is None:
        return None
    helo = None
    if official.identity is not Identity.HELO and is_host_name(asked.helo):
        helo = await judged(transaction, Identity.HELO, evaluator)
    settings, base_dir = loaded.settings.spf, Path(loaded.base_dir)
    extra = loaded.settings.three_strikes.patterns
    patterns = load_patterns(base_dir / extra if extra else None)
    every = replace(settings, lax=True, best_guess=True, helo_best_guess=True, defer_only_passes=True)
    facts = await FactFinder(every, evaluator, patterns).find(transaction, source, official, helo)
    wanted = await FactFinder(settings, evaluator, patterns).find(transaction, source, official, helo)
    policy = SPFPolicy.of(settings, lambda: access, base_dir)
    means = Means.of(loaded.settings, "spf")
    check = SPFCheck(settings, evaluator, NetworkSet.parse([]), lambda: 0.0, policy, means, patterns)
    verdict = await check.check_mail(transaction)
    return SPFView(official, helo, facts, effective(wanted), verdict, transaction, settings)


def _transaction(asked: Asked) -> Transaction:
    """A stranger's message, from which nothing is learnt."""
    from twistedmilter.model.address import parse_path

    client = Client(asked.name, asked.ip, 0, str(asked.ip))
    connection = Connection(1, client, listener="spf", helo=asked.helo, is_test=True)
    return Transaction("spf", connection, parse_path(f"<{asked.sender}>"))
