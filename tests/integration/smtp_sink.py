"""A byte-exact SMTP server that keeps what an MTA delivers."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from dataclasses import dataclass, field
from typing import BinaryIO

_EHLO = b"250-sink\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 SIZE 99999999"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message as it arrived: nothing is rewritten, dot-stuffing is undone.

    @ivar sender: the MAIL argument after C{FROM:}; @ivar recipients: the RCPT arguments after C{TO:}.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    def headers(self) -> list[tuple[str, str]]:
        """Names and unfolded values, in order; octets that are not UTF-8 as surrogates."""
        section = self.content.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
        fields: list[tuple[str, str]] = []
        for line in section.split("\r\n"):
            if line[:1] in (" ", "\t") and fields:
                name, value = fields[-1]
                fields[-1] = (name, f"{value} {line.strip()}".strip())
            elif ":" in line:
                name, _, value = line.partition(":")
                fields.append((name, value.strip()))
        return fields

    def body(self) -> bytes:
        """All behind the empty line."""
        return self.content.partition(b"\r\n\r\n")[2]


@dataclass(slots=True)
class _Envelope:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class SmtpSink:
    """Listens, accepts everything, and hands each message over in the order of arrival."""

    def __init__(self, host: str, port: int) -> None:
        """Bind and begin to accept."""
        self._messages: queue.Queue[Delivered] = queue.Queue()
        self._socket = socket.create_server((host, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def next_message(self, timeout: float) -> Delivered | None:
        """The next message; None when none came within that time."""
        with contextlib.suppress(queue.Empty):
            return self._messages.get(timeout=timeout)
        return None

    def close(self) -> None:
        """Accept no more."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        envelope = _Envelope()
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            connection.sendall(b"220 sink\r\n")
            while line := lines.readline():
                command = line[:4].upper()
                if command == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    content = _content(lines)
                    if content is None:
                        return
                    self._messages.put(Delivered(envelope.sender, tuple(envelope.recipients), content))
                answer, envelope = _answer(command, line, envelope)
                connection.sendall(answer + b"\r\n")
                if command == b"QUIT":
                    return


def _answer(command: bytes, line: bytes, envelope: _Envelope) -> tuple[bytes, _Envelope]:
    argument = line.partition(b":")[2].decode("utf-8", "surrogateescape").strip()
    if command == b"EHLO":
        return _EHLO, envelope
    if command == b"MAIL":
        return b"250 ok", _Envelope(argument)
    if command == b"RCPT":
        envelope.recipients.append(argument)
    return (b"221 bye" if command == b"QUIT" else b"250 ok"), envelope


def _content(lines: BinaryIO) -> bytes | None:
    found = bytearray()
    at_start = True
    while line := lines.readline():
        if at_start and line == b".\r\n":
            return bytes(found)
        found += line[1:] if at_start and line.startswith(b".") else line
        at_start = line.endswith(b"\r\n")
    return None
