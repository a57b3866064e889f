"""An SPF evaluation step by step, for people (seed-spec W09)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dns.rdatatype import RdataType
from msgspec import Struct

from twistedmilter.model.spf import SPFOutcome
from twistedmilter.model.transaction import IPAddress
from twistedmilter.spf_driver import SPFEvaluator
from twistedmilter.spf_query import Evaluation, KnownAnswers, Values, shown


class ExplainedOutcome(Struct, frozen=True):
    """An outcome with the way to it.

    @ivar steps: lines of text in the order of the evaluation, indented by the depth of include.
    """

    outcome: SPFOutcome
    steps: tuple[str, ...]


async def explain_steps(evaluator: SPFEvaluator, ip: IPAddress, mail_from: str, helo: str) -> ExplainedOutcome:
    """Evaluate one identity as L{SPFEvaluator.check_host} does, and tell how."""
    outcome, evaluation = await evaluator.evaluate(TracedEvaluation, ip, mail_from, helo)
    steps = [f"{outcome.identity} identity: {shown(outcome.sender)}, client {ip}, HELO {shown(helo)}"]
    if isinstance(evaluation, TracedEvaluation):
        steps += evaluation.steps
    else:
        steps.append(f"{shown(outcome.domain) or 'the sender'} is not a domain name that can have a record")
    return ExplainedOutcome(outcome, (*steps, *_result(outcome)))


def _result(outcome: SPFOutcome) -> Iterator[str]:
    yield f"result: {outcome.result}" + (f", by {outcome.mechanism}" if outcome.mechanism else "")
    if outcome.problem:
        yield f"problem: {outcome.problem}"
    if outcome.explanation:
        yield f"explanation: {shown(outcome.explanation)}"


class TracedEvaluation(Evaluation):
    """A pass that notes what it does.

    @ivar steps: lines of text.
    """

    def __init__(self, ip: str, local_part: str, domain: str, helo: str, answers: KnownAnswers) -> None:
        """Prepare, see L{Evaluation}."""
        super().__init__(ip, local_part, domain, helo, answers)
        self.steps: list[str] = []
        self._depth = 0

    def _say(self, text: str) -> None:
        self.steps.append("  " * self._depth + text)

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> Values:
        """Note the question and its answer."""
        try:
            return super().dns(name, qtype, cnames, ignore_void)
        finally:
            key = (name.lower().removesuffix("."), RdataType[qtype])
            if key in self.answers.used:
                self._say(f"    DNS {self.answers.text(key)}")

    def check0(self, spf: str | None, recursion: int) -> tuple[str, int, Any]:
        """Note the record and its result."""
        self._depth = recursion
        self._say(f"record of {shown(self.d)}: {shown(spf or 'none')}")
        result: tuple[str, int, Any] = super().check0(spf, recursion)
        self._say(f"{shown(self.d)} says {result[0]}")
        self._depth = recursion - 1 if recursion else 0
        return result

    def validate_mechanism(self, mech: str) -> _Term:
        """Note a mechanism when its turn comes, not when it is read."""
        return _Term(super().validate_mechanism(mech), lambda: self._say(f"  mechanism {shown(mech)}"))


class _Term(Struct, frozen=True):
    """A mechanism in pyspf's list; pyspf unpacks it when it is about to evaluate it."""

    parts: tuple[Any, ...]
    considered: Callable[[], None]

    def __iter__(self) -> Iterator[Any]:
        self.considered()
        return iter(self.parts)
