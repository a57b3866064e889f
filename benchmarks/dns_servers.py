"""The name servers under test as processes, and dnsperf."""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dns_data import ADDRESSES_ZONE, NAMES_ZONE, Data
from benchmarks.tools import ROOT, BenchmarkError, run

START_LIMIT = 120.0  # seconds
SERVER_CORE, CLIENT_CORE = 0, 1
_TICKS = os.sysconf("SC_CLK_TCK")
CONFIG = """\
[server]
state_dir = "{directory}/{name}.state"
[milter]
listen = ["unix:{directory}/{name}.sock"]
[policy]
checks = []
[store]
decision_days = 0
[log]
to = "{directory}/{name}.log"
[dns]
listen = ["127.0.0.1:{port}"]
processes = {processes}
{rates}
"""
LIST = """\
[[dns.zones]]
name = "{zone}"
kind = "{kind}"
files = [{files}]
{access}
"""


@dataclass(frozen=True)
class Server:
    """One server under test.

    @ivar name: as the table shows it. @ivar command: starts it in the foreground. @ivar probe: a name that it lists.
    """

    name: str
    command: tuple[str, ...]
    port: int
    probe: str


@dataclass(frozen=True)
class Serving:
    """A server that answers. @ivar seconds: from start to the first answer."""

    server: Server
    pid: int
    seconds: float

    @property
    def pids(self) -> list[int]:
        """Its process and the processes that it started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return [self.pid, *map(int, children)]

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split() for pid in self.pids]
        return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS

    def rss_mib(self) -> float:
        """Resident memory."""
        status = [Path(f"/proc/{pid}/status").read_text("ascii") for pid in self.pids]
        return sum(int(each.partition("VmRSS:")[2].split()[0]) for each in status) / 1024


@dataclass(frozen=True)
class Figures:
    """What one run measured.

    @ivar rate: queries a second. @ivar cpu_us: of the server, for one query. @ivar lost: queries without an answer.
    """

    rate: float
    cpu_us: float
    lost: int


def free_port() -> int:
    """A number that is free on UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(
    data: Data, name: str, label: str, *, with_patterns: bool = True, is_public: bool = False, processes: int = 0
) -> Server:
    """Our service.

    @param is_public: dnsperf is a stranger, whose answers are counted by rate limiting; the limits are beyond reach.
    """
    port = free_port()
    high = "\n".join(f"rate_{kind} = 1000000" for kind in ("positive", "negative", "error", "total"))
    names = f'{{path = "{data.path("names")}", format = "dnset"}}'
    if with_patterns:
        names += f', "{data.path("patterns")}"'
    addresses = f'{{path = "{data.path("addresses")}", format = "ip4set"}}'
    access = 'allow = ["192.0.2.0/24"]\npublic = true' if is_public else 'allow = ["127.0.0.1"]'
    config = data.path(f"{name}.toml")
    text = CONFIG.format(
        directory=data.directory, name=name, port=port, processes=processes, rates=high if is_public else ""
    )
    for zone, kind, files in ((NAMES_ZONE, "rhsbl", names), (ADDRESSES_ZONE, "ipbl", addresses)):
        text += LIST.format(zone=zone, kind=kind, files=files, access=access)
    config.write_text(text)
    twistd = Path(sys.executable).with_name("twistd")
    command = (str(twistd), "-n", "--pidfile=", "twistedmilter", "--config", str(config))
    return Server(label, command, port, _probe(data))


def rbldnsd(data: Data) -> Server:
    """The peer in C."""
    program = shutil.which("rbldnsd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        run("sh", "tools/debian.sh", "bench")
        program = "/usr/sbin/rbldnsd"
    port = free_port()
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    data.directory.chmod(0o755)
    zones = (f"{NAMES_ZONE}:dnset:{data.path('names')}", f"{ADDRESSES_ZONE}:ip4set:{data.path('addresses')}")
    command = (program, "-n", "-f", "-q", *user, "-b", f"127.0.0.1/{port}", *zones)
    return Server("rbldnsd", command, port, _probe(data))


def names(data: Data) -> Server:
    """Twisted's own server."""
    port = free_port()
    command = (sys.executable, "-m", "benchmarks.peer_names", str(data.directory), str(port))
    return Server("Twisted names", command, port, _probe(data))


def _probe(data: Data) -> str:
    return f"{data.path('names').read_text().splitlines()[1]}.{NAMES_ZONE}"


@contextmanager
def serving(server: Server, directory: Path) -> Iterator[Serving]:
    """A server from its first answer to its end, on a core of its own if there are two.

    @raise BenchmarkError: it does not answer in time; with what it said.
    """
    said = directory / f"{server.port}.out"
    with said.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            server.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while not is_listed(server):
                if process.poll() is not None or time.monotonic() - started > START_LIMIT:
                    raise BenchmarkError(f"{server.name} does not answer:\n{said.read_text(errors='replace')[-2000:]}")
                time.sleep(0.01)
            found = Serving(server, process.pid, time.monotonic() - started)
            for pid in found.pids:
                os.sched_setaffinity(pid, {SERVER_CORE})
            yield found
        finally:
            process.terminate()
            process.wait(40)


def question(text: str) -> bytes:
    """A query of type A."""
    octets = b"".join(bytes([len(label)]) + label.encode() for label in text.split("."))
    return b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + octets + b"\0\0\1\0\1"


def is_listed(server: Server) -> bool:
    """Whether it answers, and lists the probe."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect(("127.0.0.1", server.port))
        try:
            probe.send(question(server.probe))
            return probe.recv(512)[7] > 0
        except OSError:
            return False


def perf(tested: Serving, queries: Path, seconds: float, *options: str) -> tuple[str, Figures]:
    """What dnsperf prints, and its figures.

    @raise BenchmarkError: it failed.
    """
    before = tested.cpu_seconds()
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(tested.server.port), "-d", str(queries), "-l", f"{seconds:g}"]
    said = run("taskset", "-c", str(CLIENT_CORE), *command, "-c", "4", *options)
    cpu = tested.cpu_seconds() - before
    completed, lost, rate = (
        float(match[1])
        for what in ("completed", "lost", "per second")
        if (match := re.search(rf"Queries {what}: +([0-9.]+)", said)) is not None
    )
    return said, Figures(rate, cpu / max(completed, 1) * 1e6, int(lost))


def medians(runs: Sequence[Figures]) -> Figures:
    """The median of each figure by itself; of lost queries the sum."""
    return Figures(
        statistics.median(each.rate for each in runs),
        statistics.median(each.cpu_us for each in runs),
        sum(each.lost for each in runs),
    )


def p99_ms(tested: Serving, queries: Path, seconds: float, rate: float) -> float:
    """The 99th percentile of what dnsperf waits for an answer at that rate."""
    said, _ = perf(tested, queries, seconds, "-Q", str(int(rate)), "-v")
    waits = sorted(float(line.rsplit(None, 1)[1]) for line in said.splitlines() if line.startswith(("> NOE", "> NXD")))
    return waits[int(len(waits) * 0.99)] * 1000 if waits else float("nan")
