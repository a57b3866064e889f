"""DNS cookies: who sends back what we sent there is who it says (RFC 7873, RFC 9018)."""

from __future__ import annotations

import hmac
import struct
from hashlib import blake2s
from typing import Final

from twistedmilter.wire.dns_question import CLIENT_COOKIE

OLDEST: Final = 3_600  # seconds that a cookie of ours is good (RFC 9018 section 4.3)
AHEAD: Final = 300  # seconds that the clock of another server of the same name may be ahead
_HEAD: Final = struct.Struct("!B3xI")  # version, reserved, time
_VERSION: Final = 1
_SIZE: Final = 16  # octets of a server cookie


class ServerCookies:
    """Makes cookies and knows its own again.

    They have the layout of RFC 9018 section 4; the hash is a keyed BLAKE2 instead of SipHash, since no other software
    has to read them.

    @param secret: 16 to 32 random octets; where several servers answer at one address, the same for all.
    """

    def __init__(self, secret: bytes) -> None:
        if not 16 <= len(secret) <= 32:
            raise ValueError("the secret of cookies has 16 to 32 octets")
        self._secret = secret

    def whole(self, cookie: bytes, address: bytes, now: float) -> bytes:
        """The COOKIE option for an answer: the client's own cookie and a fresh one of ours.

        @param cookie: the option as it came. @param address: of the client, 4 or 16 octets.
        @param now: wall clock. [seconds]
        """
        client, head = cookie[:CLIENT_COOKIE], _HEAD.pack(_VERSION, int(now) & 0xFFFFFFFF)
        return client + head + self._hash(client, head, address)

    def are_ours(self, cookie: bytes, address: bytes, now: float) -> bool:
        """Whether a COOKIE option has a server cookie that we gave to that client at that address not long ago."""
        client, server = cookie[:CLIENT_COOKIE], cookie[CLIENT_COOKIE:]
        if len(server) != _SIZE or server[0] != _VERSION:
            return False
        age = (int(now) - int.from_bytes(server[4:8], "big") + 2**31) % 2**32 - 2**31  # RFC 1982
        if not -AHEAD <= age <= OLDEST:
            return False
        return hmac.compare_digest(server[8:], self._hash(client, server[:8], address))

    def _hash(self, client: bytes, head: bytes, address: bytes) -> bytes:
        return blake2s(client + head + address, digest_size=8, key=self._secret).digest()
