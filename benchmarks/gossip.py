"""What the GOSSiP server costs: questions and verdicts over 32 connections, pipelined, and in process.

python -m benchmarks.gossip [--quick]; the load comes from a process of its own, on loopback.
"""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twisted.internet.protocol import Factory, Protocol

from twistedmilter.gossip import GossipServerFactory
from twistedmilter.gossip_node import INSIDE, Node
from twistedmilter.interfaces.reputation import IObservationStore
from twistedmilter.model.reputation import Identity, Vote
from twistedmilter.reputation.ring import begin
from twistedmilter.reputation.ring import cast as cast_vote
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.sqlite import SQLiteStores
from twistedmilter.tap import quieten_collector
from twistedmilter.wire.gossip import Feedback, Query, encode_feedback, encode_query

IDENTITIES = 1_000  # half of which are known
KNOWN = [Identity(f"known{number}.example", "SPF") for number in range(IDENTITIES // 2)]
NEW = [Identity(f"new{number}.example", "SPF") for number in range(IDENTITIES // 2)]


class NoPeers:
    """Nobody to ask."""

    def __bool__(self) -> bool:
        return False

    async def ask(self, query: Query, *, but: str) -> list[Any]:
        """Nothing."""
        raise NotImplementedError


class Bare(Protocol):
    """Answers each request with the same words, and does nothing else: the floor of the reactor."""

    def connectionMade(self) -> None:
        """As the server does."""
        cast(Any, self.transport).setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """The same words as often as there are requests."""
        cast(Any, self.transport).write(b"PREPEND X-GOSSiP: 00000000000000000001xy,76,26\n\n" * data.count(b"\n\n"))


def fill(store: IObservationStore) -> None:
    """Half of the identities, with some votes each."""
    record = begin(time.time() - 86_400)
    for _ in range(100):
        record = cast_vote(record, Vote.HAM, time.time())
    for identity in KNOWN:
        store.change(identity, lambda _: record)


def serve(store_kind: str) -> None:
    """The server's process: says its port, and at the end of its input what it has used."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - only the server's process has one

    reactor = cast(Any, installed)
    quieten_collector()
    stores: Any
    if store_kind != "sqlite":
        stores = MemoryStores()
    else:
        stores = SQLiteStores(Path(tempfile.mkdtemp()) / "state.db", reactor, time.time)
    stores.open()
    fill(stores.observations)
    factory: Any = Factory.forProtocol(Bare)
    node = Node(stores.observations, NoPeers(), time.time, secrets.token_bytes)
    if store_kind != "bare":
        factory = GossipServerFactory(node, reactor)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)

    class Stdin:
        """Tells what was used so far, for each line; stops at the end."""

        def fileno(self) -> int:
            """Standard input."""
            return 0

        def doRead(self) -> None:
            """A line."""
            os.read(0, 100)
            print(used(), flush=True)

        def connectionLost(self, _reason: object) -> None:
            """Whoever measured is gone."""
            if reactor.running:
                reactor.stop()

        def logPrefix(self) -> str:
            """Our name."""
            return "stdin"

    reactor.addReader(Stdin())
    reactor.run()


def used() -> float:
    """User and system time of this process so far, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Row:
    """One figure.

    @ivar cpu: of the server, for each request. [microseconds]
    @ivar wait: from question to answer, median and 99th percentile. [microseconds]
    """

    what: str
    per_second: float
    cpu: float
    wait: tuple[float, float]

    def __str__(self) -> str:
        """A line of the table."""
        median, worst = self.wait
        per_core = 1e6 / self.cpu if self.cpu else 0.0
        return (
            f"| {self.what:<36} | {self.per_second:>9,.0f} | {self.cpu:>7.1f} | {per_core:>11,.0f} |"
            f" {median:>9.1f} | {worst:>9.1f} |"
        )


HEAD = (
    f"| {'what':<36} | {'a second':>9} | {'CPU us':>7} | {'per core':>11} | {'median us':>9} | {'p99 us':>9} |\n"
    f"|{'-' * 38}|{'-' * 11}|{'-' * 9}|{'-' * 13}|{'-' * 11}|{'-' * 11}|"
)


def requests(feedback: int) -> Iterator[bytes]:
    """Questions with a UMIS each; of a hundred so many are followed by a verdict."""
    number = 0
    while True:
        number += 1
        pool = KNOWN if number % 2 else NEW
        umis = f"{number:020d}xy"
        yield encode_query(Query(pool[number * 7 % len(pool)], 1, umis))
        if number % 100 < feedback:
            yield encode_feedback(Feedback(umis, Vote.SPAM if number % 3 else Vote.HAM))


def load(port: int, connections: int, depth: int, feedback: int, seconds: float) -> tuple[int, list[float]]:
    """So many requests outstanding on each of so many connections.

    @return: answers, and how long each took. [seconds]
    """
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    owed: dict[int, int] = {}
    stream = requests(feedback)
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients[client.fileno()] = client
        owed[client.fileno()] = 0
        poll.register(client.fileno(), select.EPOLLIN)
    waits: list[float] = []
    answers = 0
    clock = time.perf_counter
    for descriptor, client in clients.items():
        sent[descriptor] = clock()
        client.send(b"".join(next(stream) for _ in range(depth)))
    end = clock() + seconds
    while clock() < end:
        for descriptor, _ in poll.poll(1.0):
            client = clients[descriptor]
            data = client.recv(65_536)
            owed[descriptor] += data.count(b"\n\n")
            if owed[descriptor] < depth:
                continue
            owed[descriptor] -= depth
            answers += depth
            now = clock()
            waits.append(now - sent[descriptor])
            sent[descriptor] = now
            client.send(b"".join([next(stream) for _ in range(depth)]))
    for client in clients.values():
        client.close()
    return answers, waits


def measured(what: str, store: str, load_of: tuple[int, int, int], seconds: float) -> Row:
    """One run against a server of its own.

    @param load_of: connections, requests outstanding on each, verdicts in a hundred questions.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gossip", "--serve", store], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    port = int(server.stdout.readline())

    def server_used() -> float:
        cast(Any, server.stdin).write(b"\n")
        cast(Any, server.stdin).flush()
        return float(cast(Any, server.stdout).readline())

    load(port, *load_of, seconds / 5)  # warm
    before, began = server_used(), time.perf_counter()
    answers, waits = load(port, *load_of, seconds)
    spent, took = server_used() - before, time.perf_counter() - began
    server.terminate()
    server.wait(10)
    server.stdin.close()
    server.stdout.close()
    waits.sort()
    wait = (statistics.median(waits) * 1e6, waits[int(len(waits) * 0.99)] * 1e6)
    return Row(what, answers / took, spent / answers * 1e6, wait)


def in_process(what: str, ask: Callable[[int], object], number: int) -> Row:
    """Questions of the service itself."""
    waits = []
    began, spent = time.perf_counter(), used()
    for position in range(number):
        start = time.perf_counter()
        ask(position)
        waits.append(time.perf_counter() - start)
    took, spent = time.perf_counter() - began, used() - spent
    waits.sort()
    wait = (statistics.median(waits) * 1e6, waits[int(len(waits) * 0.99)] * 1e6)
    return Row(what, number / took, spent / number * 1e6, wait)


def asking() -> Callable[[int], object]:
    """Asks a node with a memory of its own, as the milter does."""
    stores = MemoryStores()
    fill(cast(IObservationStore, stores.observations))
    node = Node(cast(IObservationStore, stores.observations), NoPeers(), time.time, secrets.token_bytes)

    def ask(position: int) -> object:
        pool = KNOWN if position % 2 else NEW
        return node.answer(Query(pool[position % len(pool)], 1, node.new_umis()), INSIDE)

    return ask


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a second each")
    parser.add_argument("--serve", choices=["memory", "sqlite", "bare"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    seconds = 1.0 if options.quick else 5.0
    print(HEAD)
    print(in_process("in process", asking(), 50_000))
    print(measured("bare Twisted, 32 connections", "bare", (32, 1, 0), seconds), flush=True)
    for store in ("memory", "sqlite"):
        print(measured(f"{store}, 32 connections", store, (32, 1, 0), seconds), flush=True)
        print(measured(f"{store}, 32, ten at once", store, (32, 10, 0), seconds), flush=True)
        print(measured(f"{store}, 32, 10 % verdicts", store, (32, 1, 10), seconds), flush=True)
    print(measured("sqlite, 1 connection", "sqlite", (1, 1, 0), seconds), flush=True)
    print(measured("sqlite, 1 connection, 10 % verdicts", "sqlite", (1, 1, 10), seconds), flush=True)


if __name__ == "__main__":
    main()
