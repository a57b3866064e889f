"""The composition root: from a loaded configuration to a running service.

Everything that may be wrong with the configuration is found by L{build_service}; everything that may be wrong
with the host (a port in use, a directory that cannot be written) when the service starts.  Either is told in
one line a problem, and nothing is left half open.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from twistedmilter import __version__
from twistedmilter.access_files import open_access
from twistedmilter.composition import build_policy, build_resolver, build_signature_verifier
from twistedmilter.configfile import Loaded
from twistedmilter.control import Command, ControlFactory, peer_uid
from twistedmilter.descriptors import make_room
from twistedmilter.dns_bans import PublishedBans
from twistedmilter.dns_commands import DNSCommands
from twistedmilter.dns_server import DNSServer
from twistedmilter.errors import ConfigError, ConfigProblem, TemporaryFailure
from twistedmilter.gossip_face import GossipFace
from twistedmilter.interfaces.checks import IRunningCheck
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.list_commands import ListCommands
from twistedmilter.listening import Listeners
from twistedmilter.milter_proto import MilterFactory
from twistedmilter.milter_sessions import MilterSessions
from twistedmilter.model.listen import ListenSpec, TCPListen, UnixListen, parse_listen
from twistedmilter.model.settings import ListenSettings, Settings
from twistedmilter.model.stage import Role
from twistedmilter.model.transaction import Connection
from twistedmilter.notice_commands import NoticeCommands
from twistedmilter.observe.classic import ClassicLog
from twistedmilter.observe.counters import Counters
from twistedmilter.observe.destinations import Destination, Surroundings, open_destination
from twistedmilter.observe.json_log import JsonLog
from twistedmilter.observe.record_text import RecordTexts
from twistedmilter.observe.scanned import ScannedRecords
from twistedmilter.outbound import Outbound
from twistedmilter.policy.access import no_access
from twistedmilter.policy.judge import Policy
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.policy_warnings import policy_warnings
from twistedmilter.policy.wants import wants_of
from twistedmilter.socketmap import SocketmapFace
from twistedmilter.state_dir import StateDirectory, state_dir_of
from twistedmilter.store.expiry import ExpiryTimer
from twistedmilter.store.keeper import DecisionKeeper
from twistedmilter.store.opening import make_stores
from twistedmilter.systemd import notify

_log = Logger()
LOOPBACK = ("127.0.0.0/8", "::1")


def listen_entries(settings: Settings, source: str) -> list[tuple[str, ListenSpec, ListenSettings]]:
    """The milter listeners: key, spec and the table with its role and rights.

    @param source: of the settings, for errors.
    @raise ConfigError: an address that cannot be read.
    """
    entries = []
    for position, entry in enumerate(settings.milter.listen):
        table = ListenSettings(address=entry) if isinstance(entry, str) else entry
        key = f"milter.listen[{position}]"
        try:
            entries.append((key, parse_listen(table.address), table))
        except ValueError as error:
            raise ConfigError(source, [ConfigProblem(key, str(error))]) from error
    return entries


class TwistedMilterService(Service):
    """The running service: its lock, its log, its resolver and its listeners."""

    def __init__(self, loaded: Loaded, reactor: Any, wall: Callable[[], float], environ: Mapping[str, str]) -> None:
        self._loaded = loaded
        self._reactor = reactor
        self._wall = wall
        self._environ = environ
        settings = loaded.settings
        self._base_dir = Path(loaded.base_dir)
        self.state_dir = state_dir_of(settings, self._base_dir, environ)
        self._state = StateDirectory(self.state_dir)
        self._open_log()
        self.counters = Counters()
        self._scanned = ScannedRecords()
        self._resolver = build_resolver(settings, reactor)
        self.stores = make_stores(settings.store, self.state_dir, reactor, wall, is_service=True, text_of=self._text_of)
        self.bans = PublishedBans(self.stores, settings.networks, reactor, wall, is_on=settings.dns.publish_bans)
        self._expiry = ExpiryTimer(self.stores, reactor, wall)
        self._keeper = DecisionKeeper(self.stores.decisions)
        keepers = [self._keeper] if settings.store.decision_days else []
        observers = [*keepers, self._record_log, self.counters, self._scanned]  # what is logged has been kept
        self._access = open_access(settings.policy.access, self._base_dir, reactor, loaded.source)
        self.outbound = Outbound(settings, reactor, self._resolver, self.stores, state_dir=self.state_dir, wall=wall)
        self.gossip = GossipFace(
            settings.gossip,
            self.stores,
            reactor,
            wall,
            secrets.token_bytes,
            base_dir=self._base_dir,
            source=loaded.source,
        )
        policy = self._build_policy(observers)
        self.sessions = MilterSessions(policy, wants_of(policy.chain, settings.policy))
        self._running_checks = [entry.check for entry in policy.chain.entries if IRunningCheck.providedBy(entry.check)]
        self._listeners = Listeners(reactor, self._base_dir, environ, loaded.source)
        self._make_faces()
        self._started = 0.0
        self._state_trouble = ""

    def _make_faces(self) -> None:
        """The servers beside the milter."""
        loaded, reactor, wall = self._loaded, self._reactor, self._wall
        settings = loaded.settings
        self._socketmap = SocketmapFace(
            settings, reactor, wall, base_dir=self._base_dir, state_dir=self.state_dir, source=loaded.source
        )
        self.dns = DNSServer(
            settings.dns,
            settings.networks.internal,
            reactor,
            wall,
            secrets.token_bytes(16),
            verifier=build_signature_verifier(loaded, self.state_dir),
            bans=self.bans,
            source=loaded.source,
        )

    def _open_log(self) -> None:
        log, wall = self._loaded.settings.log, self._wall
        self.destination: Destination = open_destination(
            log.to,
            base_dir=self._base_dir,
            surroundings=Surroundings(reactor=self._reactor, wall=wall, environ=self._environ),
            source=self._loaded.source,
        )
        write = self.destination.write
        self._text_of = RecordTexts()
        is_json = log.format == "json"
        self._record_log = JsonLog(write, wall, self._text_of) if is_json else ClassicLog(write, wall, self._is_dynamic)
        self.destination.recovered = self._record_log.lines_lost
        self._each_second = LoopingCall(self._record_log.tell_suppressed)
        self._each_second.clock = self._reactor

    def _build_policy(self, observers: Sequence[IObserver]) -> Policy:
        return build_policy(
            self._loaded,
            self._reactor,
            self._wall,
            observers,
            self._resolver,
            stores=self.bans.stores,
            access=self._access.current if self._access is not None else no_access,
            callbacks=self.outbound.callbacks,
            inner=self.outbound.inner,
            notices=self.outbound.notices,
            reputation=self.gossip.reputation,
        )

    def startService(self) -> None:
        """Bind everything, then say that we are ready.

        @raise SystemExit: something cannot be bound or written; the text names the key.
        """
        super().startService()  # type: ignore[no-untyped-call]
        try:
            self._take_state()
            self._open_listeners()
            self._open_stores()
        except ConfigError as error:
            self._listeners.abandon()
            self.dns.stop()
            self.destination.close()
            self._state.give_back()
            raise SystemExit(str(error)) from None
        self.sessions.start()
        self._socketmap.start()
        self.dns.start()
        self.gossip.start()
        self._expiry.start()
        self.outbound.start()
        if self._access is not None:
            self._access.start()
        for check in self._running_checks:
            check.start(self._reactor)
        self._started = self._reactor.seconds()
        self._record_log.started(__version__)
        self._each_second.start(1.0, now=False)
        for warning in self._warnings():
            _log.warn("{told}", told=warning)  # trial reads a key "warning" as Python's own
        _log.info("twistedmilter {version}, configuration: {source}", version=__version__, source=self._loaded.source)
        notify(self._environ, "READY=1")

    def _warnings(self) -> Iterator[str]:
        """What the administrator is told at every start."""
        settings = self._loaded.settings
        yield from filter(None, (*self._loaded.warnings, make_room(settings), *self._socketmap.warnings()))
        yield from policy_warnings(settings, self._access.current() if self._access is not None else no_access())

    def _is_dynamic(self, connection: Connection) -> bool:
        """What the chain says; the log, which asks, is there before it."""
        return self.sessions.policy.chain.looks_dynamic(connection)

    def reopen_log(self) -> None:
        """Begin a new log file, as after a rotation."""
        self.destination.reopen()

    def stopService(self) -> Deferred[object]:
        """Stop listening, let sessions in flight finish within the grace period, then close."""
        super().stopService()  # type: ignore[no-untyped-call]
        notify(self._environ, "STOPPING=1")
        closed: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in self._listeners.ports]
        closed.append(self.sessions.stop(self._loaded.settings.milter.grace))
        self._socketmap.stop()
        self.gossip.stop()
        closed.append(self.dns.stop())
        return DeferredList(closed).addBoth(self._close_stores).addBoth(self._close)

    def _close_stores(self, _result: object) -> Deferred[None]:
        """After the sessions: the last of them still have something to keep."""
        self._expiry.stop()
        for check in self._running_checks:
            check.stop()
        self.outbound.stop()
        if self._access is not None:
            self._access.stop()
        return self.stores.close()

    def _close(self, result: object) -> object:
        Deferred.fromCoroutine(self._resolver.stop())
        if self._each_second.running:
            self._each_second.stop()
        self._record_log.stopped()
        self.destination.close()
        self._state.give_back()
        return result

    def _take_state(self) -> None:
        try:
            self._state_trouble = self._state.take()
        except OSError as error:
            raise self._problem("server.state_dir", *self._state.explain(error)) from None
        if self._state_trouble:
            _log.error("{trouble}; what is learnt is kept in memory until it can be", trouble=self._state_trouble)

    def _open_stores(self) -> None:
        """Last of all: when anything else cannot be had, there is nothing to close."""
        try:
            self.stores.open()
        except TemporaryFailure as failure:
            raise self._problem("store.url", f"it cannot be opened: {failure}", "sqlite or memory") from None

    def _problem(self, key: str, wrong: str, allowed: str = "") -> ConfigError:
        return ConfigError(self._loaded.source, [ConfigProblem(key, wrong, allowed)])

    def _open_listeners(self) -> None:
        is_root = os.geteuid() == 0
        if is_root:
            _log.warn("running as root: loopback and unix sockets only; let systemd or twistd --uid choose a user")
        for key, spec, table in listen_entries(self._loaded.settings, self._loaded.source):
            if is_root and isinstance(spec, TCPListen) and not spec.is_loopback:
                raise self._problem(key, f"{spec} is not opened as root", "run as a user of its own")
            self._open_milter(key, spec, table)
        self.sessions.ports = list(self._listeners.ports)
        self._socketmap.open(self._listeners, own_uid=os.geteuid(), peer_uid=peer_uid)
        self.dns.open(is_root=is_root)
        self.gossip.open(self._listeners, is_root=is_root)
        if self._loaded.settings.control.listen != "off":
            path = self._loaded.settings.control.listen.removeprefix("unix:")
            try:
                spec = UnixListen(path.replace("STATE_DIR", str(self.state_dir), 1))
            except ValueError as error:
                raise self._problem(
                    "control.listen", str(error), "a shorter server.state_dir, or another path"
                ) from None
            commands: dict[str, Command] = {
                "status": self.status,
                "scan-record": self._scanned.answer,
                **ListCommands(self.bans.stores, self._wall).commands,
                **NoticeCommands(self.stores.notices).commands,
                **DNSCommands(self.dns).commands,
                **self.gossip.commands,
            }
            factory = ControlFactory(commands, own_uid=os.geteuid(), reactor=self._reactor)
            try:
                self._listeners.open("control.listen", spec, factory, mode=0o600)
            except ConfigError as error:
                if not self._state_trouble:
                    raise
                _log.error("{error}; commands cannot reach this service", error=str(error))

    def _open_milter(self, key: str, spec: ListenSpec, table: ListenSettings) -> None:
        allow = None if isinstance(spec, UnixListen) else NetworkSet.parse(table.allow or LOOPBACK)
        factory = MilterFactory(
            self.sessions, str(spec), Role(table.role), allow=allow, role_reason=key, own_uid=os.geteuid()
        )
        self._listeners.open(key, spec, factory, mode=int(table.mode, 8), group=table.group)
        _log.info(
            "listening on {spec} ({role}); sendmail: {sendmail}; Postfix: {postfix}",
            spec=str(spec),
            role=table.role,
            sendmail=spec.for_sendmail() if isinstance(spec, UnixListen | TCPListen) else "",
            postfix=spec.for_postfix() if isinstance(spec, UnixListen | TCPListen) else "",
        )

    def status(self, _arguments: Mapping[str, object] | None = None) -> dict[str, object]:
        """What C{twistedmilter status} shows."""
        return {
            "version": __version__,
            "configuration": self._loaded.source,
            "uptime_s": round(self._reactor.seconds() - self._started, 3),
            "listeners": [
                str(spec) for _key, spec, _table in listen_entries(self._loaded.settings, self._loaded.source)
            ],
            "sessions": len(self.sessions),
            "log_lines_dropped": self.destination.dropped,
            "stores": self.stores.trouble or "well",
            "decisions_not_kept": self._keeper.lost,
            "counters": self.counters.snapshot(),
            "dns": self._resolver.snapshot(),
            **self.outbound.snapshot(),
            **self._socketmap.snapshot(),
            **self.gossip.snapshot(),
            **self.dns.status(),
            **{check.name: told for check in self._running_checks if (told := check.status())},
        }


def build_service(
    loaded: Loaded, reactor: Any, wall: Callable[[], float], environ: Mapping[str, str] | None = None
) -> MultiService:
    """The whole service, not yet started.

    @param reactor: a real reactor with timers on the monotonic clock, or a memory reactor in tests.
    @param wall: seconds since the epoch.
    @raise ConfigError: every problem of the configuration that can be seen before start.
    """
    service = MultiService()
    running = TwistedMilterService(loaded, reactor, wall, os.environ if environ is None else environ)
    running.setServiceParent(service)  # type: ignore[no-untyped-call]
    return service
