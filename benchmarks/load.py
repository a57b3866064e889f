"""One run of the load generator and what it measured."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.filters import Running
from benchmarks.tools import ROOT, BenchmarkError, generator


@dataclass(frozen=True)
class Figures:
    """What one run measured, or the medians of several.

    @ivar cpu_us: user and system time of the filter, all its threads, for one message. [us]
    @ivar rate: messages in a second. @ivar p99_ms: of a message with its connection. [ms]
    @ivar rss_mib: of the filter at the end of the run. [MiB]
    """

    messages: int
    cpu_us: float
    rate: float
    p99_ms: float
    rss_mib: float


def load(tested: Running, *options: str) -> Figures:
    """Send messages, one SMTP session each, and measure.

    @raise BenchmarkError: any reply was missing, late or wrong.
    """
    command = [str(generator()), "--expect", "continue", "--pid-tree", str(tested.pid), *options, tested.address]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{tested.filter.name}: {done.stderr.strip()[-1000:]}")
    result = json.loads(done.stdout)
    return Figures(
        messages=result["messages"],
        cpu_us=result["cpu_us_per_msg"],
        rate=result["msg_per_s"],
        p99_ms=result["latency_ms"]["p99"],
        rss_mib=sum(process.get("vmrss_kib", 0) for process in result["processes"]) / 1024,
    )


def medians(runs: Sequence[Figures]) -> Figures:
    """The median of each figure by itself; of the messages their sum."""
    return Figures(
        messages=sum(each.messages for each in runs),
        cpu_us=statistics.median(each.cpu_us for each in runs),
        rate=statistics.median(each.rate for each in runs),
        p99_ms=statistics.median(each.p99_ms for each in runs),
        rss_mib=statistics.median(each.rss_mib for each in runs),
    )
