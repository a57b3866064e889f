"""Signed local parts, as others may ask about them."""

from __future__ import annotations

from zope.interface import Interface


class ISignatureVerifier(Interface):
    """Knows which local parts were signed by us."""

    def valid_until(local_part: str, domain: str, now: float) -> float | None:
        """Until when a signed local part is good for a domain; None if it is not, whatever the reason.

        The answer must not depend on whether a mailbox exists, and its duration not on what is wrong.

        @param local_part: of the reverse-path, as one that asked in the DNS may have changed it: any capitals
            (pyspf folds them, resolvers mix them), printable ASCII.
        @param domain: in lower case, from the configuration and never from the question.
        @param now: wall clock, in seconds since the epoch; so is the answer.
        """
