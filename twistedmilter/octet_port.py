"""Unix sockets that carry octets and nothing else."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.protocol import Factory


class OctetServer(unix.Server):
    """One connection, read with C{recv} as a TCP connection is.

    Twisted reads a unix socket with C{recvmsg}, in case somebody sends a file descriptor, and makes room for it at
    every read: a twentieth of what a message costs.  Nobody sends us any; the kernel closes those that come.
    """

    doRead = tcp.Connection.doRead  # type: ignore[assignment]  # a class between has it as anything
    writeSomeData = tcp.Connection.writeSomeData


class OctetPort(unix.Port):
    """A listening unix socket whose connections carry octets only."""

    transport = OctetServer

    def connectionLost(self, reason: Any) -> None:
        """Remove the name, unless somebody was quicker, and close; Twisted would leave the socket open then."""
        try:
            super().connectionLost(reason)  # type: ignore[no-untyped-call]
        except FileNotFoundError:
            tcp.Port.connectionLost(self, reason)


def adopt(descriptor: int, factory: Factory, reactor: Any) -> OctetPort:
    """A port for a socket that listens already and is somebody else's, such as systemd's.

    Twisted changes the mode of such a socket when it begins, and removes its name when it ends; it does neither where
    it takes the name for an abstract one.
    """
    port: OctetPort = OctetPort._fromListeningDescriptor(reactor, descriptor, factory)  # type: ignore[no-untyped-call]  # noqa: SLF001
    port._bindPath = b"\0" + port._bindPath  # noqa: SLF001
    return port
