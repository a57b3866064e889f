"""The GOSSiP server: questions and verdicts over TCP (gossip spec 1.1, reliability 2.7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

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
from twistedmilter.wire.gossip_keys import KeyedSession, encode_welcome, parse_hello

MOST_MISTAKES: Final = 3  # lines that cannot be read; then the connection ends
HELLO_TIME: Final = 10.0  # seconds that somebody from elsewhere has to say who it is
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


@implementer(IPushProducer)
class GossipProtocol(Protocol):
    """One client: its lines are answered in their order, each once.

    @param source: who it is by its address; None: it has to prove that first.
    """

    _log = Logger()

    def __init__(self, factory: GossipServerFactory, source: str | None) -> None:
        self._factory = factory
        self._node = factory.node
        self._source = source
        self._decoder = RequestDecoder()
        self._waiting: deque[list[bytes]] = deque()  # answers, each in a box that is empty until it is there
        self._session: KeyedSession | None = None
        self._number = 0  # of the last line since the session began
        self._mistakes = 0
        self._is_open = True
        self._is_clogged = False  # the client does not read what it is told
        self._idle: IDelayedCall | None = None
        self._send_now: Callable[[bytes], int] | None = None

    def connectionMade(self) -> None:
        """Send answers as they come: Nagle's algorithm would wait for the client's acknowledgement."""
        self._out.setTcpNoDelay(True)
        handle = getattr(self._out, "getHandle", None)
        self._send_now = handle().send if handle is not None else None
        self._out.registerProducer(self, True)
        patience = HELLO_TIME if self._source is None else self._factory.limits.idle
        self._idle = self._factory.reactor.callLater(patience, self._end)

    def dataReceived(self, data: bytes) -> None:
        """Serve what is complete."""
        self._decoder.receive_data(data)
        if self._idle is not None and self._source is not None:
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
        two system calls and a turn for an answer of fifty octets, a quarter of all that a question costs.
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
            while self._may_read:
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

    @property
    def _may_read(self) -> bool:
        return self._is_open and not self._is_clogged and len(self._waiting) < MOST_WAITING

    def pauseProducing(self) -> None:
        """Twisted's buffer is full: whoever does not read is not read from either."""
        self._is_clogged = True
        self._out.pauseProducing()

    def resumeProducing(self) -> None:
        """It is empty again."""
        self._is_clogged = False
        self._go_on()

    def stopProducing(self) -> None:
        """The connection is gone, which is told otherwise."""

    def _go_on(self) -> None:
        """Read again, what is there first."""
        if self._may_read:
            self._out.resumeProducing()
            self._serve()

    def _answer(self, line: bytes) -> bytes:
        """The answer to a line, if it is there and its turn has come.

        @raise ProtocolViolation: somebody who has a key did not write it.
        """
        session, number = self._session, self._number + 1
        if session is None and self._factory.keys and (hello := parse_hello(line)) is not None:
            return self._welcome(*hello)
        if self._source is None:
            raise ProtocolViolation("nobody that we know")
        if session is None:
            response = self._respond(line, self._source)
            return self._later(response) if isinstance(response, Deferred) else self._queued(response)
        self._number = number
        response = self._respond(session.open_request(number, line), self._source)
        if isinstance(response, Deferred):
            return self._later(response.addCallback(_sealed, session, number))
        return self._queued(_sealed(response, session, number))

    def _welcome(self, name: str, nonce: str) -> bytes:
        """Somebody says that it is a peer; what it says from now on shows whether it is.

        @raise ProtocolViolation: there is no such peer.
        """
        key = self._factory.keys.get(name)
        if key is None:
            raise ProtocolViolation("a peer that we do not know")
        ours = self._node.new_umis()
        self._session, self._source, self._number = KeyedSession(key, name, nonce, ours), name, 0
        return self._queued(encode_welcome(ours, self._session))

    def _respond(self, line: bytes, source: str) -> bytes | Deferred[bytes]:
        """What is said to a line."""
        request = parse_request(line)
        if not self._factory.may_ask(source):
            self._give_up("too many lines a second")
            return encode_error()
        if type(request) is Query and request.identity.qualifier != PEER:
            answered = self._node.answer(self._allowed(request), source)
            if isinstance(answered, Deferred):
                return answered.addCallbacks(_encoded, self._failed, errbackArgs=(request.umis,))
            return _encoded(answered)
        if type(request) is Feedback and source != STRANGER:
            told = self._node.learn(request.umis, request.vote, source)
            if isinstance(told, Deferred):
                return told.addCallback(lambda _: ACKNOWLEDGEMENT).addErrback(self._failed, request.umis)
            return ACKNOWLEDGEMENT
        return self._refused(request)

    def _allowed(self, query: Query) -> Query:
        """Strangers do not make us ask our peers."""
        return query if self._source != STRANGER else Query(query.identity, 0, query.umis)

    def _refused(self, request: Request) -> bytes:
        """What cannot be read, and what is for the administrator alone: resets, and what we think of peers."""
        self._mistakes += 1
        if self._mistakes >= MOST_MISTAKES:
            self._give_up("too many lines that are not allowed")
        return encode_error() if isinstance(request, Reset) else encode_error(request.umis)

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
        if was_full and self._may_read:
            self._go_on()
        elif not self._is_open and not self._waiting:
            self._out.loseConnection()

    def _give_up(self, why: str) -> None:
        """Read nothing more; what was asked before is answered still."""
        self._is_open = False
        self._log.info("gossip: closing {source}: {why}", source=self._source or "a stranger", why=why)

    def close(self) -> None:
        """End the connection now."""
        self._out.abortConnection()

    def _end(self) -> None:
        self._out.loseConnection()


def _sealed(answer: bytes, session: KeyedSession, number: int) -> bytes:
    """The answer with its tag, if it has words."""
    return answer if answer == ACKNOWLEDGEMENT else session.seal_answer(number, answer[:-2]) + b"\n\n"


def _encoded(answered: Assessment) -> bytes:
    return encode_answer(answered.umis, answered.opinion, is_bad=answered.is_bad)


class GossipServerFactory(Factory):
    """Makes a L{GossipProtocol} for each client that may connect.

    From this host everybody may ask and give verdicts.  From elsewhere a peer may that has a key; whose address is
    allowed may ask, and nothing else.

    @ivar node: answers. @ivar clients: those that are connected. @ivar keys: of peers, by name.
    @param allowed: addresses elsewhere that may ask without a key.
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
        keys: Mapping[str, bytes] | None = None,
    ) -> None:
        self.node = node
        self.reactor = reactor
        self.limits = limits or ServerLimits()
        self.clients: set[GossipProtocol] = set()
        self._allowed = allowed or NetworkSet.parse([])
        self.keys = keys or {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def buildProtocol(self, addr: IAddress | None) -> GossipProtocol | None:
        """A protocol for one client; None turns it away."""
        source = self._source_of(addr)
        if (source is None and not self.keys) or len(self.clients) >= self.limits.connections:
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
