"""What callbacks under way cost: memory, and the delay of other mail.

python -m benchmarks.callbacks [--callbacks 500] [--keep DIRECTORY]; the exchanger takes 5 s for each reply.
It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import zone
from benchmarks.filters import Filter, Running, running, service
from benchmarks.load import load, medians
from benchmarks.milter import machine
from benchmarks.tools import BenchmarkError
from twistedmilter.wire import letters
from twistedmilter.wire.milter_client import MilterClient

SLOWNESS = 5.0  # seconds for each reply of the exchanger
PATIENCE = 60.0  # seconds until all callbacks are under way, or over
ROUNDS, SECONDS = 3, 2  # of other mail, before and meanwhile
TARGET_MIB, TARGET_DELAY = 60.0, 0.10
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


def names(count: int) -> str:
    """A zone of senders without SPF whose exchanger is on loopback, and of the others."""
    lines = [f"slow{number}.example MX 10 slow.example" for number in range(count)]
    return "\n".join([zone.text(), "slow.example A 127.0.0.1", *lines]) + "\n"


@contextmanager
def under_way(path: Path, count: int, exchanger: SlowExchanger) -> Iterator[list[Message]]:
    """That many messages, each of which has a callback under way.

    @raise BenchmarkError: they are not, in time.
    """
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    try:
        messages += [Message(path, number) for number in range(count)]
        while exchanger.connections < count:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"only {exchanger.connections} callbacks were made")
            time.sleep(0.05)
        yield messages
    finally:
        for message in messages:
            message.close()


def measure(tested: Running, values: Path, count: int, exchanger: SlowExchanger) -> None:
    """Other mail alone, then beside callbacks."""
    options = ("-c", "8", "-d", str(SECONDS), "--values", str(values))
    load(tested, "-c", "64", "-k", "3000", "--values", str(values))
    alone = [load(tested, *options) for _ in range(ROUNDS)]
    rest = tested.rss_kib()
    with under_way(tested.filter.socket, count, exchanger) as messages:
        started = time.monotonic()
        grown = (tested.rss_kib() - rest) / 1024
        beside = [load(tested, *options) for _ in range(ROUNDS)]
        most = max(grown, (tested.rss_kib() - rest) / 1024)
        if time.monotonic() - started > 4 * SLOWNESS:
            raise BenchmarkError("the callbacks ended before the other mail did: this machine is too slow")
        verdicts = {message.verdict() for message in messages}
    after = [load(tested, *options) for _ in range(ROUNDS)]
    if verdicts != {letters.CONTINUE}:
        raise BenchmarkError(f"not every sender was found to exist: {sorted(map(chr, verdicts))}")
    before = statistics.median(1 / figures.rate for figures in [*alone, *after])
    delay = statistics.median(1 / figures.rate for figures in beside) / before - 1
    print(f"{count} callbacks in flight, {SLOWNESS:g} s for each reply, 8 connections of other mail beside them")
    print(f"  memory above rest   {most:6.1f} MiB   target {TARGET_MIB:g}: {'met' if most < TARGET_MIB else 'NOT met'}")
    print(f"  delay of other mail {delay:6.1%}       target {TARGET_DELAY:.0%}: {_met(delay < TARGET_DELAY)}")
    for what, runs in (("alone", alone), ("beside callbacks", beside), ("afterwards", after)):
        middle = medians(runs)
        print(
            f"  {what:<17} {middle.rate:8.0f} messages a second, p99 {middle.p99_ms:5.1f} ms, "
            f"{middle.cpu_us:5.0f} us of CPU each"
        )


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def made(directory: Path, count: int, exchanger: SlowExchanger, nameserver: str) -> Filter:
    """The service with callbacks."""
    tested = service(directory, "callbacks", "callbacks", checks=("spf", "callback"), nameserver=nameserver)
    config = directory / "callbacks.toml"
    text = config.read_text("utf-8").replace("[policy]\n", "[policy]\nmessage_budget = 120.0\n")
    config.write_text(text + SETTINGS.format(port=exchanger.port, count=count), "utf-8")
    return tested


def main(arguments: list[str] | None = None) -> int:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callbacks", description=__doc__)
    parser.add_argument("--callbacks", type=int, default=500, metavar="COUNT")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave configurations and logs there")
    options = parser.parse_args(arguments)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(options.keep.resolve())) if options.keep else tempfile.TemporaryDirectory(prefix="bench-")
    print(machine(), flush=True)
    exchanger = SlowExchanger()
    exchanger.start()
    try:
        with place as name:
            directory = Path(name)
            values = directory / "other.values"
            values.write_text(zone.values(), "ascii")
            with (
                zone.nameserver(directory, names(options.callbacks)) as nameserver,
                running(made(directory, options.callbacks, exchanger, nameserver)) as tested,
            ):
                measure(tested, values, options.callbacks, exchanger)
    except BenchmarkError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
