"""One question, put to the name servers until one of them answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.resolver_transport import DatagramSocket, IResolverReactor, Server, ask_over_tcp, server_text, words
from twistedmilter.wire.dns_query import Outcome, Question, Response, encode_question, read_response

FIRST_WAIT: Final = 1.0  # seconds until the question is sent again; doubles with every round over the servers
SLOW_AFTER: Final = 0.2  # seconds; what is not answered then, a server does not have at hand


@dataclass(slots=True)
class _Attempt:
    """What was sent to one server; its socket stays open, so that a late answer still counts."""

    server: Server
    query_id: int
    edns: bool = True
    socket: DatagramSocket | None = None
    stream: Deferred[Response] | None = None
    octets: bytes = field(default=b"", repr=False)


class Exchange:
    """Asks, asks again, asks others, until there is a usable response or no time left.

    @ivar answered_by: the server whose response was used.
    """

    def __init__(
        self,
        reactor: IResolverReactor,
        servers: Sequence[Server],
        randomness: Callable[[], int],
        asked: Question,
        *,
        timeout: float,
        became_slow: Callable[[], None],
    ) -> None:
        """Prepare; L{start} begins.

        @param servers: whom to ask, in this order.
        @param randomness: answers unguessable integers of 16 bits.
        @param timeout: for all tries together. [seconds]
        @param became_slow: called once, when there is no answer after L{SLOW_AFTER}.
        """
        self.answered_by: Server | None = None
        self._reactor = reactor
        self._servers = servers
        self._randomness = randomness
        self._asked = asked
        self._timeout = timeout
        self._became_slow = became_slow
        self._attempts: dict[Server, _Attempt] = {}
        self._problems: dict[Server, str] = {}
        self._tries = 0
        self._timers: list[IDelayedCall] = []
        self._again: IDelayedCall | None = None
        self._over = False
        self._result: Deferred[Response] = Deferred(lambda _: self._clean_up())

    def start(self) -> Deferred[Response]:
        """Begin; the Deferred may be cancelled.

        @return: a usable response, or L{TemporaryFailure} with every server and what was wrong with it.
        """
        silence = f"no answer within {self._timeout:.3g} s"
        self._timers = [
            self._reactor.callLater(self._timeout, self.give_up, silence),
            self._reactor.callLater(min(SLOW_AFTER, self._timeout), self._became_slow),
        ]
        self._ask_next()
        return self._result

    def give_up(self, silence: str) -> None:
        """Fail now.

        @param silence: what is said of a server that did not answer.
        """
        if self._over:
            return
        self._clean_up()
        said = [f"{server_text(server)}: {self._problems.get(server, silence)}" for server in self._servers]
        self._result.errback(TemporaryFailure(f"{self._asked}: {', '.join(said)}"))

    def _ask_next(self) -> None:
        """Send to the next server that has not failed, and come back if it stays silent."""
        hopeful = [server for server in self._servers if server not in self._problems]
        if not hopeful:
            self.give_up("no answer")
            return
        rounds, position = divmod(self._tries, len(hopeful))
        self._tries += 1
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._again = self._reactor.callLater(FIRST_WAIT * 2**rounds, self._ask_next)
        self._ask(hopeful[position])

    def _ask(self, server: Server) -> None:
        attempt = self._attempts.get(server)
        if attempt is None:
            attempt = self._attempts[server] = _Attempt(server, self._randomness())
            attempt.octets = encode_question(self._asked, attempt.query_id, edns=True)
            try:
                attempt.socket = DatagramSocket(
                    self._reactor,
                    server,
                    lambda octets: self._received(attempt, octets),
                    lambda problem: self._failed(attempt, problem),
                )
            except OSError as problem:
                self._failed(attempt, words(problem))
                return
        if attempt.socket is not None and attempt.stream is None:
            attempt.socket.send(attempt.octets)

    def _received(self, attempt: _Attempt, octets: bytes) -> None:
        if self._over:
            return
        try:
            response = read_response(octets, self._asked, attempt.query_id)
        except ProtocolViolation:
            return  # as if it had not come (A9); the true answer may follow
        if response.outcome is not Outcome.TRUNCATED:
            self._judge(attempt, response)
        elif attempt.stream is None:
            attempt.stream = Deferred.fromCoroutine(self._stream(attempt))
            attempt.stream.addCallbacks(
                lambda whole: self._judge(attempt, whole), self._stream_failed, errbackArgs=(attempt,)
            )

    def _judge(self, attempt: _Attempt, response: Response) -> None:
        if self._over:
            return
        if response.outcome is Outcome.EDNS_REFUSED and attempt.edns and attempt.socket is not None:
            attempt.edns, attempt.stream = False, None
            attempt.query_id = self._randomness()
            attempt.octets = encode_question(self._asked, attempt.query_id, edns=False)
            attempt.socket.send(attempt.octets)
        elif response.outcome in (Outcome.UNUSABLE, Outcome.EDNS_REFUSED, Outcome.TRUNCATED):
            self._failed(attempt, response.problem or "truncated over TCP")
        else:
            self.answered_by = attempt.server
            self._clean_up()
            self._result.callback(response)

    def _failed(self, attempt: _Attempt, problem: str) -> None:
        """This server cannot help; try another at once."""
        if self._over or attempt.server in self._problems:
            return
        self._problems[attempt.server] = problem
        self._ask_next()

    async def _stream(self, attempt: _Attempt) -> Response:
        octets = await ask_over_tcp(self._reactor, attempt.server, attempt.octets, self._timeout)
        return read_response(octets, self._asked, attempt.query_id)

    def _stream_failed(self, failure: Failure, attempt: _Attempt) -> None:
        failure.trap(ConnectError, ConnectionClosed, ProtocolViolation, ConnectingCancelledError, CancelledError)
        self._failed(attempt, f"TCP: {failure.getErrorMessage()}")

    def _clean_up(self) -> None:
        self._over = True
        for timer in (*self._timers, self._again):
            if timer is not None and timer.active():
                timer.cancel()
        for attempt in self._attempts.values():
            if attempt.socket is not None:
                attempt.socket.close()
            if attempt.stream is not None:
                attempt.stream.cancel()
