"""Signed senders as the DNS asks about them: C{exists:%{l}._ses.%{d}} in an SPF record (gossip-srs-dns-spec 6.5)."""

from __future__ import annotations

from zope.interface import implementer

from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.model.durations import DAY
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.signing.verification import InvalidSignature


@implementer(ISignatureVerifier)
class DNSVerifier:
    """Verifies local parts: of SES, of SRS in signing mode, and of BATV.

    How often one is asked for, and how many fail, is for the zone to count: it knows who asks.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter

    def valid_until(self, local_part: str, domain: str, now: float) -> float | None:
        """Until when a signed local part is good; see L{ISignatureVerifier}.

        It is compared in lower case: whoever asks has folded it.  In BATV the case of the user counts, so that only
        senders in lower case can be verified this way.
        """
        try:
            verified = self._rewriter.step_back(f"{local_part.lower()}@{domain}", now)
        except InvalidSignature:
            return None
        if verified.address.rpartition("@")[2] != domain:  # a forwarded sender is none of ours
            return None
        return now + DAY if verified.expires is None else verified.expires
