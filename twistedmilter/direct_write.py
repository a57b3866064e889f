"""Answers written straight to the socket, which saves the reactor two epoll_ctl calls and a turn of its loop each.

C{transport.write} only queues; the octets leave when the reactor finds the socket writable.  An answer of a milter
is short and its MTA waits for it, so nearly always the socket can take it now.  That needs names of Twisted's
that are not documented; a test pins them, and every transport but a plain TCP or unix server's, TLS
above all, is written to as documented.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix

_PLAIN = (tcp.Server, unix.Server)


def write_now(transport: Any, octets: bytes) -> None:
    """Write octets in order: at once if nothing is queued, what is left over as usual.

    A failed socket is found by the reactor, which tells the protocol.

    @param transport: an L{ITransport}; of a connection that is lost or ends nothing is written here.
    """
    if type(transport) not in _PLAIN or not transport.connected or transport.disconnecting or _is_queued(transport):
        transport.write(octets)
        return
    try:
        sent = transport.socket.send(octets)
    except OSError:
        sent = 0
    if sent < len(octets):
        transport.write(octets[sent:])


def _is_queued(transport: Any) -> bool:
    """Whether octets wait to be sent before ours."""
    return bool(transport.dataBuffer or transport._tempDataBuffer)  # noqa: SLF001 - why this module exists
