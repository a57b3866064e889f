"""The face that MTAs ask for addresses: socketmap of sendmail and Postfix, and Postfix's tcp_table.

Whoever can connect gets any sender signed, so it listens on unix sockets, with a mode and a list of users, and on
loopback (gossip-srs-dns-spec case 33).
"""

from __future__ import annotations

import pwd
import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.listening import Listeners
from twistedmilter.lookup_protocol import Dialect, LookupFactory, Lookups, SocketmapDialect, TcpTableDialect
from twistedmilter.model.listen import ListenSpec, SystemdListen, TCPListen, UnixListen, parse_listen
from twistedmilter.model.settings import Settings
from twistedmilter.model.signing_settings import SocketmapListenSettings
from twistedmilter.signers import make_signers
from twistedmilter.signing.maps import AddressMaps

ROOT: Final = 0


class SocketmapFace:
    """Everything that listens for lookups.

    @ivar missing: the secrets that are not there, one sentence each.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        wall: Callable[[], float],
        *,
        base_dir: Path,
        state_dir: Path,
        source: str = "configuration",
    ) -> None:
        """Read the secrets, if it is to listen at all.

        @param wall: seconds since the epoch. @param source: of the settings, for errors.
        @raise ConfigError: a file of secrets cannot be used.
        """
        self._settings = settings.socketmap
        self._base_dir = base_dir
        self._source = source
        self.missing: tuple[str, ...] = ()
        self._maps: AddressMaps | None = None
        if self._settings.listen:
            signers = make_signers(settings, base_dir, state_dir, source)
            self.missing = signers.missing
            self._maps = AddressMaps(signers.rewriter) if signers.rewriter is not None else None
        self.lookups = Lookups(self._settings, reactor, wall)

    def warnings(self) -> Iterator[str]:
        """What the administrator is told at every start."""
        yield from self.missing
        if self._settings.listen and self._maps is None:
            yield "socketmap is off: there is nothing to sign or to verify with"

    def open(self, listeners: Listeners, *, own_uid: int, peer_uid: Callable[[Any], int | None]) -> None:
        """Listen; without a secret it does not.

        @param peer_uid: who is at the other end of a transport.
        @raise ConfigError: a listener that cannot be opened, or is not safe.
        """
        if self._maps is None:
            return
        for index, entry in enumerate(self._settings.listen):
            table = SocketmapListenSettings(address=entry) if isinstance(entry, str) else entry
            key = f"socketmap.listen[{index}]"
            try:
                spec = parse_listen(table.address)
                self._judge(spec, own_uid)
                factory = LookupFactory(
                    self._dialect(table, self._maps),
                    self.lookups,
                    users=users_of(table, own_uid),
                    peer_uid=peer_uid,
                )
            except ValueError as error:
                raise ConfigError(self._source, [ConfigProblem(key, str(error))]) from error
            port = listeners.open(key, spec, factory, mode=int(table.mode, 8), group=table.group)
            if isinstance(spec, SystemdListen) and not table.anywhere and _is_open_to_others(port.getHost()):
                wrong = f"{spec} is open to other hosts"
                raise ConfigError(self._source, [ConfigProblem(key, wrong, "allowed: loopback, or anywhere = true")])
            self._log.info("lookups on {spec} ({protocol})", spec=str(spec), protocol=table.protocol)

    def start(self) -> None:
        """Look after connections."""
        self.lookups.start()

    def stop(self) -> None:
        """Close them all."""
        self.lookups.stop()

    def snapshot(self) -> dict[str, object]:
        """What C{twistedmilter status} shows; nothing while it is off."""
        if self._maps is None:
            return {}
        return {"socketmap": {**self.lookups.snapshot(), **self._maps.snapshot()}}

    def _dialect(self, table: SocketmapListenSettings, maps: AddressMaps) -> Dialect:
        if table.protocol == "tcp_table":
            return TcpTableDialect(maps, table.map)
        return SocketmapDialect(maps, self._settings.max_request)

    def _judge(self, spec: ListenSpec, own_uid: int) -> None:
        """Refuse what lets others in, or lets others take our place (case 37).

        @raise ValueError: it says what is wrong.
        """
        if isinstance(spec, TCPListen) and not spec.is_loopback and own_uid == ROOT:
            raise ValueError(f"{spec} is not opened as root; run as a user of its own")
        if isinstance(spec, UnixListen):
            directory = (self._base_dir / spec.path).parent
            if _anybody_may_replace_in(directory):
                raise ValueError(f"anybody can put another socket in the place of ours in {directory}")


def _is_open_to_others(address: object) -> bool:
    """Whether other hosts can connect; of a socket that was handed over nobody knew it before."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return False
    return not ip_address(address.host.partition("%")[0]).is_loopback


def _anybody_may_replace_in(directory: Path) -> bool:
    """Whether a directory is one where every user may remove what is not theirs."""
    try:
        mode = directory.stat().st_mode
    except OSError:
        return False  # it is made, or cannot be, and then that is told
    return bool(mode & stat.S_IWOTH and not mode & stat.S_ISVTX)


def users_of(table: SocketmapListenSettings, own_uid: int) -> frozenset[int] | None:
    """The uids that may ask on a listener; None if no list was given.

    @raise ValueError: there is no such user; the text names it.
    """
    if not table.users:
        return None
    uids = {ROOT, own_uid}
    for name in table.users:
        try:
            uids.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise ValueError(f"there is no user {name!r:.60}") from None
    return frozenset(uids)
