"""Room for the files and sockets that the configuration lets us open (RLIMIT_NOFILE, getrlimit(2)).

At the limit accept(2) fails over and over while MTAs wait; so the limit is looked at before there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

from twistedmilter.model.settings import Settings

RESERVE = 128  # listeners, log, stores, modules being imported
PER_LOOKUP = 3  # sockets for each of [resolver] in_flight: those that became slow wait beside them


def needed(settings: Settings) -> int:
    """How many descriptors may be open at once."""
    sections = (settings.callback, settings.dsn)
    calls = settings.callback.connections if any(section.mode != "off" for section in sections) else 0
    lookups = settings.socketmap.max_connections if settings.socketmap.listen else 0
    return settings.milter.max_connections + PER_LOOKUP * settings.resolver.in_flight + calls + lookups + RESERVE


def make_room(
    settings: Settings,
    get_limits: Callable[[int], tuple[int, int]] = getrlimit,
    set_limits: Callable[[int, tuple[int, int]], None] = setrlimit,
) -> str:
    """Raise the soft limit to what is needed, as far as the hard one allows.

    @return: a warning that names the key and the numbers; empty if there is room.
    """
    need = needed(settings)
    soft, hard = get_limits(RLIMIT_NOFILE)
    if soft == RLIM_INFINITY or soft >= need:
        return ""
    wanted = need if hard == RLIM_INFINITY else min(need, hard)
    try:
        set_limits(RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        wanted = soft
    if wanted == need:
        return ""
    connections = settings.milter.max_connections
    return (
        f"milter.max_connections = {connections} needs {need} open files, but the limit is {wanted} (RLIMIT_NOFILE); "
        "raise LimitNOFILE or ulimit -n, or lower max_connections"
    )
