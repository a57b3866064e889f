"""What comes of looking at a signed address: the address behind it, or why not."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from twistedmilter.signing.keys import Secret


class Fault(StrEnum):
    """Why a signature is not believed; the words go to our own MTA, never to the client that tried."""

    UNSIGNED = "not a signed address"
    FOREIGN = "not an address at a domain of ours"
    MALFORMED = "signed address cannot be read"
    FORGED = "hash invalid in signed address"
    EXPIRED = "time stamp out of date"


class InvalidSignature(Exception):  # noqa: N818 - the name says whose fault it is
    """An address does not prove itself.

    @ivar fault: why not.
    """

    def __init__(self, fault: Fault) -> None:
        """Keep why."""
        super().__init__(fault.value)
        self.fault = fault


class Verified(Struct, frozen=True):
    """An address that was signed by one of our secrets.

    @ivar address: what was signed: the next step back to the sender.
    @ivar secret: the secret that signed it; for counting what still uses an old one.
    @ivar expires: wall clock, in seconds since the epoch; None: never.
    @ivar exact: False if the hash came back in other capitals than we wrote: some MTA on the way folds case.
    """

    address: str
    secret: Secret
    expires: float | None = None
    exact: bool = True
