"""Where an MTA finds us: listening specs in sendmail's words and in Postfix's (seed-spec A12, milter-spec 6)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

LISTEN_FORMS = (
    "unix:/path, local:/path, /path, inet:port@host, inet:port, inet6:port@host, inet:host:port or systemd:NAME"
)
MAX_UNIX_PATH = 107  # octets; sun_path of unix(7) holds 108 with its NUL
MAX_PORT = 65_535
LOOPBACK = "127.0.0.1"
LOOPBACK6 = "::1"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]+):(.*)", re.DOTALL)  # one letter is not a scheme (A12)
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*[A-Za-z][A-Za-z0-9-]{{0,62}}")  # 127.0.0.300 is no name
_SYSTEMD_NAME = re.compile(r"[!-9;-~]{1,255}")  # sd_listen_fds_with_names(3): no control characters, no colon
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnixListen(Struct, frozen=True):
    """A unix socket.

    @ivar path: as written; a relative one is relative to the configuration file.
    @raise ValueError: empty, longer than L{MAX_UNIX_PATH} octets, or with control characters.
    """

    path: str

    def __post_init__(self) -> None:
        """Refuse what the kernel or a log line could not take."""
        if not self.path:
            raise ValueError("the path of the unix socket is missing")
        if _CONTROL.search(self.path) is not None:
            raise ValueError("the path of a unix socket has no control characters")
        octets = len(self.path.encode("utf-8", "surrogateescape"))
        if octets > MAX_UNIX_PATH:
            raise ValueError(f"the path of a unix socket has at most {MAX_UNIX_PATH} octets, this one {octets}")

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can connect."""
        return True

    def __str__(self) -> str:
        """The spec as sendmail writes it."""
        return f"unix:{self.path}"

    def for_sendmail(self) -> str:
        """The S= word of INPUT_MAIL_FILTER."""
        return f"S=unix:{self.path}"

    def for_postfix(self) -> str:
        """The word for smtpd_milters; Postfix looks for the path inside its chroot, if it has one."""
        return f"unix:{self.path}"


class TCPListen(Struct, frozen=True):
    """A TCP socket.

    @ivar host: an address in its shortest spelling, without brackets, or a host name in lower case.
    @ivar port: 0 lets the kernel choose, for tests.
    @ivar ipv6: whether C{host} is, or is looked up as, an IPv6 address.
    """

    host: str
    port: int
    ipv6: bool = False

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host as an address; None for a name."""
        return _address(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can connect; of names, C{localhost} alone promises that (RFC 6761 section 6.3)."""
        address = self.address
        return address.is_loopback if address is not None else self.host == "localhost"

    def __str__(self) -> str:
        """The spec as sendmail writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'inet6' if self.ipv6 else 'inet'}:{self.port}@{host}"

    def for_sendmail(self) -> str:
        """The S= word of INPUT_MAIL_FILTER, for an MTA on this host."""
        return f"S={self._from_this_host()}"

    def for_postfix(self) -> str:
        """The word for smtpd_milters, for an MTA on this host."""
        near = self._from_this_host()
        host = f"[{near.host}]" if ":" in near.host else near.host
        return f"inet:{host}:{near.port}"

    def _from_this_host(self) -> TCPListen:
        """One connects to an address, and listens on all of them: then loopback is one that answers."""
        if self.address is None or not self.address.is_unspecified:
            return self
        return TCPListen(LOOPBACK6 if self.ipv6 else LOOPBACK, self.port, self.ipv6)


class SystemdListen(Struct, frozen=True):
    """A socket that systemd hands over, by its FileDescriptorName= or by its place, 0 first.

    @raise ValueError: not a name that systemd could give.
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse what sd_listen_fds_with_names(3) refuses."""
        if _SYSTEMD_NAME.fullmatch(self.name) is None:
            raise ValueError("after systemd: stands a FileDescriptorName= or a number, 0 first")

    @property
    def index(self) -> int | None:
        """The place among the sockets handed over; None if a name was given."""
        return int(self.name) if _PORT.fullmatch(self.name) else None

    @property
    def is_loopback(self) -> bool:
        """Not known before the socket is there; whoever adopts it looks at its address."""
        return False

    def __str__(self) -> str:
        """The spec as it is written."""
        return f"systemd:{self.name}"


ListenSpec = UnixListen | TCPListen | SystemdListen


def parse_listen(text: str) -> ListenSpec:
    """A listening spec as a value; C{inet:port} alone is on loopback, where sendmail would take any address.

    @raise ValueError: its text says what is wrong; L{LISTEN_FORMS} says what is allowed.
    """
    match = _SCHEME.fullmatch(text)
    if match is None:
        if "/" not in text:
            raise ValueError("this is no listening address")
        return UnixListen(text)
    scheme, rest = match.group(1).lower(), match.group(2)
    if scheme in {"unix", "local"}:
        return UnixListen(rest)
    if scheme in {"inet", "inet6"}:
        return _parse_tcp(rest, ipv6=scheme == "inet6")
    if scheme == "systemd":
        return SystemdListen(rest)
    raise ValueError(f"{scheme}: is not a kind of address to listen on")


def _parse_tcp(rest: str, *, ipv6: bool) -> TCPListen:
    if "@" in rest:  # sendmail: port@host
        port, _, host = rest.partition("@")
    elif ":" in rest:  # Postfix: host:port
        host, _, port = rest.rpartition(":")
        if ":" in host and not host.startswith("["):
            raise ValueError("an IPv6 address stands in brackets before its port, as in inet:[::1]:8890")
    else:
        port, host = rest, LOOPBACK6 if ipv6 else LOOPBACK
    if _PORT.fullmatch(port) is None or int(port) > MAX_PORT:
        raise ValueError(f"the port is a number from 0 to {MAX_PORT}")
    return _tcp(host, int(port), ipv6=ipv6)


def _tcp(host: str, port: int, *, ipv6: bool) -> TCPListen:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = _address(bare)
    if address is None:
        if bare != host or _HOST_NAME.fullmatch(bare) is None:
            raise ValueError("the host is neither an address nor a host name")
        return TCPListen(bare.lower(), port, ipv6)
    if ipv6 and address.version == 4:
        raise ValueError("an IPv4 address goes with inet, not with inet6")
    return TCPListen(str(address), port, address.version == 6)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
