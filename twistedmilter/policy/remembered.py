"""What was made of DNS answers, for as long as they are good: most clients send more than once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values that hold until a moment of their own; when full, the one not used for longest goes."""

    def __init__(self, size: int) -> None:
        """Empty; keeps at most C{size} values."""
        self._size = size
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, now: float) -> V | None:
        """The value, if it still holds.

        @param now: reactor seconds.
        """
        known = self._values.get(key)
        if known is None:
            return None
        expires, value = known
        if expires <= now:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V, expires: float) -> None:
        """Remember a value until then, in reactor seconds."""
        self._values[key] = (expires, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
