"""How far below a name there could be listed ones, for rules that are no list of names (spec 6.6)."""

from __future__ import annotations

from typing import Final

ANY_DEPTH: Final = 128  # labels: more than a name has


class Reach:
    """The literal tails of rules, and how many labels the names have that they list.

    A rule for C{cheap-?.shop.biz} has the tail C{shop.biz} and lists names of three labels: below C{biz},
    C{shop.biz} and below nothing else there could be something.  A rule without a literal tail reaches below every
    name that has fewer labels.
    """

    __slots__ = ("_above", "_depths", "_tails")

    def __init__(self) -> None:
        """Start with nothing."""
        self._tails: dict[bytes, int] = {}
        self._above: set[bytes] = set()
        self._depths: tuple[int, ...] = ()

    def add(self, tail: bytes, count: int) -> None:
        """Add a rule.

        @param tail: labels at the end that every name which it lists has; empty: none is known.
        @param count: labels that the names have at most; L{ANY_DEPTH} if that is not known.
        """
        self._tails[tail] = max(count, self._tails.get(tail, 0))
        depth = tail.count(b".") + 1 if tail else 0
        if depth not in self._depths:
            self._depths = (*self._depths, depth)
        _, dot, parent = tail.partition(b".")
        while dot:
            self._above.add(parent)
            _, dot, parent = parent.partition(b".")

    def covers(self, labels: tuple[bytes, ...], key: bytes) -> bool:
        """Whether something below this name could be listed."""
        if key in self._above:
            return True
        count = len(labels)
        return any(
            self._tails.get(b".".join(labels[count - depth :]), 0) > count for depth in self._depths if depth <= count
        )
