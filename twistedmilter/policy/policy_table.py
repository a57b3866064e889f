"""Policy words by tag and address: a table of the configuration in front of the access map (seed-spec F02 to F04)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from msgspec import Struct

from twistedmilter.policy.access import AccessMap, Entry, lookup_keys, no_access
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.keywords import parse_keyword

_NAME = re.compile(r"[^\s@:/]+")
_ADDRESS = re.compile(r"[^\s:]+@[^\s@:/]+")


class PolicyTable(Struct, frozen=True):
    """Both sources of policy words, looked up as one: first the address, then its domain, each parent, the bare tag.

    At each step the table of the configuration is asked before the map.

    @ivar entries: the table of the configuration, by key of L{lookup_keys}.
    @ivar access: gives the access map as its file is now.
    """

    entries: Mapping[str, Entry]
    access: Callable[[], AccessMap] = no_access

    @classmethod
    def parse(
        cls,
        table: Mapping[str, str],
        *,
        where: str,
        tags: Collection[str],
        prefix: str = "",
        access: Callable[[], AccessMap] = no_access,
    ) -> PolicyTable:
        """The table of a section.

        A domain stands for those below it too, with a leading dot for those only.

        @param table: words by C{tag}, C{tag:domain}, C{tag:.domain} or C{tag:user@domain}.
        @param where: how the table is called, e.g. C{[spf.policy]}.
        @param tags: what may stand before the colon, with C{prefix}. @param prefix: put before a tag that lacks it.
        @raise ValueError: a key or a word that cannot be read; the text names the key.
        """
        exact: dict[str, Entry] = {}
        below: dict[str, Entry] = {}
        for key, word in table.items():
            try:
                tag, name = _read_key(key, tags, prefix)
                keyword = parse_keyword(word)
            except ValueError as problem:
                raise ValueError(f"{key!r:.80}: {problem}") from None
            entry = Entry(f"{tag}:{name}", keyword, where, spelling=key)
            exact[entry.key] = entry
            if name and "@" not in name and not name.startswith("."):
                below[f"{tag}:.{name}"] = entry
        return cls({**below, **exact}, access)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be found."""
        return not self.entries and not self.access().entries

    def has(self, tag: str) -> bool:
        """Whether there is any entry of this tag."""
        return tag in self.access().tags or any(key.partition(":")[0] == tag for key in self.entries)

    def find(self, tag: str, address: str) -> Entry | None:
        """The entry that decides; None if there is none."""
        return next((entry for _, entry in self.steps(tag, address) if entry is not None), None)

    def steps(self, tag: str, address: str) -> Iterator[tuple[str, Entry | None]]:
        """Each key in the order in which it is looked up, with its entry.

        @param tag: e.g. C{spf-fail}. @param address: C{user@domain}, a domain, or empty.
        """
        in_map = self.access().entries
        for key in lookup_keys(tag, address):
            yield key, self.entries.get(key) or in_map.get(key)


def _read_key(text: str, tags: Collection[str], prefix: str) -> tuple[str, str]:
    """Tag and name of a key, both folded.

    @raise ValueError: no known tag, or what follows the colon is neither a domain nor an address.
    """
    tag, colon, name = (part.strip() for part in text.strip().partition(":"))
    tag = tag.lower()
    tag = tag if tag in tags else prefix + tag
    if tag not in tags:
        known = ", ".join(sorted(each.removeprefix(prefix) for each in tags))
        raise ValueError(f"{text.partition(':')[0]!r:.60} names no result; allowed are {known}")
    local, at, domain = name.rpartition("@")
    is_below = domain.startswith(".") and not local
    domain = folded_domain(domain.removeprefix(".") if is_below else domain)
    wrong = _NAME.fullmatch(domain) is None or (local and _ADDRESS.fullmatch(name) is None)
    if (colon or at) and wrong:
        raise ValueError("names no domain or address behind the colon")
    if local:
        return tag, f"{local.lower()}@{domain}"
    return tag, f"{'.' if is_below else ''}{domain}"
