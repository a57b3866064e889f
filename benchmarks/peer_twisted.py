"""The floor: a bare Twisted protocol that negotiates no-reply, parses nothing and adds one header.

Run by the benchmark::

    python peer_twisted.py SOCKET
"""

from __future__ import annotations

import struct
import sys

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol

_NO_REPLY = 0x80 | 0x100 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x40000 | 0x80000
_AGREED = struct.pack("!IcIII", 13, b"O", 6, 1, _NO_REPLY)
_HEADER = b"hX-Benchmark\0seen\0"
_ANSWER = struct.pack("!I", len(_HEADER)) + _HEADER + b"\0\0\0\1c"
_OFFER, _END, _QUIT = b"OEQ"


class Null(Protocol):
    """One connection: frames are cut, two of them answered."""

    def __init__(self) -> None:
        self._held = b""

    def dataReceived(self, data: bytes) -> None:
        """Cut what came into frames."""
        octets = self._held + data if self._held else data
        start, end = 0, len(octets)
        while end - start >= 5:
            length = int.from_bytes(octets[start : start + 4], "big")
            if start + 4 + length > end:
                break
            self._take(octets[start + 4])
            start += 4 + length
        self._held = octets[start:]

    def _take(self, letter: int) -> None:
        assert self.transport is not None
        if letter == _END:
            self.transport.write(_ANSWER)
        elif letter == _OFFER:
            self.transport.write(_AGREED)
        elif letter == _QUIT:
            self.transport.loseConnection()


def main(path: str) -> None:
    """Serve until told to end."""
    reactor = EPollReactor()
    reactor.listenUNIX(path, Factory.forProtocol(Null), backlog=1024)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
