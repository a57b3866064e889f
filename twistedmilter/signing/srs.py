"""The Sender Rewriting Scheme: senders that lead back to us, and through us to whoever sent (gossip-srs-dns-spec 2).

C{SRS0=HASH=TT=orig.example=user@forwarder} is the first hop, C{SRS1=HASH=first.example==HASH=TT=...@second} every
later one; an empty host, C{SRS0=HASH=TT==user@own.example}, is a sender of our own that we have signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from twistedmilter.model.durations import DAY
from twistedmilter.signing.addresses import MAX_LOCAL_PART, Parts, Unsignable, fitting, octets_of, split_address
from twistedmilter.signing.day_stamp import day_of, day_of_stamp, stamp_of
from twistedmilter.signing.srs_hash import Kind, SRSHash
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

SEPARATORS: Final = "=+-"  # after the tag; behind it only "=" separates
_SRS0: Final = re.compile(r"SRS0([=+-].*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_SRS1: Final = re.compile(
    r"SRS1[=+-](?P<hash>[^=]*)=(?P<host>[A-Za-z0-9_.\-\x80-\U0010ffff]+)=(?P<tail>[=+-].*)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_SRS: Final = re.compile(r"\"?SRS[01][=+-]", re.IGNORECASE | re.ASCII)


def looks_like_srs(address: str) -> bool:
    """Whether an address claims to be of SRS."""
    return _SRS.match(address) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SRS:
    """Rewrites senders, and reads them when they come back as recipients.

    @ivar hash: makes and verifies the hash, with the secrets and the age that they allow.
    @ivar separator: what stands behind the tag, one of L{SEPARATORS}.
    @ivar max_local_part: what does not fit in that is left as it is. [octets]
    """

    hash: SRSHash
    separator: str = "="
    max_local_part: int = MAX_LOCAL_PART

    def forward(self, sender: str, domain: str, now: float, *, always: bool = False) -> str:
        """The sender of a message that goes on from C{domain}; the same one if it is of that domain already.

        @param now: wall clock. [seconds] @param always: rewrite senders of C{domain} itself, too.
        @raise Unsignable: it must stay as it is.
        """
        parts = split_address(sender)
        if parts.domain.lower() == domain.lower() and not always:
            return sender
        if (later := _SRS1.fullmatch(parts.local)) is not None:
            return self._srs1(parts, later["host"], later["tail"], domain, now)
        if (first := _SRS0.fullmatch(parts.local)) is not None:
            return self._srs1(parts, parts.domain, first[1], domain, now)
        return self._srs0(parts, Kind.SRS0, parts.domain, domain, now)

    def sign(self, sender: str, now: float) -> str:
        """A sender of our own, signed at its own domain.

        @raise Unsignable: it must stay as it is.
        """
        parts = split_address(sender)
        return self._srs0(parts, Kind.SIGNED, "", parts.domain, now)

    def reverse(self, address: str, now: float) -> Verified:
        """One step back: from SRS1 to the SRS0 of the first forwarder, from SRS0 to the sender.

        Whose domain the address is of is not looked at: that is for the caller to know.

        @raise InvalidSignature: it is not of SRS, not of ours, or too old.
        """
        if not looks_like_srs(address):
            raise InvalidSignature(Fault.UNSIGNED)
        try:
            parts = split_address(address)
        except Unsignable:
            raise InvalidSignature(Fault.MALFORMED) from None
        later = _SRS1.fullmatch(parts.local)
        if later is None:
            return self._reverse_srs0(parts, now)
        match = self.hash.verify(later["hash"], Kind.SRS1, [octets_of(later["host"]), octets_of(later["tail"])], now)
        if match is None:
            raise InvalidSignature(Fault.FORGED)
        back = parts.with_local(f"SRS0{later['tail']}", later["host"])
        return Verified(back, match.secret, None, match.exact)

    def _srs0(self, parts: Parts, kind: Kind, host: str, domain: str, now: float) -> str:
        stamp = stamp_of(day_of(now))
        tag = self.hash.make(kind, [octets_of(stamp), octets_of(host or domain), octets_of(parts.local)], now)
        local = f"SRS0{self.separator}{tag}={stamp}={host}={parts.local}"
        return fitting(parts.with_local(local, domain), self.max_local_part)

    def _srs1(self, parts: Parts, host: str, tail: str, domain: str, now: float) -> str:
        """What the SRS1 of another forwarder says is believed unseen: only the first one can verify it."""
        tag = self.hash.make(Kind.SRS1, [octets_of(host), octets_of(tail)], now)
        local = f"SRS1{self.separator}{tag}={host}={tail}"
        return fitting(parts.with_local(local, domain), self.max_local_part)

    def _reverse_srs0(self, parts: Parts, now: float) -> Verified:
        tag, stamp, host, user = _srs0_fields(parts.local)
        kind = Kind.SRS0 if host else Kind.SIGNED
        host = host or parts.domain
        fields = [octets_of(stamp), octets_of(host), octets_of(user)]
        match = self.hash.verify(tag, kind, fields, now)
        # the stamp is read whatever the hash was, so that both ways take the same time (case 23)
        today = day_of(now)
        day = day_of_stamp(stamp, today)
        fresh = day is not None and today - day <= self.hash.max_age
        if match is None or day is None:
            raise InvalidSignature(Fault.FORGED)
        if not fresh:
            raise InvalidSignature(Fault.EXPIRED)
        expires = (day + self.hash.max_age + 1) * DAY
        return Verified(parts.with_local(user, host), match.secret, expires, match.exact)


def _srs0_fields(local: str) -> tuple[str, str, str, str]:
    """Hash, stamp, host and user. @raise InvalidSignature: one is missing."""
    first = _SRS0.fullmatch(local)
    fields = first[1][1:].split("=", 3) if first is not None else []
    if len(fields) != 4 or not (fields[0] and fields[1] and fields[3]):
        raise InvalidSignature(Fault.MALFORMED)
    tag, stamp, host, user = fields
    return tag, stamp, host, user
