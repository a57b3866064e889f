"""A zone that says which local parts we have signed, for receivers that know SPF alone (spec 6.5).

With C{exists:%{l}._ses.%{d}} in the SPF record of a domain, a receiver asks for the local part of the reverse-path
below the apex; any address in the answer makes the check pass, from whichever host the message comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.wire.dns_question import Labels

MAX_LOCAL_PART: Final = 64  # octets (RFC 5321 section 4.5.3.1.1)
MAX_TTL: Final = 60  # seconds: an answer that lives longer would outlive what it says
_TAG: Final = re.compile(rb"(?:ses|srs[01]|prvs)[=+-].*", re.DOTALL)
_DOT_ATOM: Final = re.compile(rb"[a-z0-9!#$&'*+/=?^_`{|}~-]+")  # without % : %{L} of SPF would have escaped it
_SIGNATURE: Final = re.compile(rb"[a-z0-9_-]{17,24}")
_MINUTE: Final = 60.0


class Limits(Struct, frozen=True):
    """What may be asked before a guess, or a signature that everybody has by now, is not looked at any more.

    @ivar failures: a minute from one network. @ivar all_failures: a minute from everybody.
    @ivar lookups: of one signature while it is remembered. @ivar networks: that ask for one signature.
    @ivar remembered: signatures.
    """

    failures: int = 100
    all_failures: int = 2_000
    lookups: int = 200
    networks: int = 20
    remembered: int = 20_000


class _Use:
    """Who asked for one signature."""

    __slots__ = ("lookups", "networks")

    def __init__(self) -> None:
        self.lookups = 0
        self.networks: set[bytes] = set()


class SignatureZone:
    """What the names of one C{ses} zone stand for.

    @param domain: of the signed addresses; never taken from the question.
    @param alarm: told once of each signature that is used too often; the text does not hold the local part.
    """

    def __init__(
        self,
        domain: str,
        verifier: ISignatureVerifier,
        alarm: Callable[[str], None],
        limits: Limits | None = None,
    ) -> None:
        self.domain = domain
        self._verifier = verifier
        self._alarm = alarm
        self._limits = limits or Limits()
        self._minute = 0.0
        self._failures: dict[bytes, int] = {}
        self._all_failures = 0
        self._uses: dict[str, _Use] = {}
        self._older_uses: dict[str, _Use] = {}

    def time_to_live(self, labels: Labels, network: bytes, *, seconds: float, now: float) -> int | None:
        """For how many seconds a signature may be taken for valid; None if it is not.

        @param labels: left of the apex. @param network: who asks; empty: one of ours, whose failures do not count.
        @param seconds: the monotonic clock. @param now: the wall clock.
        """
        local_part = local_part_of(labels)
        if local_part is None or self._is_over_budget(network, seconds):
            return None
        until = self._verifier.valid_until(local_part, self.domain, now)
        if until is None or until <= now:
            self._count_failure(network)
            return None
        if self._is_used_up(local_part, network):
            return None
        return min(MAX_TTL, int(until - now))

    def _is_over_budget(self, network: bytes, seconds: float) -> bool:
        """Whether so many guesses failed that no more are looked at (abuse cases 22 and 44)."""
        if not network:
            return False
        if seconds - self._minute >= _MINUTE:
            self._minute, self._failures, self._all_failures = seconds, {}, 0
        limits = self._limits
        return self._all_failures >= limits.all_failures or self._failures.get(network, 0) >= limits.failures

    def _count_failure(self, network: bytes) -> None:
        if network:
            self._all_failures += 1
            self._failures[network] = self._failures.get(network, 0) + 1

    def _is_used_up(self, local_part: str, network: bytes) -> bool:
        """Count one lookup; whether there were too many (a signature taken from an archive, case 44)."""
        use = self._uses.get(local_part)
        if use is None:
            use = self._older_uses.pop(local_part, None) or _Use()
            if len(self._uses) >= self._limits.remembered // 2:
                self._uses, self._older_uses = {}, self._uses
            self._uses[local_part] = use
        if use.lookups > self._limits.lookups or len(use.networks) > self._limits.networks:
            return True
        use.lookups += 1
        use.networks.add(network)
        if use.lookups <= self._limits.lookups and len(use.networks) <= self._limits.networks:
            return False
        asked = f"{use.lookups} lookups from {len(use.networks)} networks"
        self._alarm(f"a signature of {self.domain} is used too often ({asked}); it is not valid any more")
        return True


def local_part_of(labels: Labels) -> str | None:
    """The signed local part that a name stands for; None if it can be none.

    C{ses=SIGNATURE=john.doe} from two labels, as C{%{l}} makes it, or from C{ses.SIGNATURE.john.doe}, as C{%{l=}} does.
    """
    if not labels or sum(map(len, labels)) + len(labels) - 1 > MAX_LOCAL_PART:
        return None
    if any(_DOT_ATOM.fullmatch(label) is None for label in labels):
        return None
    if _TAG.fullmatch(labels[0]) is not None:
        return b".".join(labels).decode("ascii")
    if len(labels) > 2 and labels[0] == b"ses" and _SIGNATURE.fullmatch(labels[1]) is not None:
        return b"=".join((labels[0], labels[1], b".".join(labels[2:]))).decode("ascii")
    return None


def may_be_part_of_a_signature(labels: Labels) -> bool:
    """Whether a signed local part may stand below: a name that has no tag yet (RFC 9156, abuse case 40)."""
    return not any(label == b"ses" or _TAG.fullmatch(label) is not None for label in labels)
