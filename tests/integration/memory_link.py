"""One milter connection without a network: L{MilterProtocol} on one end, L{MilterClient} on the other."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from twistedmilter.milter_proto import MilterFactory
from twistedmilter.wire.milter_client import MilterClient
from twistedmilter.wire.parsed_replies import ParsedReply

_STEP = 0.05  # seconds the clock goes on while an answer is awaited
_PATIENCE = 120.0  # seconds until an MTA would give up


class MilterLink:
    """Asks one question at a time and lets the clock run until it is answered.

    @ivar client: makes the octets to ask with. @ivar lost: the filter closed the connection.
    """

    def __init__(self, factory: MilterFactory, clock: MemoryReactorClock) -> None:
        """Connect and negotiate."""
        self.client = MilterClient()
        self._clock: Any = clock
        self._transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))
        protocol = factory.buildProtocol(self._transport.getPeer())
        assert protocol is not None
        self._protocol = protocol
        protocol.makeConnection(self._transport)  # type: ignore[no-untyped-call]
        self.ask(self.client.negotiate())

    @property
    def lost(self) -> bool:
        """Whether the filter closed the connection."""
        return bool(self._transport.disconnecting or self._transport.disconnected)

    def tell(self, octets: bytes) -> None:
        """Send what owes no answer."""
        self._protocol.dataReceived(octets)

    def ask(self, octets: bytes) -> ParsedReply | None:
        """Send, and wait for the answer; None where none is owed.

        @raise TimeoutError: no answer before an MTA would have given up.
        """
        self.tell(octets)
        waited = 0.0
        answer: ParsedReply | None = None
        while self.client.replies_owed:
            answer = self._next_reply()
            if answer is None:
                if waited > _PATIENCE:
                    raise TimeoutError(f"no answer to {self.client.awaited}")
                self._clock.advance(_STEP)
                waited += _STEP
        return answer

    def _next_reply(self) -> ParsedReply | None:
        octets = self._transport.value()
        self._transport.clear()
        self.client.receive_data(octets)
        return self.client.next_reply()

    def lose(self) -> None:
        """The MTA's process is gone."""
        self._protocol.connectionLost(Failure(ConnectionLost()))
