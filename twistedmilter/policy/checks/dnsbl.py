"""DNS lists of others, asked about strangers (RFC 5782)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Final

from dns.rdatatype import RdataType
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.dnsbl_settings import DnsblSettings
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Mark, Reason, Verdict
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.dns_list_health import ListHealth
from twistedmilter.policy.dns_lists import DnsList, clean_text
from twistedmilter.policy.keywords import Keyword, Word
from twistedmilter.policy.networks import plain
from twistedmilter.policy.spf_identity import is_host_name

TICK: Final = 60.0  # seconds between two looks at which list is due for a probe


def parse_lists(settings: DnsblSettings) -> list[DnsList]:
    """The lists of the section.

    @raise ValueError: one of them cannot be used, or stands there twice; the text names the entry.
    """
    lists: list[DnsList] = []
    for position, table in enumerate(settings.lists):
        try:
            lists.append(_another(DnsList.parse(table), lists))
        except ValueError as problem:
            raise ValueError(f"lists[{position}]: {problem}") from None
    return lists


def _another(parsed: DnsList, lists: Sequence[DnsList]) -> DnsList:
    if any((parsed.zone, parsed.kind) == (each.zone, each.kind) for each in lists):
        raise ValueError(f"{parsed.zone} stands there twice")
    return parsed


@dataclass(frozen=True, slots=True)
class Hit:
    """A list has an entry that the configuration names.

    @ivar subject: what is listed. @ivar text: what the list says of it, cleaned; may be empty.
    """

    dns_list: DnsList
    subject: str
    keyword: Keyword
    text: str

    @property
    def reason(self) -> Reason:
        """What the sender is told: who lists what, and the list's own words as its own."""
        zone = self.dns_list.zone
        text = f"{self.subject} is listed by {zone}"
        return Reason("dnsbl-listed", text, (f"{zone} says: {self.text}",) if self.text else ())


@implementer(IMailCheck, IRunningCheck)
@dataclass(eq=False)
class DnsblCheck:
    """Does what the configuration says with a stranger whom a list has; all lists are asked at once, at MAIL.

    Clients of ours, trusted relays and authenticated clients are not asked about, nor is loopback, which every list
    of addresses has as its test entry.  A list that fails its probe is not asked (L{ListHealth}).  A known sender is
    spared, unless the word is C{REJECT!}; C{WHITELIST} for a list of good ones makes the sender known.  The first list
    that decides counts, else the first that marks; if none does and one did not answer, the check could not answer.

    Evidence: C{listed} with the code, the word and the list's own text, C{unknown_code} for a code that no entry names,
    C{not_used} and C{no_answer} for lists that could not be asked, C{spared} with what the sender is known for.
    Reason code: C{dnsbl-listed}.

    @ivar means: whether senders can be asked and told.
    @ivar clock: monotonic seconds. @ivar tell: told of lists that are not used, and used again.
    @raise ValueError: a list cannot be used.
    """

    settings: DnsblSettings
    resolver: IResolver
    means: Means
    clock: Callable[[], float]
    tell: Callable[[str], None]
    name: str = "dnsbl"
    local: bool = False
    _lists: list[ListHealth] = field(init=False)
    _loop: LoopingCall | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Parse the lists once."""
        self._lists = [ListHealth(each, self.resolver, self.clock, self.tell) for each in parse_lists(self.settings)]

    def start(self, reactor: Any) -> None:
        """Probe all lists, and each of them again when it is due."""
        self._loop = LoopingCall(self._refresh)
        self._loop.clock = reactor
        self._loop.start(TICK)

    def stop(self) -> None:
        """Probe no more."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()
        for each in self._lists:
            each.stop()

    def status(self) -> dict[str, object]:
        """The health of each list."""
        return {f"{each.dns_list.zone} ({each.dns_list.kind})": each.status() for each in self._lists}

    def _refresh(self) -> None:
        for each in self._lists:
            each.refresh()

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Ask the lists about a stranger.

        @raise TemporaryFailure: nobody lists it, and a list did not answer.
        """
        ip = transaction.connection.client.ip
        if not transaction.connection.is_external or (ip is not None and plain(ip).is_loopback):
            return None
        asked = [
            self._ask(health, subject, transaction)
            for health in self._lists
            if (subject := _subject(health.dns_list, transaction))
        ]
        hits: list[Hit] = []
        failures: list[str] = []
        for found in await _together(asked):
            if isinstance(found, Hit):
                hits.append(found)
            elif found is not None:
                failures.append(found)
        verdict = self._judge(hits, transaction)
        if verdict is None and failures:
            raise TemporaryFailure("; ".join(failures))
        return verdict

    async def _ask(self, health: ListHealth, subject: str, transaction: Transaction) -> Hit | str | None:
        """What one list has: a hit, nothing, or as text that it did not answer."""
        dns_list = health.dns_list
        name = dns_list.query(subject)
        if not name:
            return None
        if not await health.is_usable():
            transaction.note(self.name, "not_used", f"{dns_list.zone}: {health.problem}")
            return None
        try:
            codes = await health.ask(name)
        except TemporaryFailure as failure:
            transaction.note(self.name, "no_answer", f"{dns_list.zone}: {failure}")
            return f"{dns_list.zone}: {failure}"
        return await self._read(health, subject, codes, transaction) if codes else None

    async def _read(
        self, health: ListHealth, subject: str, codes: Sequence[IPv4Address], transaction: Transaction
    ) -> Hit | None:
        dns_list = health.dns_list
        told = f"{subject} by {dns_list.zone}: {' '.join(map(str, codes))}"
        entry = dns_list.entry(codes)
        health.count("listed" if entry is not None else "unknown_codes")
        if entry is None:
            transaction.note(self.name, "unknown_code", told)
            return None
        text = await self._text(dns_list.query(subject))
        transaction.note(self.name, "listed", f"{told}, {entry[1]}" + (f": {text}" if text else ""))
        return Hit(dns_list, subject, entry[1], text)

    async def _text(self, name: str) -> str:
        """What the list says of an entry; nothing depends on it."""
        try:
            answer = await self.resolver.lookup(name, RdataType.TXT)
        except TemporaryFailure:
            return ""
        strings = [getattr(record, "strings", ()) for record in answer.records]
        return clean_text(strings[0]) if strings else ""

    def _judge(self, hits: Sequence[Hit], transaction: Transaction) -> Verdict | None:
        """The verdict that counts."""
        verdicts = list(self._verdicts(hits, transaction))
        return next((each for each in verdicts if not isinstance(each, Mark)), verdicts[0] if verdicts else None)

    def _verdicts(self, hits: Sequence[Hit], transaction: Transaction) -> Iterator[Verdict]:
        for hit in sorted(hits, key=lambda hit: hit.keyword.word is not Word.WHITELIST):  # the good word first
            vouched = transaction.known_sender and hit.keyword.word not in {Word.WHITELIST, Word.OK}
            if vouched and not hit.keyword.is_strong:
                transaction.note(self.name, "spared", transaction.known_sender)
                continue
            verdict = act(hit.keyword, transaction, Case(self.name, hit.reason), self.means)
            if verdict is not None:
                yield verdict


def _subject(dns_list: DnsList, transaction: Transaction) -> str:
    """What this list is asked about; empty if there is nothing."""
    connection, ip = transaction.connection, transaction.connection.client.ip
    if dns_list.kind == "client":
        return str(plain(ip)) if ip is not None else ""
    name = transaction.mail_from.domain if dns_list.kind == "sender" else connection.helo.strip()
    return name.lower().rstrip(".") if is_host_name(name) else ""  # one label would meet the test entries


async def _together(asked: Sequence[Coroutine[Any, Any, Hit | str | None]]) -> list[Hit | str | None]:
    """All answers, in order; cancelling cancels all.

    @raise CancelledError: the MTA went away.
    """
    answers: list[Hit | str | None] = []
    for _, value in await DeferredList([Deferred.fromCoroutine(each) for each in asked], consumeErrors=True):
        if isinstance(value, Failure):
            value.raiseException()
        answers.append(value)
    return answers
