"""The connections of MTAs that look up addresses, by socketmap or by Postfix's tcp_table.

Lookups are arithmetic: none waits for anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import ProtocolViolation
from twistedmilter.model.signing_settings import SocketmapSettings
from twistedmilter.signing.maps import AddressMaps
from twistedmilter.wire.netstring import NetstringDecoder
from twistedmilter.wire.socketmap import INTERNAL, INVALID_QUERY, Reply, Status, encode_reply, parse_request
from twistedmilter.wire.tcp_table import LineDecoder, encode_answer, parse_get

SWEEP: Final = 1.0  # seconds between two looks at who is late
BLOCKED: Final = 30.0  # seconds in which an MTA must take something of what it was sent
PER_TURN: Final = 64  # requests of one connection; then others have their turn
ROOT: Final = 0


class _Decoder(Interface):
    """Splits a stream into requests."""

    @property
    def is_between(self) -> bool:
        """Whether no request has begun."""

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came."""

    def next_string(self) -> bytes | None:
        """The next request; None when more octets are needed.

        @raise ProtocolViolation: it is none.
        """


class Dialect(Interface):
    """What is spoken on a listener."""

    def decoder(self) -> _Decoder:
        """A decoder for a new connection."""

    def ask(self, request: bytes, now: float) -> Reply:
        """The reply to any request."""

    def encode(self, reply: Reply) -> bytes:
        """A reply on the wire."""


class SocketmapDialect:
    """Netstrings that name their map."""

    def __init__(self, maps: AddressMaps, max_request: int) -> None:
        self._maps = maps
        self._max_request = max_request

    def decoder(self) -> _Decoder:
        """For a new connection."""
        return NetstringDecoder(self._max_request)

    def ask(self, request: bytes, now: float) -> Reply:
        """Any request has a reply."""
        map_name, key = parse_request(request)
        return self._maps.answer(map_name, key, now)

    def encode(self, reply: Reply) -> bytes:
        """As a netstring."""
        return encode_reply(reply)


class TcpTableDialect:
    """Lines that are all about one map."""

    def __init__(self, maps: AddressMaps, map_name: str) -> None:
        self._maps = maps
        self._map_name = map_name.encode("ascii")

    def decoder(self) -> _Decoder:
        """For a new connection."""
        return LineDecoder()

    def ask(self, request: bytes, now: float) -> Reply:
        """Any line has a reply."""
        key = parse_get(request)
        return INVALID_QUERY if key is None else self._maps.answer(self._map_name, key, now)

    def encode(self, reply: Reply) -> bytes:
        """As a line."""
        return encode_answer(reply)


@implementer(IPushProducer)
class LookupProtocol(Protocol):
    """One MTA; its requests are answered in their order.

    @ivar heard_at: when its last whole request was answered, or the connection was made.
    @ivar begun_at: since when a request is on its way; None between requests.
    @ivar blocked_since: since when it takes no replies; None while it does.
    """

    def __init__(self, factory: LookupFactory) -> None:
        self.heard_at = factory.lookups.seconds()
        self.begun_at: float | None = None
        self.blocked_since: float | None = None
        self._factory = factory
        self._decoder = factory.dialect.decoder()
        self._is_busy = False
        self._is_over = False
        self._sends_now = False

    @property
    def _out(self) -> Any:
        """The transport: a stream that can be paused and aborted, which no single interface of Twisted says."""
        return self.transport

    def connectionMade(self) -> None:
        """Turn strangers and too many away."""
        if self._factory.admits(self._out):
            self._factory.lookups.opened(self)
            self._out.registerProducer(self, True)
            self._sends_now = hasattr(self._out, "writeSomeData")
        else:
            self._is_over = True
            self._out.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Answer what is complete."""
        if not self._is_over:
            self._decoder.receive_data(data)
            self._serve()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Forget it."""
        self._is_over = True
        self._factory.lookups.closed(self)

    def pauseProducing(self) -> None:
        """The MTA does not take our replies: make no more."""
        self.blocked_since = self._factory.lookups.seconds()
        self._out.pauseProducing()

    def resumeProducing(self) -> None:
        """The MTA takes replies again."""
        self.blocked_since = None
        self._out.resumeProducing()
        self._serve()

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""

    def abort(self) -> None:
        """Close at once."""
        self._end()
        self._out.abortConnection()

    def _serve(self) -> None:
        """Answer requests, as many as one has a turn for."""
        if self._is_busy or self.blocked_since is not None or self._is_over:
            return
        replies: list[bytes] = []
        try:
            for _ in range(PER_TURN):
                request = self._decoder.next_string()
                if request is None:
                    break
                replies.append(self._factory.reply(request))
            else:
                self._go_on_later()
        except ProtocolViolation:
            replies.append(self._factory.dialect.encode(INVALID_QUERY))
            self._end()
        now = self._factory.lookups.seconds()
        if replies:
            self.heard_at = now
        if self._decoder.is_between:
            self.begun_at = None
        elif replies or self.begun_at is None:
            self.begun_at = now
        if replies:
            self._send(b"".join(replies))
        if self._is_over:
            self._out.loseConnection()

    def _send(self, octets: bytes) -> None:
        """Send now what the socket takes: the reactor's buffer would cost another turn of it for each reply."""
        if self._sends_now:
            sent = self._out.writeSomeData(octets)
            if sent == len(octets):
                return
            self._sends_now = False  # from here on everything goes through the buffer, in its order
            octets = octets[sent:] if isinstance(sent, int) else octets
        self._out.write(octets)

    def _go_on_later(self) -> None:
        self._is_busy = True
        self._out.pauseProducing()
        self._factory.lookups.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._is_busy = False
        if not self._is_over and self.blocked_since is None:
            self._out.resumeProducing()
            self._serve()

    def _end(self) -> None:
        """Hear no more."""
        if not self._is_over:
            self._is_over = True
            self._out.unregisterProducer()


class Lookups:
    """The connections of all listeners, and what was asked on them.

    @ivar counts: replies by status.
    """

    _log = Logger()

    def __init__(self, settings: SocketmapSettings, reactor: Any, wall: Callable[[], float]) -> None:
        """Nothing is open yet.

        @param wall: seconds since the epoch, for stamps.
        """
        self.reactor = reactor
        self.seconds: Callable[[], float] = reactor.seconds
        self.wall = wall
        self.counts: Counter[Status] = Counter()
        self._settings = settings
        self._open: set[LookupProtocol] = set()
        self._sweeper = LoopingCall(self.sweep)
        self._sweeper.clock = reactor

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another connection."""
        return len(self._open) >= self._settings.max_connections

    def start(self) -> None:
        """Look after connections."""
        self._sweeper.start(SWEEP, now=False)

    def stop(self) -> None:
        """Close all of them: an MTA asks again."""
        if self._sweeper.running:
            self._sweeper.stop()
        for connection in tuple(self._open):
            connection.abort()

    def opened(self, connection: LookupProtocol) -> None:
        """Another connection."""
        self._open.add(connection)

    def closed(self, connection: LookupProtocol) -> None:
        """One less."""
        self._open.discard(connection)

    def sweep(self) -> None:
        """Close those that are idle, that began a request and do not end it, or that take no replies."""
        now, settings = self.seconds(), self._settings
        for each in tuple(self._open):
            is_idle = each.begun_at is None and now - each.heard_at > settings.idle_timeout
            is_slow = each.begun_at is not None and now - each.begun_at > settings.request_timeout
            if is_idle or is_slow or (each.blocked_since is not None and now - each.blocked_since > BLOCKED):
                each.abort()

    def snapshot(self) -> dict[str, object]:
        """What C{twistedmilter status} shows."""
        return {
            "connections": len(self),
            "replies": {status.name: self.counts[status] for status in Status if self.counts[status]},
        }


class LookupFactory(Factory):
    """Makes a L{LookupProtocol} for each MTA of one listener.

    @ivar users: the uids that may ask; None: whoever could connect.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        dialect: Dialect,
        lookups: Lookups,
        *,
        users: Collection[int] | None = None,
        peer_uid: Callable[[Any], int | None] = lambda _transport: None,
    ) -> None:
        """One listener.

        @param peer_uid: who is at the other end of a transport.
        """
        self.dialect = dialect
        self.lookups = lookups
        self.users = users
        self._peer_uid = peer_uid

    def buildProtocol(self, addr: IAddress | None) -> LookupProtocol:  # noqa: ARG002 - Twisted's
        """A protocol for one MTA."""
        return LookupProtocol(self)

    def admits(self, transport: Any) -> bool:
        """Whether the other end may ask now."""
        if self.users is not None and (uid := self._peer_uid(transport)) not in self.users:
            self._log.warn("socketmap: user {uid} is not allowed", uid=uid)
            return False
        if self.lookups.is_full:
            self._log.warn("socketmap: more than {count} connections", count=len(self.lookups))
            return False
        return True

    def reply(self, request: bytes) -> bytes:
        """The reply to a request, on the wire; a fault of ours is to be tried again, never a wrong answer (S7)."""
        try:
            reply = self.dialect.ask(request, self.lookups.wall())
        except Exception:  # noqa: BLE001 - whatever it is, the MTA gets its answer, and the log the traceback
            self._log.failure("socketmap: a lookup failed by its own fault")
            reply = INTERNAL
        self.lookups.counts[reply.status] += 1
        return self.dialect.encode(reply)
