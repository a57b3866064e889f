"""What C{twistd twistedmilter} does: options in, service out.

Everything else is imported by L{makeService}, so that C{twistd --help} stays quick and cannot fail on our account.
"""

from __future__ import annotations

import gc
import signal
import time
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.python import usage

if TYPE_CHECKING:
    from twisted.application.service import MultiService

GC_THRESHOLDS = (20_000, 20, 50)  # objects until the youngest are looked at, then of each older generation


class Options(usage.Options):
    """The options of C{twistd twistedmilter}."""

    synopsis = "[--config FILE]"
    longdesc = (
        "Judges mail for sendmail and Postfix. Without --config the file is /etc/twistedmilter/twistedmilter.toml; "
        "where there is none, the defaults listen on 127.0.0.1:8890. The log says which was taken."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["config", "c", None, "The configuration, a TOML file; see also: twistedmilter check-config."],
    ]


def use_monotonic_time(reactor: Any) -> None:
    """Let the reactor's timers follow the monotonic clock, so that a step of the wall clock fires or stalls nothing.

    A timer that is already set keeps the time it was given, in wall seconds; it would never fire after the switch.
    So the reactor is left alone if there is one.

    @param reactor: an C{IReactorTime} whose C{seconds} can be replaced.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


def quieten_collector() -> None:
    """Keep the garbage collector from what lives as long as the process, and from looking at every message.

    Sessions and messages leave next to no cycles: counting references frees them.  A full collection, however, would
    walk the whole configuration and all modules while MTAs wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def makeService(options: Options) -> MultiService:
    """The whole service, not yet started.

    @raise SystemExit: the configuration cannot be used; one line for each problem.
    """
    from twisted.internet import reactor

    from twistedmilter.configfile import load_settings
    from twistedmilter.errors import ConfigError
    from twistedmilter.service import build_service

    use_monotonic_time(reactor)
    reactor.callWhenRunning(quieten_collector)
    try:
        service = build_service(load_settings(options["config"]), reactor, time.time)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    reopen_log_on_signal(service, reactor)
    return service


def reopen_log_on_signal(service: MultiService, reactor: Any) -> None:
    """Let SIGUSR1 and SIGHUP begin new log files, as C{logrotate} wants it."""
    parts = list(service)

    def reopen(*_: object) -> None:
        for part in parts:
            reactor.callFromThread(part.reopen_log)

    for number in (signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, reopen)
