"""What to do by SPF result: the table of C{[spf.policy]}, and how long a temperror is waited out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.address_set import folded_domain, parents
from twistedmilter.policy.keywords import Keyword, Word, parse_keyword
from twistedmilter.policy.networks import network_key

_RESULTS = frozenset(result.value for result in SPFResult)
_HELO = "helo-"
DEFAULTS: Mapping[str, Keyword] = {
    "fail": Keyword(Word.REJECT),
    "permerror": Keyword(Word.MARK),
    "temperror": Keyword(Word.TEMPFAIL),
    "helo-fail": Keyword(Word.REJECT),
}
_OK = Keyword(Word.OK)


@dataclass(frozen=True, slots=True)
class SPFPolicy:
    """Keywords by result, and by result and domain.

    @ivar entries: C{result} or C{helo-result}, with a domain behind a colon when it is about that domain and those
        below it; everything folded.
    """

    entries: Mapping[str, Keyword]

    @classmethod
    def parse(cls, table: Mapping[str, str]) -> SPFPolicy:
        """The policy of a C{[spf.policy]} table.

        @raise ValueError: a key that names no result, or a value that is no keyword; the text names the key.
        """
        entries: dict[str, Keyword] = {}
        for key, text in table.items():
            tag, _, domain = key.strip().partition(":")
            tag = tag.strip().lower()
            if tag.removeprefix(_HELO) not in _RESULTS:
                known = ", ".join(sorted(_RESULTS))
                raise ValueError(f"{key!r} names no result; allowed are {known}, each also with {_HELO} before it")
            domain = folded_domain(domain.strip().removeprefix("@").removeprefix("."))
            try:
                entries[f"{tag}:{domain}" if domain else tag] = parse_keyword(text)
            except ValueError as problem:
                raise ValueError(f"{key!r}: {problem}") from None
        return cls(entries)

    def find(self, outcome: SPFOutcome, identity: Identity) -> Keyword:
        """The keyword for an outcome: of its domain, else of the nearest domain above, else of the result.

        @param identity: whose key to use; the null reverse-path is judged as MAIL FROM although its outcome is of
            the HELO identity.
        """
        tag = outcome.result.value if identity is Identity.MAIL_FROM else _HELO + outcome.result.value
        if len(self.entries):
            domain = folded_domain(outcome.domain)
            for name in (domain, *parents(domain)):
                keyword = self.entries.get(f"{tag}:{name}")
                if keyword is not None:
                    return keyword
        return self.entries.get(tag) or DEFAULTS.get(tag) or _OK


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
