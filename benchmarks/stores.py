"""What the stores cost: writes a second in groups, and a cached answer.

python -m benchmarks.stores [--quick] [--json] [--keep DIRECTORY]; the file is written in DIRECTORY, else where
temporary files are.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from benchmarks.command import run
from benchmarks.figures import Part, Target
from benchmarks.parts import Effort
from benchmarks.tools import BenchmarkError
from tests.observe.records import record
from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import CallbackAnswer, GreylistTimes, IStores, SenderEntry
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.sqlite import SQLiteStores
from twistedmilter.tap import quieten_collector

IN_FLIGHT = 4_000  # writes under way, as at 20,000 a second of which each takes a fifth of one
Measured = TypeVar("Measured")
NOW = 1_795_525_511.0
TIMES = GreylistTimes(120, 21_600, 3_110_400)


@dataclass(frozen=True)
class Row:
    """One figure.

    @ivar cpu: of all threads, for each. [microseconds]
    @ivar wait: from question to answer, median and 99th percentile. [microseconds]
    """

    what: str
    per_second: float
    cpu: float
    wait: tuple[float, float]


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Flow:
    """Keeps so many things under way: as one batch of answers comes in, the next questions go out.

    To wait for all of them before the next are asked would measure how long a group lingers, not what can be done.

    @ivar waits: from question to answer of each. [microseconds]
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._under_way = 0
        self._room: Deferred[None] | None = None
        self._few_enough = 0
        self.waits: list[float] = []

    async def add(self, asked: Deferred[Any], began: float) -> None:
        """One more, when there is room again after it."""
        self._under_way += 1
        asked.addCallback(self._answered, began)
        if self._under_way >= self._depth:
            await self._until(self._depth * 3 // 4)

    async def end(self) -> None:
        """Wait for the last answer."""
        if self._under_way:
            await self._until(0)

    async def _until(self, few_enough: int) -> None:
        self._room, self._few_enough = Deferred(), few_enough
        await self._room

    def _answered(self, _: object, began: float) -> None:
        self.waits.append((time.perf_counter() - began) * 1e6)
        self._under_way -= 1
        if self._room is not None and self._under_way <= self._few_enough:
            room, self._room = self._room, None
            room.callback(None)


async def measure(what: str, count: int, depth: int, act: Callable[[int], Deferred[Any]]) -> Row:
    """Do something C{count} times, C{depth} at once."""
    flow = Flow(depth)
    cpu, began = cpu_seconds(), time.perf_counter()
    for number in range(count):
        await flow.add(act(number), time.perf_counter())
    await flow.end()
    seconds = time.perf_counter() - began
    waits = sorted(flow.waits)
    percentiles = statistics.median(waits), waits[int(len(waits) * 0.99)]
    return Row(what, count / seconds, (cpu_seconds() - cpu) / count * 1e6, percentiles)


def answer(number: int) -> CallbackAnswer:
    """An exchanger knows the sender of that number."""
    return CallbackAnswer(
        f"user{number}@domain{number % 997}.example", CallbackResult.VALID, "250 ok", NOW, NOW + 3_600
    )


async def measure_stores(name: str, stores: IStores, count: int) -> list[Row]:
    """Every kind of write in groups, then answers one by one and in groups."""

    def contact(number: int) -> Deferred[Any]:
        return cast(
            "Deferred[Any]", stores.greylist.contact(f"192.0.2.0/24 a{number}@b.example c@d.example", NOW, TIMES)
        )

    def find(number: int) -> Deferred[Any]:
        return cast("Deferred[Any]", stores.callbacks.find(answer(number * 7 % count).address, NOW))

    records = [record(id=str(number)) for number in range(count)]  # to make them is another's work
    return [
        await measure(f"{name}: keep an answer", count, IN_FLIGHT, lambda n: stores.callbacks.keep(answer(n))),
        await measure(f"{name}: learn a sender", count, IN_FLIGHT, lambda n: stores.whitelist.add(sender(n))),
        await measure(f"{name}: count a grey contact", count, IN_FLIGHT, contact),
        await measure(f"{name}: keep a decision", count, IN_FLIGHT, lambda n: stores.decisions.append(records[n])),
        await measure(f"{name}: find an answer, {IN_FLIGHT} at once", count, IN_FLIGHT, find),
        await measure(f"{name}: find an answer, one at a time", count // 10, 1, find),
        await measure(f"{name}: find one answer again", count // 10, 1, lambda _: find(1)),
    ]


def sender(number: int) -> SenderEntry:
    """A sender that was written to."""
    return SenderEntry(answer(number).address, "written to", NOW, NOW + 5_184_000)


async def measure_both(directory: Path, count: int, reactor: Any) -> tuple[list[Row], list[Row]]:
    """SQLite, and memory beside it."""
    sqlite = SQLiteStores(directory / "state.db", reactor, time.time)
    sqlite.open()
    on_disk = await measure_stores("SQLite", cast(IStores, sqlite), count)
    await sqlite.close()
    return on_disk, await measure_stores("memory", cast(IStores, MemoryStores()), count)


def on_reactor(work: Callable[[Any], Awaitable[Measured]]) -> Measured:
    """What the work comes to on the one reactor of this process, which runs once.

    @raise BenchmarkError: it failed.
    """
    from twisted.internet import reactor as global_reactor  # noqa: PLC0415 - nothing but this needs one

    reactor: Any = global_reactor
    found: list[Measured] = []
    failures: list[Failure] = []

    def begin() -> None:
        quieten_collector()
        done = Deferred.fromCoroutine(cast(Any, work(reactor)))
        done.addCallbacks(found.append, failures.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    if failures:
        raise BenchmarkError(failures[0].getTraceback())
    return found[0]


def grouped(directory: Path, effort: Effort) -> Part:
    """Writes in groups, and a cached answer of an exchanger."""
    sqlite, memory = on_reactor(lambda reactor: measure_both(directory, effort.writes, reactor))
    part = Part("Stores", ("what", "a second", "CPU us", "median us", "p99 us"))
    part.rows += [(row.what, row.per_second, row.cpu, *row.wait) for row in (*sqlite, *memory)]
    part.targets += [Target(row.what, row.per_second, 20_000, "a second", at_most=False) for row in sqlite[:4]]
    part.targets.append(Target("cached callback answer", sqlite[6].wait[0], 100.0, "us"))
    part.notes.append(f"{effort.writes:,} writes of each kind, {IN_FLIGHT:,} under way all the time")
    return part


if __name__ == "__main__":
    sys.exit(run("benchmarks.stores", {"stores": grouped}))
