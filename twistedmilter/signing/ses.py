"""Signed Envelope Sender: C{SES=SIGNATURE=user@domain}, signed at its own domain (gossip-srs-dns-spec 3).

A I{variable} signature is good for some days and has a number of its own; a I{fixed} one is the same for ever, for
senders that others know by their address, such as mailing lists.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from twistedmilter.model.durations import DAY
from twistedmilter.signing import base38
from twistedmilter.signing.addresses import MAX_LOCAL_PART, Parts, Unsignable, fitting, octets_of, split_address
from twistedmilter.signing.keys import KeyRing, Secret
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

UNIT: Final = 21_600  # seconds; a quarter of a day
MAX_MESSAGE_ID: Final = 2**32 - 1
MAX_LABEL: Final = 63  # octets; RFC 1035 section 2.3.4: others may ask for the local part in the DNS
SIGNATURE_LENGTHS: Final = range(17, 25)  # characters
_HASH_OCTETS: Final = 10
_HASH_BITS: Final = 8 * _HASH_OCTETS
_NUMBERS: Final = struct.Struct(">QQ")
_SES: Final = re.compile(r"SES=", re.IGNORECASE | re.ASCII)


def looks_like_ses(address: str) -> bool:
    """Whether an address claims to be signed with SES."""
    return _SES.match(address) is not None


class VerifiedSES(Verified, frozen=True):
    """A sender of ours.

    @ivar timecode: quarter day of the signature; 0 of a fixed one. @ivar message_id: its number in that.
    """

    timecode: int = 0
    message_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SES:
    """Signs and verifies.

    @ivar days: for which a variable signature is good.
    @ivar fixed_senders: the senders, in lower case, whose signatures may be fixed.
    """

    keys: KeyRing
    days: int = 10
    fixed_senders: AbstractSet[str] = frozenset()
    max_local_part: int = MAX_LOCAL_PART

    @property
    def _time_bits(self) -> int:
        """Bits of the time code: for more days than a signature is good for, and two for the quarters."""
        return (self.days + 1).bit_length() + 2

    @property
    def modulus(self) -> int:
        """Time codes are counted modulo this; the number itself marks a fixed signature."""
        return (1 << self._time_bits) - 1

    def sign(self, sender: str, message_id: int, now: float) -> str:
        """The sender with a signature that holds for L{days}.

        @param message_id: no other signature of this quarter day has it. @param now: wall clock. [seconds]
        @raise Unsignable: it must stay as it is.
        """
        timecode = int(now // UNIT)
        return self._signed(sender, message_id, timecode, timecode % self.modulus)

    def sign_fixed(self, sender: str, message_id: int) -> str:
        """The sender with a signature that is always the same.

        @raise Unsignable: it must stay as it is.
        """
        return self._signed(sender, message_id, 0, self.modulus)

    def verify(self, address: str, now: float) -> VerifiedSES:
        """The sender behind a signature.

        @raise InvalidSignature: it is none, not of ours, or too old.
        """
        parts, signature = _read(address)
        message_id, code, given = self._unpack(signature)
        is_fixed = code == self.modulus
        current = int(now // UNIT)
        age = 0 if is_fixed else (current - code) % self.modulus
        timecode = 0 if is_fixed else current - age
        sender = f"{parts.local}@{parts.domain}"
        found: Secret | None = None
        for secret in self.keys.secrets if is_fixed else self.keys.verifying(now, self.days):
            if hmac.compare_digest(given, _hash(secret, timecode, message_id, parts)):
                found = found or secret
        if found is None or (is_fixed and sender.lower() not in self.fixed_senders):
            raise InvalidSignature(Fault.FORGED)
        if age >= self.days * (DAY / UNIT):
            raise InvalidSignature(Fault.EXPIRED)
        expires = None if is_fixed else timecode * UNIT + self.days * DAY
        return VerifiedSES(sender, found, expires, timecode=timecode, message_id=message_id)

    def _signed(self, sender: str, message_id: int, timecode: int, code: int) -> str:
        parts = split_address(sender)
        if parts.quoted:
            raise Unsignable("a quoted local part is not signed with SES")
        digest = int.from_bytes(_hash(self.keys.signing, timecode, message_id, parts), "big")
        signature = base38.encode(((message_id << self._time_bits) | code) << _HASH_BITS | digest)
        local = f"SES={signature}={parts.local}"
        if len(octets_of(local.partition(".")[0])) > MAX_LABEL:
            raise Unsignable("the local part would not fit in a label of the DNS")
        return fitting(f"{local}@{parts.domain}", self.max_local_part)

    def _unpack(self, signature: str) -> tuple[int, int, bytes]:
        """Number, time code and hash. @raise InvalidSignature: no signature."""
        if len(signature) not in SIGNATURE_LENGTHS:
            raise InvalidSignature(Fault.MALFORMED)
        try:
            number = base38.decode(signature)
        except ValueError:
            raise InvalidSignature(Fault.MALFORMED) from None
        head, digest = divmod(number, 1 << _HASH_BITS)
        message_id, code = divmod(head, 1 << self._time_bits)
        if message_id > MAX_MESSAGE_ID:
            raise InvalidSignature(Fault.MALFORMED)
        return message_id, code, digest.to_bytes(_HASH_OCTETS, "big")


def _read(address: str) -> tuple[Parts, str]:
    """The sender in its parts, and the signature. @raise InvalidSignature: no signed address."""
    if not looks_like_ses(address):
        raise InvalidSignature(Fault.UNSIGNED)
    try:
        parts = split_address(address)
    except Unsignable:
        raise InvalidSignature(Fault.MALFORMED) from None
    fields = parts.local.split("=", 2)  # a user may have "=" in it
    if len(fields) != 3 or not fields[2]:
        raise InvalidSignature(Fault.MALFORMED)
    return parts._replace(local=fields[2]), fields[1]


def _hash(secret: Secret, timecode: int, message_id: int, parts: Parts) -> bytes:
    """Over user and domain in lower case: whoever asks the DNS has folded them (6.5)."""
    sender = octets_of(f"{parts.local}@{parts.domain}").lower()
    return hmac.digest(secret.octets, _NUMBERS.pack(timecode, message_id) + sender, "sha1")[:_HASH_OCTETS]
