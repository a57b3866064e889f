"""The milter face: octets of an MTA in, answers of the policy out.

All of the protocol is in L{twistedmilter.wire.session}, all of the judging in L{twistedmilter.policy.judge}; here
they are joined to a transport.  One frame at a time is judged, in order; a check that waits holds up its own
session and no other; everything is cancelled when the MTA goes away.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import ProtocolViolation
from twistedmilter.milter_sessions import MilterSessions
from twistedmilter.model.stage import Role
from twistedmilter.model.transaction import Client, Connection
from twistedmilter.model.verdict import Discard, Refuse, TempFail
from twistedmilter.policy.judge import Answer, MaybeLater, SessionJudge
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.wire import commands, replies
from twistedmilter.wire.session import MilterSession

MAX_REASON = 1000  # characters of a reason, and of each of its details, in a reply
MAX_BUFFERED = 1_048_576  # octets of input kept while an answer is awaited; then the MTA is not read


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _short(text: str) -> str:
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."


def reply_to(answer: Answer) -> replies.Reply:
    """The protocol's reply for an answer of the judge."""
    verdict = answer.decision.verdict
    if isinstance(verdict, (Refuse, TempFail)):
        reason = verdict.reason
        # what is quoted of the client must not push the reference out of the reply
        text = f"{_short(reason.text)} (ref {answer.reference})"
        lines = replies.reply_lines("\n".join((text, *map(_short, reason.details))))
        return replies.ReplyCode(verdict.code, verdict.status, lines)
    return replies.DISCARD if isinstance(verdict, Discard) else replies.CONTINUE


@implementer(IPushProducer)
class MilterProtocol(Protocol):
    """One MTA connection: one SMTP session after the other (QUIT_NC), in each one message after the other."""

    _log = Logger()

    def __init__(self, factory: MilterFactory) -> None:
        self._factory = factory
        self._sessions = sessions = factory.sessions
        self._policy = sessions.policy
        self._session = MilterSession(sessions.wants, max_frame=sessions.policy.settings.milter.max_frame)
        self._judge: SessionJudge | None = None
        self._answering: Deferred[Answer] | None = None
        self._progress: IDelayedCall | None = None
        self._is_pumping = self._is_paused = self._is_over = self._is_at_end = False
        self.blocked_since: float | None = None
        self.frame_since: float | None = None
        self.heard_at = 0.0

    # the transport's side

    def connectionMade(self) -> None:
        """Join the factory's connections."""
        assert self.transport is not None
        self.heard_at = self.frame_since = self._policy.reactor.seconds()
        self.transport.registerProducer(self, True)  # type: ignore[attr-defined]
        self._sessions.joined(self)

    def dataReceived(self, data: bytes) -> None:
        """Judge every complete frame, unless an answer is still awaited."""
        if self._is_over:
            return
        self.heard_at = self._policy.reactor.seconds()
        self._session.receive_data(data)
        if self._answering is not None or self.blocked_since is not None:
            if self._session.buffered > MAX_BUFFERED and not self._is_paused:
                self._is_paused = True
                self.transport.pauseProducing()  # type: ignore[union-attr]
            return
        self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - the interface's
        """The MTA went away: cancel what is asked, close what is open."""
        if not self._is_over and self._session.pending:
            self._trouble(f"connection lost inside a frame, {self._session.pending} octets of it came")
        self._is_over = True
        self._end_session("lost")
        self._sessions.left(self)

    # the outgoing buffer's side (IPushProducer)

    def pauseProducing(self) -> None:
        """The MTA does not read our answers: do not make more."""
        self.blocked_since = self._policy.reactor.seconds()

    def resumeProducing(self) -> None:
        """The MTA reads again."""
        self.blocked_since = None
        if self._answering is None and not self._is_over:
            self._pump()

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""

    # events

    def _pump(self) -> None:
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            self._handle_events()
        except ProtocolViolation as violation:
            self._violated(violation)
        except Exception:  # noqa: BLE001 - our own fault: logged once, answered 451, the process lives on
            self._core_failed(Failure())
        finally:
            self._is_pumping = False
        self._flush()
        self.frame_since = self.heard_at if self._session.pending else None

    def _handle_events(self) -> None:
        session = self._session
        while self._answering is None and self.blocked_since is None and not self._is_over:
            event = session.next_event()
            if event is None:
                if self._is_paused:
                    self._is_paused = False
                    self.transport.resumeProducing()  # type: ignore[union-attr]
                return
            handler = _HANDLERS.get(type(event))
            if handler is None:
                if session.owes:
                    session.answer(replies.CONTINUE)
                continue
            result = handler(self, event)
            if result is None:
                if session.owes:
                    session.answer(replies.CONTINUE)
            elif isinstance(result, Answer):
                self._give(result)
            else:
                self._await(result)

    def _await(self, later: Deferred[Answer]) -> None:
        self._answering = later
        later.addCallbacks(self._answered, self._answer_failed)

    def _answered(self, answer: Answer) -> None:
        self._answering = None
        self._stop_progress()
        if self._is_over:
            return
        try:
            self._give(answer)
        except Exception:  # noqa: BLE001 - as in _pump: whatever it is, the MTA gets its answer
            self._core_failed(Failure())
        self._pump()

    def _answer_failed(self, failure: Failure) -> None:
        self._answering = None
        self._stop_progress()
        if self._is_over or failure.check(CancelledError):
            return
        self._core_failed(failure)
        self._pump()

    def _give(self, answer: Answer) -> None:
        """Queue the answer; the reply accounting is the session's."""
        session, judge = self._session, self._judge
        if not session.owes or judge is None:
            return
        at_end, self._is_at_end = self._is_at_end, False
        if at_end and answer.modifications:
            for dropped in session.modify(answer.modifications):
                self._trouble(f"the MTA did not grant {type(dropped).__name__}; left out")
        reply = reply_to(answer)
        session.answer(reply)
        judge.told(str(reply) if isinstance(reply, replies.ReplyCode) else "")
        if at_end or (judge.transaction is not None and not session.in_transaction):
            self._flush()  # the end of a message has effects only when the MTA was told
            judge.closed("end-of-message" if at_end else "refused")
            self._transaction_ended()

    def _transaction_ended(self) -> None:
        for warning in self._session.take_warnings():
            self._trouble(warning)
        self._sessions.transaction_ended(self)

    def _flush(self) -> None:
        octets = self._session.data_to_send()
        if octets and self.transport is not None:
            self.transport.write(octets)

    # one handler an event

    def _connected(self, event: commands.ConnectInfo) -> MaybeLater:
        session = self._session
        connection = Connection(
            number=self._sessions.next_number(),
            client=Client(_text(event.host), event.ip, event.port, _text(event.address)),
            listener=self._factory.listener,
            role=self._factory.role,
            role_reason=self._factory.role_reason,
            macro=session.macro,
            own_name=(session.macro("j") or "").strip(),  # seed-spec B01
            is_test=session.macro("twistedmilter_test") == "1" and self._factory.is_own_user(self),
            local_submission=session.peer_is_postfix and event.host == b"localhost" and event.port == 0,
        )
        self._judge = SessionJudge(self._policy, connection)
        return self._judge.connected()

    def _open_judge(self) -> SessionJudge:
        """The judge of this session, also for an MTA that did not say CONNECT."""
        if self._judge is None:
            self._connected(commands.ConnectInfo(b"unknown", "U", 0, b"", None))
        assert self._judge is not None
        return self._judge

    def _greeted(self, event: commands.Helo) -> MaybeLater:
        return self._open_judge().greeted(_text(event.name))

    def _mail_began(self, event: commands.MailFrom) -> MaybeLater:
        return self._open_judge().mail_began(_text(event.path), tuple(map(_text, event.arguments)))

    def _recipient_named(self, event: commands.RcptTo) -> MaybeLater:
        refused = self._session.recipient_refused_by_mta
        return self._open_judge().recipient_named(
            _text(event.path), tuple(map(_text, event.arguments)), refused_by_mta=refused
        )

    def _header(self, event: commands.HeaderField) -> None:
        if self._judge is not None:
            self._judge.headers([event])

    def _headers(self, event: commands.HeaderFields) -> None:
        if self._judge is not None:
            self._judge.headers(event.fields)

    def _headers_ended(self, _event: commands.EndOfHeaders) -> MaybeLater:
        return self._open_judge().headers_ended()

    def _body(self, event: commands.BodyChunk) -> None:
        if self._judge is not None:
            self._judge.body_chunk(event.octets)

    def _message_ended(self, _event: commands.EndOfMessage) -> MaybeLater:
        self._is_at_end = True
        result = self._open_judge().message_ended()
        if not isinstance(result, Answer):
            self._send_progress_later()
        return result

    def _aborted(self, _event: commands.Abort) -> None:
        if self._judge is not None:
            self._judge.closed("abort")
            self._transaction_ended()

    def _quit(self, _event: commands.Quit) -> None:
        self._is_over = True
        self._end_session("quit")
        self._flush()
        self.transport.loseConnection()  # type: ignore[union-attr]

    def _quit_for_new_connection(self, _event: commands.QuitNewConnection) -> None:
        self._end_session("quit")

    # progress, only between end of message and its verdict (milter-spec 3.8)

    def _send_progress_later(self) -> None:
        interval = self._policy.settings.policy.progress_interval
        self._progress = self._policy.reactor.callLater(interval, self._send_progress)

    def _send_progress(self) -> None:
        self._session.progress()
        self._flush()
        self._send_progress_later()

    def _stop_progress(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None and progress.active():
            progress.cancel()

    # ends

    def _violated(self, violation: ProtocolViolation) -> None:
        shown = f": {violation.offending!r}" if violation.offending else ""
        self._trouble(f"{violation.reason}{shown}; closed")
        self.abort("lost")

    def _core_failed(self, failure: Failure) -> None:
        """A fault of our own delays mail, it never refuses or loses it (invariant I1)."""
        reference = self.transaction_id
        self._is_at_end = False
        self._log.failure("fault of our own in {reference}, answered 451", failure=failure, reference=reference)
        self._trouble(f"fault of our own: {failure.type.__name__ if failure.type else 'unknown'}", kind="core")
        if self._session.owes:
            self._session.answer(replies.ReplyCode(451, "4.3.0", (f"Local fault, try again later (ref {reference})",)))
            if self._judge is not None and not self._session.in_transaction:
                self._judge.failed()
        else:
            self.abort("fault")

    def _trouble(self, problem: str, kind: str = "milter") -> None:
        """One line; a flood of one kind does not silence another."""
        self._sessions.trouble(self.transaction_id, f"{self.describe()}: {problem}", kind)

    def describe(self) -> str:
        """The MTA's address and the listener it came to."""
        peer = self.transport.getPeer() if self.transport is not None else None
        where = f"{peer.host}:{peer.port}" if isinstance(peer, IPv4Address | IPv6Address) else "unix"
        return f"MTA {where} on {self._factory.listener}"

    def abort(self, ended: str) -> None:
        """Close at once; nothing more is read or said."""
        self._is_over = True
        self._end_session(ended)
        if self.transport is not None:
            self._flush()
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def close_when_idle(self) -> bool:
        """Close now if no transaction is open; whether it was closed."""
        if self.in_transaction:
            return False
        self._is_over = True
        self._end_session("quit")
        if self.transport is not None:
            self._flush()
            self.transport.loseConnection()
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether a mail transaction is open."""
        return self._judge is not None and self._judge.transaction is not None

    @property
    def transaction_id(self) -> str:
        """Our reference of what is being judged, for a log line."""
        judge = self._judge
        if judge is None:
            return "-"
        return judge.transaction.id if judge.transaction is not None else f"connection-{judge.connection.number}"

    @property
    def is_waiting(self) -> bool:
        """Whether the MTA waits for us (and not we for it)."""
        return self._answering is not None

    def _end_session(self, ended: str) -> None:
        answering, self._answering = self._answering, None
        self._stop_progress()
        if answering is not None:
            answering.cancel()
        judge, self._judge = self._judge, None
        if judge is not None:
            judge.disconnected(ended)


class MilterFactory(Factory):
    """Makes the protocols of one listener.

    @param listener: the listening spec, for the record. @param role_reason: why it has its role.
    @param allow: which addresses may connect; None on a unix socket, whose mode decides.
    """

    noisy = False

    def __init__(
        self,
        sessions: MilterSessions,
        listener: str,
        role: Role,
        *,
        role_reason: str = "",
        allow: NetworkSet | None = None,
        own_uid: int = -1,
    ) -> None:
        self.sessions = sessions
        self.listener = listener
        self.role = role
        self.role_reason = role_reason or f"listener {listener}"
        self._allow = allow
        self._own_uid = own_uid

    def buildProtocol(self, addr: IAddress | None) -> MilterProtocol | None:
        """A protocol for an MTA that may connect; whoever speaks milter to us can claim AUTH."""
        if self._allow is not None and isinstance(addr, IPv4Address | IPv6Address):
            host = addr.host.partition("%")[0]
            if not self._allow.contains(ip_address(host)):
                self.sessions.trouble(
                    "-", f"{host} may not connect to {self.listener}; add it to its allow list", "allow"
                )
                return None
        return MilterProtocol(self)

    def is_own_user(self, protocol: MilterProtocol) -> bool:
        """Whether the peer is a process of our own user or of root: only a unix socket can tell."""
        connected = getattr(protocol.transport, "socket", None)
        if connected is None or connected.family != socket.AF_UNIX:
            return False
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid: int = struct.unpack("3i", credentials)[1]
        return uid in (0, self._own_uid)


_HANDLERS: dict[type, Callable[..., MaybeLater | None]] = {
    commands.ConnectInfo: MilterProtocol._connected,  # noqa: SLF001 - one table of our own methods
    commands.Helo: MilterProtocol._greeted,  # noqa: SLF001
    commands.MailFrom: MilterProtocol._mail_began,  # noqa: SLF001
    commands.RcptTo: MilterProtocol._recipient_named,  # noqa: SLF001
    commands.HeaderField: MilterProtocol._header,  # noqa: SLF001
    commands.HeaderFields: MilterProtocol._headers,  # noqa: SLF001
    commands.EndOfHeaders: MilterProtocol._headers_ended,  # noqa: SLF001
    commands.BodyChunk: MilterProtocol._body,  # noqa: SLF001
    commands.EndOfMessage: MilterProtocol._message_ended,  # noqa: SLF001
    commands.Abort: MilterProtocol._aborted,  # noqa: SLF001
    commands.Quit: MilterProtocol._quit,  # noqa: SLF001
    commands.QuitNewConnection: MilterProtocol._quit_for_new_connection,  # noqa: SLF001
}
