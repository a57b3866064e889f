"""Opening the listening sockets: TCP, unix and those that systemd hands over.

Everything is bound before the service says that it is ready; what cannot be bound is one L{ConfigError} naming
the key (CORRECTIONS 6).
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.model.listen import ListenSpec, SystemdListen, TCPListen, UnixListen
from twistedmilter.octet_port import OctetPort, adopt

BACKLOG = 1024  # connections that the kernel keeps for us
_FIRST_SYSTEMD_FD = 3  # sd_listen_fds(3)


class Listeners:
    """Opens sockets for one service and remembers what has to be taken away again.

    @param reactor: IReactorTCP, IReactorUNIX and IReactorSocket.
    @param base_dir: where relative socket paths begin.
    @param environ: for LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES.
    @param source: of the configuration, for errors.
    """

    def __init__(self, reactor: Any, base_dir: Path, environ: Mapping[str, str], source: str = "configuration") -> None:
        self._reactor = reactor
        self._base_dir = base_dir
        self._environ = environ
        self._source = source
        self.ports: list[IListeningPort] = []
        self._own_names: list[Path] = []

    def open(
        self, key: str, spec: ListenSpec, factory: Factory, *, mode: int = 0o600, group: str = ""
    ) -> IListeningPort:
        """One listening port.

        @param key: the configuration key, for errors. @param mode: of a unix socket.
        @param group: of a unix socket; empty leaves our own.
        @raise ConfigError: it cannot be opened; says why.
        """
        try:
            port = self._open(spec, factory, mode, group)
        except (OSError, CannotListenError, ValueError, KeyError) as error:
            wrong = f"cannot listen on {spec}: {_why(error)}"
            raise ConfigError(self._source, [ConfigProblem(key, wrong)]) from error
        self.ports.append(port)
        return port

    def abandon(self) -> None:
        """Close everything, for a start that failed: no socket is left behind, also if the reactor never runs."""
        for path in self._own_names:
            path.unlink(missing_ok=True)  # else a port does it one turn later
        for port in self.ports:
            maybeDeferred(port.stopListening)
        self.ports.clear()

    def _open(self, spec: ListenSpec, factory: Factory, mode: int, group: str) -> IListeningPort:
        port: IListeningPort
        if isinstance(spec, TCPListen):
            port = self._reactor.listenTCP(spec.port, factory, backlog=BACKLOG, interface=_address(spec))
            return port
        if isinstance(spec, SystemdListen):
            descriptor = self._systemd_descriptor(spec)
            with socket.socket(fileno=os.dup(descriptor)) as handed:
                family = handed.family
            os.set_blocking(descriptor, False)  # systemd hands them over as a program without a loop wants them
            if family == socket.AF_UNIX:
                return _begun(adopt(descriptor, factory, self._reactor))
            port = self._reactor.adoptStreamPort(descriptor, family, factory)
            return port
        return self._open_unix(spec, factory, mode, group)

    def _open_unix(self, spec: UnixListen, factory: Factory, mode: int, group: str) -> IListeningPort:
        path = self._base_dir / spec.path
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        remove_stale_socket(path)
        gid = grp.getgrnam(group).gr_gid if group else -1
        umask = os.umask(0o177)  # nobody slips in between bind and chmod
        try:
            port = _begun(OctetPort(os.fsencode(path), factory, BACKLOG, mode, self._reactor))
        finally:
            os.umask(umask)
        if gid >= 0:
            os.chown(path, -1, gid)
            path.chmod(mode)
        self._own_names.append(path)
        return port

    def _systemd_descriptor(self, spec: SystemdListen) -> int:
        if self._environ.get("LISTEN_PID") != str(os.getpid()):
            raise ValueError("systemd handed over no sockets (LISTEN_PID is not ours)")
        number = int(self._environ.get("LISTEN_FDS", "0"))
        if spec.index is not None:
            if spec.index >= number:
                raise ValueError(f"systemd handed over {number} sockets")
            return _FIRST_SYSTEMD_FD + spec.index
        names = self._environ.get("LISTEN_FDNAMES", "").split(":")
        if spec.name not in names:
            raise ValueError(f"systemd handed over {', '.join(names) or 'no names'}")
        return _FIRST_SYSTEMD_FD + names.index(spec.name)


def _begun(port: OctetPort) -> IListeningPort:
    port.startListening()  # type: ignore[no-untyped-call]
    listening: IListeningPort = port
    return listening


def _address(spec: TCPListen) -> str:
    """An address to bind; names are asked now, once, at start."""
    if spec.address is not None:
        return spec.host
    family = socket.AF_INET6 if spec.ipv6 else socket.AF_INET
    return str(socket.getaddrinfo(spec.host, spec.port, family, socket.SOCK_STREAM)[0][4][0])


def remove_stale_socket(path: Path) -> None:
    """Take away a socket that nobody listens on (seed-spec A13; milter-spec row 61).

    @raise OSError: it is not a socket, not ours, or somebody does listen on it.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file of that name that is not a socket")
    if found.st_uid not in (os.geteuid(), 0) or (found.st_uid == 0 and os.geteuid() != 0):
        raise OSError(errno.EPERM, "there is a socket of another user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise OSError(errno.EADDRINUSE, f"somebody may be listening there ({error.strerror})") from error
    raise OSError(errno.EADDRINUSE, "somebody is listening there")


def _why(error: Exception) -> str:
    cause: object = getattr(error, "socketError", None) or error
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    if isinstance(cause, KeyError):
        return f"there is no group {cause}"
    return str(cause)
