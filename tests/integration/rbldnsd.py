"""A real rbldnsd on a loopback port, over data files of a test, and what it answers."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
STARTED = 10.0  # seconds to wait for it


def lacking() -> str:
    """Why no rbldnsd can be started here; empty if one can."""
    return "" if shutil.which("rbldnsd", path=PATH) else "rbldnsd is not installed: see tools/debian.sh test"


class Rbldnsd:
    """A running rbldnsd.

    @ivar port: on 127.0.0.1.
    """

    def __init__(self, zones: Mapping[str, tuple[str, str]]) -> None:
        """Start it.

        @param zones: by name the type of the data and the text of their file.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="rbldnsd-"))
        self._directory.chmod(0o755)
        arguments = []
        for zone, (kind, text) in zones.items():
            (self._directory / zone).write_text(text)
            arguments.append(f"{zone}:{kind}:{zone}")
        self.port = _free_port()
        # it does not run as root; whoever starts it otherwise stays who they are
        user = ["-u", "nobody"] if os.geteuid() == 0 else ["-u", pwd.getpwuid(os.geteuid()).pw_name]
        command = [shutil.which("rbldnsd", path=PATH) or "rbldnsd", "-n", *user, "-b", f"127.0.0.1/{self.port}"]
        self._process = subprocess.Popen(
            [*command, "-c", "0", "-t", "300", "-w", str(self._directory), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_start(next(iter(zones)))

    def answer(self, name: str) -> tuple[list[str], list[bytes], int]:
        """The addresses, the texts and the TTL that it answers for a name; nothing: it is not listed."""
        addresses, texts, ttl = [], [], 0
        for rrset in (*self._ask(name, "A").answer, *self._ask(name, "TXT").answer):
            ttl = rrset.ttl
            for record in rrset:
                if isinstance(record, A):
                    addresses.append(record.address)
                elif isinstance(record, TXT):
                    texts.append(b"".join(record.strings))
        return sorted(addresses), texts, ttl

    def stop(self) -> None:
        """End it and remove its files."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._directory)

    def _ask(self, name: str, rdtype: str) -> dns.message.Message:
        return dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.1", timeout=5, port=self.port)

    def _await_start(self, zone: str) -> None:
        ends = time.monotonic() + STARTED
        query = dns.message.make_query(f"anything.{zone}", "A")
        while True:
            try:
                dns.query.udp(query, "127.0.0.1", timeout=0.2, port=self.port)
            except (dns.exception.Timeout, OSError):
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise
            else:
                return


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
