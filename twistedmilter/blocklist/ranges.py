"""Addresses and ranges of addresses as zone files write them.

@see: rbldnsd(8), "ip4set Dataset", "ip6trie Dataset".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Final

from twistedmilter.blocklist.networks import Network
from twistedmilter.blocklist.problems import LineError

ALLOWED4: Final = "write 192.0.2.1, 192.0.2.0/24 or 192.0.2.1-192.0.2.9"
ALLOWED6: Final = "write 2001:db8::1 or 2001:db8::/32"
_PREFIX4: Final = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}")
_GROUPS6: Final = re.compile(rb"[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*", re.IGNORECASE)
_SIZES: Final = (8, 16, 24, 32)  # prefixes by which a set of ranges is searched, the widest first


def parse_ipv4(text: bytes) -> tuple[int, int]:
    """The first and the last address of an IPv4 address, prefix, network or range.

    @raise LineError: it is none, or a network with host bits.
    """
    low, dash, high = text.partition(b"-")
    if dash:
        return _range4(low, high)
    low, slash, length = text.partition(b"/")
    first, bits = _prefix4(low)
    if slash:
        if not length.isdigit() or not 1 <= int(length) <= 32:
            raise LineError(f"/{length.decode('ascii', 'replace')} is no length of a prefix, 1 to 32", ALLOWED4)
        bits = int(length)
    last = first + 2 ** (32 - bits) - 1
    if first & (last - first):
        right = first & ~(2 ** (32 - bits) - 1)
        raise LineError(f"the network has host bits; it would be {_dotted(right)}/{bits}", ALLOWED4)
    return first, last


def _range4(low: bytes, high: bytes) -> tuple[int, int]:
    first, bits = _prefix4(low)
    end, end_bits = _prefix4(high)
    if end_bits == 8 and bits > 8:  # 127.0.0.1-255: only the last octet changes
        end, end_bits = (first & ~(255 << 32 - bits)) | (end >> 24 << 32 - bits), bits
    if end_bits != bits:
        raise LineError("the two ends have different numbers of octets", ALLOWED4)
    last = end + 2 ** (32 - end_bits) - 1
    if last < first:
        raise LineError("the range ends before it begins", ALLOWED4)
    return first, last


def _prefix4(text: bytes) -> tuple[int, int]:
    """A prefix of one to four octets, filled up with zeros, and its length in bits."""
    octets = [int(octet) for octet in text.split(b".")] if _PREFIX4.fullmatch(text) else [256]
    if max(octets) > 255:
        raise LineError(f"{text.decode('ascii', 'replace')!r} is no IPv4 address", ALLOWED4)
    return int.from_bytes(bytes(octets).ljust(4, b"\0")), 8 * len(octets)


def _dotted(address: int) -> str:
    return ".".join(str(octet) for octet in address.to_bytes(4))


def parse_ipv6(text: bytes) -> Network:
    """The network of an IPv6 address or prefix; groups that are left out at the end are zeros.

    @raise LineError: it is none, or has host bits.
    """
    address, slash, length = text.partition(b"/")
    wrong = LineError(f"{text.decode('ascii', 'replace')!r} is no IPv6 address or network", ALLOWED6)
    bits = 128
    if _GROUPS6.fullmatch(address) is not None and address.count(b":") < 7:
        bits = 16 * (address.count(b":") + 1)
        address += b"::"
    if slash:
        if not length.isdigit() or not 1 <= int(length) <= 128:
            raise wrong
        bits = int(length)
    try:
        first = int(IPv6Address(address.decode("ascii")))
    except ValueError:
        raise wrong from None
    if first & (2 ** (128 - bits) - 1):
        right = IPv6Address(first >> 128 - bits << 128 - bits)
        raise LineError(f"the network has host bits; it would be {right}/{bits}", ALLOWED6)
    return Network(first, bits, 128)


def networks_of(first: int, last: int, bits: int = 32) -> Iterator[Network]:
    """The fewest networks that make up a range of addresses; C{bits} is 32 or 128."""
    while first <= last:
        size = min(first & -first or 2**bits, 2 ** ((last - first + 1).bit_length() - 1))
        yield Network(first, bits - (size.bit_length() - 1), bits)
        first += size


def set_networks(first: int, last: int) -> Iterator[Network]:
    """The networks of 1, 256, 65,536 or 16,777,216 addresses that rbldnsd's ip4set cuts a range into.

    Of ranges that overlap, the one whose piece is smallest decides there.
    """
    while first <= last:
        bits = next(bits for bits in _SIZES if _fits(first, last, 2 ** (32 - bits)))
        yield Network(first, bits, 32)
        first += 2 ** (32 - bits)


def _fits(first: int, last: int, size: int) -> bool:
    """Whether a network of this size begins here and ends within the range; one of a single address does."""
    return not first % size and first + size - 1 <= last
