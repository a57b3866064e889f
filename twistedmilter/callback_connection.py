"""One SMTP session of ours on a transport, with a time limit on each reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.wire.smtp_client import BeginTLS, Finished, Received, Send, SMTPClientSession

Watcher = Callable[[str], None]


class TLSRefusedError(Exception):
    """The connection was lost while TLS was being set up."""


class CallbackProtocol(Protocol):
    """One SMTP session on a transport; L{ended} fires once."""

    def __init__(self, clock: Any, session: SMTPClientSession, wait: float, watch: Watcher) -> None:
        """Not connected yet.

        @param wait: seconds for each reply. @param watch: called with each line of the conversation.
        """
        self._clock = clock
        self._session = session
        self._wait = wait
        self._watch = watch
        self._timer: Any = None
        self._closing: Any = None
        self._in_handshake = False
        self.ended: Deferred[Finished] = Deferred(lambda _: self._close())

    def connectionMade(self) -> None:
        """Wait for the banner."""
        self._restart_timer()

    def dataReceived(self, data: bytes) -> None:
        """Let the session say what follows."""
        if self.ended.called:
            return
        self._in_handshake = False
        try:
            events = self._session.receive_data(data)
        except ProtocolViolation as violation:
            self._end(Failure(violation))
            return
        self._perform(events)

    def _perform(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Send):
                self._watch(f"> {event.octets.decode().rstrip()}")
                assert self.transport is not None
                self.transport.write(event.octets)
                self._restart_timer()
            elif isinstance(event, Received):
                self._watch(f"< {event.reply.quoted}")
            elif isinstance(event, BeginTLS):
                self._watch("* TLS")
                self._in_handshake = True
                self.transport.startTLS(CertificateOptions())  # type: ignore[union-attr] # opportunistic, unverified
                self._perform(self._session.tls_started())
            else:
                self._end(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server went away; no harm if the session was over."""
        self._end(Failure(TLSRefusedError()) if self._in_handshake else reason)
        if self._closing is not None and self._closing.active():
            self._closing.cancel()

    def _restart_timer(self) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(self._wait, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _timed_out(self) -> None:
        self._end(Failure(TemporaryFailure(f"no reply to {self._session.stage} within {self._wait:g} s")))

    def _close(self) -> None:
        self._stop_timer()
        if self.transport is not None:
            if self._in_handshake or not self.ended.called:
                self.transport.abortConnection()  # type: ignore[attr-defined] # of TCP and TLS transports
            else:
                # TLS waits for the server's own close, and unsent octets for its window: not for longer than a reply
                self._closing = self._clock.callLater(self._wait, self.transport.abortConnection)  # type: ignore[attr-defined]
                self.transport.loseConnection()

    def _end(self, result: Finished | Failure) -> None:
        if self.ended.called:
            self._stop_timer()
            return
        ended = self.ended
        ended.callback(result) if isinstance(result, Finished) else ended.errback(result)
        self._close()
