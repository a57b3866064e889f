"""Which sender leaves with which signature, and which recipient comes back from one (gossip-srs-dns-spec 5.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from twistedmilter.signing.addresses import Unsignable
from twistedmilter.signing.batv import BATV, looks_like_batv
from twistedmilter.signing.ses import SES, looks_like_ses
from twistedmilter.signing.srs import SRS, looks_like_srs
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

_CLAIM: Final = re.compile(r"\"?(SRS[01][=+-]|SES=|prvs=)", re.IGNORECASE | re.ASCII)
SAFE_LENGTH: Final = 6  # characters of a hash of SRS; 30 bits in either case
MAX_ROUNDS: Final = 3  # signatures in one another that are taken off (case 27)


@dataclass(frozen=True, slots=True, kw_only=True)
class SRSDomains:
    """SRS and where it is used.

    @ivar forward: the domain of rewritten senders; empty: nobody is forwarded.
    @ivar sign: our domains whose senders are signed. @ivar others: domains whose recipients are reversed besides.
    @ivar ours: all of them: recipients are reversed at no other domain (case 26).
    """

    srs: SRS
    forward: str = ""
    sign: AbstractSet[str] = frozenset()
    others: AbstractSet[str] = frozenset()
    ours: AbstractSet[str] = field(init=False)

    def __post_init__(self) -> None:
        """Put the domains together once: they are asked for in each lookup."""
        object.__setattr__(self, "ours", self.sign | self.others | ({self.forward} - {""}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SESDomains:
    """SES and where it is used.

    @ivar sign: our domains whose senders are signed.
    @ivar fixed: the numbers of the senders, in lower case, whose signature is always the same.
    @ivar next_number: an unused number for a variable signature made at a time.
    """

    ses: SES
    sign: AbstractSet[str]
    next_number: Callable[[float], int]
    fixed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BATVDomains:
    """BATV and where it is used. @ivar sign: our domains whose senders are tagged."""

    batv: BATV
    sign: AbstractSet[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriter:
    """Signs on the way out, verifies on the way in; only for domains that are ours.

    Domains and hosts are in lower case and without a trailing dot.

    @ivar is_local: whether senders of a domain stay as they are unless it is one that is signed.
    @ivar exempt_hosts: mail to these next hops goes out as it is.
    """

    srs: SRSDomains | None = None
    ses: SESDomains | None = None
    batv: BATVDomains | None = None
    is_local: Callable[[str], bool] = lambda domain: not domain
    exempt_hosts: AbstractSet[str] = frozenset()

    @property
    def is_guessable(self) -> bool:
        """Whether some of our signatures are so short that guesses at them have to be counted."""
        return self.batv is not None or (self.srs is not None and self.srs.srs.hash.believed_length < SAFE_LENGTH)

    def outgoing(self, sender: str, now: float, next_hop: str | None = None) -> str:
        """What a sender becomes.

        @param next_hop: where the message goes; None if nobody said. @param now: wall clock. [seconds]
        @raise Unsignable: it stays as it is; the text says why.
        """
        if next_hop is not None and (not next_hop or next_hop.lower().rstrip(".") in self.exempt_hosts):
            raise Unsignable("Need not rewrite for this host.")
        domain = _domain_of(sender)  # whether it is a whole address is for those to say that sign it
        if self._is_signed(sender, now):
            raise Unsignable("Signed already.")
        return self._signed(sender, domain, now) or self._forwarded(sender, domain, now)

    def incoming(self, recipient: str, now: float) -> Verified:
        """The address behind our signatures, all of them taken off; the rest is that of the outermost one.

        @raise InvalidSignature: there is none that we believe.
        """
        outermost = self.step_back(recipient, now)
        address = outermost.address
        for _ in range(MAX_ROUNDS - 1):
            if _CLAIM.match(address) is None:  # most have one signature
                break
            try:
                address = self.step_back(address, now).address
            except InvalidSignature:
                break
        return outermost if address is outermost.address else replace(outermost, address=address)

    def step_back(self, recipient: str, now: float) -> Verified:
        """The address behind the outermost signature.

        @raise InvalidSignature: it is not at a domain of ours, or not believed.
        """
        if looks_like_ses(recipient):
            return self.verify_ses(recipient, now)
        if looks_like_batv(recipient):
            return self.verify_batv(recipient, now)
        if not looks_like_srs(recipient):
            raise InvalidSignature(Fault.UNSIGNED)
        if self.srs is None or _domain_of(recipient) not in self.srs.ours:
            raise InvalidSignature(Fault.FOREIGN)
        return self.srs.srs.reverse(recipient, now)

    def verify_ses(self, recipient: str, now: float) -> Verified:
        """The sender of ours behind a signature of SES. @raise InvalidSignature: not believed."""
        if self.ses is None or _domain_of(recipient) not in self.ses.sign:
            raise InvalidSignature(Fault.FOREIGN if looks_like_ses(recipient) else Fault.UNSIGNED)
        return self.ses.ses.verify(recipient, now)

    def verify_batv(self, recipient: str, now: float) -> Verified:
        """The sender of ours behind a tag of BATV. @raise InvalidSignature: not believed."""
        if self.batv is None or _domain_of(recipient) not in self.batv.sign:
            raise InvalidSignature(Fault.FOREIGN if looks_like_batv(recipient) else Fault.UNSIGNED)
        return self.batv.batv.verify(recipient, now)

    def _is_signed(self, sender: str, now: float) -> bool:
        if _CLAIM.match(sender) is None:  # most are not
            return False
        try:
            self.step_back(sender, now)
        except InvalidSignature:
            return False
        return True

    def _signed(self, sender: str, domain: str, now: float) -> str | None:
        """A sender of ours, signed; None if its domain is none that is signed."""
        if self.ses is not None and domain in self.ses.sign:
            number = self.ses.fixed.get(sender.lower())
            if number is not None:
                return self.ses.ses.sign_fixed(sender, number)
            return self.ses.ses.sign(sender, self.ses.next_number(now), now)
        if self.srs is not None and domain in self.srs.sign:
            return self.srs.srs.sign(sender, now)
        if self.batv is not None and domain in self.batv.sign:
            return self.batv.batv.sign(sender, now)
        return None

    def _forwarded(self, sender: str, domain: str, now: float) -> str:
        if self.srs is None or not self.srs.forward:
            raise Unsignable("Forwarded senders are not rewritten here.")
        # one of SRS at our own domain that we do not believe is not ours: it goes on as from another forwarder
        is_foreign = domain == self.srs.forward and looks_like_srs(sender)
        if not is_foreign and (domain == self.srs.forward or self.is_local(domain)):
            raise Unsignable("Need not rewrite local domain.")
        return self.srs.srs.forward(sender, self.srs.forward, now, always=True)


def _domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()
