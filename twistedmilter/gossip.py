"""The GOSSiP server: questions and verdicts over TCP (gossip spec 1.1, reliability 2.7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.gossip_node import LOOPBACK, STRANGER, Node
from twistedmilter.model.reputation import PEER, Assessment
from twistedmilter.policy.networks import NetworkSet, plain
from twistedmilter.wire.gossip import (
    ACKNOWLEDGEMENT,
    Feedback,
    Query,
    Request,
    RequestDecoder,
    Reset,
    encode_answer,
    encode_error,
    parse_request,
)

MOST_MISTAKES: Final = 3  # lines that cannot be read; then the connection ends
MOST_WAITING: Final = 100  # answers of one connection that are not there yet; nothing more is read meanwhile


class ServerLimits(Struct, frozen=True):
    """What a server allows.

    @ivar connections: at once. @ivar idle: silence that ends a connection. [seconds]
    @ivar rate: lines a second of one source, but not from this host. @ivar burst: so many at once.
    """

    connections: int = 128
    idle: float = 300.0
    rate: float = 100.0
    burst: float = 200.0


class GossipProtocol(Protocol):
    """One client: its lines are answered in their order, each once."""

    _log = Logger()

    def __init__(self, factory: GossipServerFactory, source: str) -> None:
        self._factory = factory
        self._node = factory.node
        self._source = source
        self._decoder = RequestDecoder()
        self._waiting: deque[list[bytes]] = deque()  # answers, each in a box that is empty until it is there
        self._mistakes = 0
        self._is_open = True
        self._idle: IDelayedCall | None = None
        self._send_now: Callable[[bytes], int] | None = None

    def connectionMade(self) -> None:
        """Send answers as they come: Nagle's algorithm would wait for the client's acknowledgement."""
        self._out.setTcpNoDelay(True)
        handle = getattr(self._out, "getHandle", None)
        self._send_now = handle().send if handle is not None else None
        self._idle = self._factory.reactor.callLater(self._factory.limits.idle, self._end)

    def dataReceived(self, data: bytes) -> None:
        """Serve what is complete."""
        self._decoder.receive_data(data)
        if self._idle is not None:
            self._idle.reset(self._factory.limits.idle)
        self._serve()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Forget the client; answers that come now go nowhere."""
        self._is_open = False
        self._waiting.clear()
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._factory.lost(self)

    @property
    def _out(self) -> Any:
        """The transport: a TCP stream that can be paused, which no single interface of Twisted says."""
        return self.transport

    def _send(self, octets: bytes) -> None:
        """Give octets to the socket at once, as long as it takes all of them.

        Twisted would have the reactor told that there is something to write, and told that there is nothing any more:
        two system calls and a turn for an answer of fifty octets, a third of all that a question costs.
        """
        if self._send_now is not None:
            try:
                sent = self._send_now(octets)
            except OSError:  # full, or gone, which the reactor finds out as well
                sent = 0
            if sent == len(octets):
                return
            self._send_now = None  # from now on there is an order to keep
            octets = octets[sent:]
        self._out.write(octets)

    def _serve(self) -> None:
        """Answer the lines that are there."""
        answers = []
        try:
            while self._is_open and len(self._waiting) < MOST_WAITING:
                line = self._decoder.next_line()
                if line is None:
                    break
                answer = self._answer(line)
                if answer:
                    answers.append(answer)
        except ProtocolViolation as violation:
            answers.append(self._queued(encode_error()))
            self._give_up(violation.reason)
        if answers:
            self._send(b"".join(answers))
        if len(self._waiting) >= MOST_WAITING:
            self._out.pauseProducing()
        if not self._is_open and not self._waiting:
            self._out.loseConnection()

    def _answer(self, line: bytes) -> bytes:
        """The answer to a line, if it is there and its turn has come."""
        request = parse_request(line)
        if not self._factory.may_ask(self._source):
            self._give_up("too many lines a second")
            return self._queued(encode_error())
        if type(request) is Query and request.identity.qualifier != PEER:
            answered = self._node.answer(self._allowed(request), self._source)
            if isinstance(answered, Deferred):
                return self._later(answered.addCallbacks(_encoded, self._failed, errbackArgs=(request.umis,)))
            return self._queued(_encoded(answered))
        if type(request) is Feedback and self._source != STRANGER:
            told = self._node.learn(request.umis, request.vote, self._source)
            if isinstance(told, Deferred):
                acknowledged = told.addCallback(lambda _: ACKNOWLEDGEMENT)
                return self._later(acknowledged.addErrback(self._failed, request.umis))
            return self._queued(ACKNOWLEDGEMENT)
        return self._refused(request)

    def _allowed(self, query: Query) -> Query:
        """Strangers do not make us ask our peers."""
        return query if self._source != STRANGER else Query(query.identity, 0, query.umis)

    def _refused(self, request: Request) -> bytes:
        """What cannot be read, and what is for the administrator alone: resets, and what we think of peers."""
        self._mistakes += 1
        if self._mistakes >= MOST_MISTAKES:
            self._give_up("too many lines that are not allowed")
        return self._queued(encode_error() if isinstance(request, Reset) else encode_error(request.umis))

    def _failed(self, failure: Failure, umis: str) -> bytes:
        if failure.check(TemporaryFailure) is None:
            self._log.failure("gossip: a question was not answered by our own fault", failure)
        return encode_error(umis)

    def _queued(self, answer: bytes) -> bytes:
        """An answer, if nothing before it is waited for."""
        if not self._waiting:
            return answer
        self._waiting.append([answer])
        return b""

    def _later(self, answered: Deferred[bytes]) -> bytes:
        """Keep the place of an answer that is waited for, unless it is there after all."""
        box: list[bytes] = []
        self._waiting.append(box)
        answered.addCallback(self._came, box)
        return b""

    def _came(self, answer: bytes, box: list[bytes]) -> None:
        """Send an answer that was waited for, and what waited for it."""
        box.append(answer)
        was_full = len(self._waiting) >= MOST_WAITING
        ready = []
        while self._waiting and self._waiting[0]:
            ready += self._waiting.popleft()
        if ready:
            self._send(b"".join(ready))
        if was_full and len(self._waiting) < MOST_WAITING and self._is_open:
            self._out.resumeProducing()
            self._serve()
        elif not self._is_open and not self._waiting:
            self._out.loseConnection()

    def _give_up(self, why: str) -> None:
        """Read nothing more; what was asked before is answered still."""
        self._is_open = False
        self._log.info("gossip: closing {source}: {why}", source=self._source or "a stranger", why=why)

    def _end(self) -> None:
        self._out.loseConnection()


def _encoded(answered: Assessment) -> bytes:
    return encode_answer(answered.umis, answered.opinion, is_bad=answered.is_bad)


class GossipServerFactory(Factory):
    """Makes a L{GossipProtocol} for each client that may connect.

    From this host everybody may ask and give verdicts.  From elsewhere only those may ask whose address is allowed.

    @ivar node: answers. @ivar clients: those that are connected.
    @param allowed: addresses elsewhere that may ask, and nothing else.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        node: Node,
        reactor: IReactorTime,
        *,
        limits: ServerLimits | None = None,
        allowed: NetworkSet | None = None,
    ) -> None:
        self.node = node
        self.reactor = reactor
        self.limits = limits or ServerLimits()
        self.clients: set[GossipProtocol] = set()
        self._allowed = allowed or NetworkSet.parse([])
        self._buckets: dict[str, tuple[float, float]] = {}

    def buildProtocol(self, addr: IAddress | None) -> GossipProtocol | None:
        """A protocol for one client; None turns it away."""
        source = self._source_of(addr)
        if source is None or len(self.clients) >= self.limits.connections:
            return None
        client = GossipProtocol(self, source)
        self.clients.add(client)
        return client

    def lost(self, client: GossipProtocol) -> None:
        """A client is gone."""
        self.clients.discard(client)

    def may_ask(self, source: str) -> bool:
        """Whether a source may send another line now; this host always."""
        if source == LOOPBACK:
            return True
        now, (left, then) = self.reactor.seconds(), self._buckets.get(source, (self.limits.burst, 0.0))
        left = min(self.limits.burst, left + (now - then) * self.limits.rate)
        self._buckets[source] = (max(0.0, left - 1.0), now)
        return left >= 1.0

    def _source_of(self, addr: IAddress | None) -> str | None:
        host = plain(ip_address(getattr(addr, "host", "").partition("%")[0]))
        if host.is_loopback:
            return LOOPBACK
        return STRANGER if self._allowed.find(host) is not None else None
