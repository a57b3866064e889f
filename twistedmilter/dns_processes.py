"""Processes of their own for the name server, so that neither it nor milters wait for each other.

The sockets are bound before the service is ready, and handed down: one UDP socket to each process, between which the
kernel divides clients (SO_REUSEPORT), and one TCP socket to all.  A process reads what it is to do from its standard
input, a JSON object a line, and ends when that ends, as it does when we end, however that happens.  It tells how it is
on its standard output, a line a second, and what there is to log on its standard error.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.dns_bans import Ban, BanLists
from twistedmilter.model.dns_server_settings import DNSServerSettings

ENTRY: Final = "twistedmilter.cli.dns_process"
FIRST_FD: Final = 3  # of the sockets, in a process
RESTART: Final = 1.0  # seconds until one that ended is started again
PATIENCE: Final = 5.0  # seconds in which one that is told to end may do so
_log = Logger()


class Order(msgspec.Struct, frozen=True):
    """What one process is to do; the first line that it reads.

    @ivar settings: C{[dns]}. @ivar internal: entries of C{networks.internal}. @ivar secret: for cookies, as hex digits.
    @ivar datagrams: how many UDP sockets it has; TCP sockets follow. @ivar streams: how many of these.
    @ivar bans: what is banned now.
    """

    settings: DNSServerSettings
    internal: list[str]
    secret: str
    datagrams: int
    streams: int
    bans: list[Ban] = []


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """What may follow, as may L{Ban} and L{Lift}: read a zone again."""

    zone: str | None = None
    forced: bool = False


class _Worker(ProcessProtocol):
    """One process.

    @ivar told: what it said of itself last.
    """

    def __init__(self, order: Order, number: int, bans: BanLists | None) -> None:
        self.told: dict[str, object] = {}
        self.is_wanted = True
        self.ended: Deferred[None] = Deferred()
        self._order = order
        self._bans = bans
        self._number = number
        self._out = b""
        self._err = b""

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has not ended or been told to."""
        return self.transport is not None and self.is_wanted and not self.ended.called

    def connectionMade(self) -> None:
        """Tell it what to do."""
        bans = list(self._bans.all()) if self._bans is not None else []
        self.say(msgspec.structs.replace(self._order, bans=bans))

    def say(self, what: msgspec.Struct) -> None:
        """One line to it."""
        assert self.transport is not None
        self.transport.writeToChild(0, msgspec.json.encode(what) + b"\n")

    def outReceived(self, data: bytes) -> None:
        """What it tells of itself: the last whole line counts."""
        *lines, self._out = (self._out + data).split(b"\n")
        if lines:
            self.told = msgspec.json.decode(lines[-1], type=dict[str, object])

    def errReceived(self, data: bytes) -> None:
        """What it logs."""
        *lines, self._err = (self._err + data).split(b"\n")
        for line in lines:
            _log.info("dns[{number}]: {line}", number=self._number, line=line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """It is gone; if nobody asked for that, that is told."""
        if self.is_wanted:
            _log.error("dns: process {number} ended: {why}", number=self._number, why=reason.getErrorMessage())
        self.ended.callback(None)


class DNSProcesses:
    """All of them.

    @param bans: what is to be listed besides what files say.
    @param datagrams: for each process its UDP sockets. @param streams: TCP sockets, which all of them share.
    """

    def __init__(
        self,
        reactor: Any,
        settings: DNSServerSettings,
        *,
        internal: Iterable[str],
        secret: bytes,
        datagrams: list[list[socket.socket]],
        streams: list[socket.socket],
        bans: BanLists | None = None,
    ) -> None:
        self._reactor = reactor
        self._bans = bans
        if bans is not None:
            bans.tell(self._say)
        self._datagrams = datagrams
        self._streams = streams
        self._workers: list[_Worker] = []
        self._restarts: dict[int, IDelayedCall] = {}
        single = msgspec.structs.replace(settings, processes=0)
        self._order = Order(single, list(internal), secret.hex(), len(datagrams[0]), len(streams))

    def start(self) -> None:
        """Start them all."""
        self._workers = [self._start(number) for number in range(len(self._datagrams))]

    def reload(self, zone: str | None, *, forced: bool) -> None:
        """Let all of them read a zone again."""
        self._say(Reload(zone, forced))

    def _say(self, what: msgspec.Struct) -> None:
        """One line to all that run; who is started later is told all that is listed."""
        for worker in self._workers:
            if worker.is_running:
                worker.say(what)

    def stop(self) -> Deferred[Any]:
        """End them, and close the sockets."""
        for call in self._restarts.values():
            call.cancel()
        self._restarts.clear()
        for opened in (*self._streams, *(each for sockets in self._datagrams for each in sockets)):
            opened.close()
        return DeferredList([self._end(worker) for worker in self._workers])

    def snapshot(self) -> dict[str, object]:
        """What they tell of themselves, added up."""
        told = [worker.told for worker in self._workers if worker.told]
        return {"processes": len(told), **merged(told)}

    def _start(self, number: int) -> _Worker:
        worker = _Worker(self._order, number, self._bans)
        sockets = (*self._datagrams[number], *self._streams)
        descriptors: dict[int, int | str] = {0: "w", 1: "r", 2: "r"}
        descriptors |= {FIRST_FD + place: opened.fileno() for place, opened in enumerate(sockets)}
        command = [sys.executable, "-m", ENTRY]
        self._reactor.spawnProcess(worker, command[0], command, env=None, childFDs=descriptors)
        worker.ended.addCallback(lambda _: self._restart_later(number, worker))
        return worker

    def _restart_later(self, number: int, worker: _Worker) -> None:
        if worker.is_wanted:
            self._restarts[number] = self._reactor.callLater(RESTART, self._restart, number)

    def _restart(self, number: int) -> None:
        del self._restarts[number]
        self._workers[number] = self._start(number)

    def _end(self, worker: _Worker) -> Deferred[None]:
        """Ask a process to end, and do not take no for an answer."""
        worker.is_wanted = False
        if worker.ended.called:
            return worker.ended
        worker.transport.closeStdin()  # type: ignore[union-attr]
        killing = self._reactor.callLater(PATIENCE, _kill, worker)

        def done(_: None) -> None:
            if killing.active():
                killing.cancel()

        return worker.ended.addCallback(done)


def _kill(worker: _Worker) -> None:
    _log.error("dns: a process did not end, and is killed")
    worker.transport.signalProcess("KILL")  # type: ignore[union-attr]


def merged(told: list[dict[str, object]]) -> dict[str, object]:
    """Several snapshots as one: numbers are added, of other values the first that says anything counts."""
    whole: dict[str, object] = {}
    for key in told[0] if told else ():
        values = [each[key] for each in told if key in each]
        if isinstance(values[0], Mapping):
            whole[key] = merged([dict(value) for value in values if isinstance(value, Mapping)])
        elif key in _SAME or isinstance(values[0], bool):
            whole[key] = min(values, key=str) if isinstance(values[0], bool) else values[0]
        elif isinstance(values[0], int):
            whole[key] = sum(value for value in values if isinstance(value, int))
        else:
            whole[key] = next(filter(None, values), values[0])
    return whole


_SAME: Final = frozenset(("rules", "serial", "loads"))  # numbers that each process has alike
