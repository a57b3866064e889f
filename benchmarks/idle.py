"""Milter sessions that were opened and then say nothing."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tools import BenchmarkError

LIMIT = 120.0  # seconds for all of them to be opened
_OFFER = b"O" + struct.pack("!3I", 6, 0x1FF, 0x1FFFFF)
_MACROS = b"DCj\0mail.example.net\0{daemon_name}\0mail\0v\0Postfix 3.7.11\0"


def _frames(*frames: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(frame)) + frame for frame in frames)


def _greeting(number: int) -> bytes:
    host, ip = b"client%d.example.org\0" % number, b"198.51.100.%d\0" % (number % 256)
    connect = b"C" + host + b"4" + struct.pack("!H", 1024 + number % 60_000) + ip
    return _frames(_MACROS, connect, b"Hmx%d.example.org\0" % number)


@contextmanager
def connections(path: Path, count: int) -> Iterator[list[socket.socket]]:
    """That many sessions, each of which has negotiated and said CONNECT and HELO.

    @raise BenchmarkError: not all are served in time.
    """
    held: list[socket.socket] = []
    deadline = time.monotonic() + LIMIT
    try:
        while len(held) < count:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(LIMIT)
            connection.connect(str(path))
            held.append(connection)
            connection.sendall(_frames(_OFFER))
            if connection.recv(4096)[4:5] != b"O":
                raise BenchmarkError(f"idle connection {len(held)} was not negotiated")
            connection.sendall(_greeting(len(held)))
            if time.monotonic() > deadline:
                raise BenchmarkError(f"only {len(held)} idle connections in {LIMIT:g} s")
        yield held
    finally:
        for connection in held:
            connection.close()


def check(held: list[socket.socket]) -> None:
    """See that all are still open and quiet.

    @raise BenchmarkError: the service said something, or closed one.
    """
    with selectors.DefaultSelector() as selector:
        for connection in held:
            selector.register(connection, selectors.EVENT_READ)
        if heard := selector.select(0):
            raise BenchmarkError(f"{len(heard)} idle connections were closed or spoken to")
