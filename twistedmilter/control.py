"""How commands reach the running service: JSON lines on a unix socket that only our user and root may open.

One request a line, C{{"command": "status", ...}}; one answer a line, in the order of the requests:
C{{"ok": true, "result": ...}} or C{{"ok": false, "error": "one sentence"}}.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter import __version__
from twistedmilter.errors import TemporaryFailure

MAX_REQUEST = 65_536  # octets of one line
IDLE_TIMEOUT = 30.0  # seconds without a request
ROOT = 0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)

Command = Callable[[Mapping[str, object]], object | Awaitable[object]]


class CommandError(Exception):
    """A request that cannot be served; its text is the answer."""


def peer_uid(transport: Any) -> int | None:
    """The user at the other end of a unix socket; None if the system does not say.

    @see: SO_PEERCRED in unix(7).
    """
    try:
        octets = transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (AttributeError, OSError):
        return None
    _pid, uid, _gid = _CREDENTIALS.unpack(octets)
    return uid if uid >= 0 else None


class ControlProtocol(Protocol):
    """One client of the control socket; its requests are answered one after the other."""

    _log = Logger()

    def __init__(self, factory: ControlFactory) -> None:
        self._factory = factory
        self._buffer = b""
        self._answering: Deferred[None] | None = None
        self._idle: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Turn strangers away."""
        uid = self._factory.peer_uid(self.transport)
        if uid in {self._factory.own_uid, ROOT}:
            self._wait()
        else:
            self._log.warn("control: user {uid} is not allowed", uid=uid)
            self._refuse("only the service's own user and root may ask")

    def dataReceived(self, data: bytes) -> None:
        """Serve what is complete."""
        self._buffer += data
        self._serve_next()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Give up what is being answered."""
        self._stop_waiting()
        if self._answering is not None:
            self._answering.cancel()

    def _serve_next(self) -> None:
        """Serve what is there, until something has to wait."""
        while self._idle is not None:
            line, newline, rest = self._buffer.partition(b"\n")
            if len(line) > MAX_REQUEST:
                self._refuse(f"a request has at most {MAX_REQUEST} octets")
            if len(line) > MAX_REQUEST or not newline:
                return
            self._buffer = rest
            self._stop_waiting()
            answering = Deferred.fromCoroutine(self._serve(line))
            if not answering.called:
                self._out.pauseProducing()
                self._answering = answering.addCallback(self._resume)

    def _resume(self, _answered: None) -> None:
        """A request that had to wait has its answer."""
        self._answering = None
        if self._idle is not None:
            self._out.resumeProducing()
            self._serve_next()

    async def _serve(self, line: bytes) -> None:
        try:
            answer: dict[str, object] = {"ok": True, "result": await self._result(line)}
        except CancelledError:
            return  # the client is gone
        except (CommandError, TemporaryFailure) as failure:
            answer = {"ok": False, "error": str(failure)}
        except Exception:  # noqa: BLE001 - a bug in a command must not end the service
            self._log.failure("control: a command failed by its own fault")
            answer = {"ok": False, "error": "the command failed by its own fault; see the log of the service"}
        self._answer(answer)
        self._wait()

    async def _result(self, line: bytes) -> object:
        try:
            request = msgspec.json.decode(line, type=dict[str, object])
        except msgspec.DecodeError as error:
            raise CommandError(f"not a JSON object: {error}") from error
        name = request.pop("command", None)
        command = self._factory.commands.get(name) if isinstance(name, str) else None
        if command is None:
            known = ", ".join(sorted(self._factory.commands))
            raise CommandError(f"unknown command {name!r}; known are {known}")
        result = command(request)
        return await result if isawaitable(result) else result

    @property
    def _out(self) -> Any:
        """The transport: a stream that can be paused, which no single interface of Twisted says."""
        return self.transport

    def _answer(self, answer: dict[str, object]) -> None:
        self._out.write(msgspec.json.encode(answer) + b"\n")

    def _refuse(self, error: str) -> None:
        """Say why, and hang up."""
        self._stop_waiting()
        self._answer({"ok": False, "error": error})
        self._out.loseConnection()

    def _wait(self) -> None:
        """Ready for the next request."""
        self._idle = self._factory.reactor.callLater(IDLE_TIMEOUT, self._out.loseConnection)

    def _stop_waiting(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and idle.active():
            idle.cancel()


class ControlFactory(Factory):
    """Makes a L{ControlProtocol} for each client.

    @ivar commands: by name; each is given the request without its C{command} and answers what JSON can tell,
        now or later, or raises L{CommandError} or L{TemporaryFailure}.
    @ivar own_uid: the user of the service.
    @ivar peer_uid: who is at the other end of a transport.
    """

    noisy = False

    def __init__(
        self,
        commands: Mapping[str, Command],
        *,
        own_uid: int,
        reactor: IReactorTime,
        peer_uid: Callable[[Any], int | None] = peer_uid,
    ) -> None:
        self.commands: Mapping[str, Command] = {"ping": _ping, "version": _version, **commands}
        self.own_uid = own_uid
        self.reactor = reactor
        self.peer_uid = peer_uid

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:  # noqa: ARG002 - Twisted's
        """A protocol for one client."""
        return ControlProtocol(self)


def _ping(_arguments: Mapping[str, object]) -> object:
    return "pong"


def _version(_arguments: Mapping[str, object]) -> object:
    return __version__


def ask(path: str, command: str, *, timeout: float = 10.0, **arguments: object) -> Any:
    """One question to a running service, for commands: it blocks.

    @param path: of the control socket.
    @param timeout: for each step. [seconds]
    @raise CommandError: the service did not answer, or said what is wrong.
    """
    request = msgspec.json.encode({"command": command, **arguments}) + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(request)
            line = connection.makefile("rb").readline()
    except OSError as error:
        raise CommandError(f"no service answers at {path}: {error.strerror or error}") from error
    try:
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CommandError(f"the service at {path} closed the connection") from error
    if not answer.get("ok"):
        raise CommandError(str(answer.get("error", "the service refused without a word")))
    return answer.get("result")
