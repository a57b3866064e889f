"""Two password servers that say yes: what Postfix asks (Dovecot's protocol) and what Cyrus SASL asks (saslauthd's)."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import struct
import threading
from pathlib import Path

_HELLO = b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n"


class _DovecotHandler(socketserver.StreamRequestHandler):
    """Takes every AUTH PLAIN and says who it was."""

    def handle(self) -> None:
        self.wfile.write(_HELLO)
        for line in self.rfile:
            words = line.decode().rstrip("\n").split("\t")
            if words[0] == "AUTH":
                response = next(word for word in words if word.startswith("resp="))
                user = base64.b64decode(response[5:]).split(b"\0")[1].decode()
                self.wfile.write(f"OK\t{words[1]}\tuser={user}\n".encode())


class _SaslauthdHandler(socketserver.StreamRequestHandler):
    """Reads login, password, service and realm, each with its length in two octets, and says OK."""

    def handle(self) -> None:
        with contextlib.suppress(struct.error):
            for _ in range(4):
                (length,) = struct.unpack(">H", self.rfile.read(2))
                self.rfile.read(length)
            self.wfile.write(struct.pack(">H", 2) + b"OK")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def serve_dovecot(path: Path) -> None:
    """Listen on a unix socket that Postfix's smtpd may open."""
    _serve(path, _DovecotHandler)


def serve_saslauthd(path: Path) -> None:
    """Listen on the unix socket C{mux} of a saslauthd."""
    _serve(path, _SaslauthdHandler)


def _serve(path: Path, handler: type[socketserver.BaseRequestHandler]) -> None:
    server = _Server(str(path), handler)
    path.chmod(0o666)
    threading.Thread(target=server.serve_forever, daemon=True).start()
