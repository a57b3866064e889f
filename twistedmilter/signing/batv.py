"""Bounce Address Tag Validation: C{prvs=KDDDSSSSSS=user@domain} (draft-levine-smtp-batv-01, gossip-srs-dns-spec 4).

K is the number of the key, DDD the last three digits of the day on which it expires, SSSSSS the first three octets
of a hash.  It is worth 24 bits, and what others understand; SES is worth more.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from twistedmilter.model.durations import DAY
from twistedmilter.signing.addresses import MAX_LOCAL_PART, Unsignable, fitting, octets_of, split_address
from twistedmilter.signing.day_stamp import day_of
from twistedmilter.signing.keys import Secret
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

CYCLE: Final = 1000  # days until the digits come again
KEY_NUMBERS: Final = range(10)
_PRVS: Final = re.compile(r"prvs=", re.IGNORECASE | re.ASCII)
_TAG: Final = re.compile(r"(?P<key>[0-9])(?P<day>[0-9]{3})(?P<hash>[0-9a-f]{6})", re.IGNORECASE | re.ASCII)


def looks_like_batv(address: str) -> bool:
    """Whether an address claims to be tagged with BATV."""
    return _PRVS.match(address) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BATV:
    """Signs and verifies.

    @ivar keys: by their number, 0 to 9. @ivar signing_key: the number of the one that signs.
    @ivar days: for which a tag is good.
    @ivar fold_domain: hash the domain in lower case; only where everybody who verifies does so too.
    @raise ValueError: there is no key of that number, or days are more than the digits can tell.
    """

    keys: Mapping[int, Secret]
    signing_key: int = 0
    days: int = 7
    fold_domain: bool = False
    max_local_part: int = MAX_LOCAL_PART

    def __post_init__(self) -> None:
        """Refuse keys that cannot be used."""
        if self.signing_key not in self.keys or any(number not in KEY_NUMBERS for number in self.keys):
            raise ValueError("the signing key is one of the keys, which have numbers from 0 to 9")
        if not 0 < self.days < CYCLE // 2:
            raise ValueError(f"a tag is good for 1 to {CYCLE // 2 - 1} days")

    def sign(self, sender: str, now: float) -> str:
        """The sender with its tag.

        @param now: wall clock. [seconds]
        @raise Unsignable: it must stay as it is.
        """
        parts = split_address(sender)
        if parts.quoted:
            raise Unsignable("a quoted local part is not tagged with BATV")
        head = f"{self.signing_key}{(day_of(now) + self.days) % CYCLE:03}"
        tag = head + self._hash(self.keys[self.signing_key], head, sender)
        return fitting(f"prvs={tag}={sender}", self.max_local_part)

    def verify(self, address: str, now: float) -> Verified:
        """The sender behind a tag.

        @raise InvalidSignature: it is none, not of ours, or too old.
        """
        if not looks_like_batv(address):
            raise InvalidSignature(Fault.UNSIGNED)
        _, tag, sender = (*address.split("=", 2), "")[:3]
        match = _TAG.fullmatch(tag)
        if match is None or len(sender.rpartition("@")[0]) == 0:
            raise InvalidSignature(Fault.MALFORMED)
        secret = self.keys.get(int(match["key"]))
        # an unknown number takes the way of a wrong hash
        expected = self._hash(secret or self.keys[self.signing_key], match["key"] + match["day"], sender)
        is_ours = hmac.compare_digest(expected, match["hash"].lower())
        today = day_of(now)
        left = (int(match["day"]) - today) % CYCLE
        if secret is None or not is_ours:
            raise InvalidSignature(Fault.FORGED)
        if left > self.days:  # expired, or further ahead than anything we signed
            raise InvalidSignature(Fault.EXPIRED)
        return Verified(sender, secret, (today + left + 1) * DAY)

    def _hash(self, secret: Secret, head: str, sender: str) -> str:
        local, _, domain = sender.rpartition("@")
        hashed = f"{head}{local}@{domain.lower() if self.fold_domain else domain}"
        return hmac.digest(secret.octets, octets_of(hashed), "sha1")[:3].hex()
