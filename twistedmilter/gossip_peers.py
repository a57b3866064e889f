"""Asking peers: one connection to each, questions side by side, and a deadline for all (gossip spec 1.8)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.gossip_patience import Breaker, PeerPatience, PeerSpec
from twistedmilter.model.reputation import Opinion
from twistedmilter.reputation.peers import within_range
from twistedmilter.wire.gossip import (
    NO_UMIS,
    Feedback,
    Query,
    Reply,
    ReplyDecoder,
    encode_feedback,
    encode_query,
    parse_reply,
)
from twistedmilter.wire.gossip_keys import KeyedSession, encode_hello, welcomed
from twistedmilter.wire.umis import OCTETS, umis_of

MOST_PEERS: Final = 16
MOST_OUTSTANDING: Final = 200  # questions to one peer that wait; more are not sent


class _Asked(NamedTuple):
    """Something that is to be answered."""

    umis: str
    is_question: bool
    answer: Deferred[Reply | None]

    def fits(self, reply: Reply | None) -> bool:
        """Whether a reply can be the answer: to a question by its UMIS, to a verdict without words, or an error."""
        if reply is None:
            return not self.is_question
        if reply.action == "ERROR":
            return reply.umis in {self.umis, NO_UMIS}
        return self.is_question and reply.umis == self.umis


class PeerProtocol(Protocol):
    """Our side of a connection to a peer: answers come in the order of the questions."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._decoder = ReplyDecoder()
        self._open: deque[_Asked] = deque()
        self._silence: IDelayedCall | None = None
        self._nonce = ""
        self._session: KeyedSession | None = None
        self._asked = self._answered = 0

    def connectionMade(self) -> None:
        """Send what waits, after it is clear who we are, where a key was agreed."""
        self._out.setTcpNoDelay(True)
        if not self._peer.spec.key:
            self._peer.connected(self)
            return
        self._nonce = self._peer.new_nonce()
        self._out.write(encode_hello(self._peer.spec.our_name, self._nonce))
        self._listen()

    @property
    def _out(self) -> Any:
        """The transport: TCP."""
        return self.transport

    def say(self, said: Query | Feedback, answer: Deferred[Reply | None]) -> None:
        """Send a question, which is answered with a reply, or a verdict, which is answered without words."""
        if len(self._open) >= MOST_OUTSTANDING:
            answer.errback(TemporaryFailure("it is too slow"))
            return
        is_question = isinstance(said, Query)
        line = encode_query(said) if isinstance(said, Query) else encode_feedback(said)
        self._open.append(_Asked(said.umis, is_question, answer))
        self._asked += 1
        if self._session is not None:
            line = self._session.seal_request(self._asked, line[:-2]) + line[-2:]
        self._out.write(line)
        self._listen()

    def _listen(self) -> None:
        """Something is to be said by the other side."""
        if self._silence is None:
            self._silence = self._peer.reactor.callLater(self._peer.patience.silence, self._out.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """Take answers."""
        self._decoder.receive_data(data)
        try:
            while (line := self._decoder.next_line()) is not None:
                self._read(line)
        except ProtocolViolation as violation:
            self._peer.complain(violation.reason)
            self._out.abortConnection()

    def _read(self, line: bytes) -> None:
        """The welcome, or an answer.

        @raise ProtocolViolation: it is neither, or not the peer's.
        """
        if self._nonce:
            spec = self._peer.spec
            self._session = welcomed(line, spec.key, spec.our_name, self._nonce)
            self._nonce = ""
            self._rest()
            self._peer.connected(self)
            return
        self._answered += 1
        if self._session is not None and line:
            line = self._session.open_answer(self._answered, line)
        self._take(parse_reply(line) if line else None)

    def _take(self, reply: Reply | None) -> None:
        """An answer to the oldest question, by its name; None is one without words, to a verdict.

        @raise ProtocolViolation: it is to none of ours.
        """
        if not self._open:
            raise ProtocolViolation("an answer that nobody asked for")
        asked = self._open.popleft()
        answer, is_error = asked.answer, reply is not None and reply.action == "ERROR"
        if not asked.fits(reply):
            answer.errback(TemporaryFailure("its answer was to another question"))
            raise ProtocolViolation("an answer to another question")
        self._rest()
        if is_error:
            answer.errback(TemporaryFailure("it answered ERROR"))
        else:
            answer.callback(reply)

    def _rest(self) -> None:
        """The clock of silence starts again, or stops."""
        if self._silence is not None:
            self._silence.reset(self._peer.patience.silence)
            if not self._open:
                self._silence.cancel()
                self._silence = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All that waits has failed."""
        if self._silence is not None and self._silence.active():
            self._silence.cancel()
        self._silence = None
        self._peer.disconnected(self)
        while self._open:
            self._open.popleft().answer.errback(TemporaryFailure(reason.getErrorMessage()))


class _PeerFactory(ClientFactory):
    noisy = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def buildProtocol(self, addr: IAddress | None) -> PeerProtocol:  # noqa: ARG002 - Twisted's
        return PeerProtocol(self._peer)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:  # noqa: ARG002 - Twisted's
        self._peer.unreachable(reason)


class Peer:
    """One peer: its connection, which is made when there is something to ask, and its breaker."""

    _log = Logger()

    def __init__(
        self, spec: PeerSpec, reactor: Any, patience: PeerPatience, random_octets: Callable[[int], bytes] = token_bytes
    ) -> None:
        self.spec = spec
        self.reactor = reactor
        self.patience = patience
        self.breaker = Breaker(patience)
        self._random_octets = random_octets
        self._protocol: PeerProtocol | None = None
        self._connector: Any = None
        self._waiting: list[tuple[Query | Feedback, Deferred[Reply | None]]] = []

    @property
    def is_asked(self) -> bool:
        """Whether it is not left alone now."""
        return self.breaker.may_ask(self.reactor.seconds())

    def new_nonce(self) -> str:
        """What was never said before."""
        return umis_of(self._random_octets(OCTETS))

    def ask(self, query: Query) -> Deferred[Opinion | None]:
        """What it says; None if it says nothing in time.  It never fails."""
        if not self.is_asked:
            return succeed(None)
        return self._say(query).addCallbacks(self._said, self._silent)

    def tell(self, feedback: Feedback) -> Deferred[bool]:
        """What a message was; whether it took that.  It never fails."""
        if not self.is_asked:
            return succeed(False)
        return self._say(feedback).addCallbacks(self._taken, self._silent).addCallback(bool)

    def _say(self, said: Query | Feedback) -> Deferred[Reply | None]:
        answer: Deferred[Reply | None] = Deferred()
        answered = answer.addTimeout(self.patience.budget, self.reactor)
        if self._protocol is not None:
            self._protocol.say(said, answer)
        else:
            self._waiting.append((said, answer))
            self._connect()
        return answered

    def _said(self, reply: Reply | None) -> Opinion | None:
        self.breaker.succeeded()
        return within_range(reply.reputation, reply.confidence) if reply is not None else None

    def _taken(self, _: Reply | None) -> bool:
        self.breaker.succeeded()
        return True

    def _silent(self, failure: Failure) -> None:
        why = failure.getErrorMessage() if failure.check(TemporaryFailure) else "it did not answer in time"
        if self.breaker.failed(self.reactor.seconds()):
            self._log.warn(
                "peer {peer} is not asked for {rest} s: {why}", peer=self.spec.name, rest=self.breaker.rest, why=why
            )

    def _connect(self) -> None:
        if self._connector is None:
            self._connector = self.reactor.connectTCP(
                self.spec.host, self.spec.port, _PeerFactory(self), timeout=self.patience.silence
            )

    def connected(self, protocol: PeerProtocol) -> None:
        """There is a connection: what waits can be asked, unless its time is over."""
        self._protocol = protocol
        waiting, self._waiting = self._waiting, []
        for said, answer in waiting:
            if not answer.called:
                protocol.say(said, answer)

    def disconnected(self, protocol: PeerProtocol) -> None:
        """It is gone; the next question makes another."""
        if self._protocol is protocol:
            self._protocol = self._connector = None

    def unreachable(self, reason: Failure) -> None:
        """There is no connection."""
        self._connector = None
        waiting, self._waiting = self._waiting, []
        for _, answer in waiting:
            if not answer.called:
                answer.errback(TemporaryFailure(reason.getErrorMessage()))

    def complain(self, what: str) -> None:
        """The peer broke the protocol."""
        self._log.warn("peer {peer}: {what}", peer=self.spec.name, what=what)

    def close(self) -> None:
        """Ask nothing more."""
        if self._connector is not None:
            self._connector.disconnect()


@dataclass
class PeerGroup:
    """All peers of a node."""

    peers: list[Peer] = field(default_factory=list)

    @classmethod
    def of(cls, specs: Sequence[PeerSpec], reactor: Any, patience: PeerPatience | None = None) -> PeerGroup:
        """Peers that nobody was connected to yet."""
        return cls([Peer(spec, reactor, patience or PeerPatience()) for spec in specs])

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.peers)

    async def ask(self, query: Query, *, but: str) -> Sequence[tuple[str, Opinion]]:
        """What they say, by name, of those that answer in time; all are asked at once.

        @param but: who is not asked, since the question came from there.
        """
        asked = [(peer.spec.name, peer.ask(query)) for peer in self.peers if peer.spec.name != but]
        answers = [(name, await answer) for name, answer in asked]
        return [(name, opinion) for name, opinion in answers if opinion is not None]

    def close(self) -> None:
        """Ask nothing more."""
        for peer in self.peers:
            peer.close()
