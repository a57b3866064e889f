"""The parts that load filters from outside; each measures one thing that an issue sets a target for."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import filters, idle, zone
from benchmarks.figures import Part, Target
from benchmarks.filters import LOCAL_CHECKS, STOCK_CHECKS, Bytecode, Filter, Running, running
from benchmarks.load import Figures, load, medians
from benchmarks.tools import BenchmarkError, peer_python

COLUMNS = ("filter", "connections", "CPU us/message", "messages/s", "p99 ms", "RSS MiB", "of pymilter's CPU")
CACHED_COLUMNS = ("messages", "CPU us/message", "messages/s and core", "p99 ms", "RSS MiB")
RESERVED_DESCRIPTORS = 100  # of a process, for what is not a connection


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    @ivar connections: at once, for the comparison. @ivar rounds: of the filters in turn.
    @ivar seconds: of one run. @ivar idle: connections to be held.
    @ivar messages: over which memory must not grow. @ivar writes: into a store.
    """

    connections: tuple[int, ...]
    rounds: int
    seconds: float
    starts: int
    idle: int
    warm_up: int
    messages: int
    writes: int


FULL = Effort((1, 16, 64, 256), 3, 2.0, 5, 10_000, 20_000, 200_000, 100_000)
QUICK = Effort((64,), 1, 1.5, 2, 1_000, 5_000, 20_000, 20_000)


def compare(directory: Path, effort: Effort) -> Part:
    """Our filter with no checks and with the local ones, and pymilter's null filter, in turn."""
    python = peer_python()
    tested = [
        filters.pymilter(directory, python, "every"),
        filters.pymilter(directory, python, "no-reply"),
        filters.bare_twisted(directory),
        filters.service(directory, "empty", "ours, empty chain, JSON log"),
        filters.service(directory, "empty-classic", "ours, empty chain, classic log", log="classic"),
        filters.service(directory, "local", "ours, local checks, JSON log", checks=LOCAL_CHECKS),
        filters.service(
            directory, "local-classic", "ours, local checks, classic log", checks=LOCAL_CHECKS, log="classic"
        ),
    ]
    measured = _in_turn(tested, effort, effort.connections)
    part = Part("CPU, throughput and latency beside pymilter, unix sockets", COLUMNS)
    peer = tested[0].name
    for filter_ in tested:
        for connections in effort.connections:
            figures = measured[filter_.name, connections]
            ratio = figures.cpu_us / measured[peer, connections].cpu_us
            row = (filter_.name, connections, figures.cpu_us, figures.rate, figures.p99_ms, figures.rss_mib, ratio)
            part.rows.append(row)
    at = 64 if 64 in effort.connections else effort.connections[-1]
    for filter_, bound in zip(tested[3:], (0.45, 0.45, 0.6, 0.6), strict=True):
        ours, theirs = measured[filter_.name, at], measured[peer, at]
        part.targets += [
            Target(f"{filter_.name}: CPU, of pymilter's, c={at}", ours.cpu_us / theirs.cpu_us, bound),
            Target(f"{filter_.name}: p99, of pymilter's, c={at}", ours.p99_ms / theirs.p99_ms, 1.0),
        ]
    return part


def _in_turn(tested: list[Filter], effort: Effort, connections: tuple[int, ...]) -> dict[tuple[str, int], Figures]:
    """All filters run all the time, and are loaded one after the other, round after round."""
    runs: dict[tuple[str, int], list[Figures]] = {}
    with ExitStack() as stack:
        started = [stack.enter_context(running(filter_)) for filter_ in tested]
        for each in started:
            load(each, "-c", "64", "-k", "2000")
        for _ in range(effort.rounds):
            for count in connections:
                for each in started:
                    figures = load(each, "-c", str(count), "-d", str(effort.seconds))
                    runs.setdefault((each.filter.name, count), []).append(figures)
    return {key: medians(figures) for key, figures in runs.items()}


def spf(directory: Path, effort: Effort) -> Part:
    """The SPF check when the DNS answers are in the cache: one core's messages in a second."""
    part = Part("SPF with cached DNS", CACHED_COLUMNS)
    with zone.nameserver(directory) as nameserver:
        tested = filters.service(directory, "spf", "spf check alone", checks=("spf",), nameserver=nameserver)
        messages = {"clients known by now": zone.values(), "always another client": zone.strangers()}
        _from_cache(part, tested, messages, 2_000, effort)
    return part


def chain(directory: Path, effort: Effort) -> Part:
    """The whole stock chain when the DNS answers are in the cache; the store keeps each record."""
    part = Part("Whole chain with cached DNS", CACHED_COLUMNS)
    with zone.nameserver(directory) as nameserver:
        tested = filters.service(
            directory, "stock", "all stock checks, SQLite", checks=STOCK_CHECKS, nameserver=nameserver, decision_days=30
        )
        _from_cache(part, tested, {"clients known by now": zone.values()}, 1_200, effort)
    return part


def _from_cache(part: Part, tested: Filter, messages: Mapping[str, str], wanted: int, effort: Effort) -> None:
    """Rows and targets of one filter, asked with each kind of messages.

    @param messages: values for the generator, by what they are. @param wanted: messages a second and core.
    """
    with running(tested) as service:
        for what, text in messages.items():
            values = tested.socket.with_suffix(".values")
            values.write_text(text, "ascii")
            load(service, "-c", "64", "-k", "5000", "--values", str(values))
            options = ("-c", "64", "-d", str(effort.seconds), "--values", str(values))
            figures = medians([load(service, *options) for _ in range(effort.rounds)])
            name, per_core = f"{tested.name}, {what}", 1e6 / figures.cpu_us
            part.rows.append((name, figures.cpu_us, per_core, figures.p99_ms, figures.rss_mib))
            part.targets.append(Target(name, per_core, wanted, "messages/s and core", at_most=False))
    part.notes.append(f"{zone.DOMAINS} sender domains: {zone.DESCRIPTION}; MAIL FROM and HELO are judged")


def start(directory: Path, effort: Effort) -> Part:
    """From the command to listening, and memory at rest, with the default chain; without bytecode, and with it."""
    tested = filters.service(directory, "start", "stock chain", checks=STOCK_CHECKS)
    bytecode = Bytecode(directory / "bytecode")
    _start(tested, bytecode)  # compiles what an installation has compiled
    first, later = [], []
    for _ in range(effort.starts):
        bytecode.forget_ours()
        first.append(_start(tested, bytecode)[0])
        later.append(_start(tested, bytecode))
    part = Part("Start and rest")
    part.targets += [
        Target("start to listening", statistics.median(seconds for seconds, _ in later), 1.0, "s"),
        Target("RSS at rest", statistics.median(rss for _, rss in later), 80.0, "MiB"),
    ]
    part.notes.append(f"the first start, which compiles our modules: {statistics.median(first):.2f} s to listening")
    return part


def _start(tested: Filter, bytecode: Bytecode) -> tuple[float, float]:
    """Seconds to listening, and MiB of memory half a second later."""
    with running(tested, bytecode.environment) as service:
        time.sleep(0.5)
        return service.seconds, service.rss_kib() / 1024


def idle_connections(directory: Path, effort: Effort) -> Part:
    """Many sessions that say nothing, and one more that wants to be served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(effort.idle, hard - RESERVED_DESCRIPTORS)
    part = Part("Idle connections")
    if count < effort.idle:
        part.notes.append(f"only {count} connections: the hard limit of descriptors is {hard} (was {soft} soft)")
    tested = filters.service(
        directory, "idle", "idle", checks=LOCAL_CHECKS, max_connections=count + RESERVED_DESCRIPTORS
    )
    with running(tested) as service:
        load(service, "-c", "64", "-k", "2000")
        alone = load(service, "-c", "1", "-k", "200")
        before = service.rss_kib()
        with idle.connections(service.filter.socket, count) as held:
            after = _settled_rss(service)
            load(service, "-c", "1", "-k", "1")
            among = load(service, "-c", "1", "-k", "200")
            idle.check(held)
    part.targets.append(Target(f"{count:,} sessions after HELO, each", (after - before) / count, 25.0, "KiB"))
    part.notes.append(f"a message beside them: p99 {among.p99_ms:.3g} ms, without them {alone.p99_ms:.3g} ms")
    return part


def _settled_rss(service: Running) -> int:
    """Resident memory once it no longer changes, in KiB."""
    last = -1
    for _ in range(100):
        now = service.rss_kib()
        if now == last:
            return now
        last = now
        time.sleep(0.3)
    raise BenchmarkError(f"{service.filter.name}: memory does not settle, {last} KiB")


def growth(directory: Path, effort: Effort) -> Part:
    """Resident memory before and after many messages."""
    tested = filters.service(directory, "growth", "growth", checks=LOCAL_CHECKS, log_to=Path("/dev/null"))
    with running(tested) as service:
        load(service, "-c", "64", "-k", str(effort.warm_up))
        before = service.rss_kib()
        load(service, "-c", "64", "-k", str(effort.messages))
        after = service.rss_kib()
    part = Part("Memory over many messages")
    what = f"growth over {effort.messages:,} messages, after {effort.warm_up:,}"
    part.targets.append(Target(what, (after - before) / 1024, 2.0, "MiB"))
    return part
