"""The filters under test as processes: started as a user would, stopped with SIGTERM."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tools import HERE, ROOT, BenchmarkError
from twistedmilter.model.settings import PolicySettings

START_LIMIT = 20.0  # seconds
STOP_LIMIT = 40.0  # seconds; longer than the service's own grace


@dataclass(frozen=True)
class Filter:
    """One filter under test.

    @ivar name: as the table shows it. @ivar command: starts it in the foreground.
    @ivar socket: the unix socket that it listens on.
    """

    name: str
    command: tuple[str, ...]
    socket: Path


@dataclass(frozen=True)
class Running:
    """A filter that listens.

    @ivar seconds: from start to listening.
    """

    filter: Filter
    pid: int
    seconds: float

    @property
    def address(self) -> str:
        """Where it listens, in sendmail's words."""
        return f"unix:{self.filter.socket}"

    def rss_kib(self) -> int:
        """Resident memory now, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0])


class Bytecode:
    """A cache of bytecode for what is started with C{environment}, whatever this process was told of bytecode."""

    def __init__(self, directory: Path) -> None:
        self._cache = directory
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environment: Mapping[str, str] = {**inherited, "PYTHONPYCACHEPREFIX": str(directory)}

    def forget_ours(self) -> None:
        """As after an installation: pip compiles other packages, but not a checkout."""
        ours = (ROOT / "twistedmilter", ROOT / "twisted" / "plugins")
        for path in ours:
            shutil.rmtree(self._cache / path.relative_to("/"), ignore_errors=True)


@contextmanager
def running(tested: Filter, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A filter from listening to its end.

    @param environment: None for that of this process.
    @raise BenchmarkError: it does not listen in time; with what it said.
    """
    said = tested.socket.with_suffix(".out")
    with said.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            tested.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _listens(tested.socket):
                if process.poll() is not None or time.monotonic() - started > START_LIMIT:
                    raise BenchmarkError(f"{tested.name} does not listen:\n{said.read_text(errors='replace')[-2000:]}")
                time.sleep(0.002)
            yield Running(tested, process.pid, time.monotonic() - started)
        finally:
            _stop(process)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


LOCAL_CHECKS = ("trusted_client", "helo", "own_domain", "infected_client")  # the stock chain without DNS
STOCK_CHECKS = tuple(PolicySettings().checks)
CONFIG = """\
[server]
state_dir = "{directory}/{name}.state"
[milter]
listen = ["unix:{directory}/{name}.sock"]
max_connections = {max_connections}
[networks]
internal_domains = ["example.net", "example.org"]
[resolver]
nameservers = [{nameserver}]
[policy]
checks = [{checks}]
[store]
decision_days = {decision_days}
[log]
format = "{log}"
to = "{to}"
"""


def service(
    directory: Path,
    name: str,
    label: str,
    *,
    checks: tuple[str, ...] = (),
    log: str = "json",
    log_to: Path | None = None,
    nameserver: str = "127.0.0.1:9",
    max_connections: int = 2_000,
    decision_days: float = 0,
) -> Filter:
    """The service of this checkout with a configuration of its own.

    @param name: of its files in C{directory}. @param label: as the table shows it.
    @param log_to: a file; by default one in C{directory}.
    @param decision_days: how long the store keeps records; 0: they are in the log alone.
    """
    config = directory / f"{name}.toml"
    config.write_text(
        CONFIG.format(
            directory=directory,
            name=name,
            checks=", ".join(f'"{check}"' for check in checks),
            nameserver=f'"{nameserver}"',
            max_connections=max_connections,
            decision_days=decision_days,
            log=log,
            to=log_to or directory / f"{name}.log",
        ),
        "utf-8",
    )
    twistd = Path(sys.executable).with_name("twistd")
    command = (str(twistd), "-n", "--pidfile=", "twistedmilter", "--config", str(config))
    return Filter(label, command, directory / f"{name}.sock")


def pymilter(directory: Path, python: Path, how: str) -> Filter:
    """The peer.

    @param how: C{every} or C{no-reply}.
    """
    path = directory / f"pymilter-{how}.sock"
    label = "pymilter, every callback answered" if how == "every" else "pymilter, no-reply negotiated"
    # -P: the directory of this file must not be searched, its milter.py is not pymilter's
    return Filter(label, (str(python), "-P", str(HERE / "peer_pymilter.py"), how, f"unix:{path}"), path)


def bare_twisted(directory: Path) -> Filter:
    """The floor: what Twisted costs when nothing is parsed, judged or recorded."""
    path = directory / "bare.sock"
    return Filter("bare Twisted, nothing done", (sys.executable, str(HERE / "peer_twisted.py"), str(path)), path)
