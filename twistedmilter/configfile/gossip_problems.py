"""What is wrong with [gossip], beyond its types."""

from __future__ import annotations

from collections.abc import Iterator

from twistedmilter.errors import ConfigProblem
from twistedmilter.model.gossip_settings import (
    ADDRESS_FORMS,
    MOST_PEERS,
    GossipPeerSettings,
    GossipSettings,
    parse_address,
    peer_entry,
    peer_name,
)
from twistedmilter.policy.networks import NetworkSet


def gossip_problems(section: GossipSettings) -> Iterator[ConfigProblem]:
    """Listeners that are none or open to nobody, peers that are none or there twice, and networks."""
    has_key = any(peer_entry(entry).key_file for entry in section.peers)
    for index, text in enumerate(section.listen):
        where = f"gossip.listen[{index}]"
        try:
            spec = parse_address(text)
        except ValueError as error:
            yield ConfigProblem(where, f"{text!r:.60} {error}", ADDRESS_FORMS)
            continue
        if not spec.is_loopback and not has_key and not section.allow_query:
            wrong = f"{spec} is open to other hosts, of which none may ask"
            yield ConfigProblem(where, wrong, "allowed: with a peer that has a key_file, or with gossip.allow_query")
    if section.server:
        try:
            parse_address(section.server)
        except ValueError as error:
            yield ConfigProblem("gossip.server", f"{section.server!r:.60} {error}", ADDRESS_FORMS)
    yield from _peer_problems(section)
    for index, entry in enumerate(section.allow_query):
        try:
            names = NetworkSet.parse([entry]).names
        except ValueError as error:
            yield ConfigProblem(f"gossip.allow_query[{index}]", str(error))
            continue
        if names:
            yield ConfigProblem(
                f"gossip.allow_query[{index}]", f"{entry!r} is a host name", "allowed: addresses and ranges"
            )


def _peer_problems(section: GossipSettings) -> Iterator[ConfigProblem]:
    if len(section.peers) > MOST_PEERS:
        yield ConfigProblem("gossip.peers", f"are {len(section.peers)}", f"allowed: at most {MOST_PEERS}")
    seen: dict[str, int] = {}
    for index, entry in enumerate(section.peers):
        where, peer = f"gossip.peers[{index}]", peer_entry(entry)
        try:
            if peer.address:
                parse_address(peer.address)
            name = peer_name(peer)
        except ValueError as error:
            yield ConfigProblem(where, f"{peer.name or peer.address!r:.60} {error}", ADDRESS_FORMS)
            continue
        yield from _use_problems(where, peer)
        if name in seen:
            yield ConfigProblem(where, f"{name} is gossip.peers[{seen[name]}] too")
        seen.setdefault(name, index)


def _use_problems(where: str, peer: GossipPeerSettings) -> Iterator[ConfigProblem]:
    if not peer.address and not peer.key_file:
        yield ConfigProblem(where, "is neither asked nor may it ask", "allowed: an address, a key_file, or both")
