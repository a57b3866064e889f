"""check_host() of RFC 7208 on the reactor: pyspf is run over what is known until nothing is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv6Address
from typing import Any, Final, TypeVar

from dns.rdatatype import RdataType
from msgspec import Struct, structs
from twisted.internet.defer import Deferred, FirstError, gatherResults
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer, IResolver, ISPFEvaluator, ISPFReader
from twistedmilter.model.address import parse_path
from twistedmilter.model.spf import Identity, Reading, SPFOutcome, SPFResult
from twistedmilter.model.spf_networks import SPFNetworks
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.remembered import Remembered
from twistedmilter.spf_networks import NetworkCompiler
from twistedmilter.spf_query import Evaluation, Key, KnownAnswers, PendingExplanation, shown
from twistedmilter.spf_readings import corrected, evaluation_of
from twistedmilter.wire.dns_query import a_label_form

TIME_LIMIT: Final = 20.0  # seconds for one evaluation (RFC 7208 section 4.6.4 wants at least 20)
MAX_PASSES: Final = 40
MAX_OUTCOMES: Final = 5_000  # about a kibioctet each

T = TypeVar("T")


class Judged(Struct, frozen=True):
    """The identity that is judged.

    @ivar sender: the mailbox as the client said it.
    @ivar local_part: for macros: US-ASCII, and so are C{domain} and C{helo}.
    """

    identity: Identity
    sender: str
    local_part: str
    domain: str
    helo: str

    @property
    def is_askable(self) -> bool:
        """Whether the domain may have a record at all (RFC 7208 section 4.3); nobody is asked if not."""
        labels = self.domain.split(".")
        if len(labels) < 2 or labels[-1].isdigit() or self.domain.startswith("["):
            return False  # a single label, an address, an address-literal
        return all(0 < len(label) < 64 for label in labels)

    def outcome(self, result: SPFResult, **more: Any) -> SPFOutcome:
        """An outcome for this identity."""
        return SPFOutcome(result, self.identity, self.sender, self.domain, **more)


def judged_identity(mail_from: str, helo: str) -> Judged:
    """Whom to judge: the MAIL FROM identity, or HELO for the null reverse-path (RFC 7208 section 2.4).

    U-labels become A-labels.  In macros, other characters outside US-ASCII become C{?} and so match nothing
    (RFC 8616 section 4).
    """
    mailbox = parse_path(mail_from)
    identity = Identity.HELO if mailbox.is_null else Identity.MAIL_FROM
    name = helo.strip().lower().removesuffix(".") if mailbox.is_null else mailbox.domain
    domain = name if name.isascii() else a_label_form(name) or _ascii(name)
    local_part = mailbox.local_part or "postmaster"  # RFC 7208 section 4.3
    return Judged(identity, f"{local_part}@{domain}", _ascii(local_part), domain, _ascii(helo))


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


@implementer(ISPFEvaluator, ISPFReader)
class SPFEvaluator:
    """Evaluates SPF with pyspf and a resolver."""

    def __init__(
        self,
        resolver: IResolver,
        clock: Callable[[], float],
        *,
        time_limit: float = TIME_LIMIT,
        max_passes: int = MAX_PASSES,
    ) -> None:
        """Ready.

        @param clock: the reactor's seconds; the limit is looked at between lookups, each of which has its own.
        @param time_limit: for one evaluation. [seconds]
        @param max_passes: how often pyspf is run at most.
        """
        self._resolver = resolver
        self._clock = clock
        self._time_limit = time_limit
        self._max_passes = max_passes
        # an evaluation without macros depends on nothing but client, domain and DNS
        self._known: Remembered[tuple[IPAddress, Identity, str], SPFOutcome] = Remembered(MAX_OUTCOMES)
        self._networks = NetworkCompiler(resolver, clock)

    async def check_host(self, ip: IPAddress, mail_from: str, helo: str) -> SPFOutcome:
        """Evaluate one identity; see L{ISPFEvaluator}."""
        judged = judged_identity(mail_from, helo)
        key = (ip, judged.identity, judged.domain)
        known = self._known.get(key, self._clock())
        if known is not None:
            return known if known.sender == judged.sender else structs.replace(known, sender=judged.sender)
        outcome, evaluation = await self.evaluate(Evaluation, ip, mail_from, helo)
        if evaluation is not None and evaluation.is_general:
            self._known.put(key, outcome, evaluation.answers.expires)
        return outcome

    async def read(self, ip: IPAddress, mail_from: str, helo: str, reading: Reading) -> SPFOutcome:
        """Evaluate one identity with the record read otherwise; see L{ISPFReader}."""
        return (await self.evaluate(evaluation_of(reading), ip, mail_from, helo))[0]

    async def networks_of(self, domain: str) -> SPFNetworks:
        """The networks that the SPF record of a domain lets pass; see L{ISPFReader}."""
        return await self._networks.networks_of(domain)

    async def evaluate(
        self, kind: Callable[..., Evaluation], ip: IPAddress, mail_from: str, helo: str
    ) -> tuple[SPFOutcome, Evaluation | None]:
        """The outcome, and the pass that gave it; that is None if the domain was not even asked for.

        @param kind: which passes to make.
        """
        judged = judged_identity(mail_from, helo)
        if not judged.is_askable:
            return judged.outcome(SPFResult.NONE), None
        answers = KnownAnswers(self._resolver, _address_type(ip))
        make = partial(kind, _address_text(ip), judged.local_part, judged.domain, judged.helo, answers)
        run = _Run(answers, make, self._clock, self._time_limit, self._max_passes)
        try:
            word, said = await run.until_complete(run.one_pass)
        except TemporaryFailure as failure:
            word, said = SPFResult.TEMPERROR, str(failure)
        pending = said if word == SPFResult.FAIL and isinstance(said, PendingExplanation) else None
        explanation = await run.explanation(pending) if pending else ""
        return _outcome(judged, run.evaluation, word, said, explanation), run.evaluation


@dataclass(slots=True)
class _Run:
    """One evaluation: what it has learnt, and its limits.

    @ivar make: makes the next pass.
    @ivar evaluation: the last pass made.
    """

    answers: KnownAnswers
    make: Callable[[], Evaluation]
    clock: Callable[[], float]
    time_limit: float
    passes_left: int
    started: float = field(init=False)
    evaluation: Evaluation = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def one_pass(self) -> tuple[str, object] | None:
        """A fresh pass over all that is known; None if an answer is missing."""
        self.evaluation = self.make()
        return self.evaluation.run()

    async def explanation(self, pending: PendingExplanation) -> str:
        """The domain's own text for its fail, empty if it cannot be had in time (RFC 7208 section 6.2)."""
        try:
            return await self.until_complete(partial(self.evaluation.explain, pending))
        except TemporaryFailure:
            return ""

    async def until_complete(self, one_pass: Callable[[], T | None]) -> T:
        """The result of the first pass that misses nothing.

        @raise TemporaryFailure: there is no time left, or there were too many passes.
        """
        while self.passes_left:
            self.passes_left -= 1
            self.answers.missing.clear()
            result = one_pass()
            if result is not None and not self.answers.missing:
                return result
            if self.clock() - self.started >= self.time_limit:
                raise TemporaryFailure(f"SPF evaluation takes longer than {self.time_limit:g} s")
            await self._learn(self.answers.missing)
            await self._learn(self.answers.unknown_hosts())
        raise TemporaryFailure("SPF evaluation takes too many steps")

    async def _learn(self, keys: Sequence[Key]) -> None:
        """Look all of these up at the same time."""
        if len(keys) == 1:
            await self._look_up(keys[0])
        elif keys:
            lookups = [Deferred.fromCoroutine(self._look_up(key)) for key in keys]
            try:
                await gatherResults(lookups, consumeErrors=True)
            except FirstError as first:
                first.subFailure.raiseException()  # a cancellation or a fault of ours, as if there were one lookup

    async def _look_up(self, key: Key) -> None:
        try:
            outcome: Answer | TemporaryFailure = await self.answers.resolver.lookup(*key)
        except TemporaryFailure as failure:
            outcome = failure
        self.answers.learn(key, outcome)


def _address_text(ip: IPAddress) -> str:
    """The address as pyspf reads it, without the zone of a link-local one."""
    return str(ip).partition("%")[0]


def _address_type(ip: IPAddress) -> RdataType:
    """The type that holds addresses of the client's family; a mapped one is IPv4 (RFC 7208 section 5)."""
    return RdataType.AAAA if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None else RdataType.A


def _outcome(judged: Judged, evaluation: Evaluation, word: str, said: object, explanation: str) -> SPFOutcome:
    result = SPFResult(word)
    problem = ""
    if result in (SPFResult.PERMERROR, SPFResult.TEMPERROR):
        problem = shown(str(said).removeprefix("SPF Permanent Error: ").removeprefix("SPF Temporary Error: "))
    return judged.outcome(
        result,
        explanation=explanation,
        problem=problem,
        mechanism=shown(evaluation.mechanism or ""),
        record=shown(evaluation.record or ""),
        lookups=evaluation.answers.texts(),
        correction=shown(corrected(evaluation.mech[-1])) if result is SPFResult.PERMERROR and evaluation.mech else "",
    )
