"""Entries that come and go while a zone is served, such as bans: in the answers at once, and gone when they end.

@see: seed-spec S02, S03 (banned domains, C{*.name}), S05 (banned clients).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.listing import Listing, Rule, RuleKind, Values

_NAME: Final = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_STEP: Final = {4: 8, 6: 4}  # bits of one label


class _Entry(Struct, frozen=True, gc=False):
    rule: Rule
    values: Values


class LiveList:
    """Names and addresses that somebody else enters and takes out; zones may share it, and keep it when they reload.

    @ivar wall: seconds since the epoch, for entries that end.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        """Start empty."""
        self.wall = wall
        self._exact: dict[bytes, _Entry] = {}
        self._below: dict[bytes, _Entry] = {}
        self._parents: Counter[bytes] = Counter()

    def __len__(self) -> int:
        """How many entries there are, with those that have ended."""
        return len(self._exact) + len(self._below)

    def put(self, subject: str, values: Values, source: str) -> None:
        """Enter something, or change what is said about it.

        @param subject: C{example.com}, in A-labels; C{*.example.com}, all that is below; an IP address or network.
        @param source: what a listing names as its source, such as C{bans}.
        @raise ValueError: it is none of these.
        """
        for table, key, kind in self._places(subject):
            if key not in table:
                self._parents.update(_upwards(key, itself=table is self._below))
            table[key] = _Entry(Rule(kind, source, 0), values)

    def remove(self, subject: str) -> bool:
        """Take something out; whether it was there.

        @raise ValueError: it is nothing that could be entered.
        """
        found = False
        for table, key, _ in self._places(subject):
            if table.pop(key, None) is not None:
                found = True
                self._leave(_upwards(key, itself=table is self._below))
        return found

    def forget_ended(self) -> None:
        """Take out what has ended."""
        now = self.wall()
        for table in (self._exact, self._below):
            for key in [key for key, entry in table.items() if 0 < entry.values.expires <= now]:
                del table[key]
                self._leave(_upwards(key, itself=table is self._below))

    def find(self, labels: tuple[bytes, ...], key: bytes) -> Listing | None:
        """What is known about a name or an address; the narrowest entry decides."""
        found = self._listing(self._exact.get(key))
        if found is None and self._below:
            above = (b".".join(labels[at:]) for at in range(1, len(labels)))
            found = next((each for name in above if (each := self._listing(self._below.get(name))) is not None), None)
        return found

    def reaches_below(self, labels: tuple[bytes, ...], key: bytes) -> bool:
        """Whether something below this name is entered."""
        return key in self._parents or any(b".".join(labels[at:]) in self._below for at in range(1, len(labels)))

    def _leave(self, parents: Iterator[bytes]) -> None:
        """One entry less is below these; what it costs does not depend on how many others there are."""
        for name in parents:
            self._parents[name] -= 1
            if not self._parents[name]:
                del self._parents[name]

    def _listing(self, entry: _Entry | None) -> Listing | None:
        if entry is None:
            return None
        values = entry.values
        left = values.expires - self.wall() if values.expires else values.ttl
        if left <= 0:
            return None
        return Listing(values.codes, min(values.ttl, max(1, int(left))), entry.rule, values.template)

    def _places(self, subject: str) -> Iterator[tuple[dict[bytes, _Entry], bytes, RuleKind]]:
        """The tables and keys that stand for a subject: several for a network that ends within a label."""
        text = subject.strip().lower().rstrip(".")
        if not text.strip("0123456789./") or ":" in text:
            network = ip_network(text)
            step = _STEP[network.version]
            size = -network.prefixlen % step
            for part in network.subnets(size):
                table = self._exact if part.prefixlen == part.max_prefixlen else self._below
                yield table, _reversed(part.network_address.packed, step, part.prefixlen), RuleKind.NETWORK
            return
        below = text.startswith("*.")
        name = text.removeprefix("*.").encode("ascii", "replace")
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{subject!r} is no domain, IP address or network")
        yield (self._below, name, RuleKind.SUFFIX) if below else (self._exact, name, RuleKind.EXACT)


def _reversed(packed: bytes, step: int, length: int) -> bytes:
    """The name of a prefix: octets in decimal or nibbles, the last one first."""
    parts = [str(octet) for octet in packed] if step == 8 else list(packed.hex())
    return ".".join(reversed(parts[: length // step])).encode()


def _upwards(name: bytes, *, itself: bool) -> Iterator[bytes]:
    """The names above one, and the name itself if everything below it is meant."""
    if itself:
        yield name
    _, dot, name = name.partition(b".")
    while dot:
        yield name
        _, dot, name = name.partition(b".")
