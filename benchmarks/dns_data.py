"""The data of the DNS benchmark: one set of names, addresses, patterns and queries for all servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

NAMES_ZONE = "rhsbl.example.net"
ADDRESSES_ZONE = "ipbl.example.net"
TLDS = ("com", "net", "org", "info", "biz")
REPEATED = 20_000  # different queries where queries repeat


@dataclass(frozen=True)
class Data:
    """How much of everything, and where it is.

    @ivar directory: holds C{names} (rbldnsd's dnset), C{addresses} (ip4set), C{patterns} (ours), C{queries}, each of
        which comes once, and C{repeated}, where a few come again and again.
    """

    directory: Path
    names: int = 200_000
    addresses: int = 50_000
    patterns: int = 1_000

    def path(self, name: str) -> Path:
        """One of the files."""
        return self.directory / name


def name(number: int) -> str:
    """A listed domain."""
    return f"d{number * 7919 % 1_000_003:x}-{number:x}.{TLDS[number % 5]}"


def address(number: int) -> str:
    """A listed address."""
    mixed = number * 2_654_435_761 % 2**24
    return f"10.{mixed >> 16}.{mixed >> 8 & 255}.{mixed & 255}"


def patterns(count: int) -> Iterator[str]:
    """Patterns of all kinds, none of which matches a name that is asked for."""
    for number in range(count):
        yield (
            f"serial:zz{number}q{{1000-1999}}.com",
            f"glob:cheap-{number}-*.biz",
            f"regex:pill{number}[a-z]+\\d{{3,5}}\\.(com|net)",
        )[number % 3]


def write(data: Data, seed: int = 20_261_124) -> None:
    """Write all files; half of the queries hit, a fifth of them are addresses."""
    random = Random(seed)
    data.directory.mkdir(exist_ok=True)
    listed = [name(number) for number in range(data.names)]
    addresses = [address(number) for number in range(data.addresses)]
    data.path("names").write_text(":127.0.0.2:Listed $\n" + "".join(f"{each}\n" for each in listed))
    data.path("addresses").write_text(":127.0.0.2:Listed $\n" + "".join(f"{each}\n" for each in addresses))
    data.path("patterns").write_text("".join(f"{each}\n" for each in patterns(data.patterns)))
    queries = [f"{each}.{NAMES_ZONE}" for each in listed]
    queries += [f"{'.'.join(reversed(each.split('.')))}.{ADDRESSES_ZONE}" for each in addresses]
    queries += [f"good{number * 7919 % 1_000_003:x}.{TLDS[number % 5]}.{NAMES_ZONE}" for number in range(data.names)]
    queries += [
        f"{number & 255}.{number >> 8 & 255}.{number >> 16}.11.{ADDRESSES_ZONE}" for number in range(data.addresses)
    ]
    random.shuffle(queries)
    data.path("queries").write_text("".join(f"{each} A\n" for each in queries))
    repeated = [random.choice(queries[:REPEATED]) for _ in range(100_000)]
    data.path("repeated").write_text("".join(f"{each} A\n" for each in repeated))
