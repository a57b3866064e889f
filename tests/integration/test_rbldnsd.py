"""The same files in a real rbldnsd and in a zone of ours: the same answers (issue 4, part 1)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.blocklist.zones import labels, zone_of
from tests.integration.rbldnsd import Rbldnsd, lacking
from twistedmilter.blocklist.export import ExportFormat, Origin, export
from twistedmilter.blocklist.loading import Format, Limits, Source, load_at_once, load_zone
from twistedmilter.blocklist.zone import Zone, ZoneKind

FORCED = Limits(forced=True)
NOTHING: tuple[list[str], list[bytes], int] = ([], [], 0)

DNSET = """\
$SOA 0 ns.example.net hostmaster.example.net 0 1h 10m 1w 5m
$NS 1h ns1.example.net ns2.example.net
$TTL 77
$1 See http://lists.example.net/
before.example
:127.0.0.3:default $ here
b.example
B2.Example. :9:capitals
.c.example :4
*.d.example :5:
!.no.c.example
yes.no.c.example
!ex.d.example
e.example text only $1 $2 $$ $$$$ end $
h.example :6:  spaces   inside
wrong.example :7 no second colon
i.example :2: after a wrong line
j.example # comment
k.example ; comment
l.example :8:#hash
dup.example :2:one
dup.example :3:two
dup.example :2:one
gone.example
!gone.example
.wide.example
*.wide.example :3:more
sub.wild.y.example :4:exact
*.wild.y.example :2:first
*.y.example :3:second
!*.shut.y.example
open.shut.y.example :4:open
o.example :127.0.0.5 :7:x
p.example :2::x
  indented.example
:5
later.example
:127.0.0.6:
last.example
"""
DNSET_NAMES = """\
before b b2 c x.c x.y.c d x.d ex.d a.ex.d no.c x.no.c yes.no.c e h wrong i j k l dup gone wide
x.wide y a.y wild.y a.wild.y sub.wild.y a.sub.wild.y shut.y a.shut.y open.shut.y b.open.shut.y o p
indented later last nobody
"""

IPV4 = """\
:127.0.0.2:ip $
1.2.3.4
1.2.4.0/24 :3:net $
1.2.4.7 :4:host
!1.2.4.8
1.2.5
1.3 :5
!1.3.7
1.3.7.7
8.1.0.0/23 :7:a
8.1.1.0/24 :8:b
9.1.1.1/24 :9:host bits
10.0.0.0/8
!10.1.0.0/16
10.1.2.3
11.1.1.1:11:nospace
12.1.1.1 #c
256.1.1.1
13.01.1.1
$MAXRANGE4 /24
15.0.0.0/16
15.1.0.0/24
17.1.1.0/25 :4:h
17.1.1.0/24 :5:f
18.5.5.0/30
0.0.0.0/0
"""
RANGES = """\
2-3
4.0.0.1-5.0.0.2 :6
6.1-3
7.1.1.5-9
20-20.0.0
21.16-21.31
22.1.1.4-22.1.1
23.1.1.200-10
16.1.1.1 :2:x
16.1.1.1 :3:y
19.1.1.0-19.1.2.127 :2:wide
19.1.1.0/24 :3:narrow
19.1.2.5 :4:one
!19.1.1.9
"""
IPV6 = """\
:127.0.1.2:six $
2001:21ab:c000/36
2001:21ab:def7:4242 :127.0.1.3: smells funny
2605:6001:42::/52
::1   # localhost
!2605:6001:42::bead
2001:db8::5
2001:DB8:1::/48 :4:a
2001:db8:1::/48 :5:b
2001:db8:2:3::/64
fe80::1/10
"""
IPV6_ASKED = """\
2001:21ab:cfff::1 2001:21ab:def7:4242::9 2001:21ab:def7:4243:: 2605:6001:42::1 2605:6001:42::bead
2605:6001:42:1000:: ::1 ::2 2001:db8::5 2001:db8::6 2001:db8:1::77 2001:db8:2:3:4:5:6:7
2001:db8:2:4:: fe80::1
"""
TSET = """\
:127.0.0.3:one $
1.1.1.1
:127.0.0.4:two $
1.1.1.2
1.1.1.3 :5:own
1.1.2.0/24
!1.1.1.1
"""


def edges(text: str) -> list[str]:
    """IPv4 addresses at, beside and between the ends of what a file lists."""
    found = set()
    for line in text.replace("-", "\n").splitlines():
        head = line.lstrip("!").partition(" ")[0].partition(":")[0].partition("/")[0]
        octets = [int(octet) for octet in head.split(".") if octet.isdigit()]
        if octets and max(octets) < 256:
            base = int.from_bytes(bytes((octets + [0] * 4)[:4]))
            found |= {
                base + step for step in (-1, 0, 1, 3, 5, 127, 128, 255, 256, 300, 65_535, 65_536, 2**24 - 1, 2**24)
            }
    return [str(ip_address(number)) for number in sorted(found) if 0 <= number < 2**32]


def pointer(address: str) -> str:
    """The name of an address below a zone."""
    return ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def our_answer(zone: Zone, name: str) -> tuple[list[str], list[bytes], int]:
    """What a zone of ours says about a name, in the shape of rbldnsd's answers."""
    listing = zone.find(labels(name))
    if listing is None:
        return NOTHING
    text = listing.text(name.encode())
    addresses = sorted(".".join(map(str, code)) for code in listing.codes)
    return addresses, [] if text is None else [text], listing.ttl


class RbldnsdTests(SynchronousTestCase):
    """One file, two servers."""

    TYPES: Final = {
        "dn.test": ("dnset", DNSET),
        "set.test": ("ip4set", IPV4 + RANGES),
        "trie.test": ("ip4trie", IPV4),
        "six.test": ("ip6trie", IPV6),
        "tset.test": ("ip4tset", TSET),
    }

    def start(self, types: dict[str, tuple[str, str]]) -> Rbldnsd:
        """An rbldnsd that ends with the test."""
        if problem := lacking():
            raise SkipTest(problem)
        server = Rbldnsd(types)
        self.addCleanup(server.stop)
        return server

    def assertSame(self, zone_name: str, names: Iterable[str]) -> None:
        """Both answer the same for each name: addresses, TTL, and the first of the texts."""
        kind, text = self.TYPES[zone_name]
        server = self.start({zone_name: (kind, text)})
        zone = zone_of(text, ZoneKind.MIXED, Format(kind), FORCED)
        for name in names:
            addresses, texts, ttl = server.answer(f"{name}.{zone_name}")
            self.assertEqual(our_answer(zone, name), (addresses, texts[:1], ttl), name)

    def test_dnset(self) -> None:
        """Names, wildcards, exclusions, defaults, texts and what stands in them."""
        names = [f"{name}.example" for name in DNSET_NAMES.split()]
        # rbldnsd puts the name of the wildcard where a text has a dollar sign, we the name that was asked for (6.4)
        self.assertSame(
            "dn.test", [name for name in names if name not in {"x.c.example", "x.y.c.example", "x.wide.example"}]
        )

    def test_wildcards(self) -> None:
        """Below a name that stands for all below it the address is the same, and the text says which was asked for."""
        server = self.start({"dn.test": ("dnset", DNSET)})
        zone = zone_of(DNSET, ZoneKind.RHSBL, Format.DNSET, FORCED)
        addresses, texts, _ = server.answer("x.c.example.dn.test")
        self.assertEqual(texts, [b"default c.example here"])
        self.assertEqual(our_answer(zone, "x.c.example"), (addresses, [b"default x.c.example here"], 77))
        self.assertEqual(our_answer(zone, "x.wide.example")[0], server.answer("x.wide.example.dn.test")[0])

    def test_ip4set(self) -> None:
        """Addresses, prefixes, networks, ranges; at and around every end."""
        # of a network that is there twice with two texts rbldnsd gives both texts, we the first
        self.assertSame("set.test", map(pointer, edges(IPV4 + RANGES)))

    def test_ip4trie(self) -> None:
        """Networks within networks."""
        self.assertSame("trie.test", map(pointer, edges(IPV4)))

    def test_ip4tset(self) -> None:
        """Single addresses with one answer."""
        self.assertSame("tset.test", map(pointer, edges(TSET)))

    def test_ip6trie(self) -> None:
        """Networks of IPv6, and the text of an address."""
        self.assertSame("six.test", map(pointer, IPV6_ASKED.split()))

    def test_many(self) -> None:
        """Ten thousand networks and twenty thousand questions, drawn by chance with a fixed seed."""
        chance = random.Random(4)
        lines = []
        for _ in range(10_000):
            length = chance.choice((12, 16, 20, 23, 24, 25, 28, 30, 32, 32, 32))
            network = chance.getrandbits(length) << 32 - length & 0x0FFFFFFF | 0x10000000
            mark = "!" * (chance.random() < 0.2)
            lines.append(f"{mark}{ip_address(network)}/{length} :{chance.randint(2, 99)}:")
        text = "\n".join(lines)
        server = self.start({"trie.test": ("ip4trie", text), "set.test": ("ip4set", text)})
        for name, written in (("trie.test", Format.IP4TRIE), ("set.test", Format.IP4SET)):
            zone = zone_of(text, ZoneKind.IPBL, written, FORCED)
            for _ in range(1_000):
                base = int(ip_address(chance.choice(lines).lstrip("!").partition("/")[0]))
                asked = pointer(str(ip_address(base + chance.choice((0, 0, 1, -1, chance.getrandbits(8))))))
                self.assertEqual(our_answer(zone, asked), server.answer(f"{asked}.{name}"), asked)


class ExportTests(SynchronousTestCase):
    """What is written for rbldnsd is answered by rbldnsd as by us."""

    TEXT = """\
:127.0.0.2:default $ costs $$5
ded304.com
.spam.example :127.0.0.4:reason
a.spam.example :5:own
*.below.example :6:w
deep.er.below.example :7:d
!good.spam.example
!.out.spam.example
x.out.spam.example
serial:ded{300-303}.com :5:serial
192.0.2.0/24 :6:net $
!192.0.2.7
2001:db8::/33
"""
    NAMES = """\
ded304.com ded300.com ded303.com ded305.com spam.example x.spam.example a.spam.example
b.a.spam.example good.spam.example x.good.spam.example out.spam.example y.out.spam.example
x.out.spam.example below.example x.below.example er.below.example deep.er.below.example
z.deep.er.below.example z.er.below.example com
"""

    def test_rbldnsd(self) -> None:
        """Names, wildcards under names, exclusions, families, networks with holes."""
        if problem := lacking():
            raise SkipTest(problem)
        source = Source("z", self.TEXT.encode().splitlines())
        loaded = load_at_once(load_zone((), ZoneKind.MIXED, [source], lambda: 1_800_000_000.0, limits=FORCED))
        lines = export(loaded, ExportFormat.RBLDNSD, Origin((b"out", b"test"), (), 7))
        server = Rbldnsd({"out.test": ("combined", b"\n".join(lines).decode() + "\n")})
        self.addCleanup(server.stop)
        addresses = ["192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.3.0", "2001:db8::1", "2001:db8:8000::"]
        for name in [*self.NAMES.split(), *map(pointer, addresses)]:
            self.assertEqual(our_answer(loaded.zone, name), server.answer(f"{name}.out.test"), name)
        self.assertEqual(server.answer("test.out.test")[0], ["127.0.0.2"])
