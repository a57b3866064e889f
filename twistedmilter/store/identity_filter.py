"""Which identities are certainly in no file, without asking it."""

from __future__ import annotations

from twistedmilter.model.reputation import Identity

BITS_EACH = 32  # bits for one identity: of those that are in no file, one in 270 is looked for there
_FEWEST = 1 << 16


class IdentityFilter:
    """A Bloom filter with two bits for each identity: C{may_hold} is true of all that were added, and of a few others.

    @param expected: how many identities there may be.
    """

    __slots__ = ("_bits", "_mask")

    def __init__(self, expected: int) -> None:
        size = max(_FEWEST, 1 << (expected * BITS_EACH - 1).bit_length())
        self._bits = bytearray(size // 8)
        self._mask = size - 1

    def add(self, digest: int) -> None:
        """Take in an identity by its L{digest}."""
        first, second = digest & self._mask, digest >> 32 & self._mask
        self._bits[first >> 3] |= 1 << (first & 7)
        self._bits[second >> 3] |= 1 << (second & 7)

    def may_hold(self, digest: int) -> bool:
        """Whether an identity of this digest was added, as far as that can be told."""
        first, second = digest & self._mask, digest >> 32 & self._mask
        bits = self._bits
        return bool(bits[first >> 3] >> (first & 7) & 1 and bits[second >> 3] >> (second & 7) & 1)


def digest(identity: Identity) -> int:
    """64 bits that stand for an identity in this process; another process has others."""
    name, qualifier = hash(identity.name), hash(identity.qualifier)
    return (name ^ (qualifier * 0x9E3779B97F4A7C15)) & 0xFFFF_FFFF_FFFF_FFFF
