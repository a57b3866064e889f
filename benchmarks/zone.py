"""Names for the SPF part: sender domains with usual policies, and who sends for them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tools import ROOT, BenchmarkError

DOMAINS = 200
DESCRIPTION = "half with ip4 alone, a quarter with a and mx, a quarter with an include of two ranges"
CLIENT = "198.51.100.{}"


def _records(number: int) -> list[str]:
    name, helo = f"sender{number}.example", f"mx.sender{number}.example"
    address = CLIENT.format(number)
    lines = [f"{helo} A {address}", f'{helo} TXT "v=spf1 a ~all"', f"{_reverse(number)} PTR {helo}"]
    if number % 4 < 2:
        return [*lines, f'{name} TXT "v=spf1 ip4:198.51.100.0/24 -all"']
    if number % 4 == 2:
        return [*lines, f'{name} TXT "v=spf1 a mx ~all"', f"{name} A 192.0.2.1", f"{name} MX 10 {helo}"]
    return [*lines, f'{name} TXT "v=spf1 include:_spf.provider.example ~all"']


def _reverse(number: int) -> str:
    return ".".join(reversed(CLIENT.format(number).split("."))) + ".in-addr.arpa"


def text() -> str:
    """The zone, as L{tests.zonetext} reads it."""
    provider = '_spf.provider.example TXT "v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/24 -all"'
    return "\n".join([provider, *(line for number in range(DOMAINS) for line in _records(number))]) + "\n"


def values() -> str:
    """Senders for the load generator, C{IP HELO SENDER RCPT} a line; each domain sends from one address."""
    chance = random.Random(1)
    return "".join(_line(chance, number, number) for number in range(DOMAINS))


def strangers() -> str:
    """The same, but of so many addresses for each domain that hardly any two messages are alike."""
    chance = random.Random(2)
    pairs = [(address, number) for address in range(256) for number in range(DOMAINS)]
    return "".join(_line(chance, address, number) for address, number in chance.sample(pairs, len(pairs)))


def _line(chance: random.Random, address: int, number: int) -> str:
    sender, recipient = (chance.randrange(1000) for _ in range(2))
    return (
        f"{CLIENT.format(address)} mx.sender{number}.example "
        f"user{sender}@sender{number}.example rcpt{recipient}@example.net\n"
    )


@contextmanager
def nameserver(directory: Path, lines: str = "") -> Iterator[str]:
    """A name server on loopback; its C{address:port}.

    @param lines: its zone, if not this one.

    @raise BenchmarkError: it does not start.
    """
    path = directory / "spf.zone"
    path.write_text(lines or text(), "ascii")
    command = [sys.executable, "-m", "tests.nameserver", str(path), "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said.startswith("listening on "):
                raise BenchmarkError("the name server for the benchmark does not start")
            yield said.removeprefix("listening on ").strip()
        finally:
            process.terminate()
