"""C{[log] to}: which sink a word of the configuration means, and the buffer in front of it (reliability O5)."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.observe.sinks import DatagramSink, FileSink, Sink, StreamSink, journal_frame, syslog_frame

MAX_BUFFER = 1024 * 1024  # octets kept while a sink takes nothing; what comes then is dropped and counted
RETRY_INTERVAL = 0.2  # seconds until what is buffered is tried again
_INFO = 6  # severity, RFC 3164 section 4.1.1
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

FACILITIES: Mapping[str, int] = MappingProxyType(
    {"user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5} | {f"local{n}": 16 + n for n in range(8)}
)


class Destination:
    """Takes lines and never waits.

    @ivar dropped: lines that were lost because the sink was full or gone.
    @ivar recovered: told when lines are taken again, with the number that were lost since; may write.
    """

    def __init__(self, sink: Sink, reactor: IReactorTime) -> None:
        self._sink = sink
        self._reactor = reactor
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0
        self._retry: IDelayedCall | None = None
        self._works = True
        self._is_torn = False
        self._lost = 0
        self.dropped = 0
        self.recovered: Callable[[int], None] = lambda _lost: None

    def write(self, line: str) -> None:
        """Write one line, now if the sink takes it.

        @param line: one printable line without its end.
        """
        octets = self._sink.frame(line)
        if self._waiting:
            self._flush()
        rest = octets if self._waiting else self._send(octets)
        if rest:
            self._keep(rest)
        self._tell_gap()

    def reopen(self) -> None:
        """Begin anew with what is now under the name, as SIGUSR1 asks after a rotation."""
        try:
            self._sink.reopen()
        except OSError:
            return  # what was open goes on
        self._flush()

    def close(self) -> None:
        """Write what can be written now and give the sink back; the rest counts as dropped."""
        self._flush()
        self.dropped += len(self._waiting)
        self._waiting.clear()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        self._sink.close()

    def _send(self, octets: bytes) -> bytes:
        """What the sink would not take now; nothing when it is gone, for the line is then lost."""
        was_torn, self._is_torn = self._is_torn, False
        if was_torn:
            octets = b"\n" + octets
        size = len(octets)
        while octets:
            try:
                octets = octets[self._sink.send(octets) :]
            except BlockingIOError:
                return octets
            except OSError:  # EPIPE, ECONNREFUSED, ENOSPC: nobody to tell now, so count
                self._works, self._is_torn = False, was_torn or len(octets) < size
                self._lose()
                return b""
        self._works = True
        return b""

    def _lose(self) -> None:
        self.dropped += 1
        self._lost += 1

    def _tell_gap(self) -> None:
        """Once lines are taken again."""
        if self._lost and self._works and not self._waiting:
            lost, self._lost = self._lost, 0
            self.recovered(lost)

    def _keep(self, octets: bytes) -> None:
        if self._waiting_size + len(octets) > MAX_BUFFER:
            self._lose()
            return
        self._waiting.append(octets)
        self._waiting_size += len(octets)
        if self._retry is None or not self._retry.active():
            self._retry = self._reactor.callLater(RETRY_INTERVAL, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._flush()
        self._tell_gap()
        if self._waiting and self._retry is None:
            self._retry = self._reactor.callLater(RETRY_INTERVAL, self._try_again)

    def _flush(self) -> None:
        while self._waiting:
            octets = self._waiting[0]
            rest = self._send(octets)
            self._waiting_size -= len(octets) - len(rest)
            if rest:
                self._waiting[0] = rest
                return
            self._waiting.popleft()


@dataclass(frozen=True)
class Surroundings:
    """What the process finds itself in.

    @ivar wall: seconds since the epoch. @ivar stderr: descriptor.
    @ivar environ: C{JOURNAL_STREAM} tells that stderr is the journal (systemd.exec(5)).
    """

    reactor: IReactorTime
    wall: Callable[[], float] = time.time
    stderr: int = 2
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    syslog_socket: str = "/dev/log"
    journal_socket: str = "/run/systemd/journal/socket"


def open_destination(
    text: str, *, base_dir: str | Path, surroundings: Surroundings, source: str = "configuration"
) -> Destination:
    """The destination that C{[log] to} names.

    @param text: C{stderr}, C{journal}, C{syslog:FACILITY}, or a path.
    @param base_dir: relative paths begin here: the directory of the configuration file.
    @param source: which file says so, for the error.
    @raise ConfigError: it is not one of these, or cannot be opened; the problem is of C{log.to}.
    """
    try:
        return Destination(_sink(text, Path(base_dir), surroundings), surroundings.reactor)
    except OSError as fault:
        problem = ConfigProblem("log.to", f"{text!r} cannot be opened: {fault.strerror}")
        raise ConfigError(source, [problem]) from fault
    except ValueError as error:
        raise ConfigError(source, [ConfigProblem("log.to", *error.args)]) from error


def _sink(text: str, base_dir: Path, surroundings: Surroundings) -> Sink:
    """The sink of a word.

    @raise OSError: it cannot be opened. @raise ValueError: what is wrong with the word, and what is allowed.
    """
    kind, colon, name = text.partition(":")
    seconds = surroundings.reactor.seconds
    if text == "stderr":
        return StreamSink(surroundings.stderr)
    if text == "journal":
        return _journal(surroundings)
    if kind == "syslog":
        if name not in FACILITIES or not colon:
            raise ValueError(f"{name!r} is not a syslog facility", f"one of {', '.join(FACILITIES)}")
        frame = syslog_frame(FACILITIES[name] * 8 + _INFO, os.getpid(), surroundings.wall, _stamp)
        return DatagramSink(surroundings.syslog_socket, frame, seconds)
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is not a path", "stderr, journal, syslog:FACILITY, or a path")
    return FileSink(base_dir / text, seconds)


def _journal(surroundings: Surroundings) -> Sink:
    """The journal's own socket, else stderr if systemd reads that."""
    try:
        return DatagramSink(surroundings.journal_socket, journal_frame, surroundings.reactor.seconds)
    except OSError:
        if "JOURNAL_STREAM" not in surroundings.environ:
            raise
        return StreamSink(surroundings.stderr, f"<{_INFO}>")


def _stamp(now: float) -> str:
    """Local time as RFC 3164 section 4.1.2 wants it."""
    moment = time.localtime(now)
    return f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2} {time.strftime('%H:%M:%S', moment)}"
