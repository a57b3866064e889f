"""The decision table of spec 6.6, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.test_signature_zone import NOW, SIGNED, TestVerifier
from tests.wire.test_dns_question import opt
from tests.wire.test_dns_response import APEX, authority
from twistedmilter.blocklist.answers import Answer, Asker, Served, ServedList, ServedSignatures, answer
from twistedmilter.blocklist.listing import RuleKind, Values
from twistedmilter.blocklist.names import NameTable
from twistedmilter.blocklist.rate import ResponseKind
from twistedmilter.blocklist.rules import RuleTable
from twistedmilter.blocklist.signature_zone import SignatureZone
from twistedmilter.blocklist.zone import Contents, Head, Zone, ZoneKind
from twistedmilter.wire.dns_question import Query, parse_query
from twistedmilter.wire.dns_response import BADVERS, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, Authority, encode_reply

A, NS, SOA, MX, TXT, AAAA, ANY, AXFR, IXFR = 1, 2, 6, 15, 16, 28, 255, 252, 251
REASON = Values(codes=(b"\x7f\0\0\2", b"\x7f\0\0\4"), template=b"Throwaway domain \0", ttl=600)


def query(name: str, rdtype: int = A, *, rdclass: int = 1, flags: int = 0, edns: bytes = b"") -> Query:
    """A query; a backslash stands for a dot within a label."""
    octets = bytearray((0x12, 0x34, *flags.to_bytes(2, "big"), 0, 1, 0, 0, 0, 0, 0, 1 if edns else 0))
    for label in name.encode("latin-1").split(b".") if name else ():
        octets += bytes([len(label)]) + label.replace(b"\\", b".")
    octets += b"\0" + rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big") + edns
    parsed = parse_query(bytes(octets))
    assert parsed is not None
    return parsed


def zone(entries: Mapping[str, Values], kind: ZoneKind = ZoneKind.RHSBL, head: Head | None = None) -> Zone:
    """A zone of exact names."""
    rules, names = RuleTable(lambda: NOW), NameTable(lambda known, _new: known)
    for line, (name, values) in enumerate(entries.items(), 1):
        names.add_exact(name.encode(), rules.add(RuleKind.EXACT, values, "test.zone", line))
    return Zone(APEX, kind, Contents(rules, names, head=head or Head()))


def served(entries: Mapping[str, Values] | None = None, kind: ZoneKind = ZoneKind.RHSBL) -> ServedList:
    """A zone as it is served; with one plain entry and one that has a reason."""
    default = {"ded304.com": Values(), "ded305.com": REASON, "a.b.example": Values()}
    return ServedList(authority(), zone(default if entries is None else entries, kind))


class TableTests(SynchronousTestCase):
    """What each query gets."""

    def setUp(self) -> None:
        """The entries of most tests."""
        self.served = served()

    def ask(
        self, name: str, rdtype: int = A, *, of: Served | None = None, **options: Any
    ) -> tuple[int, int, int, bool]:
        """Rcode, number of answers, number of authority records, AA."""
        reply = answer(
            query(f"{name}.rhsbl.example.net".lstrip("."), rdtype, **options), of or self.served, Asker()
        ).reply
        return reply.rcode, reply.answers.count, reply.authority.count, reply.is_authoritative

    def test_outside_all_zones(self) -> None:
        """REFUSED with nothing."""
        given = answer(query("example.org"), None, Asker())
        self.assertEqual(encode_reply(query("example.org"), given.reply, 512)[2:12].hex(), "80050001000000000000")

    def test_class_opcode_transfer_version(self) -> None:
        """D3, D4, D7, D23: each its own error, none with data."""
        cases: tuple[tuple[str, dict[str, Any], int], ...] = (
            ("class CH", {"rdclass": 3}, REFUSED),
            ("class ANY", {"rdclass": 255}, REFUSED),
            ("AXFR", {"rdtype": AXFR}, REFUSED),
            ("IXFR", {"rdtype": IXFR}, REFUSED),
            ("status", {"flags": 2 << 11}, NOTIMP),
            ("NOTIFY", {"flags": 4 << 11}, NOTIMP),
            ("UPDATE", {"flags": 5 << 11}, NOTIMP),
        )
        for name, options, rcode in cases:
            with self.subTest(name):
                self.assertEqual(self.ask("ded304.com", **options), (rcode, 0, 0, False))
        given = answer(query("ded304.com.rhsbl.example.net", edns=opt(version=1)), served(), Asker())
        self.assertEqual((given.reply.rcode, given.reply.answers.count), (BADVERS, 0))

    def test_apex(self) -> None:
        """SOA, NS, for ANY the SOA; for other types NODATA."""
        found = {rdtype: self.ask("", rdtype)[:3] for rdtype in (SOA, NS, ANY, A, TXT)}
        one, nothing = (0, 1, 0), (0, 0, 1)
        self.assertEqual(found, {SOA: one, NS: one, ANY: one, A: nothing, TXT: nothing})

    def test_listed(self) -> None:
        """A and TXT with data; for ANY one RRset (RFC 8482); TXT only where there is a text."""
        self.assertEqual([self.ask("ded305.com", rdtype)[1] for rdtype in (A, TXT, ANY)], [2, 1, 2])
        self.assertEqual(self.ask("ded304.com", TXT), (0, 0, 1, True))
        text = answer(query("ded305.com.rhsbl.example.net", TXT), served(), Asker()).reply.answers.octets
        self.assertTrue(text.endswith(b"\x1bThrowaway domain ded305.com"))

    def test_every_other_type_is_nodata(self) -> None:
        """6.7: sendmail asks for AAAA first, and NXDOMAIN there would end its search; D6: all 65,536 types."""
        known = {A, TXT, ANY, AXFR, IXFR}
        found = {self.ask("ded304.com", rdtype) for rdtype in range(65_536) if rdtype not in known}
        self.assertEqual(found, {(0, 0, 1, True)})

    def test_above_a_listed_name(self) -> None:
        """40, D22: NODATA, or QNAME minimisation would end there."""
        for name in ("com", "b.example", "example"):
            self.assertEqual(self.ask(name), (0, 0, 1, True))

    def test_not_listed(self) -> None:
        """NXDOMAIN with SOA and AA, for all types."""
        for rdtype in (A, TXT, AAAA, MX, ANY):
            self.assertEqual(self.ask("gathman.org", rdtype), (NXDOMAIN, 0, 1, True))

    def test_strange_labels(self) -> None:
        """38: a label with a dot in it is not two labels."""
        for name in ("ded304\\com", "de\0.com", "ded304.co\xe9", "ded304.com\\"):
            self.assertEqual(self.ask(name)[:2], (NXDOMAIN, 0), name)

    def test_not_loaded(self) -> None:
        """47, D21: SERVFAIL for everything, and never for long."""
        given = answer(query("ded304.com.rhsbl.example.net"), ServedList(authority(), None), Asker())
        self.assertEqual((given.reply.rcode, given.reply.is_authoritative, given.lasts), (SERVFAIL, False, False))

    def test_expired(self) -> None:
        """D21: data that say themselves that they are too old neither list nor clear anybody."""
        old = ServedList(authority(), zone({"ded304.com": Values()}, head=Head(expires=NOW)))
        rcodes = [
            answer(query(f"{name}.rhsbl.example.net"), old, Asker(now=now)).reply.rcode
            for name, now in (("ded304.com", NOW - 1), ("ded304.com", NOW), ("gathman.org", NOW))
        ]
        self.assertEqual(rcodes, [0, SERVFAIL, SERVFAIL])

    def test_the_test_entries(self) -> None:
        """D16, RFC 5782 section 5: in every kind of list, whatever its data are."""
        mapped = ".".join((*"00000f7ffff", *"0" * 20))
        names = {"test": True, "invalid": False}
        addresses = {"2.0.0.127": True, "1.0.0.127": False, f"2.{mapped}": True, f"1.{mapped}": False}
        of_kind = {ZoneKind.RHSBL: names, ZoneKind.IPBL: addresses, ZoneKind.MIXED: {**names, **addresses}}
        for kind, tests in of_kind.items():
            for name, is_listed in tests.items():
                for entries in ({}, {name: REASON}):
                    found = self.ask(name, of=served(entries, kind))
                    self.assertEqual(found[1], int(is_listed), (kind, name, entries))
                    self.assertEqual(self.ask(name, TXT, of=served(entries, kind))[1], int(is_listed))

    def test_names_above_the_test_entries(self) -> None:
        """QNAME minimisation finds them, too."""
        for name in ("127", "0.127", "0.0.127", "0.0.0"):
            self.assertEqual(self.ask(name, of=served({}, ZoneKind.IPBL))[0], 0)

    def test_case(self) -> None:
        """39: 0x20 matches, and the question is echoed as it came."""
        asked = query("DeD304.cOm.RHSBL.example.NET")
        response = encode_reply(asked, answer(asked, served(), Asker()).reply, 512)
        self.assertIn(b"\x06DeD304\x03cOm\x05RHSBL\x07example\x03NET", response)
        self.assertTrue(response.endswith(b"\x7f\0\0\2"))


class SampleTests(SynchronousTestCase):
    """The octets that 6.6 gives, through the whole table."""

    def test_samples(self) -> None:
        """Listed, not listed, empty non-terminal."""
        soa = "0027036e7331c0{0}0a686f73746d6173746572c0{0}78c4059100000e100000025800093a800000012c"
        rr = "c0{0}000600010000012c"
        tail = "05726873626c076578616d706c65036e65740000010001"
        for name, expected in {
            "ded304.com": f"1234840000010001000000000664656433303403636f6d{tail}c00c000100010000012c00047f000002",
            "gathman.org": f"12348403000100000001000007676174686d616e036f7267{tail}{rr.format('18')}{soa.format('1e')}",
            "com": f"12348400000100000001000003636f6d{tail}{rr.format('10')}{soa.format('16')}",
        }.items():
            asked = query(f"{name}.rhsbl.example.net")
            response = encode_reply(asked, answer(asked, served(), Asker()).reply, 512)
            self.assertEqual(response.hex(), expected, name)


class SignatureTests(SynchronousTestCase):
    """Zones of kind C{ses} (6.5)."""

    def setUp(self) -> None:
        """One signature is known."""
        apex = (b"_ses", b"mouse", b"com")
        self.verifier = TestVerifier()
        signatures = SignatureZone("mouse.com", self.verifier, self.fail)
        self.served = ServedSignatures(Authority(apex, [apex], apex, 1), signatures)

    def ask(self, name: str, rdtype: int = A) -> Answer:
        """One question."""
        return answer(query(f"{name}._ses.mouse.com", rdtype), self.served, Asker(b"\1\2\3", 0.0, NOW))

    def test_the_sample(self) -> None:
        """6.6: 61 octets get 77, 127.0.0.2 for 60 s."""
        asked = query("SES=FE68Q8Y4XOT6ZW5XZ=mickey._ses.mouse.com")
        response = encode_reply(asked, answer(asked, self.served, Asker(b"", 0.0, NOW)).reply, 512)
        self.assertEqual((len(response), response[-12:].hex()), (77, "000100010000003c00047f000002"[4:]))
        self.assertIn(
            bytes.fromhex("1c5345533d4645363851385934584f54365a5735585a3d6d69636b6579045f736573056d6f757365"), response
        )

    def test_any_case(self) -> None:
        """39: as pyspf folds it and as resolvers mix it."""
        for name in (SIGNED, SIGNED.upper(), SIGNED.title()):
            self.assertEqual(self.ask(name).reply.answers.count, 1)

    def test_only_addresses(self) -> None:
        """Nothing tells who or what was signed, and asking for it costs no hash."""
        for rdtype in (TXT, AAAA, MX):
            reply = self.ask(SIGNED, rdtype).reply
            self.assertEqual((reply.rcode, reply.answers.count, reply.authority.count), (0, 0, 1))
        self.assertEqual(self.verifier.asked, [])

    def test_forged(self) -> None:
        """45: no data, whatever is wrong with it; and nothing of it is remembered."""
        for name in ("ses=fe68q8y4xot6zw5xa=mickey", "ses=fe68q8y4xot6zw5xz=minnie", "ses==a", "srs0=aaaa=bb=c=d"):
            given = self.ask(name)
            self.assertEqual((given.reply.rcode, given.reply.answers.count, given.lasts), (0, 0, False))
            self.assertIs(given.kind, ResponseKind.NEGATIVE)

    def test_on_the_way_to_a_signature(self) -> None:
        """40: names without a tag are there but empty; those that can be none are not there."""
        self.assertEqual(
            [self.ask(name).reply.rcode for name in ("doe", "com", "ses%3da%3db", "x.ses=a=b")], [0, 0, 0, 3]
        )

    def test_apex(self) -> None:
        """SOA and NS as with any zone."""
        self.assertEqual(answer(query("_ses.mouse.com", SOA), self.served, Asker()).reply.answers.count, 1)
