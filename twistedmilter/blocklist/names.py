"""The names of a zone, a million of them: two tables of octets to rule numbers, cut into shards.

A shard is small, so that neither its growth nor its end stalls anything.

@see: gossip-srs-dns-spec 6.3, 6.6 (empty non-terminals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

SHARDS: Final = 256
MASK: Final = SHARDS - 1
PARENT: Final = -1  # the number of a name that is not listed but above a listed one
Shards = tuple[dict[bytes, int], ...]


def new_shards() -> Shards:
    """An empty table; the shard of a key is C{hash(key) & MASK}."""
    return tuple({} for _ in range(SHARDS))


class NameTable:
    """Exact names, and suffixes: names that stand for all that is below them.

    @ivar exact: names to rule numbers, and to L{PARENT}. @ivar below: suffixes to rule numbers.
    @ivar depths: numbers of labels that suffixes have, most first; so a search tries these only.
    """

    __slots__ = ("_on_repeat", "below", "depths", "exact")

    def __init__(self, on_repeat: Callable[[int, int], int]) -> None:
        """Start empty.

        @param on_repeat: says which number holds of the one that a name has and the one that it comes again with.
        """
        self.exact = new_shards()
        self.below = new_shards()
        self.depths: tuple[int, ...] = ()
        self._on_repeat = on_repeat

    def add_exact(self, name: bytes, number: int) -> None:
        """Enter one name."""
        shard = self.exact[hash(name) & MASK]
        known = shard.setdefault(name, number)
        if known == PARENT:
            shard[name] = number
        elif known != number:
            shard[name] = self._on_repeat(known, number)
            return
        self._add_parents(name)

    def add_below(self, suffix: bytes, number: int) -> None:
        """Enter all names below a suffix, not the suffix itself."""
        shard = self.below[hash(suffix) & MASK]
        known = shard.setdefault(suffix, number)
        if known != number:
            shard[suffix] = self._on_repeat(known, number)
            return
        depth = suffix.count(b".") + 1
        if depth not in self.depths:
            self.depths = tuple(sorted((*self.depths, depth), reverse=True))
        self.exact[hash(suffix) & MASK].setdefault(suffix, PARENT)
        self._add_parents(suffix)

    def nearest_below(self, labels: tuple[bytes, ...], holds: Callable[[int], bool] | None = None) -> int | None:
        """The number of the longest suffix that a name is below.

        @param holds: whether a rule has not ended; one that has is passed over.
        """
        count = len(labels)
        for depth in self.depths:
            if depth < count:
                suffix = b".".join(labels[count - depth :])
                number = self.below[hash(suffix) & MASK].get(suffix)
                if number is not None and (holds is None or holds(number)):
                    return number
        return None

    def names(self) -> Iterator[bytes]:
        """All names: listed ones, those above, and suffixes, in no order."""
        for shard in self.exact:
            yield from shard

    def exact_number(self, name: bytes) -> int | None:
        """The number of a name itself; None: it has none of its own."""
        number = self.exact[hash(name) & MASK].get(name, PARENT)
        return None if number == PARENT else number

    def below_number(self, name: bytes) -> int | None:
        """The number that all below a name have for its sake."""
        return self.below[hash(name) & MASK].get(name)

    def clear_slowly(self) -> Iterator[None]:
        """Forget everything, a little at each step; nothing may be asked any more."""
        for shard in (*self.exact, *self.below):
            shard.clear()
            yield

    def _add_parents(self, name: bytes) -> None:
        _, dot, name = name.partition(b".")
        while dot:
            shard = self.exact[hash(name) & MASK]
            if name in shard:
                return  # so are its own parents
            shard[name] = PARENT
            _, dot, name = name.partition(b".")
