"""Speed and memory of the list server, with rbldnsd and Twisted names beside it in the same run.

::

    make bench
    python -m benchmarks.dns [--quick] [--only PART]... [--json]

It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dns_data, dns_servers
from benchmarks.dns_data import Data
from benchmarks.dns_servers import Figures, Server, Serving, medians, p99_ms, perf, serving
from benchmarks.figures import Part, Target
from benchmarks.filters import Filter, Running
from benchmarks.load import load
from benchmarks.milter import machine
from benchmarks.tools import BenchmarkError

COLUMNS = ("server", "queries", "queries/s", "CPU us/query", "lost", "of rbldnsd's rate", "of its CPU")
ONCE, AGAIN = "queries", "repeated"
WARM_UP = 1.0  # seconds in which every query that comes again has come once
WORDS = {ONCE: "each once", AGAIN: "20,000 again and again"}


@dataclass(frozen=True)
class Effort:
    """How long to measure. @ivar rounds: of the servers in turn. @ivar seconds: of one run."""

    rounds: int
    seconds: float


FULL = Effort(3, 4.0)
QUICK = Effort(1, 2.0)


def compare(data: Data, effort: Effort) -> Part:
    """All servers, in turn, over the same data."""
    tested = [
        dns_servers.rbldnsd(data),
        dns_servers.names(data),
        dns_servers.ours(data, "plain", "ours, no patterns", with_patterns=False),
        dns_servers.ours(data, "patterns", "ours, 1,000 patterns"),
        dns_servers.ours(data, "public", "ours, patterns, strangers counted", is_public=True),
        dns_servers.ours(data, "process", "ours, patterns, its own process", processes=1),
    ]
    measured = _in_turn(tested, data, effort)
    part = Part("Queries a second, 4 clients, one core each for server and clients", COLUMNS)
    for (name, queries), each in measured.items():
        peer = measured["rbldnsd", queries]
        shares = each.rate / peer.rate, each.cpu_us / peer.cpu_us
        part.rows.append((name, WORDS[queries], each.rate, each.cpu_us, each.lost, *shares))
    for queries, words in WORDS.items():
        figures = {server.name: measured[server.name, queries] for server in tested}
        mine, plain = figures["ours, 1,000 patterns"].cpu_us, figures["ours, no patterns"].cpu_us
        part.targets += [
            Target(f"of rbldnsd's rate, {words}", figures["rbldnsd"].cpu_us / mine, 0.5, at_most=False),
            Target(f"the same without patterns, {words}", figures["rbldnsd"].cpu_us / plain, 0.5, at_most=False),
            Target(f"times Twisted names, {words}", figures["Twisted names"].cpu_us / mine, 3.0, at_most=False),
            Target(f"patterns cost, {words}", mine / plain, 1.5),
        ]
    part.notes.append("targets are of queries a second and core, by CPU: the rates suffer from whatever else runs")
    return part


def _in_turn(tested: list[Server], data: Data, effort: Effort) -> dict[tuple[str, str], Figures]:
    runs: dict[tuple[str, str], list[Figures]] = {}
    with ExitStack() as stack:
        started = [stack.enter_context(serving(server, data.directory)) for server in tested]
        for _ in range(effort.rounds):
            for queries in WORDS:
                for each in started:
                    if queries == AGAIN:
                        perf(each, data.path(queries), WARM_UP)
                    _, figures = perf(each, data.path(queries), effort.seconds)
                    runs.setdefault((each.server.name, queries), []).append(figures)
    return {key: medians(found) for key, found in runs.items()}


def latency(data: Data, effort: Effort) -> Part:
    """How long an answer takes at half the rate that was reached, and what milters notice of a flood."""
    part = Part("Latency", ("what", "queries/s", "p99 ms"))
    tested = dns_servers.ours(data, "latency", "ours")
    with serving(tested, data.directory) as each:
        _, full = perf(each, data.path(ONCE), effort.seconds)
        half = p99_ms(each, data.path(ONCE), effort.seconds, full.rate / 2)
        part.rows.append(("an answer at half load", full.rate / 2, half))
        part.targets.append(Target("p99 at half load", half, 2.0, "ms"))
        for what, flood in (("a message, nothing else", False), ("a message, dnsperf meanwhile", True)):
            rate, p99 = _milter_p99(each, data, effort, flood=flood)
            part.rows.append((what, rate, p99))
    part.notes.append("messages: one at a time, through the milter of the same process, empty chain")
    return part


def _milter_p99(tested: Serving, data: Data, effort: Effort, *, flood: bool) -> tuple[float, float]:
    """The 99th percentile of a message beside a flood of queries, or alone, and how many queries there were."""
    path = data.path("latency.sock")
    running = Running(Filter("ours", tested.server.command, path), tested.pid, tested.seconds)
    options = ("-c", "1", "-d", f"{effort.seconds:g}")
    if not flood:
        return 0.0, load(running, *options).p99_ms
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(tested.server.port), "-d", str(data.path(ONCE)), "-c", "4"]
    with subprocess.Popen([*command, "-l", f"{effort.seconds + 1:g}"], stdout=subprocess.PIPE, text=True) as flooding:
        time.sleep(0.5)
        p99 = load(running, *options).p99_ms
        said = flooding.communicate()[0]
    return float(said.partition("per second:")[2].split()[0]), p99


def loading(data: Data, effort: Effort) -> Part:
    """How long loading takes, what it needs, and what a reload does to answers."""
    part = Part("Loading", ("data", "seconds to first answer", "RSS MiB"))
    for what, names, patterns, limit in (
        ("1,000,000 names", 1_000_000, 0, 10.0),
        ("100,000 patterns", 10, 100_000, 5.0),
    ):
        directory = data.directory / f"{names}-{patterns}"
        large = Data(directory, names, 10, patterns)
        dns_data.write(large)
        with serving(dns_servers.ours(large, "large", what, with_patterns=bool(patterns)), directory) as each:
            rss = each.rss_mib()
            part.rows.append((what, each.seconds, rss))
            part.targets.append(Target(f"loads {what}", each.seconds, limit, "s"))
            if names > patterns:
                part.targets.append(Target(f"memory of {what}", rss, 250.0, "MiB"))
                part.targets.append(
                    Target("p99 while they are loaded again", _reload_p99(each, large, effort), 20.0, "ms")
                )
    return part


def _reload_p99(tested: Serving, data: Data, effort: Effort) -> float:
    """The 99th percentile of an answer, at a tenth of the possible rate, while the zone is loaded again."""
    names = data.path("names")
    names.write_text(names.read_text() + "another.example\n")
    past = time.time() - 60
    os.utime(names, (past, past))
    return p99_ms(tested, data.path(ONCE), effort.seconds * 2 + 8, 5_000)


PARTS: dict[str, Callable[[Data, Effort], Part]] = {"compare": compare, "latency": latency, "loading": loading}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dns", description="Speed and memory, reported.")
    parser.add_argument("--quick", action="store_true", help="one short round of everything: a rough idea")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="this part only; may be repeated")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    where = machine()
    if not options.json:
        print(f"{where}\n", flush=True)
    parts: dict[str, Part] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-dns-") as directory:
            data = Data(Path(directory))
            dns_data.write(data)
            for name in options.only or PARTS:
                parts[name] = PARTS[name](data, QUICK if options.quick else FULL)
                if not options.json:
                    print(parts[name].as_text(), flush=True)
    except BenchmarkError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": where, **{name: part.as_dict() for name, part in parts.items()}}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
