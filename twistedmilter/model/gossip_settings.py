"""The section of the reputation server."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta, field

from twistedmilter.model.listen import TCPListen, parse_listen
from twistedmilter.model.section import Count, Networks, Seconds, Section

PORT: Final = 11_900
ADDRESS_FORMS: Final = "allowed: address:port, [IPv6 address]:port, or either without the port, which is 11900 then"
MOST_PEERS: Final = 16
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PEER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

Percent = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=0.9)]


class GossipPeerSettings(Section, frozen=True, kw_only=True):
    """One entry of [gossip] peers, written as a table."""

    address: Annotated[
        str, Meta(description="where it listens: host:port or host; empty: it asks us, and we do not ask it")
    ] = ""
    name: Annotated[
        str, Meta(description="what it calls itself, and what it is known by here; empty: its host, and port")
    ] = ""
    key_file: Annotated[
        str,
        Meta(
            description="file with a secret that both have, as of srs.secret_file; without it only this host may ask; "
            "empty: none"
        ),
    ] = ""


class GossipSettings(Section, frozen=True, kw_only=True):
    """[gossip]: the reputation server and its peers; see docs/reputation.md."""

    listen: Annotated[
        list[str],
        Meta(description="addresses to listen on, as in 127.0.0.1:11900 or [::1]:11900; []: within the service only"),
    ] = field(default_factory=list)
    name: Annotated[
        str, Meta(description="what we call ourselves to peers that have a key; empty: the host's name")
    ] = ""
    server: Annotated[str, Meta(description="ask this server in the place of our own observations; empty: do not")] = ""
    peers: Annotated[
        list[str | GossipPeerSettings],
        Meta(description="whom to ask, and who may ask from elsewhere; each as text or as a table (see below)"),
    ] = field(default_factory=list)
    allow_query: Annotated[
        Networks, Meta(description="addresses elsewhere that may ask without a key, and nothing else")
    ] = field(default_factory=list)
    ttl: Annotated[int, Meta(description="0: ask nobody; 1: ask peers; 2: have them ask theirs", ge=0, le=2)] = 1
    budget: Annotated[Seconds, Meta(description="time for the answers of peers to one question [s]")] = 0.5
    silence: Annotated[
        Percent, Meta(description="our own confidence up to which peers together may add what is missing to it")
    ] = 10.0
    peer_share: Annotated[
        Share, Meta(description="where we are surer than that: share of one peer in the answer at most")
    ] = 0.3
    peers_share: Annotated[Share, Meta(description="and share of all peers at most")] = 0.4
    bad_reputation: Annotated[
        float, Meta(description="the server answers REJECT below this reputation", ge=-100, le=0)
    ] = -50.0
    bad_confidence: Annotated[Percent, Meta(description="and above this confidence")] = 1.0
    max_connections: Annotated[Count, Meta(description="clients at once; more are not accepted")] = 128
    idle_timeout: Annotated[Seconds, Meta(description="silence of a client before it is closed [s]")] = 300.0
    rate: Annotated[Count, Meta(description="lines a second of one peer; this host may send as many as it can")] = 100
    burst: Annotated[Count, Meta(description="and so many at once")] = 200
    pending: Annotated[
        Count, Meta(description="questions of one source that a verdict may follow; then the oldest goes")
    ] = 10_000
    pending_days: Annotated[float, Meta(description="how long a verdict may take [days]", gt=0, le=366)] = 7.0


def parse_address(text: str) -> TCPListen:
    """An address of a server of GOSSiP.

    @raise ValueError: it is none; L{ADDRESS_FORMS} says what is allowed.
    """
    whole = text if _PORT.fullmatch(text.rpartition(":")[2]) and ":" in text and text.count(":") == 1 else ""
    if text.startswith("["):
        whole = text if "]:" in text else f"{text}:{PORT}"
    elif text.count(":") > 1:
        whole = f"[{text}]:{PORT}"
    elif not whole:
        whole = f"{text}:{PORT}"
    spec = parse_listen(f"inet:{whole}") if "@" not in text else None
    if not isinstance(spec, TCPListen):
        raise ValueError("is no address of a server")  # noqa: TRY004 - of the text, not of its type
    return spec


def peer_entry(entry: str | GossipPeerSettings) -> GossipPeerSettings:
    """An entry of C{peers} as a table."""
    return GossipPeerSettings(address=entry) if isinstance(entry, str) else entry


def peer_name(entry: GossipPeerSettings) -> str:
    """What a peer is known by.

    @raise ValueError: it has neither a name nor an address, or the name has other characters than a host's.
    """
    name = entry.name
    if not name:
        if not entry.address:
            raise ValueError("has neither an address nor a name")
        spec = parse_address(entry.address)
        host = spec.host.replace(":", "-")
        name = host if spec.port == PORT else f"{host}-{spec.port}"
    if _PEER_NAME.fullmatch(name) is None:
        raise ValueError("is no name: at most 64 letters, digits, . _ and -")
    return name
