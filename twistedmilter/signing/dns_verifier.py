"""Signed senders as the DNS asks about them: C{exists:%{l}._ses.%{d}} in an SPF record (gossip-srs-dns-spec 6.5)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from zope.interface import implementer

from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.signing.failure_limit import FailureLimit
from twistedmilter.signing.replay import ReplayBudget
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

FORGERIES_A_MINUTE: Final = 2_000  # over it nothing is verified, so that nobody guesses by asking (6.9)
_SPLIT_AT_DOTS: Final = re.compile(r"ses\.([a-z0-9_-]{17,24})\.(.+)", re.IGNORECASE | re.ASCII)  # of %{l=}


@implementer(ISignatureVerifier)
class DNSVerifier:
    """Verifies local parts: of SES, of SRS in signing mode, and of BATV.

    @ivar tell: is given one sentence when a signature is used too often.
    """

    def __init__(self, rewriter: Rewriter, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self._rewriter = rewriter
        self._budget = ReplayBudget()
        self._limit = FailureLimit(FORGERIES_A_MINUTE)

    def valid_until(self, local_part: str, domain: str, now: float) -> float | None:
        """Until when a signed local part is good; see L{ISignatureVerifier}.

        It is compared in lower case: whoever asks has folded it.
        """
        if self._limit.is_reached(now):
            return None
        # in BATV the case of the user counts, so that only senders in lower case can be verified this way
        local = _SPLIT_AT_DOTS.sub(r"ses=\1=\2", local_part.lower(), count=1)
        try:
            verified = self._rewriter.step_back(f"{local}@{domain}", now)
        except InvalidSignature as invalid:
            if invalid.fault is Fault.FORGED:
                self._limit.failed(now)
            return None
        if verified.address.rpartition("@")[2] != domain:  # a forwarded sender is none of ours
            return None
        return self._within_budget(verified, domain, now)

    def _within_budget(self, verified: Verified, domain: str, now: float) -> float | None:
        if verified.expires is None:  # a fixed signature is on every message of its sender
            return math.inf
        left = self._budget.spend(f"{verified.signature}@{domain}", verified.expires, now)
        if left == -1:
            self.tell(f"a signed sender at {domain} is looked up so often that it is no longer vouched for")
        return verified.expires if left >= 0 else None
