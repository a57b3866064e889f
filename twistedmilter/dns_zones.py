"""The zones that are served: read from files a slice at a time, and again when these change."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from twistedmilter.blocklist.answers import ServedList
from twistedmilter.blocklist.loading import Format, Limits, Loaded, Source, lines_of, load_at_once, load_zone
from twistedmilter.blocklist.problems import ZoneError, ZoneProblem
from twistedmilter.blocklist.zone import Head, LiveNames, ZoneKind
from twistedmilter.model.dns_server_settings import PACKAGED, ZoneFileSettings, ZoneSettings
from twistedmilter.wire.dns_question import Labels
from twistedmilter.wire.dns_response import Authority, Timers

SLICE: Final = 0.004  # seconds of loading, then others have their turn
SETTLE: Final = 2.0  # seconds that a file has not been written to before it is read (D20)
MAX_SIZE: Final = 256 * 2**20  # octets of one file
_log = Logger()

Mark = tuple[int, ...]


def labels_of(name: str) -> Labels:
    """The labels of a name of the configuration, lower case."""
    return tuple(name.lower().rstrip(".").encode("ascii").split(b"."))


def path_of(entry: str | ZoneFileSettings) -> Path:
    """Where an entry of C{files} is."""
    name = entry if isinstance(entry, str) else entry.path
    if name.startswith(PACKAGED):
        return Path(str(files("twistedmilter").joinpath("data", name.removeprefix(PACKAGED))))
    return Path(name)


def authority_of(zone: ZoneSettings, head: Head, serial: int) -> Authority:
    """SOA and NS: as the configuration has them, else as the files do, else the zone itself.

    @param serial: unless the files have one.
    """
    apex, soa = labels_of(zone.name), head.soa
    servers = [labels_of(name) for name in zone.name_servers] or list(head.nameservers)
    contact = labels_of(zone.contact.replace("@", ".")) if zone.contact else (b"hostmaster", *apex)
    timers = Timers(negative=zone.negative_ttl)
    if soa is not None:
        negative = min(zone.negative_ttl, soa.minimum)
        timers = Timers(soa.refresh, soa.retry, soa.expire, negative)
        contact = contact if zone.contact else soa.mailbox
        servers = servers or [soa.primary]
        serial = soa.serial or serial
    return Authority(apex, servers or [apex], contact, serial, timers)


def load_files(
    zone: ZoneSettings,
    wall: Callable[[], float],
    counts_before: dict[str, int] | None = None,
    *,
    forced: bool = False,
    live: LiveNames | None = None,
) -> Generator[None, None, Loaded]:
    """Load a zone from its files in steps of some milliseconds.

    @param counts_before: rules of each file of the zone that this one replaces.
    @param live: entries that come and go; they may be all that the zone has.
    @raise ZoneError: it cannot be used, or a file cannot be read.
    """
    limits = Limits(ttl=zone.ttl, forced=forced or not zone.files, counts_before=counts_before or {})
    with ExitStack() as stack:
        sources = [_source(entry, stack) for entry in zone.files]
        kind = ZoneKind(zone.kind)
        return (yield from load_zone(labels_of(zone.name), kind, sources, wall, limits=limits, live=live))


def _source(entry: str | ZoneFileSettings, stack: ExitStack) -> Source:
    """One open file.

    @raise ZoneError: it cannot be opened, or is none.
    """
    name, path = entry if isinstance(entry, str) else entry.path, path_of(entry)
    wanted = Format(entry.format) if isinstance(entry, ZoneFileSettings) and entry.format else Format.NATIVE
    try:
        seen = path.stat()
        if not S_ISREG(seen.st_mode):  # reading from a pipe would wait for ever
            raise _unreadable(name, "it is no file")
        if seen.st_size > MAX_SIZE:
            raise _unreadable(name, f"it is longer than {MAX_SIZE} octets")
        return Source(name, lines_of(stack.enter_context(path.open("rb"))), wanted)
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from error


def _unreadable(name: str, why: str) -> ZoneError:
    return ZoneError([ZoneProblem(name, 0, 0, f"it cannot be read: {why}")])


def zone_problems(zone: ZoneSettings, wall: Callable[[], float]) -> list[ZoneProblem]:
    """All that is wrong or odd with the files of a zone; it reads them at once."""
    try:
        return list(load_at_once(load_files(zone, wall)).problems)
    except ZoneError as error:
        return error.problems


class ZoneFiles:
    """One zone that follows its files.

    What is wrong with a new file is logged once, and the zone that was served before stays.  Before the first reading
    there is none, and queries get SERVFAIL.

    @param reactor: the monotonic clock and timers. @param wall: seconds since the epoch.
    @param changed: called when there is another zone. @param live: entries that come and go, besides the files.
    @ivar served: the zone as it is now. @ivar trouble: what is wrong with the files as they are now; empty: nothing.
    @ivar loads: readings that brought a zone. @ivar failures: those that did not.
    """

    def __init__(
        self,
        settings: ZoneSettings,
        reactor: Any,
        wall: Callable[[], float],
        changed: Callable[[], None],
        live: LiveNames | None = None,
    ) -> None:
        self.settings = settings
        self.served = ServedList(authority_of(settings, Head(), int(wall())), None)
        self.trouble = ""
        self.loads = 0
        self.failures = 0
        self._reactor = reactor
        self._wall = wall
        self._changed = changed
        self._live = live
        self._mark: Mark | None = None
        self._loading: Generator[None, None, Loaded] | None = None
        self._clearing: Iterator[None] = iter(())
        self._call: IDelayedCall | None = None

    def look(self) -> None:
        """Begin to read the files if they have changed, and nobody is writing them."""
        if self._loading is not None:
            return
        mark, newest = self._look()
        if mark != self._mark and not 0 <= self._wall() - newest < SETTLE:
            self._begin(mark)

    def load(self, *, forced: bool = False) -> None:
        """Read the files now, whether they have changed or not.

        @param forced: take what would be refused otherwise, as files that have shrunk.
        """
        self._stop_loading()
        self._begin(self._look()[0], forced=forced)

    def stop(self) -> None:
        """Read no more."""
        self._stop_loading()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def snapshot(self) -> dict[str, object]:
        """What C{twistedmilter status} shows."""
        return {
            "rules": 0 if self.served.zone is None else len(self.served.zone),
            "is_loaded": self.served.zone is not None,
            "serial": self.served.authority.serial,
            "loads": self.loads,
            "failed_loads": self.failures,
            "trouble": self.trouble,
        }

    def _look(self) -> tuple[Mark, float]:
        """What tells one state of the files from another, and when the last of them was written."""
        mark: list[int] = []
        newest = 0.0
        for entry in self.settings.files:
            try:
                seen = os.stat(path_of(entry))  # noqa: PTH116 - every few seconds
            except OSError:
                mark.append(-1)
                continue
            mark += (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)
            newest = max(newest, seen.st_mtime)
        return tuple(mark), newest

    def _begin(self, mark: Mark, *, forced: bool = False) -> None:
        self._mark = mark
        counts = {} if self.served.zone is None else dict(self.served.zone.counts)
        self._loading = load_files(self.settings, self._wall, counts, forced=forced, live=self._live)
        self._go_on()

    def _stop_loading(self) -> None:
        loading, self._loading = self._loading, None
        if loading is not None:
            loading.close()

    def _go_on(self) -> None:
        """Load, or give an old zone's memory back, for a slice of time."""
        self._call = None
        until = self._reactor.seconds() + SLICE
        while self._step():
            if self._reactor.seconds() >= until:
                self._call = self._reactor.callLater(0, self._go_on)
                return

    def _step(self) -> bool:
        """One step; whether there is another."""
        if self._loading is None:
            return next(self._clearing, self) is None
        try:
            next(self._loading)
        except StopIteration as end:
            self._loading = None
            self._use(end.value)
        except ZoneError as error:
            self._loading = None
            self._fail(error)
        return True

    def _use(self, loaded: Loaded) -> None:
        old = self.served.zone
        serial = max(int(self._wall()), self.served.authority.serial + 1)
        self.served = ServedList(authority_of(self.settings, loaded.zone.head, serial), loaded.zone)
        self.trouble = ""
        self.loads += 1
        for problem in loaded.problems:
            _log.warn("dns: zone {zone}: {problem}", zone=self.settings.name, problem=str(problem))
        _log.info("dns: zone {zone} loaded: {rules} rules", zone=self.settings.name, rules=len(loaded.zone))
        self._changed()
        if old is not None:
            self._clearing = old.clear_slowly()

    def _fail(self, error: ZoneError) -> None:
        """Keep what there is; another state of the files is tried again."""
        self.failures += 1
        if str(error) != self.trouble:
            self.trouble = str(error)
            stays = "the zone that was loaded before stays" if self.served.zone is not None else "it is not served"
            _log.error("dns: zone {zone}: {error}; {stays}", zone=self.settings.name, error=self.trouble, stays=stays)
