"""The section of the name server that serves lists."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.listen import TCPListen, parse_listen
from twistedmilter.model.section import Count, Networks, Seconds, Section

ZoneKind = Literal["rhsbl", "ipbl", "mixed", "ses"]
FileFormat = Literal["", "dnset", "ip4set", "ip4trie", "ip4tset", "ip6trie"]
PACKAGED = "packaged:"  # before the name of a file that comes with twistedmilter
EXAMPLE_FILE = f"{PACKAGED}throwaway.zone"

Rate = Annotated[int, Meta(ge=0, le=1_000_000)]
TimeToLive = Annotated[int, Meta(ge=0, le=604_800)]


class ZoneFileSettings(Section, frozen=True, kw_only=True):
    """One entry of files of [[dns.zones]], written as a table: a file in one of rbldnsd's formats."""

    path: Annotated[str, Meta(description="the file")]
    format: Annotated[FileFormat, Meta(description="how rbldnsd reads it; empty: our own zone format")] = ""


class ZoneSettings(Section, frozen=True, kw_only=True):
    """[[dns.zones]]: one zone, its data and who may ask; see docs/dns-server.md."""

    name: Annotated[
        str, Meta(description="its name; not under localhost, test or invalid, which resolvers answer themselves")
    ]
    kind: Annotated[
        ZoneKind,
        Meta(description="rhsbl lists domains; ipbl addresses; mixed both; ses tells which local parts we signed"),
    ] = "rhsbl"
    files: Annotated[
        list[str | ZoneFileSettings],
        Meta(description="zone files, read again when they change; packaged:NAME is one that comes with twistedmilter"),
    ] = field(default_factory=list)
    allow: Annotated[
        Networks,
        Meta(
            description="addresses and ranges that may ask, without a limit on the rate; []: loopback and "
            "networks.internal"
        ),
    ] = field(default_factory=list)
    public: Annotated[bool, Meta(description="anybody else may ask too, within the rates of [dns]")] = False
    ttl: Annotated[TimeToLive, Meta(description="how long resolvers keep a listing without a TTL of its own [s]")] = 300
    negative_ttl: Annotated[TimeToLive, Meta(description="how long resolvers keep that a name is not listed [s]")] = 10
    name_servers: Annotated[list[str], Meta(description="NS records, the primary first; []: the name of the zone")] = (
        field(default_factory=list)
    )
    contact: Annotated[
        str, Meta(description="mailbox of the SOA record, as in hostmaster@example.com; empty: hostmaster@ the zone")
    ] = ""
    domain: Annotated[
        str, Meta(description="kind ses: the domain of the addresses; empty: what follows _ses. in the name")
    ] = ""


class DNSServerSettings(Section, frozen=True, kw_only=True):
    """[dns]: the name server that serves lists to MTAs; without zones nothing is opened. See docs/dns-server.md."""

    listen: Annotated[
        list[str],
        Meta(description="address:port, [IPv6 address]:port, each for UDP and TCP; [] switches the face off"),
    ] = field(default_factory=lambda: ["127.0.0.1:8853"])
    processes: Annotated[
        int,
        Meta(description="0: served by the process that serves milters; more: by so many of its own", ge=0, le=64),
    ] = 0
    tcp_connections: Annotated[Count, Meta(description="TCP connections at once")] = 200
    tcp_per_client: Annotated[Count, Meta(description="TCP connections of one address at once")] = 10
    tcp_idle: Annotated[Seconds, Meta(description="silence of a TCP client before it is closed [s]")] = 10.0
    poll: Annotated[Seconds, Meta(description="time between two looks at the zone files [s]")] = 5.0
    publish_bans: Annotated[
        bool,
        Meta(
            description="true: domains of the blacklist and banned clients are listed, too, each in the zones of the "
            "kind that has such entries; then a zone needs no files"
        ),
    ] = False
    zones: Annotated[list[ZoneSettings], Meta(description="tables [[dns.zones]]")] = field(default_factory=list)
    rate_positive: Annotated[
        Rate,
        Meta(
            description="answers a second over UDP to one network of strangers (/24, /56) with the data of one "
            "name; 0: no limit"
        ),
    ] = 20
    rate_negative: Annotated[Rate, Meta(description="the same, that a name of one zone is not there; 0: no limit")] = 50
    rate_error: Annotated[Rate, Meta(description="the same, errors; 0: no limit")] = 5
    rate_total: Annotated[Rate, Meta(description="the same, in all; 0: no limit")] = 100
    rate_window: Annotated[Count, Meta(description="for how long being over a rate counts [s]")] = 15
    rate_slip: Annotated[
        Rate,
        Meta(description="of the answers over a rate one in so many is sent, truncated, so that TCP is tried; 0: none"),
    ] = 2


def shipped_zones() -> list[ZoneSettings]:
    """The zone that is served where there is no configuration file at all."""
    return [ZoneSettings(name="rhsbl.example.net", kind="rhsbl", files=[EXAMPLE_FILE])]


def parse_address(text: str) -> TCPListen:
    """An entry of C{[dns] listen}: C{127.0.0.1:8853} or C{[::1]:8853}.

    @raise ValueError: it is none; a host name is none, since UDP answers from the address that was asked.
    """
    spec = parse_listen(f"inet:{text}") if ":" in text and "@" not in text else None
    if not isinstance(spec, TCPListen) or spec.address is None:
        raise ValueError("is not an address and a port")
    return spec


def domain_of(zone: ZoneSettings) -> str:
    """The domain whose addresses a zone of kind C{ses} knows."""
    name = zone.name.lower().rstrip(".")
    return zone.domain.lower().rstrip(".") or name.removeprefix("_ses.")
