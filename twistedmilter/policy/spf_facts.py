"""Asking what policy wants to know of a sender beyond its official SPF results (E05 to E10, E14, E18, E24)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from twistedmilter.interfaces.dns import ISPFEvaluator, ISPFReader
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.spf import Reading, SPFOutcome, SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.dynamic_ptr import DynamicPatterns, judge_ptr
from twistedmilter.policy.networks import plain
from twistedmilter.policy.spf_decision import Facts, is_pass, needs_guess
from twistedmilter.policy.spf_identity import Source, is_host_name, reverse_path

SENDER_GUESS: Final = Reading(record="v=spf1 a/24 mx/24 ptr")
DYNAMIC_SENDER_GUESS: Final = Reading(record="v=spf1 a/24 mx/24")  # a lent address proves nothing by its name
HOST_GUESS: Final = Reading(record="v=spf1 a mx")  # of HELO names and forwarders; exact, as is later practice
LAX: Final = Reading(is_lax=True)
HOPEFUL: Final = Reading(is_hopeful=True)


@dataclass(eq=False)
class FactFinder:
    """Asks for each fact only where the settings want it and the official result leaves room for it.

    @ivar evaluator: None, or one that is no L{ISPFReader}: there is nothing beyond the official results.
    @ivar patterns: which names look dynamic. Such a HELO name is not guessed for; None: none looks so.
    @raise ValueError: C{spf.delegate} or an entry of C{spf.trusted_forwarders} is no domain, or
        C{spf.reject_noptr} is on without C{spf.compat}.
    """

    settings: SPFSettings
    evaluator: ISPFEvaluator | None
    patterns: DynamicPatterns | None = None
    _reader: ISPFReader | None = field(init=False)
    _delegate: Reading = field(init=False)
    _forwarders: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Read the settings once."""
        settings = self.settings
        if settings.reject_noptr and settings.compat != "seed":
            raise ValueError('spf.reject_noptr: has a meaning with spf.compat = "seed" only; see three_strikes.policy')
        is_wanted = any(
            (
                settings.lax,
                settings.delegate,
                settings.best_guess,
                settings.helo_best_guess,
                settings.trusted_forwarders,
                settings.defer_only_passes,
                settings.compat,
            )
        )
        reads = is_wanted and ISPFReader.providedBy(self.evaluator)
        self._reader = self.evaluator if reads else None  # type: ignore[assignment] # provided, as was just asked
        self._delegate = Reading(delegate=_domain("spf.delegate", settings.delegate) if settings.delegate else "")
        self._forwarders = tuple(_domain("spf.trusted_forwarders", each) for each in settings.trusted_forwarders)

    def is_dynamic(self, name: str, source: Source) -> bool:
        """Whether a name of the client looks like that of a lent address (seed-spec 4)."""
        return self.patterns is not None and judge_ptr(name, source.ip, self.patterns).is_dynamic

    def has_dynamic_ptr(self, transaction: Transaction, source: Source) -> bool:
        """Whether the PTR name of the client looks so, or is missing."""
        real = transaction.real_client
        return self.is_dynamic(real.name if real is not None else transaction.connection.client.name, source)

    async def find(
        self, transaction: Transaction, source: Source, official: SPFOutcome, helo: SPFOutcome | None
    ) -> Facts:
        """The facts for the official outcomes of MAIL FROM and HELO."""
        facts = Facts(official, helo, may_vouch=self.settings.helo_vouches)
        reader = self._reader
        if reader is None or is_pass(official):
            return facts
        facts = await self._ask_forwarders(reader, source, facts)
        if facts.forwarder:
            return facts
        facts = await self._read_again(reader, transaction, source, facts)
        facts = await self._guess_helo(reader, source, facts)
        if self.settings.best_guess and needs_guess(facts) and not transaction.mail_from.is_null:
            is_dynamic = self.has_dynamic_ptr(transaction, source)
            guess = DYNAMIC_SENDER_GUESS if is_dynamic else SENDER_GUESS
            facts = replace(facts, guess=await _sender(reader, transaction, source, guess))
        return facts

    async def _read_again(self, reader: ISPFReader, transaction: Transaction, source: Source, facts: Facts) -> Facts:
        """What the record of the sender says when it is read otherwise."""
        settings = self.settings
        match facts.official.result:
            case SPFResult.PERMERROR if settings.lax or settings.compat:
                return replace(facts, lax=await _sender(reader, transaction, source, LAX))
            case SPFResult.TEMPERROR if settings.defer_only_passes:
                return replace(facts, hope=await _sender(reader, transaction, source, HOPEFUL))
            case SPFResult.NONE if settings.delegate:
                return replace(facts, delegate=await _sender(reader, transaction, source, self._delegate))
        return facts

    async def _guess_helo(self, reader: ISPFReader, source: Source, facts: Facts) -> Facts:
        helo = facts.helo
        wanted = self.settings.helo_best_guess or (self.settings.compat and self.settings.best_guess)
        if not wanted or helo is None or helo.result is not SPFResult.NONE or self.is_dynamic(source.helo, source):
            return facts
        return replace(facts, helo_guess=await reader.read(source.ip, "", source.helo, HOST_GUESS))

    async def _ask_forwarders(self, reader: ISPFReader, source: Source, facts: Facts) -> Facts:
        """Which trusted forwarder's host this is; the first that passes, else the first that may."""
        for domain in self._forwarders:
            result = await self._standing(reader, source, domain)
            if result is SPFResult.PASS:
                return replace(facts, forwarder=domain, unsure_forwarder="")
            if result is SPFResult.TEMPERROR and not facts.unsure_forwarder:
                facts = replace(facts, unsure_forwarder=domain)
        return facts

    async def _standing(self, reader: ISPFReader, source: Source, domain: str) -> SPFResult:
        networks = await reader.networks_of(domain)
        if plain(source.ip) in networks:
            return SPFResult.PASS
        if networks.is_whole or self.evaluator is None:
            return SPFResult.FAIL
        postmaster = f"postmaster@{domain}"
        if networks.is_published:
            return (await self.evaluator.check_host(source.ip, postmaster, source.helo)).result
        return (await reader.read(source.ip, postmaster, source.helo, HOST_GUESS)).result  # E06


async def _sender(reader: ISPFReader, transaction: Transaction, source: Source, reading: Reading) -> SPFOutcome | None:
    """The sender's record read otherwise; for the null reverse-path that of HELO."""
    sender = reverse_path(transaction.mail_from)
    return await reader.read(source.ip, sender, source.helo, reading) if sender or source.helo else None


def _domain(key: str, text: str) -> str:
    domain = folded_domain(text.strip())
    if not is_host_name(domain) or not all(label and label.replace("-", "").isalnum() for label in domain.split(".")):
        raise ValueError(f"{key}: {text!r:.80} is no domain; allowed is a name such as example.org")
    return domain
