"""Tests of the sets of client addresses."""

from __future__ import annotations

import ipaddress
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from twistedmilter.policy.networks import NetworkSet, network_key, parse_network, plain

ZONE = """
office.example.net.  A     192.0.2.77
office.example.net.  AAAA  2001:db8:7::1
"""


class NetworkSetTests(SynchronousTestCase):
    """What is in a set of addresses and ranges."""

    def assertMembers(self, entries: list[str], members: str, strangers: str) -> None:
        """Each address of the first list is in the set, none of the second."""
        networks = NetworkSet.parse(entries)
        self.assertEqual([ip for ip in members.split() if not networks.contains(ip_address(ip))], [])
        self.assertEqual([ip for ip in strangers.split() if networks.contains(ip_address(ip))], [])

    def test_single_address_and_range(self) -> None:
        """B03: an entry is IPv4[/n] or IPv6[/n]."""
        self.assertMembers(
            ["192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "::1"],
            "192.0.2.1 10.255.0.1 2001:db8:ffff::9 ::1",
            "192.0.2.2 11.0.0.1 2001:db9::1 ::2",
        )

    def test_bits_beyond_the_prefix_do_not_matter(self) -> None:
        """B03: an address with /n stands for its range."""
        self.assertMembers(["10.1.2.3/8"], "10.9.9.9", "11.1.2.3")

    def test_glob_on_the_address_text(self) -> None:
        """B02: a shell pattern is matched on the address text."""
        self.assertMembers(["192.0.2.*", "10.?.0.[12]"], "192.0.2.200 10.5.0.1", "192.0.20.1 10.55.0.1 10.5.0.3")

    def test_exception_wins_wherever_it_stands(self) -> None:
        """L12: a negated entry takes out whatever it matches."""
        for entries in (["!10.0.0.9", "10.0.0.0/8"], ["10.0.0.0/8", "!10.0.0.9"]):
            self.assertMembers(entries, "10.0.0.8", "10.0.0.9 192.0.2.1")

    def test_exceptions_only_leave_the_rest(self) -> None:
        """A set of exceptions holds every other address, and says that it is one."""
        self.assertMembers(["!10.0.0.0/8"], "192.0.2.1 ::1", "10.0.0.1")
        self.assertTrue(NetworkSet.parse(["!10.0.0.0/8"]).only_exceptions)
        self.assertFalse(NetworkSet.parse([]).only_exceptions)

    def test_empty_set_holds_nothing(self) -> None:
        """LL-10: neither an empty list nor an empty entry matches everything."""
        self.assertMembers([], "", "0.0.0.0 ::")
        self.assertMembers(["", "  "], "", "0.0.0.0 ::")
        self.assertFalse(NetworkSet.parse([""]))

    def test_mapped_address_is_the_ipv4_address(self) -> None:
        """An IPv4-mapped IPv6 address is in the set when its IPv4 address is, and the other way round."""
        self.assertMembers(["192.0.2.0/24"], "::ffff:192.0.2.1", "::ffff:192.0.3.1 ::192.0.2.1")
        self.assertMembers(["::ffff:192.0.2.0/120"], "192.0.2.1 ::ffff:192.0.2.1", "192.0.3.1")

    def test_no_address_is_in_no_set(self) -> None:
        """B08: a session without an address is external."""
        self.assertFalse(NetworkSet.parse(["0.0.0.0/0", "::/0", "*"]).contains(None))
        self.assertFalse(NetworkSet.parse(["!10.0.0.0/8"]).contains(None))

    def test_bad_entry_is_named(self) -> None:
        """B03: bad syntax raises ValueError that names the entry and what is allowed."""
        for entry in (
            "300.1.1.1",
            "10.0.0.0/33",
            "10.0.0",
            "not a name",
            "mail.example.com/x",
            "-x.example",
            "10..0.1",
        ):
            with self.assertRaises(ValueError) as caught:
                NetworkSet.parse(["127.0.0.1", entry])
            self.assertIn(repr(entry), str(caught.exception))
            self.assertIn("host name", str(caught.exception))

    def test_found_entry_is_told(self) -> None:
        """The record can say which entry made a client internal."""
        self.assertEqual(NetworkSet.parse(["::1", "10.0.0.0/8"]).find(ip_address("10.1.1.1")), "10.0.0.0/8")

    @given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
    def test_range_agrees_with_ipaddress(
        self, ip: ipaddress.IPv4Address | ipaddress.IPv6Address, base: ipaddress.IPv4Address, prefix: int
    ) -> None:
        """The prefix tables say what the standard library says."""
        network = ipaddress.ip_network((base, min(prefix, base.max_prefixlen)), strict=False)
        networks = NetworkSet.parse([str(network)])
        for address in (base, ip):
            self.assertEqual(networks.contains(address), plain(address) in parse_network(str(network)))


class HostNameTests(SynchronousTestCase):
    """Host names in a set (B03)."""

    def matches(self, entries: list[str], ip: str, resolver: FakeResolver | None) -> str | None:
        """The entry that matched."""
        return self.successResultOf(Deferred.fromCoroutine(NetworkSet.parse(entries).matches(ip_address(ip), resolver)))

    def test_name_is_resolved(self) -> None:
        """A name stands for its A and AAAA addresses, whichever family the client has."""
        for ip in ("192.0.2.77", "2001:db8:7::1", "::ffff:192.0.2.77"):
            self.assertEqual(self.matches(["office.example.net"], ip, FakeResolver(ZONE)), "office.example.net")
        for ip in ("192.0.2.78", "2001:db8:7::2"):
            self.assertIsNone(self.matches(["office.example.net"], ip, FakeResolver(ZONE)))

    def test_prefix_widens_one_family(self) -> None:
        """B03: name/n; a prefix up to 32 is about IPv4, a longer one about IPv6."""
        self.assertEqual(
            self.matches(["office.example.net/24"], "192.0.2.1", FakeResolver(ZONE)), "office.example.net/24"
        )
        self.assertIsNone(self.matches(["office.example.net/24"], "2001:db8:9::1", FakeResolver(ZONE)))
        self.assertEqual(
            self.matches(["Office.example.net/64"], "2001:db8:7::99", FakeResolver(ZONE)), "Office.example.net/64"
        )
        self.assertIsNone(self.matches(["office.example.net/64"], "192.0.2.1", FakeResolver(ZONE)))

    def test_address_entry_needs_no_lookup(self) -> None:
        """A client that an address entry holds costs no question."""
        resolver = FakeResolver(ZONE)
        self.assertEqual(self.matches(["office.example.net", "10.0.0.1"], "10.0.0.1", resolver), "10.0.0.1")
        self.assertEqual(resolver.asked, [])

    def test_failing_name_matches_nobody_and_is_noted(self) -> None:
        """A name that cannot be looked up is told, and the next one still counts."""
        troubles: list[str] = []
        networks = NetworkSet.parse(["gone.example.net", "office.example.net"])
        resolver = FakeResolver(ZONE + "gone.example.net. A SERVFAIL\n")
        found = self.successResultOf(
            Deferred.fromCoroutine(networks.matches(ip_address("192.0.2.77"), resolver, troubles))
        )
        self.assertEqual(found, "office.example.net")
        self.assertEqual(len(troubles), 1)
        self.assertIn("gone.example.net", troubles[0])

    def test_later_answer(self) -> None:
        """An answer that comes later counts like one that is there."""
        resolver = FakeResolver(ZONE, holding=True)
        waiting = Deferred.fromCoroutine(
            NetworkSet.parse(["office.example.net"]).matches(ip_address("192.0.2.77"), resolver)
        )
        self.assertNoResult(waiting)
        resolver.release()
        self.assertEqual(self.successResultOf(waiting), "office.example.net")

    def test_without_resolver_names_are_left_out(self) -> None:
        """A scan that opens nothing still classifies by address."""
        self.assertIsNone(self.matches(["office.example.net"], "192.0.2.77", None))

    def test_exception_beats_a_name(self) -> None:
        """An address that is taken out is not brought back by a name."""
        self.assertIsNone(self.matches(["office.example.net", "!192.0.2.77"], "192.0.2.77", FakeResolver(ZONE)))

    def test_exception_cannot_be_a_name(self) -> None:
        """A negated name would let everybody in while the DNS is down."""
        with self.assertRaisesRegex(ValueError, "exception cannot be a host name"):
            NetworkSet.parse(["!office.example.net"])


class NetworkKeyTests(SynchronousTestCase):
    """The neighbourhood of a client."""

    def test_neighbourhoods(self) -> None:
        """IPv4 clients share a /24, IPv6 clients a /64."""
        self.assertEqual(network_key(ip_address("192.0.2.77")), "192.0.2.0/24")
        self.assertEqual(network_key(ip_address("::ffff:192.0.2.77")), "192.0.2.0/24")
        self.assertEqual(network_key(ip_address("2001:db8:1:2:3::4")), "2001:db8:1:2::/64")
