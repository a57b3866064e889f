"""A loaded zone as plain rules that other servers know: names, wildcards and networks, each with its answer.

Name servers let a wildcard end where a name below it exists, and know no patterns; so what a wildcard of ours covers
beyond such names is written out, families are counted out, and what cannot be written is told.

@see: RFC 4592 section 3.3.1 (closest encloser).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.listing import Rule, Values
from twistedmilter.blocklist.loading import Loaded
from twistedmilter.blocklist.names import NameTable
from twistedmilter.blocklist.networks import Network
from twistedmilter.blocklist.ranges import networks_of
from twistedmilter.blocklist.serials import members

MAX_FAMILY: Final = 10_000  # names that one family is counted out to


class WrittenName(Struct, frozen=True, gc=False):
    """One name as others list it.

    @ivar below: everything below it is meant, not the name itself.
    @ivar values: None: it is not listed, and stands here because something wider would list it.
    """

    name: bytes
    below: bool
    values: Values | None
    rule: Rule | None


class WrittenNetwork(Struct, frozen=True, gc=False):
    """One network as others list it."""

    network: Network
    values: Values
    rule: Rule


def written_names(loaded: Loaded) -> Iterator[WrittenName]:
    """All names, from the top of the tree down."""
    listed, excluded = loaded.listed.names, loaded.excluded.names
    nodes = {*listed.names(), *excluded.names()} | {name for name, _ in _counted(loaded)}
    families = dict(_counted(loaded))
    for name in sorted(nodes, key=lambda name: name.split(b".")[::-1]):
        labels = tuple(name.split(b"."))
        own = _own(loaded, listed, labels, name)
        if own is None:
            own = families.get(name)
        inherited = listed.nearest_below(labels)
        if _is_excluded(loaded, labels, name):
            own = None
        yield from _one(loaded, name, own, below=False, wider=inherited is not None)
        yield from _below(loaded, name, labels, inherited)


def _below(loaded: Loaded, name: bytes, labels: tuple[bytes, ...], inherited: int | None) -> Iterator[WrittenName]:
    """What all names below a node have in common."""
    number = loaded.listed.names.below_number(name)
    if number is None:
        number = inherited
    if number is not None:
        out = loaded.excluded.names.below_number(name) is not None
        out = out or loaded.excluded.names.nearest_below(labels) is not None
        yield from _one(loaded, name, None if out else number, below=True, wider=True)


def _own(loaded: Loaded, listed: NameTable, labels: tuple[bytes, ...], name: bytes) -> int | None:
    """The rule that lists a node itself, by its name or as part of something wider."""
    number = listed.exact_number(name)
    if number is not None and (loaded.zone.rules.is_exclusion(number) or loaded.zone.rules.holds(number)):
        return number
    return listed.nearest_below(labels)


def _is_excluded(loaded: Loaded, labels: tuple[bytes, ...], name: bytes) -> bool:
    names = loaded.excluded.names
    return (
        names.exact_number(name) is not None
        or names.nearest_below(labels) is not None
        or any(table.find(labels, name) is not None for table in loaded.excluded.tables())
    )


def _one(loaded: Loaded, name: bytes, number: int | None, *, below: bool, wider: bool) -> Iterator[WrittenName]:
    """One name, if there is anything to say about it: a listing, or that it is none where something wider says so."""
    rules = loaded.zone.rules
    if number is None or rules.is_exclusion(number) or not rules.holds(number):
        if wider:
            yield WrittenName(name, below, None, None)
        return
    yield WrittenName(name, below, rules.values(number), rules.rule(number))


def _counted(loaded: Loaded) -> Iterator[tuple[bytes, int]]:
    """The names of all families that are not too large, with the numbers of their rules."""
    for serial, number in loaded.listed.serials.families():
        if serial.high - serial.low < MAX_FAMILY and loaded.zone.rules.holds(number):
            yield from ((name, number) for name in members(serial))


def written_networks(loaded: Loaded, bits: int) -> Iterator[WrittenNetwork]:
    """All networks of IPv4 (32 bits) or IPv6 (128); they do not overlap."""
    rules = loaded.zone.rules
    holes = list(loaded.excluded.networks.stretches(bits))[::-1]
    for first, last, number in loaded.listed.networks.stretches(bits):
        if rules.is_exclusion(number) or not rules.holds(number):
            continue
        while holes and holes[-1][1] < first:
            holes.pop()
        for start, end in _without(first, last, reversed(holes)):
            for network in networks_of(start, end, bits):
                yield WrittenNetwork(network, rules.values(number), rules.rule(number))


def _without(first: int, last: int, holes: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """A stretch without the holes in it; they are in order, and none ends before it begins."""
    for start, end, _ in holes:
        if start > last:
            break
        if start > first:
            yield first, start - 1
        first = end + 1
    if first <= last:
        yield first, last


def left_out(loaded: Loaded) -> list[Rule]:
    """The rules that no other server could be given: patterns, and families that are too large."""
    rules = loaded.zone.rules
    large = [number for serial, number in loaded.listed.serials.families() if serial.high - serial.low >= MAX_FAMILY]
    numbers = [*large, *loaded.listed.globs.numbers(), *loaded.listed.regexes.numbers()]
    return [rules.rule(number) for number in sorted(numbers)]
