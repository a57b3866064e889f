"""What callbacks under way cost: memory, and the delay of other mail.

python -m benchmarks.callbacks [--quick] [--json] [--keep DIRECTORY]; the exchanger takes 5 s for each reply.
It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import zone
from benchmarks.command import run
from benchmarks.figures import Part, Target
from benchmarks.filters import Filter, Running, running, service
from benchmarks.load import Figures, load, medians
from benchmarks.parts import Effort
from benchmarks.tools import BenchmarkError
from twistedmilter.wire import letters
from twistedmilter.wire.milter_client import MilterClient

COUNT = 500  # callbacks
SLOWNESS = 5.0  # seconds for each reply of the exchanger
PATIENCE = 60.0  # seconds until all callbacks are under way, or over
CALLBACKS = f"{COUNT} callbacks in flight"
_ENDS = frozenset({letters.CONTINUE, letters.ACCEPT, letters.REJECT, letters.TEMPFAIL, letters.REPLY_CODE})
SETTINGS = """
[spf.policy]
none = "CBV"
[callback]
mode = "enforce"
port = {port}
permit_private = true
connections = {count}
per_address = {count}
waiting = {count}
total_timeout = 100.0
"""


@dataclass
class SlowExchanger:
    """An exchanger that knows every mailbox and takes its time; runs in a thread.

    @ivar connections: how many there were.
    """

    port: int = 0
    connections: int = 0
    _ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True).start()
        self._ready.wait()

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2_000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        reply = b"220 slow.example ESMTP\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(SLOWNESS)
                writer.write(reply)
                if not await reader.readline():
                    break
                reply = b"250 ok\r\n"
        writer.close()


class Message:
    """One message of a sender that is to be asked about; waits at its end."""

    def __init__(self, path: Path, number: int) -> None:
        """Say all but the end of it."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._milter = milter = MilterClient()
        domain = f"slow{number}.example"
        self._ask(milter.negotiate())
        self._tell(milter.macros(letters.CONNECT, {"j": "mail.example.net"}))
        self._ask(milter.connect(f"[192.0.2.{number % 250}]", "4", 1025, f"192.0.2.{number % 250}"))
        self._ask(milter.helo(f"mx.{domain}"))
        self._ask(milter.mail(f"<user@{domain}>"))
        self._ask(milter.rcpt("<bob@example.net>"))
        self._ask(milter.data())
        self._ask(milter.header(b"Subject", b" a message"))
        self._ask(milter.end_of_headers())
        self._ask(milter.body(b"Nothing special.\r\n"))
        self._tell(milter.end_of_message())

    def verdict(self) -> int:
        """The letter that ends it; what comes before is progress and changes."""
        while (letter := self._read()) not in _ENDS:
            continue
        return letter

    def close(self) -> None:
        """Go."""
        self._socket.close()

    def _tell(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def _ask(self, octets: bytes) -> None:
        self._tell(octets)
        if self._milter.replies_owed:
            self._read()

    def _read(self) -> int:
        while (reply := self._milter.next_reply()) is None:
            octets = self._socket.recv(65_536)
            if not octets:
                raise BenchmarkError("the service closed a session")
            self._milter.receive_data(octets)
        return reply.letter


def names() -> str:
    """A zone of senders without SPF whose exchanger is on loopback, and of the others."""
    lines = [f"slow{number}.example MX 10 slow.example" for number in range(COUNT)]
    return "\n".join([zone.text(), "slow.example A 127.0.0.1", *lines]) + "\n"


@contextmanager
def under_way(path: Path, exchanger: SlowExchanger) -> Iterator[list[Message]]:
    """That many messages, each of which has a callback under way.

    @raise BenchmarkError: they are not, in time.
    """
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    try:
        messages += [Message(path, number) for number in range(COUNT)]
        while exchanger.connections < COUNT:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"only {exchanger.connections} callbacks were made")
            time.sleep(0.05)
        yield messages
    finally:
        for message in messages:
            message.close()


@dataclass(frozen=True)
class Measured:
    """What was measured around callbacks and beside them.

    @ivar mib: memory above rest while they were under way.
    """

    alone: list[Figures]
    beside: list[Figures]
    after: list[Figures]
    mib: float

    @property
    def delay(self) -> float:
        """By how much longer other mail takes beside callbacks, in percent of what it takes without them."""
        before = statistics.median(1 / figures.rate for figures in [*self.alone, *self.after])
        return 100 * (statistics.median(1 / figures.rate for figures in self.beside) / before - 1)


def measure(tested: Running, values: Path, effort: Effort, exchanger: SlowExchanger) -> Measured:
    """Other mail alone, beside callbacks, and alone again.

    @raise BenchmarkError: the callbacks did not stay under way, or did not find that every sender exists.
    """

    def others() -> list[Figures]:
        options = ("-c", "8", "-d", str(effort.seconds), "--values", str(values))
        return [load(tested, *options) for _ in range(effort.rounds)]

    load(tested, "-c", "64", "-k", "3000", "--values", str(values))
    alone, rest = others(), tested.rss_kib()
    with under_way(tested.filter.socket, exchanger) as messages:
        started = time.monotonic()
        grown = tested.rss_kib() - rest
        beside = others()
        grown = max(grown, tested.rss_kib() - rest)
        if time.monotonic() - started > 4 * SLOWNESS:
            raise BenchmarkError("the callbacks ended before the other mail did: this machine is too slow")
        verdicts = {message.verdict() for message in messages}
    if verdicts != {letters.CONTINUE}:
        raise BenchmarkError(f"not every sender was found to exist: {sorted(map(chr, verdicts))}")
    return Measured(alone, beside, others(), grown / 1024)


def in_flight(directory: Path, effort: Effort) -> Part:
    """What callbacks under way hold, and what other mail notices of them."""
    exchanger = SlowExchanger()
    exchanger.start()
    values = directory / "other.values"
    values.write_text(zone.values(), "ascii")
    with (
        zone.nameserver(directory, names()) as nameserver,
        running(made(directory, exchanger, nameserver)) as tested,
    ):
        measured = measure(tested, values, effort, exchanger)
    part = Part(f"{CALLBACKS}, {SLOWNESS:g} s for each reply", ("other mail", "messages/s", "p99 ms", "CPU us/message"))
    runs = {"alone": measured.alone, "beside callbacks": measured.beside, "afterwards": measured.after}
    for what, middle in ((what, medians(each)) for what, each in runs.items()):
        part.rows.append((what, middle.rate, middle.p99_ms, middle.cpu_us))
    part.targets += [
        Target(f"{CALLBACKS}: memory above rest", measured.mib, 60.0, "MiB"),
        Target(f"{CALLBACKS}: delay of other mail", measured.delay, 10.0, "%"),
    ]
    part.notes.append("other mail comes over 8 connections")
    return part


def made(directory: Path, exchanger: SlowExchanger, nameserver: str) -> Filter:
    """The service with callbacks."""
    tested = service(directory, "callbacks", "callbacks", checks=("spf", "callback"), nameserver=nameserver)
    config = directory / "callbacks.toml"
    text = config.read_text("utf-8").replace("[policy]\n", "[policy]\nmessage_budget = 120.0\n")
    config.write_text(text + SETTINGS.format(port=exchanger.port, count=COUNT), "utf-8")
    return tested


if __name__ == "__main__":
    sys.exit(run("benchmarks.callbacks", {"callbacks": in_flight}))
