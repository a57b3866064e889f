"""Three services on one machine, each with the other two and three bad ones as peers (gossip spec 1.8, P3 to P6)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.sandbox import end, wait_for_port

ROOT = Path(__file__).parents[2]
SPAMMER, KNOWN = "spammer.example", "known.example"
VOTES = 400  # so many that a node is certain of what it has seen itself
PAUSE = 0.01  # seconds between them: who was active for a moment only is not known well


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Bad:
    """A peer that answers each of its clients in its own way.

    @param act: is given a connection, and stays until it is closed.
    """

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._guard, args=(client,), daemon=True).start()

    def _guard(self, client: socket.socket) -> None:
        with client:
            try:
                self._act(client)
            except OSError:
                return

    def close(self) -> None:
        """Take no more."""
        self._server.close()


def lie(client: socket.socket) -> None:
    """All are as good as can be."""
    for line in client.makefile("rb"):
        if line.strip():
            umis = line.decode().strip().split(":")[4]
            client.sendall(f"PREPEND X-GOSSiP: {umis},99999,99999\n\n".encode())


def hang(client: socket.socket) -> None:
    """Read, and say nothing."""
    while client.recv(4_096):
        pass


def flood(client: socket.socket) -> None:
    """Say what nobody asked for, until it is stopped."""
    while True:
        client.sendall(b"PREPEND X-GOSSiP: x,100,100\n\n" * 1_000)


class Client:
    """An unmodified client of the reference: a line and an empty line, and then it waits."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._file = self._socket.makefile("rb")
        self._count = 0

    def say(self, line: str) -> str:
        """The answer to a line."""
        self._socket.sendall(line.encode() + b"\n\n")
        answer = self._file.readline() + self._file.readline()
        return answer.decode().strip()

    def ask(self, name: str, ttl: int = 1) -> tuple[str, int, int]:
        """Action, reputation and confidence."""
        self._count += 1
        answer = self.say(f"Q:{name}:SPF:{ttl}:{id(self)}x{self._count}")
        action, _, values = answer.split(" ")
        _, reputation, confidence = values.split(",")
        return action, int(reputation), int(confidence)

    def report(self, name: str) -> None:
        """A message was spam."""
        self.ask(name, 0)
        self.say(f"F:{id(self)}x{self._count}:1")

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


class ThreeServicesTests(SynchronousTestCase):
    """Real processes."""

    def setUp(self) -> None:
        """Start them."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.ports = free_ports(3)
        bad = [Bad(lie), Bad(hang), Bad(flood)]
        for each in bad:
            self.addCleanup(each.close)
        self.bad = [each.port for each in bad]
        self.processes = [self.start(position) for position in range(3)]
        for port, process in zip(self.ports, self.processes, strict=True):
            wait_for_port("127.0.0.1", port, process, self.directory / "output")

    def start(self, position: int) -> subprocess.Popen[bytes]:
        """One service, whose peers are all others."""
        home = self.directory / f"node{position}"
        home.mkdir()
        others = [port for port in self.ports if port != self.ports[position]] + self.bad
        peers = ", ".join(f'"127.0.0.1:{port}"' for port in others)
        (home / "c.toml").write_text(
            f'[milter]\nlisten = ["unix:m"]\n[dns]\nlisten = []\n[server]\nstate_dir = "state"\n'
            f'[log]\nto = "./log"\n[gossip]\nlisten = ["127.0.0.1:{self.ports[position]}"]\n'
            f"peers = [{peers}]\n"
        )
        with (self.directory / "output").open("ab") as output:
            process = subprocess.Popen(
                [
                    Path(sys.executable).parent / "twistd",
                    "-n",
                    "--pidfile=",
                    "twistedmilter",
                    "--config",
                    home / "c.toml",
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )
        self.addCleanup(end, process, 15)
        return process

    def test_they_agree_on_a_spammer(self) -> None:
        """Two have seen it, the third has not; one peer lies, one hangs, one floods."""
        first, second, third = (Client(port) for port in self.ports)
        for client in (first, second, third):
            self.addCleanup(client.close)
        for _ in range(VOTES):
            first.report(SPAMMER)
            second.report(SPAMMER)
            third.report(KNOWN)  # by which it will find out who lies
            time.sleep(PAUSE)
        for client in (first, second):
            action, reputation, _ = client.ask(SPAMMER)
            self.assertEqual(action, "REJECT")
            self.assertLess(reputation, -20)
        self.assertEqual(third.ask(SPAMMER, 0), ("PREPEND", 0, 0))
        for _ in range(6):
            self.assertEqual(third.ask(KNOWN)[0], "REJECT")  # it is certain, whatever the liar says
        start = time.monotonic()
        action, reputation, confidence = third.ask(SPAMMER)
        self.assertLess(time.monotonic() - start, 0.6)
        self.assertEqual(action, "REJECT")
        self.assertLess(reputation, -50)
        self.assertGreater(confidence, 1)
        for process in self.processes:
            self.assertIsNone(process.poll())
