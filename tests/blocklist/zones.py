"""Zones for tests, from text, and what a list without any index would say."""

from __future__ import annotations

from twistedmilter.blocklist.listing import Listing
from twistedmilter.blocklist.loading import STRICT, Format, Limits, Source, load_at_once, load_zone
from twistedmilter.blocklist.problems import ZoneError, ZoneProblem
from twistedmilter.blocklist.zone import Zone, ZoneKind

APEX = (b"list", b"example", b"net")
NOW = 1_800_000_000.0


def labels(name: str) -> tuple[bytes, ...]:
    """The labels of a name as a zone is asked for them."""
    return tuple(name.encode().split(b"."))


def zone_of(
    text: str, kind: ZoneKind = ZoneKind.MIXED, written: Format = Format.NATIVE, limits: Limits = STRICT
) -> Zone:
    """The zone of one file, at the time L{NOW}."""
    source = Source("some/test.zone", text.encode().splitlines(), written)
    return load_at_once(load_zone(APEX, kind, [source], lambda: NOW, limits=limits)).zone


def problems_of(text: str, kind: ZoneKind = ZoneKind.MIXED, written: Format = Format.NATIVE) -> list[str]:
    """Everything that is wrong with one file, whether or not it can be used."""
    source = Source("test.zone", text.encode().splitlines(), written)
    try:
        found: list[ZoneProblem] | tuple[ZoneProblem, ...] = load_at_once(
            load_zone(APEX, kind, [source], lambda: NOW)
        ).problems
    except ZoneError as error:
        found = error.problems
    return [str(problem) for problem in found]


def asked(zone: Zone, name: str) -> Listing | None:
    """What a zone lists about a name."""
    return zone.find(labels(name))


def reverse(address: str) -> str:
    """The name of an IPv4 address in a zone of addresses."""
    return ".".join(reversed(address.split(".")))


def line_of(zone: Zone, name: str) -> int:
    """The line that lists a name; 0: it is not listed."""
    listing = asked(zone, name)
    return 0 if listing is None else listing.rule.line
