"""The mail exchanger of foreign senders: what it says of a mailbox is in its local part, so that sessions can choose.

C{nobody} does not exist, C{later} has to wait, C{listed} hears of a blocklist; any other mailbox is taken.
It is there twice: behind the reactor of the memory runner, and as a server of the sandbox.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

EXCHANGER_PORT: Final = 2526
BANNER: Final = b"220 exchanger.test.invalid ESMTP\r\n"
_PACE: Final = 0.01  # seconds until the one in memory answers
_RECIPIENTS: Final = {
    "nobody": b"550 5.1.1 no such user here",
    "later": b"451 4.7.1 greylisted, come back later",
    "listed": b"554 5.7.1 your host is on a blocklist",
}


def answer_to(line: bytes) -> bytes:
    """The reply to one command."""
    verb, _, argument = line.partition(b":")
    if verb.upper() == b"RCPT TO":
        local_part = argument.strip(b" <>\r\n").partition(b"@")[0].decode("ascii", "replace")
        return _RECIPIENTS.get(local_part, b"250 2.1.5 ok") + b"\r\n"
    return b"221 bye\r\n" if line[:4].upper() == b"QUIT" else b"250 ok\r\n"


class _Conversation:
    """One session; from DATA on nothing is answered until the message ends."""

    def __init__(self) -> None:
        self._in_message = False

    def answer_to(self, line: bytes) -> bytes:
        """The reply to one line, or nothing."""
        if self._in_message:
            self._in_message = line.rstrip(b"\r\n") != b"."
            return b"" if self._in_message else b"250 2.0.0 taken\r\n"
        self._in_message = line[:4].upper() == b"DATA"
        return b"354 go on\r\n" if self._in_message else answer_to(line)


class _Transport(StringTransport):
    """From a client protocol to the exchanger and back, as the clock goes on."""

    def __init__(self, clock: Any, protocol: Any) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", EXCHANGER_PORT))  # type: ignore[no-untyped-call]
        self._clock = clock
        self._client = protocol
        self._conversation = _Conversation()

    def begin(self) -> None:
        """Greet."""
        self._client.makeConnection(self)
        self._say(BANNER)

    def write(self, data: bytes) -> None:
        """Answer each line."""
        for line in data.splitlines():
            if reply := self._conversation.answer_to(line):
                self._say(reply)

    def loseConnection(self) -> None:
        """The client has heard enough."""
        if not self.disconnecting:
            self.disconnecting = True
            self._clock.callLater(0, self._client.connectionLost, Failure(ConnectionDone()))

    abortConnection = loseConnection

    def _say(self, octets: bytes) -> None:
        self._clock.callLater(_PACE, lambda: None if self.disconnecting else self._client.dataReceived(octets))


class ExchangerClock(MemoryReactorClock):
    """A reactor in memory on which the exchanger can be reached, at whatever address."""

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: tuple[str, int] | None = None
    ) -> Any:
        """Connect to the exchanger; at any other port nobody listens."""
        connector = super().connectTCP(host, port, factory, int(timeout), bindAddress)  # type: ignore[no-untyped-call]
        if port == EXCHANGER_PORT:
            protocol = factory.buildProtocol(IPv4Address("TCP", host, port))
            self.callLater(_PACE, _Transport(self, protocol).begin)
        else:
            self.callLater(_PACE, factory.clientConnectionFailed, connector, Failure(ConnectError()))
        return connector


class Exchanger:
    """The same on a socket, for real MTAs."""

    def __init__(self, host: str, port: int) -> None:
        """Listen at once."""
        self._socket = socket.create_server((host, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            connection.sendall(BANNER)
            conversation = _Conversation()
            for line in lines:
                connection.sendall(conversation.answer_to(line))
                if line[:4].upper() == b"QUIT":
                    return
