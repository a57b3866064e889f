"""The unique message identification string, the name of a question and of a message (gossip spec 1.3)."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from typing import Final

OCTETS: Final = 16
LENGTH: Final = 22  # characters


def umis_of(octets: bytes) -> str:
    """The UMIS of sixteen octets, which are random: whoever knows it can vote.

    It is base64 without padding, with C{.} and C{$} for C{+} and C{/}.
    """
    return b64encode(octets, b".$").rstrip(b"=").decode("ascii")


def classic_umis(identity: str, nonce: str) -> str:
    """The UMIS that the reference makes; of a time, it can be guessed.

    @param identity: domain and qualifier, one after the other. @param nonce: connection and time.
    """
    return umis_of(md5((identity + nonce).encode(), usedforsecurity=False).digest())
