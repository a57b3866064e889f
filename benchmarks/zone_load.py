"""How long a zone takes to load, how much memory it has then, and what a search costs.

python -m benchmarks.zone_load [names|suffixes|globs|regexes|addresses] [HOW MANY]
"""

from __future__ import annotations

import random
import resource
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from tempfile import TemporaryFile

from twisted.internet import reactor

from twistedmilter.blocklist.loading import Loaded, Source, lines_of, load_zone
from twistedmilter.blocklist.zone import ZoneKind

SEED = 3
SEARCHES = 20_000
Draw = Callable[[random.Random], str]


def word(chance: random.Random, shortest: int = 5, longest: int = 14) -> str:
    """Some letters."""
    return "".join(chance.choices(string.ascii_lowercase, k=chance.randint(shortest, longest)))


def name(chance: random.Random) -> str:
    """A domain."""
    return f"{word(chance)}.{chance.choice(('com', 'net', 'org', 'info'))}"


def regex(chance: random.Random) -> str:
    """A regular expression with a literal beginning."""
    tail = chance.choice((r"\d{3,4}\.(com|net)", r"[0-9a-f]+-mail\.info", r"[a-z]?\d\.xyz"))
    return f"regex:{word(chance, 5, 6)}{tail}"


LINES: Mapping[str, Draw] = {
    "names": name,
    "suffixes": lambda chance: f".{name(chance)} :3:reason {chance.randint(0, 50)} $",
    "globs": lambda chance: f"glob:{word(chance, 4, 7)}{chance.choice(('*', '?', '[0-9][0-9]'))}.com",
    "regexes": regex,
    "addresses": lambda chance: ".".join(str(chance.randint(1, 223)) for _ in range(4)),
}


def main() -> None:
    """Load one zone, a step at a time, and ask it."""
    what = sys.argv[1] if len(sys.argv) > 1 else "names"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    kind = ZoneKind.IPBL if what == "addresses" else ZoneKind.RHSBL
    before = memory()
    with TemporaryFile() as stream:
        stream.writelines(line + b"\n" for line in lines(what, count))
        stream.seek(0)
        loaded, seconds, longest = timed_load(Source(what, lines_of(stream)), kind)
    print(f"{count} {what}: loaded in {seconds:.2f} s of CPU time, longest step {longest * 1e3:.1f} ms")
    print(f"memory at most {memory():.0f} MiB, before {before:.0f} MiB; {type(reactor).__name__}")
    print(f"a search that finds nothing takes {search(loaded) * 1e6:.2f} us")


def lines(what: str, count: int) -> Iterator[bytes]:
    """A zone file, line by line; the same one each time."""
    chance = random.Random(SEED)
    yield b":127.0.0.2:Listed $"
    for _ in range(count):
        yield LINES[what](chance).encode()


def timed_load(source: Source, kind: ZoneKind) -> tuple[Loaded, float, float]:
    """The zone, the CPU time that it took, and that of the longest step, in seconds."""
    loading = load_zone((), kind, [source], time.time)
    begun, longest = time.thread_time(), 0.0
    while True:
        step = time.thread_time()
        try:
            next(loading)
        except StopIteration as end:
            return end.value, time.thread_time() - begun, longest
        longest = max(longest, time.thread_time() - step)


def search(loaded: Loaded) -> float:
    """CPU time of one search, when the automata of the patterns have been built, in seconds."""
    chance = random.Random(SEED + 1)
    asked = [(f"{word(chance, 5, 12)}{chance.randint(1, 999)}".encode(), b"com") for _ in range(SEARCHES)]
    for _ in range(2):
        begun = time.thread_time()
        for labels in asked:
            loaded.zone.find(labels)
        taken = time.thread_time() - begun
    return taken / SEARCHES


def memory() -> float:
    """The most that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
