"""The networks that an SPF record lets pass, as a set that is quick to ask (seed-spec E24)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True)
class SPFNetworks:
    """The addresses that pass whoever the sender is.

    @ivar networks: as the record and those it includes have them, without doubles.
    @ivar is_whole: whether no other address passes; False where the record has terms that no set of addresses can say.
    @ivar is_published: whether the domain has an SPF record at all.
    @ivar expires: reactor seconds after which this is stale.
    """

    networks: tuple[IPv4Network | IPv6Network, ...]
    is_whole: bool
    is_published: bool
    expires: float
    _bases: dict[tuple[int, int], frozenset[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the networks by version and length: one look-up each."""
        bases: dict[tuple[int, int], set[int]] = {}
        for network in self.networks:
            shift = network.max_prefixlen - network.prefixlen
            bases.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        object.__setattr__(self, "_bases", {key: frozenset(value) for key, value in bases.items()})

    def __contains__(self, ip: IPv4Address | IPv6Address) -> bool:
        """Whether an address is in one of the networks."""
        number = int(ip)
        return any(number >> shift in bases for (version, shift), bases in self._bases.items() if version == ip.version)
