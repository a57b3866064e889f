"""The secrets of one purpose, newest first (gossip-srs-dns-spec 2.3, 7 case 28)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Self

from twistedmilter.model.durations import DAY


@dataclass(frozen=True, slots=True)
class Secret:
    """One key.

    @ivar octets: the key of the HMAC; never shown.
    @ivar retired: wall clock since when a newer one signs; None: it may have signed something today.
    """

    octets: bytes = field(repr=False)
    retired: float | None = None

    @property
    def key_id(self) -> str:
        """Eight hexadecimal digits that tell secrets apart in a log and say nothing about them."""
        return hmac.digest(self.octets, b"twistedmilter key id", "sha256").hex()[:8]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """At least one secret; the first signs, all verify.

    @raise ValueError: there is none, or one is empty.
    """

    secrets: tuple[Secret, ...]

    def __post_init__(self) -> None:
        """Refuse what would sign without a key."""
        if not self.secrets or not all(secret.octets for secret in self.secrets):
            raise ValueError("there is no secret to sign with")

    @classmethod
    def of(cls, *octets: bytes) -> Self:
        """A ring of secrets that are valid for ever, newest first."""
        return cls(tuple(Secret(each) for each in octets))

    @property
    def signing(self) -> Secret:
        """The secret that signs."""
        return self.secrets[0]

    def verifying(self, now: float, days: float) -> tuple[Secret, ...]:
        """The secrets that a signature still may be from.

        A retired secret has signed nothing since; what it signed before is too old some days later.  Who found it
        after that signs nothing that we believe.

        @param now: wall clock. [seconds] @param days: for how long a signature is good.
        """
        oldest = now - (days + 1) * DAY
        return tuple(secret for secret in self.secrets if secret.retired is None or secret.retired > oldest)
