"""Unix sockets that carry octets and nothing else."""

from __future__ import annotations

from twisted.internet import tcp, unix


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
