"""Tokens that sign an address with HMAC (L{IAddressSigner}; seed-spec G20)."""

from __future__ import annotations

import hmac
import re
from base64 import b32decode, b32encode
from dataclasses import dataclass
from typing import Final

from zope.interface import implementer

from twistedmilter.interfaces.signing import IAddressSigner
from twistedmilter.model.durations import DAY

MIN_SECRET: Final = 16  # octets

_TOKEN: Final = re.compile(r"\btm-([0-9a-f]{1,8})-([0-9a-f]{32})-([a-z2-7]{2,500})\b", re.IGNORECASE)
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_MAX_TOKENS: Final = 20  # looked at in one text


@implementer(IAddressSigner)
@dataclass(frozen=True, slots=True)
class HMACSigner:
    """Signs an address and the day with a secret of this site.

    @ivar secret: at least L{MIN_SECRET} octets. @ivar days: for how long a token is valid.
    @raise ValueError: the secret is too short.
    """

    secret: bytes
    days: int = 30

    def __post_init__(self) -> None:
        """Refuse a secret that can be guessed."""
        if len(self.secret) < MIN_SECRET:
            raise ValueError(f"the secret has fewer than {MIN_SECRET} octets")

    def sign(self, address: str, now: float) -> str:
        """The token: C{tm-DAY-MAC-ADDRESS}, the day in hexadecimal, the address in base 32."""
        day = int(now // DAY)
        name = b32encode(address.encode("utf-8", "surrogateescape")).decode("ascii").rstrip("=").lower()
        return f"tm-{day:x}-{self._mac(day, name)}-{name}"

    def find(self, text: str, now: float) -> str | None:
        """The address of the first of our tokens that is valid now, also where a line was folded within it."""
        unfolded = _FOLD.sub("", text) if "\n" in text else text
        for count, match in enumerate(_TOKEN.finditer(unfolded)):
            if count >= _MAX_TOKENS:
                break
            day, mac, name = int(match[1], 16), match[2].lower(), match[3].lower()
            age = int(now // DAY) - day
            if 0 <= age <= self.days and hmac.compare_digest(mac, self._mac(day, name)):
                padded = name.upper() + "=" * (-len(name) % 8)
                return b32decode(padded).decode("utf-8", "surrogateescape")
        return None

    def _mac(self, day: int, name: str) -> str:
        return hmac.new(self.secret, f"{day} {name}".encode("ascii"), "sha256").hexdigest()[:32]
