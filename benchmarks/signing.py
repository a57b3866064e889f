"""What signed senders cost: in process, and by socketmap, next to postsrsd in the same run.

python -m benchmarks.signing [--quick]
"""

from __future__ import annotations

import argparse
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Part, Target
from tests.integration.daemon import ROOT
from tests.integration.forwarding import PostSRSd
from tests.integration.sandbox import end, wait_for_port
from tests.integration.test_callbacks import free_port
from twistedmilter.signing.keys import KeyRing
from twistedmilter.signing.ses import SES
from twistedmilter.signing.srs import SRS
from twistedmilter.signing.srs_hash import SRSHash
from twistedmilter.wire.socketmap import encode_request
from twistedmilter.wire.tcp_table import encode_get

LOOPBACK = "127.0.0.1"
NOW = 1_764_000_000.0
SENDERS = 1_000
CONNECTIONS = 64
PACE = 5_000  # lookups a second of all connections together, for the latency
CONFIG = """
[server]
state_dir = "state"
[milter]
listen = []
[control]
listen = "off"
[log]
to = "./log"
[srs]
secret_file = "srs.secret"
forward_domain = "fwd.example"
[socketmap]
listen = ["inet:{port}@127.0.0.1", {{address = "inet:{table}@127.0.0.1", protocol = "tcp_table"}}]
"""


@dataclass(frozen=True)
class Peer:
    """A server that is asked.

    @ivar requests: on the wire. @ivar end: with what a reply ends.
    """

    name: str
    port: int
    requests: tuple[bytes, ...]
    end: bytes


def in_process(seconds: float) -> Part:
    """Forward and reverse, by themselves."""
    senders = [f"user{number}@orig{number % 97}.example" for number in range(SENDERS)]
    srs = SRS(hash=SRSHash(keys=KeyRing.of(b"0123456789abcdef" * 2)))
    ses = SES(keys=KeyRing.of(b"0123456789abcdef" * 2))
    rewritten = [srs.forward(sender, "fwd.example", NOW) for sender in senders]
    signed = [ses.sign(sender, number + 1, NOW) for number, sender in enumerate(senders)]
    part = Part("In process, one core", ("what", "a second"))
    for what, call, addresses, target in (
        ("SRS0 forward", lambda sender: srs.forward(sender, "fwd.example", NOW), senders, 50_000),
        ("SRS0 reverse", lambda address: srs.reverse(address, NOW), rewritten, 30_000),
        ("SES sign", lambda sender: ses.sign(sender, 1, NOW), senders, None),
        ("SES verify", lambda address: ses.verify(address, NOW), signed, None),
    ):
        rate = _rate(call, addresses, seconds)
        part.rows.append((what, rate))
        if target is not None:
            part.targets.append(Target(what, rate, target, "/s", at_most=False))
    return part


def _rate(call: Callable[[str], object], addresses: list[str], seconds: float) -> float:
    """Calls for each second of CPU, the median of three runs."""
    rates = []
    for _ in range(3):
        count, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < seconds / 3:
            for address in addresses:
                call(address)
            count += len(addresses)
        rates.append(count / spent)
    return statistics.median(rates)


def by_socket(directory: Path, seconds: float) -> Part:
    """Lookups on one connection, each after the reply to the one before; then on many, at a pace."""
    part = Part(
        "By TCP on loopback", ("server", "1 connection /s", f"{CONNECTIONS} connections /s", "p50 ms", "p99 ms")
    )
    senders = [f"user{number}@orig{number % 97}.example".encode() for number in range(SENDERS)]
    lines = tuple(map(encode_get, senders))
    strings = tuple(encode_request(b"forward", sender) for sender in senders)
    with ExitStack() as running:
        ours, table = running.enter_context(_service(directory))
        peers = [Peer("ours, socketmap", ours, strings, b","), Peer("ours, tcp_table", table, lines, b"\n")]
        if problem := PostSRSd.lacking():
            part.notes.append(problem)
        else:
            forward = free_port()
            postsrsd = PostSRSd(directory / "postsrsd", "fwd.example", forward, free_port())
            running.callback(postsrsd.stop)
            peers.append(Peer("postsrsd, tcp_table", forward, lines, b"\n"))
        for peer in peers:
            single, many = _one_after_the_other(peer, seconds), _paced(peer, seconds)
            p50, p99 = (statistics.quantiles(many, n=100)[at] * 1_000 for at in (49, 98))
            part.rows.append((peer.name, single, len(many) / seconds, p50, p99))
            if peer.name == "ours, socketmap":
                part.targets += [
                    Target("socketmap, one connection", single, 10_000, "/s", at_most=False),
                    Target(f"socketmap, p99 at {CONNECTIONS} connections and {PACE:,}/s", p99, 2.0, "ms"),
                ]
    return part


@contextmanager
def _service(directory: Path) -> Iterator[tuple[int, int]]:
    """Our service as a user starts it, and its two ports."""
    ports = free_port(), free_port()
    config, log = directory / "twistedmilter.toml", directory / "output"
    config.write_text(CONFIG.format(port=ports[0], table=ports[1]))
    secret = directory / "srs.secret"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    command = [
        str(Path(sys.executable).parent / "twistd"),
        "-n",
        "--pidfile=",
        "twistedmilter",
        "--config",
        str(config),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        wait_for_port(LOOPBACK, ports[1], process, log)
        yield ports
    finally:
        end(process, 15)


def _connect(peer: Peer) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, peer.port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _one_after_the_other(peer: Peer, seconds: float) -> float:
    """Lookups a second on one connection."""
    count, finish = 0, time.monotonic() + seconds
    with _connect(peer) as connection:
        while time.monotonic() < finish:
            for request in peer.requests[:100]:
                connection.sendall(request)
                _check(peer, connection.recv(4_096))
            count += 100
    return count / seconds


def _paced(peer: Peer, seconds: float) -> list[float]:
    """The time that each lookup took, in seconds: on many connections in turn, each at its appointed time."""
    took: list[float] = []
    with ExitStack() as open_ones, selectors.DefaultSelector() as selector:
        idle = [open_ones.enter_context(_connect(peer)) for _ in range(CONNECTIONS)]
        asked: dict[int, float] = {}
        for connection in idle:
            selector.register(connection, selectors.EVENT_READ)
        begin = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < begin + seconds:
            while idle and sent < (now - begin) * PACE:
                connection = idle.pop(0)
                asked[connection.fileno()] = begin + sent / PACE
                connection.sendall(peer.requests[sent % SENDERS])
                sent += 1
            for key, _events in selector.select(0.0002):
                assert isinstance(key.fileobj, socket.socket)
                _check(peer, key.fileobj.recv(4_096))
                took.append(time.monotonic() - asked.pop(key.fileobj.fileno()))
                idle.append(key.fileobj)
    return took


def _check(peer: Peer, reply: bytes) -> None:
    """A benchmark of wrong replies measures nothing."""
    if b"SRS0=" not in reply or not reply.endswith(peer.end):
        raise SystemExit(f"{peer.name}: an unexpected reply {reply!r:.200}")


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough idea, in a few seconds")
    seconds = 1.0 if parser.parse_args().quick else 4.0
    directory = Path(tempfile.mkdtemp(prefix="twistedmilter-signing-"))
    try:
        for part in (in_process(seconds), by_socket(directory, seconds)):
            print(part.as_text())
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
