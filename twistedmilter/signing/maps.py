"""The maps that an MTA may ask: a key in, a reply out (gossip-srs-dns-spec 5.2).

sendmail asks C{make_srs} and C{reverse_srs} in the I{focused} form of its rulesets, C{user<@domain.>}, and wants an
address back whatever happens; Postfix asks C{forward} and C{reverse}, and wants C{NOTFOUND} where nothing is to be
done.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from twistedmilter.signing.addresses import MAX_INPUT, Unsignable, octets_of
from twistedmilter.signing.failure_limit import FailureLimit
from twistedmilter.signing.keys import Secret
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified
from twistedmilter.wire.socketmap import INVALID_MAP, TOO_BIG, Reply, Status, found, not_found

AddressMap = Callable[[bytes, float], Reply]
_LookUp = Callable[[bytes, Callable[[str], str]], Reply]
_Verify = Callable[[str, float], Verified]
INVALID_ADDRESS: Final = Reply(Status.PERM, b"Invalid address.")
TOO_MANY: Final = Reply(Status.TEMP, b"Too many forged addresses.")

_NEXT_HOP: Final = re.compile(rb"([A-Za-z0-9._:\[\]-]*)[\x9b\t ](.*)", re.DOTALL)  # \x9b is $| in sendmail's rulesets
_METACHARACTERS: Final = re.compile(rb"[\x00-\x1f\x7f-\x9f]")  # of the network, and of sendmail's rulesets (case 34)
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_FOCUSED: Final = re.compile(rb"([^<>]*)<@([^<>@]*?)(\.?)>")
_PLAIN: Final = re.compile(rb"[^<>]*")
_PIPE: Final = re.compile(rb"\|[^\"\\]*")
_REASONS: Final = {
    Fault.UNSIGNED: "Not an SRS address.",
    Fault.FOREIGN: "Not a local address.",
    Fault.MALFORMED: "Not an SRS address.",
    Fault.FORGED: "Hash invalid in SRS address.",
    Fault.EXPIRED: "Time stamp out of date.",
}  # PostSRSd's words, which administrators search for


class AddressMaps:
    """The maps over one L{Rewriter}; there are no others, whatever name is asked for (case 32).

    @ivar limit: on guesses at signatures; None where nobody can guess them.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter
        self.limit = FailureLimit() if rewriter.is_guessable else None
        self._verified: Counter[Secret] = Counter()
        self._folded = 0
        self.maps: Mapping[bytes, AddressMap] = MappingProxyType(
            {
                b"make_srs": self.make_srs,
                b"reverse_srs": self.reverse_srs,
                b"forward": self.forward,
                b"reverse": self.reverse,
                b"ses_verify": self.ses_verify,
                b"batv_verify": self.batv_verify,
            }
        )

    def answer(self, map_name: bytes, key: bytes | None, now: float) -> Reply:
        """The reply to one lookup.

        @param map_name: C{-} and C{_} are the same in it. @param now: wall clock. [seconds]
        """
        lookup = self.maps.get(map_name.replace(b"-", b"_"))
        if lookup is None or key is None:
            return INVALID_MAP
        return lookup(key, now)

    def make_srs(self, key: bytes, now: float) -> Reply:
        """A focused sender as it leaves, or as it was."""
        next_hop, address = None, key
        if (split := _NEXT_HOP.fullmatch(key)) is not None:
            next_hop, address = split[1].decode("ascii"), split[2]
        return _rewrite_focused(address, lambda sender: self._rewriter.outgoing(sender, now, next_hop))

    def reverse_srs(self, key: bytes, now: float) -> Reply:
        """A focused recipient without its signatures, or as it was; a pipe in quotes, so that it is no syntax."""
        if _PIPE.fullmatch(key) is not None and _METACHARACTERS.search(key) is None:
            return found(b'"' + key + b'"')
        return self._guarded(_rewrite_focused, key, self._rewriter.incoming, now)

    def forward(self, key: bytes, now: float) -> Reply:
        """A sender as it leaves."""
        return _look_up(key, lambda sender: self._rewriter.outgoing(sender, now))

    def reverse(self, key: bytes, now: float) -> Reply:
        """A recipient without its signatures."""
        return self._guarded(_look_up, key, self._rewriter.incoming, now)

    def ses_verify(self, key: bytes, now: float) -> Reply:
        """The sender of ours behind a signature of SES."""
        return self._guarded(_look_up, key, self._rewriter.verify_ses, now)

    def batv_verify(self, key: bytes, now: float) -> Reply:
        """The sender of ours behind a tag of BATV."""
        return self._guarded(_look_up, key, self._rewriter.verify_batv, now)

    def _guarded(self, look_up: _LookUp, key: bytes, verify: _Verify, now: float) -> Reply:
        """A lookup that verifies, unless there were too many forgeries."""
        limit = self.limit
        if limit is not None and limit.is_reached(now):
            return TOO_MANY

        def counted(address: str) -> str:
            try:
                verified = verify(address, now)
            except InvalidSignature as invalid:
                if limit is not None and invalid.fault is Fault.FORGED:
                    limit.failed(now)
                raise
            self._verified[verified.secret] += 1
            self._folded += not verified.exact
            return verified.address

        return look_up(key, counted)

    def snapshot(self) -> dict[str, object]:
        """Which secrets still verify something, and how often some MTA had changed the case of a hash."""
        secrets = {secret.key_id: count for secret, count in self._verified.items()}
        return {"verified_by_secret": secrets, "case_changed": self._folded}


def _text_of(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _look_up(key: bytes, rewrite: Callable[[str], str]) -> Reply:
    """For Postfix: a plain address in, a plain address or the reason out."""
    if len(key) > MAX_INPUT:
        return TOO_BIG
    if _CONTROLS.search(key) is not None:
        return INVALID_ADDRESS
    try:
        return found(octets_of(rewrite(_text_of(key))))
    except Unsignable as reason:
        return not_found("No domain." if b"@" not in key else str(reason))
    except InvalidSignature as invalid:
        return not_found(_REASONS[invalid.fault])


def _rewrite_focused(key: bytes, rewrite: Callable[[str], str]) -> Reply:
    """For sendmail: an address in, an address in the same form out; what stays as it is is found, too."""
    if len(key) > MAX_INPUT:
        return TOO_BIG
    focused = _FOCUSED.fullmatch(key)
    if _METACHARACTERS.search(key) is not None or not (focused or _PLAIN.fullmatch(key)):
        return INVALID_ADDRESS
    address = b"%b@%b" % (focused[1], focused[2]) if focused is not None else key
    try:
        user, _, domain = octets_of(rewrite(_text_of(address))).rpartition(b"@")
    except (Unsignable, InvalidSignature):
        return found(key)
    return found(b"%b<@%b%b>" % (user, domain, focused[3]) if focused is not None else b"%b@%b" % (user, domain))
