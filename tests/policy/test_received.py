"""Tests of the real client behind trusted relays (B04 and beyond)."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.received import MAX_FIELDS, believed_networks, find_real_client, parse_received

FORMS = (
    # Postfix
    (
        "from helo.example (ptr.example [192.0.2.1])\n\tby mx.example with ESMTPS id 4X",
        "192.0.2.1",
        "ptr.example",
        "helo.example",
    ),
    ("from helo.example (unknown [IPv6:2001:db8::1])\n\tby mx.example", "2001:db8::1", "unknown", "helo.example"),
    ("from [10.0.0.1] (ptr.example [192.0.2.1]) by mx.example", "192.0.2.1", "ptr.example", "[10.0.0.1]"),
    # sendmail
    (
        "from helo.example (ptr.example. [192.0.2.1] (may be forged)) by mx.example",
        "192.0.2.1",
        "ptr.example",
        "helo.example",
    ),
    ("from helo.example ([192.0.2.1]) by mx.example (8.17/8.17)", "192.0.2.1", "", "helo.example"),
    ("from helo.example (root@ptr.example [192.0.2.1]) by mx.example", "192.0.2.1", "ptr.example", "helo.example"),
    # Exim
    (
        "from ptr.example ([192.0.2.1] helo=helo.example)\n\tby mx.example with esmtp",
        "192.0.2.1",
        "ptr.example",
        "helo.example",
    ),
    ("from ptr.example ([192.0.2.1]:2525 helo=[10.0.0.1])\n\tby mx.example", "192.0.2.1", "ptr.example", "[10.0.0.1]"),
    ("from [192.0.2.1] (helo=helo.example)\n\tby mx.example with smtp", "192.0.2.1", "", "helo.example"),
    ("from [192.0.2.1] (port=4711 helo=helo.example) by mx.example", "192.0.2.1", "", "helo.example"),
    # Exchange, qmail
    (
        "from HELO.example (192.0.2.1) by MX.example (10.1.2.3) with Microsoft SMTP Server",
        "192.0.2.1",
        "",
        "HELO.example",
    ),
    ("from unknown (HELO helo.example) (192.0.2.1) by mx.example with SMTP", "192.0.2.1", "unknown", "helo.example"),
    # a mapped address is the IPv4 address
    ("from a.example (b.example [IPv6:::ffff:192.0.2.1]) by mx.example", "192.0.2.1", "b.example", "a.example"),
)
NO_CLIENT = (
    "",
    "by mx.example (Postfix, from userid 1000)\n\tid 4X",
    "from userid 1000",
    "from helo.example by mx.example with SMTP",
    "from [192.0.2.1] by mx.example with SMTP",
    "from [192.0.2.1] (authenticated) by mx.example",
    "from helo.example (ptr.example [999.0.2.1]) by mx.example",
    "from helo.example by mx.example (ptr.example [192.0.2.1])",
    "from helo.example (ptr.example) by mx.example ([192.0.2.1])",
)


class ParseReceivedTests(SynchronousTestCase):
    """One Received field."""

    def test_known_forms(self) -> None:
        """The forms of the MTAs in use give address, name and HELO."""
        for value, ip, name, helo in FORMS:
            hop = parse_received(value)
            assert hop is not None, value
            self.assertEqual((str(hop.ip), hop.name, hop.helo), (ip, name, helo), value)

    def test_no_client(self) -> None:
        """A field without a client, or with the client's own word only, gives none."""
        for value in NO_CLIENT:
            self.assertIsNone(parse_received(value), value)

    def test_helo_cannot_play_address(self) -> None:
        """M22: what the client says of itself is not its address, in any MTA's form."""
        for value in (
            "from [10.0.0.1] (evil.example [192.0.2.66]) by mx.example",
            "from evil.example ([192.0.2.66] helo=a [10.0.0.1]) by mx.example",
            "from [192.0.2.66] (helo=[10.0.0.1]) by mx.example",
            "from [192.0.2.66] (port=25 helo=[10.0.0.1]) by mx.example",
            "from evil.example (HELO [10.0.0.1]) (192.0.2.66) by mx.example",
            'from a.example (evil.example [192.0.2.66]) (Client CN "[10.0.0.1]", Issuer "x" (bad)) by mx.example',
        ):
            hop = parse_received(value)
            assert hop is not None
            self.assertEqual(str(hop.ip), "192.0.2.66", value)

    def test_two_addresses_are_none(self) -> None:
        """M22: where the client managed to add a comment of its own, neither is believed."""
        for value in (
            "from x (y [10.0.0.1]) (evil.example [192.0.2.66]) by mx.example",
            'from a.example (evil.example [192.0.2.66]) (Client CN "x) (y [10.0.0.1]", Issuer "x") by mx.example',
        ):
            self.assertIsNone(parse_received(value))

    @given(st.text(alphabet='from by()[]\\"1.:ah=\n', max_size=300))
    def test_garbage_is_harmless(self, text: str) -> None:
        """Any text gives a client or None."""
        parse_received(text)
        parse_received("from " + text)

    def test_long_field_is_cut(self) -> None:
        """A field of a megabyte costs no more than its beginning."""
        self.assertIsNone(parse_received("from a " + "(" * 1_000_000 + "[192.0.2.1]"))


class FindRealClientTests(SynchronousTestCase):
    """The walk through the fields."""

    is_ours = staticmethod(
        believed_networks(NetworkSet.parse(["203.0.113.0/24"]), NetworkSet.parse(["2001:db8:ff::/48"]))
    )

    @staticmethod
    def field(ip: str) -> str:
        """A Postfix field about a client at this address."""
        text = f"IPv6:{ip}" if ":" in ip else ip
        return f"from helo-{ip} (unknown [{text}]) by mx.example"

    def walk(self, *ips: str) -> tuple[str, int] | None:
        """The address of the real client and the field that tells it."""
        client = find_real_client([self.field(ip) for ip in ips], self.is_ours)
        return (str(client.ip), client.received_index) if client is not None else None

    def test_first_foreign_client(self) -> None:
        """The walk passes our relays and private addresses, and ends at the first stranger."""
        self.assertEqual(self.walk("192.0.2.1"), ("192.0.2.1", 0))
        self.assertEqual(self.walk("203.0.113.9", "2001:db8:ff::1", "192.0.2.1"), ("192.0.2.1", 2))
        self.assertEqual(self.walk("127.0.0.1", "10.1.1.1", "fe80::1", "192.0.2.1"), ("192.0.2.1", 3))

    def test_nothing_below_a_stranger_is_believed(self) -> None:
        """What stands below the first stranger's field is the stranger's own writing."""
        self.assertEqual(self.walk("192.0.2.66", "198.51.100.1"), ("192.0.2.66", 0))

    def test_all_ours(self) -> None:
        """A message that began at ours has no real client."""
        self.assertIsNone(self.walk("203.0.113.9", "10.0.0.1"))
        self.assertIsNone(self.walk())

    def test_unreadable_field_ends_the_walk(self) -> None:
        """A message that began on the relay itself may carry forged fields below: they are not read."""
        fields = ["by relay.example (Postfix, from userid 33)", self.field("198.51.100.1")]
        self.assertIsNone(find_real_client(fields, self.is_ours))

    def test_bounded(self) -> None:
        """A loop of our own fields ends."""
        self.assertIsNone(self.walk(*["10.0.0.1"] * MAX_FIELDS, "192.0.2.1"))

    def test_helo_of_the_real_client(self) -> None:
        """SPF behind a relay is judged with the real client's HELO."""
        client = find_real_client([self.field("192.0.2.1")], self.is_ours)
        assert client is not None
        self.assertEqual((client.ip, client.helo), (ip_address("192.0.2.1"), "helo-192.0.2.1"))
