"""Tests of what is written for others; a small name server reads it again and has to say what the zone says."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import dns.rdatatype
import dns.zone
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.test_zone import LISTED
from tests.blocklist.zones import NOW, labels
from twistedmilter.blocklist.export import ExportFormat, Origin, export
from twistedmilter.blocklist.loading import Limits, Loaded, Source, load_at_once, load_zone
from twistedmilter.blocklist.written_rules import left_out
from twistedmilter.blocklist.zone import ZoneKind

APEX = "list.example.net"
ORIGIN = Origin(labels(APEX), (labels("ns.example.net"),), 7)
TEXT = """\
:127.0.0.2:$ costs $$5 ($r)
ded304.com
.spam.example :127.0.0.4:reason
a.spam.example :5
a.spam.example :6
*.below.example :6:under $
!good.spam.example
!.out.spam.example
!glob:no*.spam.example
no1.spam.example
ended.example [expires=2020-01-01]
serial:ded{298-301}.com :5:serial
serial:many{0-99999}.com
glob:cheap-*.biz
regex:x\\d\\.com
192.0.2.0/25 :6:net $
192.0.2.7 :7
!192.0.2.9
!192.0.1.0/24
!192.0.2.200
198.51.100.0/24 [expires=2020-01-01]
203.0.113.0/24
!192.0.2.100-192.0.2.101
2001:db8::/30 :8:six $
"""


def loaded_of(text: str) -> Loaded:
    """A zone of this text, whatever it lists."""
    source = Source("own.zone", text.encode().splitlines())
    return load_at_once(load_zone((), ZoneKind.MIXED, [source], lambda: NOW, limits=Limits(forced=True)))


def written(loaded: Loaded, how: ExportFormat) -> list[str]:
    """The lines of an export."""
    return [line.decode("ascii") for line in export(loaded, how, ORIGIN)]


class NameServer:
    """Answers from a zone file with the wildcards of RFC 4592, and nothing else."""

    def __init__(self, lines: list[str]) -> None:
        """Read the file."""
        zone = dns.zone.from_text("\n".join(lines) + "\n", origin=APEX, relativize=True)
        self.records: dict[tuple[str, ...], dict[str, list[str]]] = {}
        for name, ttl, record in zone.iterate_rdatas():
            del ttl
            key = tuple(label.decode() for label in name.labels)
            kind = dns.rdatatype.to_text(record.rdtype)
            self.records.setdefault(key, {}).setdefault(kind, []).append(record.to_text())
        self.nodes = {key[at:] for key in self.records for at in range(len(key) + 1)}

    def answer(self, name: str, kind: str) -> list[str]:
        """Records of a name, or of the wildcard at its closest encloser (RFC 4592 section 3.3.1)."""
        key = tuple(name.split("."))
        if key in self.nodes:
            return sorted(self.records.get(key, {}).get(kind, []))
        encloser = next(key[at:] for at in range(len(key) + 1) if key[at:] in self.nodes)
        return sorted(self.records.get(("*", *encloser), {}).get(kind, []))


def codes(loaded: Loaded, name: str) -> list[str]:
    """The addresses that the zone itself answers."""
    listing = loaded.zone.find(labels(name))
    return [] if listing is None else sorted(".".join(map(str, code)) for code in listing.codes)


class BindTests(SynchronousTestCase):
    """A zone file for servers that know records and wildcards only."""

    def test_names(self) -> None:
        """The same addresses, with wildcards that reach below names that exist, and holes."""
        loaded = loaded_of(TEXT)
        server = NameServer(written(loaded, ExportFormat.BIND))
        names = """ded304.com ded297.com ded298.com ded301.com spam.example x.spam.example a.spam.example
            b.a.spam.example good.spam.example x.good.spam.example out.spam.example y.out.spam.example no1.spam.example
            below.example x.below.example y.x.below.example ended.example nobody.example com"""
        for name in names.split():
            self.assertEqual(server.answer(name, "A"), codes(loaded, name), name)

    def test_addresses(self) -> None:
        """Every address of a network that is no whole number of octets, and every hole."""
        loaded = loaded_of(TEXT)
        server = NameServer(written(loaded, ExportFormat.BIND))
        for at in range(256):
            name = f"{at}.2.0.192"
            self.assertEqual(server.answer(name, "A"), codes(loaded, name), name)
        for name in ("7.100.51.198", "7.113.0.203", "7.1.0.192"):
            self.assertEqual(server.answer(name, "A"), codes(loaded, name), name)
        for nibble in "0137ac":
            name = f"1{'.0' * 23}.{nibble}.b.d.0.1.0.0.2"
            self.assertEqual(server.answer(name, "A"), codes(loaded, name), name)

    def test_texts(self) -> None:
        """Texts name the entry, and the rule where they ask for it."""
        server = NameServer(written(loaded_of(TEXT), ExportFormat.BIND))
        self.assertEqual(server.answer("ded304.com", "TXT"), ['"ded304.com costs $5 (own.zone:2)"'])
        self.assertEqual(server.answer("x.below.example", "TXT"), ['"under below.example"'])
        self.assertEqual(server.answer("5.2.0.192", "TXT"), ['"net 192.0.2.5"'])

    def test_test_entries(self) -> None:
        """RFC 5782 section 5: others do not know them by themselves."""
        server = NameServer(written(loaded_of(TEXT), ExportFormat.BIND))
        nibbles = "2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20
        self.assertEqual([server.answer(name, "A") for name in ("test", "2.0.0.127", nibbles)], [["127.0.0.2"]] * 3)
        self.assertEqual([server.answer(name, "A") for name in ("invalid", "1.0.0.127")], [[]] * 2)

    def test_head(self) -> None:
        """SOA and NS as the files say, else as it is asked."""
        lines = written(loaded_of("a.example"), ExportFormat.BIND)
        soa = "@ 300 IN SOA ns.example.net. hostmaster.list.example.net. ( 7 3600 600 604800 300 )"
        self.assertEqual(lines[2:4], [soa, "@ IN NS ns.example.net."])
        text = "a.example\n$SOA 60 p.example h.example 0 1h 10m 1w 5m\n$NS 1h n.example"
        lines = written(loaded_of(text), ExportFormat.BIND)
        soa = "@ 60 IN SOA p.example. h.example. ( 7 3600 600 604800 300 )"
        self.assertEqual(lines[2:4], [soa, "@ IN NS n.example."])

    @given(
        st.lists(st.tuples(st.sampled_from(["", ".", "*.", "!", "!.", "!*."]), LISTED), min_size=1, max_size=7),
        st.lists(LISTED, max_size=20),
    )
    def test_any_names(self, rules: list[tuple[str, str]], names: list[str]) -> None:
        """Whatever is listed and excluded, a name server with wildcards says the same."""
        loaded = loaded_of("\n".join(mark + name for mark, name in rules))
        server = NameServer(written(loaded, ExportFormat.BIND))
        for name in [*names, *(name for _, name in rules), *("a." + name for _, name in rules)]:
            self.assertEqual(server.answer(name, "A"), codes(loaded, name), name)


class PolicyZoneTests(SynchronousTestCase):
    """A response policy zone."""

    def test_names(self) -> None:
        """What is listed does not exist, what is excluded is let through."""
        server = NameServer(written(loaded_of(TEXT), ExportFormat.RPZ))
        found = [
            server.answer(name, "CNAME") for name in ("ded304.com", "x.spam.example", "good.spam.example", "a.org")
        ]
        self.assertEqual(found, [["."], ["."], ["rpz-passthru."], []])

    def test_addresses(self) -> None:
        """The length, then the address in reverse; networks make up what is listed."""
        lines = written(loaded_of(TEXT), ExportFormat.RPZ)
        names = [line.split(".rpz-ip ")[0] for line in lines if ".rpz-ip " in line]
        self.assertIn("30.zz.db8.2001", names)
        listed = set()
        for name in names:
            length, *octets = name.split(".")
            if "zz" not in octets:
                listed |= {*ip_network(f"{'.'.join(reversed(octets))}/{length}")}
        expected = {IPv4Address(f"192.0.2.{at}") for at in range(128) if at not in {9, 100, 101}}
        self.assertEqual(listed, expected | {*ip_network("203.0.113.0/24")})


class RbldnsdTests(SynchronousTestCase):
    """Data for rbldnsd; what the real one makes of it is asked in tests.integration."""

    def test_one_kind(self) -> None:
        """Names alone are a dnset, addresses alone a trie, both a combined file."""
        for text, kind in (("a.example", "dnset"), ("192.0.2.1", "ip4trie"), ("2001:db8::", "ip6trie")):
            lines = written(loaded_of(text), ExportFormat.RBLDNSD)
            self.assertEqual(lines[0], f"# rbldnsd type: {kind}")
            self.assertFalse([line for line in lines if line.startswith("$DATASET")])
        lines = written(loaded_of(TEXT), ExportFormat.RBLDNSD)
        kinds = [line.split()[1] for line in lines if line.startswith("$DATASET")]
        self.assertEqual(kinds, ["dnset", "ip4trie", "ip6trie"])

    def test_answers(self) -> None:
        """Texts are templates again; each code is a line."""
        lines = written(loaded_of(TEXT), ExportFormat.RBLDNSD)
        self.assertIn("ded304.com :127.0.0.2:$ costs $$5 (own.zone:2)", lines)
        self.assertIn("a.spam.example :127.0.0.5:$ costs $$5 (own.zone:4)", lines)
        self.assertIn("a.spam.example :127.0.0.6:$ costs $$5 (own.zone:4)", lines)
        self.assertEqual([line for line in lines if "ended" in line], [])

    def test_what_is_left_out_is_told(self) -> None:
        """Patterns and families that are too large."""
        rules = left_out(loaded_of(TEXT))
        self.assertEqual([rule.line for rule in rules], [13, 14, 15])

    def test_nothing(self) -> None:
        """A zone of patterns alone, and an empty one, are files all the same."""
        for text in ("glob:cheap-*.biz", ""):
            for how in ExportFormat:
                self.assertTrue(written(loaded_of(text), how))
