"""Tests of the search for addresses, against one that tries every network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import NOW, labels, reverse
from twistedmilter.blocklist.listing import RuleKind, Values
from twistedmilter.blocklist.networks import Network, NetworkTable, prefix_of
from twistedmilter.blocklist.rules import RuleTable

BASE4 = int(IPv4Address("192.0.2.0"))
BASE6 = int(IPv6Address("2001:db8::"))


def network(base: int, bits: int, offset: int, size: int) -> Network:
    """A network of 2**size addresses around an offset from a base."""
    return Network(base + (offset >> size << size), bits - size, bits)


NETWORKS = st.lists(st.tuples(st.integers(0, 31), st.integers(0, 5), st.booleans()), max_size=12)


def table_of(networks: list[tuple[Network, float]]) -> tuple[NetworkTable, list[int]]:
    """A table of networks, each with the end of its rule; and the numbers of the rules."""
    rules = RuleTable(lambda: NOW)
    table = NetworkTable(rules, lambda known, _: known)
    numbers = []
    for line, (each, expires) in enumerate(networks):
        numbers.append(rules.add(RuleKind.NETWORK, Values(expires=expires), "test", line))
        table.add(each, numbers[-1])
    for _ in table.build():
        pass
    return table, numbers


def name_of(address: int, bits: int) -> str:
    """The name of an address in a zone."""
    pointer = (IPv4Address(address) if bits == 32 else IPv6Address(address)).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


class NetworkTableTests(SynchronousTestCase):
    """The longest prefix decides."""

    @given(st.sampled_from([(BASE4, 32), (BASE6, 128)]), NETWORKS)
    def test_every_network_on_every_address(self, family: tuple[int, int], drawn: list[tuple[int, int, bool]]) -> None:
        """The table finds what one finds who tries all; a network that has ended leaves the wider one."""
        base, bits = family
        known: dict[Network, float] = {}
        for offset, size, ended in drawn:
            known.setdefault(network(base, bits, offset, size), NOW - 1 if ended else 0)
        networks = list(known.items())
        table, numbers = table_of(networks)
        for address in range(base - 1, base + 33):
            holding = [
                (each.length, number)
                for (each, expires), number in zip(networks, numbers, strict=True)
                if not expires and each.first <= address < each.first + 2 ** (bits - each.length)
            ]
            expected = max(holding, default=(0, None))[1]
            name = labels(name_of(address, bits))
            self.assertEqual(table.find(name, b".".join(name)), expected)

    @given(st.sampled_from([(BASE4, 32), (BASE6, 128)]), NETWORKS)
    def test_what_is_above_an_address_reaches_it(
        self, family: tuple[int, int], drawn: list[tuple[int, int, bool]]
    ) -> None:
        """A name above addresses reaches below exactly if one of them is in a network."""
        base, bits = family
        networks = [(network(base, bits, offset, size), 0.0) for offset, size, _ in drawn]
        table, _ = table_of(networks)
        size = 8 if bits == 32 else 4
        for address in range(base - 64, base + 64, 8):
            parts = labels(name_of(address, bits))
            for at in range(1, len(parts)):
                first = address >> size * at << size * at
                last = first + 2 ** (size * at) - 1
                expected = any(
                    each.first <= last and first < each.first + 2 ** (bits - each.length) for each, _ in networks
                )
                self.assertEqual(table.reaches_below(parts[at:], b""), expected, parts[at:])

    def test_the_ends_of_the_world(self) -> None:
        """The first and the last address are found like others."""
        table, numbers = table_of([(Network(0, 32, 32), 0), (Network(2**32 - 1, 32, 32), 0), (Network(0, 1, 128), 0)])
        self.assertEqual(table.find(labels(reverse("0.0.0.0")), b""), numbers[0])
        self.assertEqual(table.find(labels(reverse("255.255.255.255")), b""), numbers[1])
        self.assertIsNone(table.find(labels(reverse("255.255.255.254")), b""))
        self.assertEqual(table.find(labels(name_of(5, 128)), b""), numbers[2])

    def test_many(self) -> None:
        """More networks than are sorted at once."""
        networks = [(Network(BASE4 + 2 * (at * 7_919 % 20_000), 32, 32), 0.0) for at in range(20_000)]
        table, numbers = table_of(networks)
        for at in range(0, 20_000, 97):
            name = labels(name_of(networks[at][0].first, 32))
            self.assertEqual(table.find(name, b""), numbers[at])
            self.assertIsNone(table.find(labels(name_of(networks[at][0].first + 1, 32)), b""))


class PrefixTests(SynchronousTestCase):
    """Names that are addresses, and names that only look like some (D17)."""

    def test_octets(self) -> None:
        """Four decimal octets in reverse."""
        self.assertEqual(prefix_of(labels("4.3.2.1"), 32), Network(0x01020304, 32, 32))
        self.assertEqual(prefix_of(labels("2.1"), 32), Network(0x01020000, 16, 32))

    def test_nibbles(self) -> None:
        """Hexadecimal digits in reverse."""
        self.assertEqual(prefix_of(labels("8.b.d.0.1.0.0.2"), 128), Network(0x20010DB8 << 96, 32, 128))

    def test_junk(self) -> None:
        """256, leading zeros, hexadecimal octets, empty labels, five octets, 31 and 33 nibbles."""
        for name in ("256.0.0.1", "01.0.0.1", "0x1.0.0.1", "a.0.0.1", ".0.0.1", "1_0.0.0.1", "-1.0.0.1", "+1.0.0.1"):
            self.assertIsNone(prefix_of(labels(name), 32), name)
        for name in ("10.0", "g.0", "A.0"):
            self.assertIsNone(prefix_of(labels(name), 128), name)
        table, _ = table_of([(Network(0, 1, 32), 0), (Network(0, 1, 128), 0)])
        for name in ("1.1.0.0.1", "1.0.1", ".".join("0" * 31), ".".join("0" * 33)):
            self.assertIsNone(table.find(labels(name), b""), name)

    @given(st.lists(st.binary(max_size=4), max_size=40))
    def test_nothing_breaks_it(self, name: list[bytes]) -> None:
        """Any labels give a prefix or none."""
        table, _ = table_of([(Network(BASE4, 24, 32), 0)])
        table.find(tuple(name), b"")
        table.reaches_below(tuple(name), b"")
