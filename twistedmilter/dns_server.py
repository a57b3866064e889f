"""The name server that serves lists to MTAs: its sockets, its zones, and what it tells of itself."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from twistedmilter.blocklist.answers import Served, ServedSignatures
from twistedmilter.blocklist.rate import Rates, ResponseKind, ResponseRateLimiter
from twistedmilter.blocklist.signature_zone import SignatureZone
from twistedmilter.blocklist.zone import Head
from twistedmilter.dns_bans import BanLists
from twistedmilter.dns_datagrams import Datagrams, bound_socket
from twistedmilter.dns_processes import DNSProcesses
from twistedmilter.dns_responder import ANSWERS_LIVE, Access, Responder, ZoneEntry
from twistedmilter.dns_stream import DNSStreamFactory
from twistedmilter.dns_zones import ZoneFiles, authority_of
from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.model.dns_server_settings import DNSServerSettings, ZoneSettings, domain_of, parse_address
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.wire.dns_cookies import ServerCookies

LOOPBACK: Final = ("127.0.0.0/8", "::1")
BACKLOG: Final = 128  # TCP connections that the kernel keeps for us
SETTLED_AT_ONCE: Final = 2_000  # answers: about a millisecond
SETTLE_PAUSE: Final = 0.02  # seconds
TRIES: Final = 20  # for a port number that is free on both UDP and TCP, when the kernel may choose
_log = Logger()


class DNSServer:
    """Serves the zones of C{[dns]}.

    @param internal: entries of C{networks.internal}, who may ask what has no access list.
    @param wall: seconds since the epoch. @param secret: for DNS cookies, 16 to 32 octets.
    @param verifier: knows signed local parts, for zones of kind C{ses}.
    @param bans: that are to be in the lists besides what their files say.
    @param source: of the configuration, for errors.
    @raise ConfigError: a zone of kind C{ses}, and no verifier.
    """

    def __init__(
        self,
        settings: DNSServerSettings,
        internal: Iterable[str],
        reactor: Any,
        wall: Callable[[], float],
        secret: bytes,
        *,
        verifier: ISignatureVerifier | None = None,
        bans: BanLists | None = None,
        source: str = "configuration",
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._source = source
        self._internal = tuple(entry for entry in internal if not NetworkSet.parse([entry]).names)
        limiter = ResponseRateLimiter(_rates_of(settings))
        self.responder = Responder(limiter, ServerCookies(secret), seconds=reactor.seconds, wall=wall)
        self.bans = bans
        if bans is not None:
            bans.when_changed(self._forget)
        self.zones: dict[str, ZoneFiles] = {}
        self._signatures: dict[str, ServedSignatures] = {}
        self._make_zones(verifier, wall)
        self.datagrams: list[Datagrams] = []
        self.ports: list[IListeningPort] = []
        self._streams = DNSStreamFactory(
            reactor,
            self.responder.message,
            limit=settings.tcp_connections,
            per_client=settings.tcp_per_client,
            idle=settings.tcp_idle,
        )
        self._secret = secret
        self._processes: DNSProcesses | None = None
        self._shared: list[tuple[str, int]] = []
        self._looking = self._each(self._look)
        self._forgetting = self._each(self._forget)
        self._settling: IDelayedCall | None = None
        self._serve()

    def _make_zones(self, verifier: ISignatureVerifier | None, wall: Callable[[], float]) -> None:
        bans = self.bans
        for index, zone in enumerate(self._settings.zones):
            if zone.kind != "ses":
                live = None if bans is None else bans.live_names(zone.kind)
                self.zones[zone.name] = ZoneFiles(zone, self._reactor, wall, self._serve, live)
            elif verifier is None:
                wrong = "nothing is signed here: there are no secrets to know a signature by"
                raise ConfigError(self._source, [ConfigProblem(f"dns.zones[{index}].kind", wrong)])
            else:
                self._signatures[zone.name] = _signatures(zone, verifier, int(wall()))

    def open(self, *, is_root: bool = False) -> None:
        """Bind everything; nothing is answered yet.

        @param is_root: whether we have root's rights, with which nothing is opened to other hosts.
        @raise ConfigError: an address that cannot be bound; names the key and says why.
        """
        number = self._settings.processes
        datagrams: list[list[socket.socket]] = [[] for _ in range(number)]
        streams: list[socket.socket] = []
        for index, text in enumerate(self._settings.listen if self._settings.zones else ()):
            spec = parse_address(text)
            if is_root and not spec.is_loopback:
                wrong = f"{text} is not opened as root"
                allowed = "run as a user of its own, with CAP_NET_BIND_SERVICE for port 53"
                raise ConfigError(self._source, [ConfigProblem(f"dns.listen[{index}]", wrong, allowed)])
            try:
                if number:
                    _open_shared(spec.host, spec.port, datagrams, streams)
                else:
                    self._open_both(spec.host, spec.port)
            except (OSError, CannotListenError) as error:
                _close(streams, *datagrams)
                wrong = f"cannot listen on {text}: {_why(error)}"
                raise ConfigError(self._source, [ConfigProblem(f"dns.listen[{index}]", wrong)]) from error
        if streams:
            self._processes = DNSProcesses(
                self._reactor,
                self._settings,
                internal=self._internal,
                secret=self._secret,
                datagrams=datagrams,
                streams=streams,
                bans=self.bans,
            )
            self._shared = [each.getsockname()[:2] for each in datagrams[0]]

    def adopt(self, datagrams: Iterable[socket.socket], streams: Iterable[socket.socket]) -> None:
        """Answer at sockets that somebody else has bound, as in a process of its own."""
        for opened in datagrams:
            self.datagrams.append(Datagrams(self._reactor, opened, self.responder.datagram))
        for stream in streams:
            self.ports.append(self._reactor.adoptStreamPort(stream.fileno(), stream.family, self._streams))
            stream.close()

    def start(self) -> None:
        """Begin to load the zones, and to answer; SERVFAIL until they are loaded, and it is known what is banned."""
        for each in self.datagrams:
            each.start()
        if self._settings.zones and self._processes is None:
            self._looking.start(self._settings.poll, now=False)
            self._forgetting.start(ANSWERS_LIVE, now=False)
        (self.bans.start() if self.bans is not None else succeed(None)).addCallback(self._load)

    def _load(self, _is_known: None) -> None:
        if self._processes is not None:
            self._processes.start()
            return
        for zone in self.zones.values():
            zone.load()

    def stop(self) -> Deferred[Any]:
        """Close everything."""
        if self.bans is not None:
            self.bans.stop()
        for call in (self._looking, self._forgetting):
            if call.running:
                call.stop()
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        for zone in self.zones.values():
            zone.stop()
        for each in self.datagrams:
            each.stop()
        self._streams.stop()
        closing = [maybeDeferred(port.stopListening) for port in self.ports]
        if self._processes is not None:
            closing.append(self._processes.stop())
        self.datagrams, self.ports, self._processes = [], [], None
        return DeferredList(closing)

    def reload(self, name: str | None = None, *, forced: bool = False) -> list[str]:
        """Read the files of one zone, or of all, now; their names come back.

        @param forced: take what would be refused otherwise, as files that have shrunk.
        @raise KeyError: there is no zone of that name with files.
        """
        chosen = list(self.zones.values()) if name is None else [self.zones[name]]
        if self._processes is not None:
            self._processes.reload(name, forced=forced)
        else:
            for zone in chosen:
                zone.load(forced=forced)
        return [zone.settings.name for zone in chosen]

    def status(self) -> dict[str, object]:
        """The snapshot under its name; nothing where there are no zones."""
        return {"dns_server": self.snapshot()} if self._settings.zones else {}

    def snapshot(self) -> dict[str, object]:
        """What C{twistedmilter status} shows."""
        if self._processes is not None:
            return self._processes.snapshot()
        limiter = self.responder.limiter
        return {
            "listening": [f"{host}:{port}" for host, port in self.addresses],
            "tcp_connections": len(self._streams),
            "tcp_turned_away": self._streams.turned_away,
            "silent": self.responder.silent,
            "unsent": sum(each.unsent for each in self.datagrams),
            "rate_limited": {"dropped": limiter.dropped, "truncated": limiter.truncated},
            "outside_zones": self.responder.count("", ResponseKind.ERROR),
            **({"published_bans": bans} if self.bans is not None and (bans := self.bans.status()) else {}),
            "zones": {name: self._zone_snapshot(name) for name in (*self.zones, *self._signatures)},
        }

    def _zone_snapshot(self, name: str) -> dict[str, object]:
        apex = name.lower().rstrip(".")
        found: dict[str, object] = {} if name not in self.zones else dict(self.zones[name].snapshot())
        return found | {kind.name.lower(): self.responder.count(apex, kind) for kind in ResponseKind}

    def _each(self, act: Callable[[], object]) -> LoopingCall:
        call = LoopingCall(act)
        call.clock = self._reactor
        return call

    def _forget(self) -> None:
        """Forget answers, and clear up after them a slice at a time."""
        self.responder.forget()
        if self._settling is None:
            self._settle()

    def _settle(self) -> None:
        self._settling = None
        if self.responder.settle(SETTLED_AT_ONCE):
            self._settling = self._reactor.callLater(SETTLE_PAUSE, self._settle)

    def _look(self) -> None:
        for zone in self.zones.values():
            zone.look()

    def _serve(self) -> None:
        """Answer from the zones as they are now."""
        self.responder.serve(
            ZoneEntry(self._served(zone), Access(NetworkSet.parse(self._allowed(zone)), zone.public))
            for zone in self._settings.zones
        )
        if self._settling is None:
            self._settle()

    def _served(self, zone: ZoneSettings) -> Served:
        return self.zones[zone.name].served if zone.name in self.zones else self._signatures[zone.name]

    def _allowed(self, zone: ZoneSettings) -> list[str]:
        return zone.allow or [*LOOPBACK, *self._internal]

    def _open_both(self, host: str, port: int) -> None:
        """UDP and TCP with one number.

        @raise OSError: not both are free. @raise CannotListenError: the same.
        """
        for tried in range(1, TRIES + 1):
            opened = bound_socket(host, port)
            number = opened.getsockname()[1]
            try:
                self.ports.append(self._reactor.listenTCP(number, self._streams, backlog=BACKLOG, interface=host))
            except CannotListenError:
                opened.close()
                if port or tried == TRIES:
                    raise
                continue
            self.datagrams.append(Datagrams(self._reactor, opened, self.responder.datagram))
            return

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return self._shared or [each.address for each in self.datagrams]


def _open_shared(host: str, port: int, datagrams: list[list[socket.socket]], streams: list[socket.socket]) -> None:
    """One UDP socket for each process and a TCP socket for all of them, with one number.

    @raise OSError: it is not free.
    """
    for sockets in datagrams:
        opened = bound_socket(host, port, is_shared=True)
        sockets.append(opened)
        port = opened.getsockname()[1]
    stream = socket.create_server((host, port), family=opened.family, backlog=BACKLOG)
    stream.setblocking(False)
    streams.append(stream)


def _close(*groups: list[socket.socket]) -> None:
    for opened in (each for sockets in groups for each in sockets):
        opened.close()


def _rates_of(settings: DNSServerSettings) -> Rates:
    return Rates(
        settings.rate_positive,
        settings.rate_negative,
        settings.rate_error,
        settings.rate_total,
        settings.rate_window,
        settings.rate_slip,
    )


def _signatures(zone: ZoneSettings, verifier: ISignatureVerifier, serial: int) -> ServedSignatures:
    def alarm(text: str) -> None:
        _log.warn("dns: zone {zone}: {text}", zone=zone.name, text=text)

    return ServedSignatures(authority_of(zone, Head(), serial), SignatureZone(domain_of(zone), verifier, alarm))


def _why(error: Exception) -> str:
    cause = getattr(error, "socketError", None) or error
    if isinstance(cause, OSError) and cause.errno == errno.EACCES:
        return f"{cause.strerror} (ports below 1024 need CAP_NET_BIND_SERVICE)"
    return str(getattr(cause, "strerror", None) or cause)
