"""The hash in SRS addresses: how it is made, and in how many ways it may come back (gossip-srs-dns-spec 2.3).

Two forms exist.  The I{legacy} form of Mail::SRS and PostSRSd joins its fields without saying where one ends, so
that C{co} + C{mceo} and C{com} + C{ceo} hash alike, and so do the fields of SRS0 and SRS1.  Ours, I{v2}, writes the
kind of the address and the length of each field first.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from twistedmilter.signing.day_stamp import day_of
from twistedmilter.signing.keys import KeyRing, Secret

MIN_LENGTH: Final = 4  # characters; 20 bits of a folded hash
MAX_LENGTH: Final = 24  # characters; 28 would end in padding
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_HASH: Final = re.compile(r"[A-Za-z0-9+/_-]+")
_PLAIN: Final = str.maketrans("+/", "-_")


class Kind(IntEnum):
    """The first octet of what is hashed, so that the hash of one kind is none of another.

    SIGNED is apart from SRS0: else whoever has a message with our sender forged forwarded by us would get
    from us a valid signature for that sender.
    """

    SRS0 = 0
    SRS1 = 1
    SIGNED = 2


class Match(NamedTuple):
    """A hash of ours. @ivar secret: by which it was made. @ivar exact: it came back in our capitals."""

    secret: Secret
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SRSHash:
    """Makes and verifies the hash.

    @ivar length: characters that we write. @ivar minimum: characters that we believe; 0: as many as we write.
    @ivar max_age: days that an address is good; an SRS1 of v2 for so long to twice as long.
    @ivar legacy: write the legacy form, and believe it; for sharing a secret with other programs.
    @ivar legacy_until: wall clock until when the legacy form is believed beside v2. [seconds]
    @ivar url_safe: write C{-} and C{_} where Mail::SRS writes C{+} and C{/}; either is read.
    @raise ValueError: a length out of L{MIN_LENGTH} to L{MAX_LENGTH}.
    """

    keys: KeyRing
    length: int = 8
    minimum: int = 0
    max_age: int = 21
    legacy: bool = False
    legacy_until: float = 0.0
    url_safe: bool = True

    def __post_init__(self) -> None:
        """Refuse hashes that can be guessed, and those that cannot be parsed."""
        if not all(MIN_LENGTH <= length <= MAX_LENGTH for length in (self.length, self.believed_length)):
            raise ValueError(f"a hash has {MIN_LENGTH} to {MAX_LENGTH} characters")

    @property
    def believed_length(self) -> int:
        """Characters of the shortest hash that we believe."""
        return self.minimum or self.length

    def make(self, kind: Kind, fields: Sequence[bytes], now: float) -> str:
        """The hash that we write today."""
        octets = self.keys.signing.octets
        text = _legacy(octets, fields) if self.legacy else _v2(octets, kind, self._dated(kind, fields, day_of(now)))
        text = text[: self.length]
        return (text.translate(_URL_SAFE) if self.url_safe else text).decode("ascii")

    def verify(self, given: str, kind: Kind, fields: Sequence[bytes], now: float) -> Match | None:
        """Whether one of our secrets made this hash; every one of them is tried, whatever is found first.

        MTAs fold addresses, therefore capitals do not matter; hence eight characters and not four.
        """
        if not self.believed_length <= len(given) <= MAX_LENGTH or _HASH.fullmatch(given) is None:
            return None
        exact = given.translate(_PLAIN).encode("ascii")
        folded = exact.lower()
        found: Match | None = None
        for secret, text in self._expected(kind, fields, now):
            expected = text[: len(exact)].translate(_URL_SAFE)
            is_exact = hmac.compare_digest(expected, exact)
            if hmac.compare_digest(expected.lower(), folded) and (found is None or is_exact):
                found = Match(secret, is_exact)
        return found

    def _expected(self, kind: Kind, fields: Sequence[bytes], now: float) -> Iterator[tuple[Secret, bytes]]:
        """Every hash that would be right today."""
        today = day_of(now)
        believe_legacy = self.legacy or now < self.legacy_until
        dated = {tuple(self._dated(kind, fields, day)) for day in self._days(kind, today)}
        for secret in self.keys.verifying(now, 2 * self.max_age):
            if believe_legacy:
                yield secret, _legacy(secret.octets, fields)
            if not self.legacy:
                for each in dated:
                    yield secret, _v2(secret.octets, kind, each)

    def _days(self, kind: Kind, today: int) -> tuple[int, ...]:
        """Days in each of the periods that an SRS1 may be from; tomorrow is there for other hosts' clocks."""
        return (today + 1, today, today - self.max_age) if kind is Kind.SRS1 else (today,)

    def _dated(self, kind: Kind, fields: Sequence[bytes], day: int) -> Sequence[bytes]:
        """SRS1 has no stamp of its own; in v2 it is hashed with its period, so that it is not good for ever."""
        if kind is not Kind.SRS1:
            return fields
        return [*fields, b"%d" % (day // self.max_age)]


def _legacy(secret: bytes, fields: Sequence[bytes]) -> bytes:
    return b2a_base64(hmac.digest(secret, b"".join(fields).lower(), "sha1"))


def _v2(secret: bytes, kind: Kind, fields: Sequence[bytes]) -> bytes:
    parts = [bytes((kind,))]
    for each in fields:
        parts += (len(each).to_bytes(2, "big"), each.lower())
    return b2a_base64(hmac.digest(secret, b"".join(parts), "sha256"))
