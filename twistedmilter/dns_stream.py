"""DNS over TCP: each message behind its length, as many as one likes (RFC 7766)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

MAX_MESSAGE: Final = 4_096  # octets of a query
PER_TURN: Final = 64  # messages of one connection; then others have their turn
BLOCKED: Final = 5.0  # seconds in which a client must take something of what it was sent (D14)
SWEEP: Final = 1.0  # seconds between two looks at who is idle

Respond = Callable[[bytes, str], bytes | None]


@implementer(IHalfCloseableProtocol, IPushProducer)
class DNSStream(Protocol):
    """One client; it is answered in the order of its queries.

    @ivar heard_at: when its last whole message came, or the connection was made; octets of a part do not count.
    @ivar blocked_since: since when it takes no answers; None while it does.
    """

    def __init__(self, factory: DNSStreamFactory, host: str) -> None:
        self.host = host
        self.heard_at = factory.seconds()
        self.blocked_since: float | None = None
        self._factory = factory
        self._buffer = b""
        self._is_ending = False
        self._is_busy = False
        self._is_gone = False

    @property
    def _out(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        """Learn of answers that pile up."""
        self._factory.opened(self)
        self._out.registerProducer(self, True)
        self._out.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Answer what is complete."""
        self._buffer += data
        if not self._is_busy and self.blocked_since is None:
            self._serve()

    def readConnectionLost(self) -> None:
        """The client says no more; what it has asked is still answered."""
        self._is_ending = True
        if not self._is_busy and self.blocked_since is None:
            self._serve()

    def writeConnectionLost(self) -> None:
        """It hears no more, either."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Make room for another."""
        self._is_gone = True
        self._factory.closed(self)

    def pauseProducing(self) -> None:
        """It does not take its answers: read no more of its questions."""
        self.blocked_since = self._factory.seconds()
        self._out.pauseProducing()

    def resumeProducing(self) -> None:
        """It took them."""
        self.blocked_since = None
        self.heard_at = self._factory.seconds()
        if not self._is_ending:
            self._out.resumeProducing()
        if not self._is_busy:
            self._serve()

    def stopProducing(self) -> None:
        """Nobody is there to be answered."""
        self._out.loseConnection()

    def end(self) -> None:
        """Close at once."""
        self._out.abortConnection()

    def _serve(self) -> None:
        """Answer up to L{PER_TURN} messages, the rest in a later turn."""
        self._is_busy = False
        buffer, answers, at, left = self._buffer, [], 0, PER_TURN
        while left:
            start = at + 2
            if len(buffer) < start:
                break
            end = start + int.from_bytes(buffer[at:start], "big")
            if not start < end <= start + MAX_MESSAGE:
                self.end()
                return
            if len(buffer) < end:
                break
            answer = self._factory.respond(buffer[start:end], self.host)
            at, left = end, left - 1
            if answer is not None:
                answers += [len(answer).to_bytes(2, "big"), answer]
        self._buffer = buffer[at:]
        if at:
            self.heard_at = self._factory.seconds()
            self._out.write(b"".join(answers))
        if self.blocked_since is None:
            self._go_on(has_more=not left)

    def _go_on(self, *, has_more: bool) -> None:
        """Serve the rest when others have had their turn, or say goodbye to a client that has no more."""
        if has_more:
            self._is_busy = True
            self._factory.reactor.callLater(0, self._serve_later)
        elif self._is_ending:
            self._out.unregisterProducer()
            self._out.loseConnection()

    def _serve_later(self) -> None:
        if not self._is_gone:
            self._serve()


class DNSStreamFactory(Factory):
    """Makes a L{DNSStream} for each client, up to a number.

    @param limit: connections at once. @param per_client: of one address.
    @param idle: seconds without a whole message, after which a connection is closed.
    @ivar turned_away: clients, since there were too many.
    """

    noisy = False

    def __init__(self, reactor: Any, respond: Respond, *, limit: int, per_client: int, idle: float) -> None:
        self.reactor = reactor
        self.respond = respond
        self.turned_away = 0
        self._limit = limit
        self._per_client = per_client
        self._idle = idle
        self._open: set[DNSStream] = set()
        self._of_host: Counter[str] = Counter()
        self._sweeper = LoopingCall(self.sweep)
        self._sweeper.clock = reactor

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def seconds(self) -> float:
        """The reactor's clock."""
        return float(self.reactor.seconds())

    def buildProtocol(self, addr: IAddress | None) -> DNSStream | None:
        """A protocol for one client; None turns it away."""
        host = str(getattr(addr, "host", ""))
        if len(self._open) >= self._limit or self._of_host[host] >= self._per_client:
            self.turned_away += 1
            return None
        return DNSStream(self, host)

    def opened(self, stream: DNSStream) -> None:
        """One more."""
        self._open.add(stream)
        self._of_host[stream.host] += 1
        if not self._sweeper.running:
            self._sweeper.start(SWEEP, now=False)

    def closed(self, stream: DNSStream) -> None:
        """One less."""
        self._open.discard(stream)
        self._of_host[stream.host] -= 1
        if self._of_host[stream.host] <= 0:
            del self._of_host[stream.host]
        if not self._open and self._sweeper.running:
            self._sweeper.stop()

    def sweep(self) -> None:
        """End those that say nothing, and those that do not listen."""
        now = self.seconds()
        for stream in list(self._open):
            if stream.blocked_since is not None:
                if now - stream.blocked_since > BLOCKED:
                    stream.end()
            elif now - stream.heard_at > self._idle:
                stream.end()

    def stop(self) -> None:
        """End all connections."""
        for stream in list(self._open):
            stream.end()
