"""The SMTP client's side of a session, one reply at a time, over a socket."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply.

    @ivar code: 0 when the connection ended instead. @ivar text: all lines joined by blanks, codes left out.
    """

    code: int
    status: str
    text: str

    def __str__(self) -> str:
        """As it looks on the wire, on one line."""
        return " ".join(part for part in (str(self.code or "connection lost"), self.status, self.text) if part)


LOST = Reply(0, "", "")


def reply_of(lines: list[str]) -> Reply:
    """The reply made of the lines C{250-...} and C{250 ...}."""
    if not lines:
        return LOST
    texts = [line[4:] for line in lines]
    found = _ENHANCED.match(texts[0])
    status = found[0] if found else ""
    plain = [text.removeprefix(status).strip() if status else text for text in texts]
    return Reply(int(lines[0][:3]), status, " ".join(plain))


class SmtpDialogue:
    """One SMTP connection from a given client address."""

    def __init__(
        self, source: str, server: tuple[str, int], certificate: Path | None = None, timeout: float = 60.0
    ) -> None:
        """Connect; the greeting is read by L{reply}.

        @param certificate: the client's own, for STARTTLS; its key lies beside it.
        """
        self._certificate = certificate
        self._socket: socket.socket = socket.create_connection(server, timeout, source_address=(source, 0))
        self._lines = self._socket.makefile("rb")

    @property
    def client_port(self) -> int:
        """The port that the server sees."""
        port: int = self._socket.getsockname()[1]
        return port

    def reply(self) -> Reply:
        """The next reply; L{LOST} at the end of the connection."""
        lines: list[str] = []
        with contextlib.suppress(ConnectionError):
            while line := self._lines.readline():
                lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
                if line[3:4] != b"-":
                    return reply_of(lines)
        return LOST

    def command(self, line: str) -> Reply:
        """Send one command and read its reply."""
        return self.pipeline([line])[0]

    def pipeline(self, lines: list[str]) -> list[Reply]:
        """Send commands in one segment, then read a reply for each."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(b"".join(line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines))
        return [self.reply() for _ in lines]

    def auth(self, user: str) -> Reply:
        """AUTH PLAIN with any password: the test servers take all (RFC 4616)."""
        secret = base64.b64encode(f"\0{user}\0secret".encode()).decode("ascii")
        return self.command(f"AUTH PLAIN {secret}")

    def starttls(self, *, certificate: bool) -> Reply:
        """STARTTLS and the handshake (RFC 3207); any server certificate is good."""
        reply = self.command("STARTTLS")
        if reply.code == 220:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if certificate and self._certificate is not None:
                context.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
            self._lines.close()
            self._socket = context.wrap_socket(self._socket)
            self._lines = self._socket.makefile("rb")
        return reply

    def content(self, octets: bytes, *, finish: bool = True, wait: bool = True) -> Reply:
        """The mail data after 354, dot-stuffed; unfinished it gets no reply, and one that is not waited for is lost."""
        if octets and not octets.endswith(b"\r\n"):
            octets += b"\r\n"
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._socket.sendall(stuffed + (b".\r\n" if finish else b""))
        return self.reply() if finish and wait else LOST

    def close(self) -> None:
        """QUIT if the server still listens, then close."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(5)
            self.command("QUIT")
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._lines.close()
        self._socket.close()
