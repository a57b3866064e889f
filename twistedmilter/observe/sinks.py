"""Where octets of a log go: an append-only file, a stream that is there already, a datagram socket.

A sink never blocks: what cannot be taken now raises C{BlockingIOError}, what is gone another C{OSError}.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from twisted.logger import Logger

FILE_MODE = 0o640
CHECK_INTERVAL = 1.0  # seconds between two looks whether a file was rotated away or a socket is back

_log = Logger()


class Sink(Protocol):
    """What L{Destination<twistedmilter.observe.destinations.Destination>} writes to."""

    def frame(self, line: str) -> bytes:
        """One line as this sink wants it."""

    def send(self, octets: bytes) -> int:
        """Take octets.

        @return: how many were taken.
        @raise OSError: none were taken.
        """

    def reopen(self) -> None:
        """Begin anew with what is now under the name.

        @raise OSError: that cannot be opened; what was open stays open.
        """

    def close(self) -> None:
        """Give everything back."""


class FileSink:
    """A file that others rotate away: it is appended to, and opened again when its name means another file.

    @param seconds: monotonic clock.
    @raise OSError: it cannot be opened now.
    """

    def __init__(self, path: Path, seconds: Callable[[], float]) -> None:
        self._path = path
        self._seconds = seconds
        self._checked = seconds()
        self._is_astray = False  # lines go into a file that has another name now, or none
        self._descriptor = self._open()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(self._path, flags, FILE_MODE)

    def frame(self, line: str) -> bytes:
        """A line with its end."""
        return line.encode("utf-8", "backslashreplace") + b"\n"

    def send(self, octets: bytes) -> int:
        """Append, after a look at the name once in L{CHECK_INTERVAL}."""
        now = self._seconds()
        if now - self._checked >= CHECK_INTERVAL:
            self._checked = now
            if self._is_rotated():
                self.reopen()
        return os.write(self._descriptor, octets)

    def _is_rotated(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return True
        ours = os.fstat(self._descriptor)
        return (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev)

    def reopen(self) -> None:
        """Open what the name means now; if that fails, say so once, go on with the old file and try again later."""
        try:
            descriptor = self._open()
        except OSError as error:
            if not self._is_astray:
                self._is_astray = True
                text = "the log {path} cannot be opened again: {why}; lines go on into the file that was there before"
                _log.error(text, path=str(self._path), why=error.strerror)
            return
        os.close(self._descriptor)
        self._descriptor, self._is_astray = descriptor, False

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class StreamSink:
    """A descriptor of somebody else's, such as stderr: it is not ours to make non-blocking or to close.

    @param prefix: put before each line; C{<6>} tells systemd the priority (sd-daemon(3)).
    """

    def __init__(self, descriptor: int, prefix: str = "") -> None:
        self._prefix = prefix.encode()
        kind = os.fstat(descriptor).st_mode
        self._socket = socket.socket(fileno=os.dup(descriptor)) if stat.S_ISSOCK(kind) else None
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def frame(self, line: str) -> bytes:
        """A line with its end."""
        return self._prefix + line.encode("utf-8", "backslashreplace") + b"\n"

    def send(self, octets: bytes) -> int:
        """Write without waiting: a pipe that polls writable takes PIPE_BUF octets (pipe(7))."""
        if self._socket is not None:
            return self._socket.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        ready = self._poll.poll(0)
        if not ready:
            raise BlockingIOError(errno.EAGAIN, "not writable now")
        return os.write(self._descriptor, octets[: select.PIPE_BUF])

    def reopen(self) -> None:
        """Nothing: it has no name."""

    def close(self) -> None:
        """Leave the descriptor to its owner."""
        if self._socket is not None:
            self._socket.close()


class DatagramSink:
    """A datagram socket of a log service; connected again, once in L{CHECK_INTERVAL}, after its service restarted.

    @param frame: makes a datagram of a line.
    @raise OSError: nobody is there now.
    """

    def __init__(self, address: str, frame: Callable[[str], bytes], seconds: Callable[[], float]) -> None:
        self._address = address
        self._frame = frame
        self._seconds = seconds
        self._tried = seconds()
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        connection.setblocking(False)
        try:
            connection.connect(self._address)
        except OSError:
            connection.close()
            raise
        return connection

    def frame(self, line: str) -> bytes:
        """A datagram of a line."""
        return self._frame(line)

    def send(self, octets: bytes) -> int:
        """Send one datagram, whole."""
        try:
            return self._socket.send(octets)
        except BlockingIOError:
            raise
        except OSError:
            now = self._seconds()
            if now - self._tried < CHECK_INTERVAL:
                raise
            self._tried = now
            self.reopen()
            return self._socket.send(octets)

    def reopen(self) -> None:
        """Connect anew."""
        connection = self._connected()
        self._socket.close()
        self._socket = connection

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def syslog_frame(
    priority: int, process: int, wall: Callable[[], float], stamp: Callable[[float], str]
) -> Callable[[str], bytes]:
    """Lines as local syslog takes them: RFC 3164 section 4.1 without the host name, which the daemon knows.

    @param priority: facility * 8 + severity. @param stamp: C{Mmm dd hh:mm:ss} of seconds since the epoch.
    """

    def frame(line: str) -> bytes:
        return f"<{priority}>{stamp(wall())} twistedmilter[{process}]: {line}".encode("utf-8", "backslashreplace")

    return frame


def journal_frame(line: str) -> bytes:
    """A line in systemd's native journal protocol; it has no LF, so no field needs a length."""
    text = line.encode("utf-8", "backslashreplace")
    return b"PRIORITY=6\nSYSLOG_IDENTIFIER=twistedmilter\nMESSAGE=" + text + b"\n"
