"""From the configuration to stores that are not open yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from msgspec.structs import replace
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater

from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.record import Record
from twistedmilter.model.store_settings import StoreSettings
from twistedmilter.observe.record_text import record_text
from twistedmilter.store.database import DiskPolicy
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.rules import StoreLimits
from twistedmilter.store.sqlite import SQLiteStores

FILE_NAME = "state.db"
CLOSING = 3.0  # seconds for what is still to be written at the end, after the grace period of the sessions
MOST_DECISIONS_IN_MEMORY = 10_000  # some 2 KiB each
MOST_OBSERVATIONS_IN_MEMORY = 100_000  # some 0.6 KiB each


def make_stores(
    settings: StoreSettings,
    state_dir: Path,
    reactor: IReactorFromThreads,
    wall: Callable[[], float],
    *,
    is_service: bool = False,
    text_of: Callable[[Record], str] = record_text,
) -> IStores:
    """The stores of a configuration; nothing is opened.

    @param reactor: has timers as well in a service.
    @param wall: wall clock. [seconds since the epoch]
    @param is_service: whether mail goes on without a disk; a command has to know that what it says was done.
    @param text_of: gives the text of a record.
    """
    if settings.url == "memory":
        few = replace(
            settings,
            decisions=min(settings.decisions, MOST_DECISIONS_IN_MEMORY),
            observations=min(settings.observations, MOST_OBSERVATIONS_IN_MEMORY),
        )
        pause = partial(deferLater, cast(IReactorTime, reactor), 0.0) if is_service else None
        return cast(IStores, MemoryStores(_limits(few), pause))
    disk = DiskPolicy(may_stand_in=True, min_free=settings.min_free, closing=CLOSING) if is_service else DiskPolicy()
    return cast(IStores, SQLiteStores(state_dir / FILE_NAME, reactor, wall, _limits(settings), disk, text_of=text_of))


def _limits(settings: StoreSettings) -> StoreLimits:
    return StoreLimits(
        callbacks=settings.callbacks,
        senders=settings.senders,
        greylist=settings.greylist,
        decisions=settings.decisions,
        retention_days=settings.decision_days,
        observations=settings.observations,
        observation_days=settings.observation_days,
    )
