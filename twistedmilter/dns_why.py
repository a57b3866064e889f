"""Why a name or an address is listed: what each zone that is served has on it; and which rules list the most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import nlargest
from ipaddress import IPv4Address, ip_address

from twistedmilter.blocklist.listing import Rule
from twistedmilter.blocklist.zone import Zone
from twistedmilter.dns_zones import ZoneFiles
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.dns_lists import is_name, reversed_address

_ADDRESSES = frozenset({"ipbl", "mixed"})
_NAMES = frozenset({"rhsbl", "mixed"})


def listings_of(zones: Iterable[ZoneFiles], name: str) -> list[dict[str, object]]:
    """What each zone that could list it has on a domain or an IP address, in what JSON can tell.

    Each has C{zone} and C{listed}; one that lists it C{query}, the name an MTA asks for, C{codes}, C{text}, C{ttl} in
    seconds, and of the rule its C{source}, which is a file or a list of the stores, C{line} and C{kind}.

    @raise ValueError: it is neither, or no zone of that kind is loaded in this process.
    """
    key, kinds = _key_of(name)
    concerned = [zone for zone in zones if zone.settings.kind in kinds]
    found = [_listing(each.settings.name, zone, key) for each in concerned if (zone := each.served.zone) is not None]
    if not found:
        kind = "addresses" if kinds is _ADDRESSES else "domains"
        raise ValueError(f"no zone of {kind} is loaded here; processes of their own are asked by DNS only")
    return found


def most_hit(
    zones: Iterable[ZoneFiles], repeated: Mapping[tuple[str, Rule], int], number: int
) -> list[dict[str, object]]:
    """The rules that have listed something most often since their zone was loaded, in what JSON can tell.

    @param repeated: hits besides those that zones have counted themselves, by zone and rule.
    @param number: how many rules of all zones together.
    """
    hits: Counter[tuple[str, Rule]] = Counter(repeated)
    for each in zones:
        if each.served.zone is not None:
            apex = each.settings.name.lower().rstrip(".")
            hits.update({(apex, rule): count for rule, count in each.served.zone.hits()})
    return [
        {"zone": apex, "source": rule.source, "line": rule.line, "kind": rule.kind.value, "hits": count}
        for (apex, rule), count in nlargest(number, hits.items(), key=lambda item: item[1])
    ]


def _key_of(name: str) -> tuple[str, frozenset[str]]:
    """What stands left of the apex, and the kinds of zones that have such names.

    @raise ValueError: neither domain nor address.
    """
    try:
        return reversed_address(ip_address(name.strip())), _ADDRESSES
    except ValueError:
        folded = folded_domain(name.strip())
    if not is_name(folded):
        raise ValueError(f"{name!r:.80} is neither a domain nor an IP address")
    return folded, _NAMES


def _listing(apex: str, zone: Zone, key: str) -> dict[str, object]:
    octets = key.encode("ascii")
    listing = zone.find(tuple(octets.split(b".")))
    if listing is None:
        return {"zone": apex, "listed": False}
    return {
        "zone": apex,
        "listed": True,
        "query": f"{key}.{apex}",
        "codes": [str(IPv4Address(code)) for code in listing.codes],
        "text": (listing.text(octets) or b"").decode("ascii", "replace"),
        "ttl": listing.ttl,
        "source": listing.rule.source,
        "line": listing.rule.line,
        "kind": listing.rule.kind.value,
    }
