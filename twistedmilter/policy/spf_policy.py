"""What to do by SPF result: C{[spf.policy]}, the access map and the lists, and how long a temperror is waited out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct
from msgspec import field as member

from twistedmilter.model.address import parse_path
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.access import AccessMap, no_access
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.keywords import Keyword, Word
from twistedmilter.policy.networks import network_key
from twistedmilter.policy.policy_table import PolicyTable
from twistedmilter.policy.spf_compat import default_words

WHERE = "[spf.policy]"
_SPF, _HELO = "spf-", "helo-"
_TAGS = {(kind, result): f"{kind}{result.value}" for kind in (_SPF, _HELO) for result in SPFResult}
TAGS = frozenset(_TAGS.values())
_OK = Keyword(Word.OK)
_REJECT = Keyword(Word.REJECT)
DEFAULTS: Mapping[str, Keyword] = MappingProxyType(
    {
        "spf-fail": _REJECT,
        "spf-permerror": Keyword(Word.MARK),
        "spf-temperror": Keyword(Word.TEMPFAIL),
        "helo-fail": _REJECT,
    }
)


class Choice(Struct, frozen=True):
    """The word for an outcome, and who says so.

    @ivar source: the entry, the list, or C{default}.
    """

    keyword: Keyword
    source: str

    @property
    def is_default(self) -> bool:
        """Whether the administrator said nothing about it."""
        return self.source == "default"


class DomainList(Struct, frozen=True):
    """A list of C{[spf]} that changes the default of a result for some senders (F09 to F11).

    @ivar words: the other default by tag. @ivar senders: for whom.
    """

    name: str
    words: Mapping[str, Keyword]
    senders: AddressSet


class SPFPolicy(Struct, frozen=True):
    """Words by result, and by result and sender.

    An entry of the table or the map decides, even one for the bare result; else a list; else the default (F12).
    """

    table: PolicyTable
    lists: tuple[DomainList, ...] = ()
    defaults: Mapping[str, Keyword] = member(default_factory=lambda: DEFAULTS)

    @classmethod
    def parse(cls, table: Mapping[str, str], access: Callable[[], AccessMap] = no_access) -> SPFPolicy:
        """The policy of a C{[spf.policy]} table alone.

        @raise ValueError: a key that names no result, or a value that is no keyword; the text names the key.
        """
        return cls(PolicyTable.parse(table, where=WHERE, tags=TAGS, prefix=_SPF, access=access))

    @classmethod
    def of(
        cls, settings: SPFSettings, access: Callable[[], AccessMap] = no_access, base_dir: Path = Path()
    ) -> SPFPolicy:
        """The policy of a C{[spf]} section.

        @param base_dir: where C{file:} entries of the lists are.
        @raise ValueError: as L{parse}, or an entry of a list that is no sender.
        """
        defaults = default_words(reject_noptr=settings.reject_noptr) if settings.compat else DEFAULTS
        table = cls.parse(settings.policy, access).table
        return cls(table, tuple(_lists(settings, base_dir)), defaults)

    def find(self, outcome: SPFOutcome, identity: Identity) -> Choice:
        """The word for an outcome: by the full address that was judged, its domain, each parent, the result.

        @param identity: whose key to use; the null reverse-path is judged as MAIL FROM although its outcome is of
            the HELO identity.
        """
        kind = _SPF if identity is Identity.MAIL_FROM else _HELO
        tag = _TAGS[kind, outcome.result]
        if not self.table.is_empty:
            entry = self.table.find(tag, outcome.sender if kind == _SPF else outcome.domain)
            if entry is not None:
                return Choice(entry.keyword, str(entry))
        return self.fallback(tag, outcome.sender)

    def fallback(self, tag: str, sender: str) -> Choice:
        """The word where no entry decides: of a list, or the default."""
        for each in self.lists:
            if tag in each.words and each.senders.match(parse_path(sender)) is not None:
                return Choice(each.words[tag], f"[spf] {each.name}")
        return Choice(self.defaults.get(tag, _OK), "default")


def _lists(settings: SPFSettings, base_dir: Path) -> list[DomainList]:
    """The lists that have entries; one that refuses comes before one that lets in."""
    every = (
        ("reject_neutral", settings.reject_neutral, {"spf-neutral": _REJECT, "spf-softfail": _REJECT}),
        ("accept_softfail", settings.accept_softfail, {"spf-softfail": _OK}),
        ("accept_fail", settings.accept_fail, {"spf-fail": Keyword(Word.CBV)}),
    )
    return [DomainList(name, words, AddressSet.parse(senders, base_dir)) for name, senders, words in every if senders]


@dataclass(slots=True)
class _Episode:
    began: float
    seen: float


@dataclass(eq=False)
class TemperrorEpisodes:
    """Since when the name servers of a domain have failed, by domain and client network.

    A domain whose name servers are broken for good would otherwise lose its mail after days in the queue of its
    sender, unread and unexplained; so a tempfail has an end.

    @ivar limit: how long to tempfail. [seconds]
    @ivar forget: an episode that was not heard of for so long is over. [seconds]
    @ivar max_entries: the oldest are forgotten beyond it, which only makes their senders wait longer.
    """

    limit: float
    forget: float = 86_400.0
    max_entries: int = 10_000
    _episodes: OrderedDict[tuple[str, str], _Episode] = field(default_factory=OrderedDict)

    def is_over(self, domain: str, ip: IPAddress, now: float, *, remember: bool = True) -> bool:
        """Whether the time to tempfail this domain is over for this client.

        @param now: reactor seconds. @param remember: False asks without leaving a trace.
        """
        key = (domain, network_key(ip))
        episode = self._episodes.get(key)
        if episode is None or now - episode.seen > self.forget:
            episode = _Episode(now, now)
        if remember:
            episode.seen = now
            self._episodes[key] = episode
            self._episodes.move_to_end(key)
            if len(self._episodes) > self.max_entries:
                self._episodes.popitem(last=False)
        return now - episode.began >= self.limit

    def end(self, domain: str, ip: IPAddress) -> None:
        """The domain answered: the next temperror begins a new episode."""
        if self._episodes:
            self._episodes.pop((domain, network_key(ip)), None)
