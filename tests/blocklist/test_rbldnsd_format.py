"""Tests of rbldnsd's files; what the real rbldnsd answers to the same is asked in tests.integration."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import APEX, NOW, asked, labels, problems_of, reverse, zone_of
from twistedmilter.blocklist.loading import Format, Limits, Source, load_at_once, load_zone
from twistedmilter.blocklist.problems import LineError
from twistedmilter.blocklist.ranges import networks_of, parse_ipv4, parse_ipv6, set_networks
from twistedmilter.blocklist.zone import ZoneKind

FORCED = Limits(forced=True)


class DnsetTests(SynchronousTestCase):
    """Domain names."""

    def test_a_line_that_is_wrong_is_left_out(self) -> None:
        """It is told, and the rest is loaded, as rbldnsd does."""
        text = "a.example\nb.example :999:x\nc.example :2 y\nhttp://d.example/\n:8.8\ne.example"
        found = problems_of(text, ZoneKind.RHSBL, Format.DNSET)
        self.assertEqual([problem.split(": ")[0] for problem in found], [f"test.zone:{at}" for at in places(found)])
        self.assertEqual([problem.split(":")[1] for problem in found], ["2", "3", "4", "5"])
        zone = zone_of(text, ZoneKind.RHSBL, Format.DNSET)
        names = [name for name in "abcde" if asked(zone, f"{name}.example") is not None]
        self.assertEqual(names, ["a", "e"])

    def test_what_is_nothing(self) -> None:
        """Each format says what it does not take."""
        for written, line, words in (
            (Format.DNSET, "!", "missing"),
            (Format.IP4SET, "x.example", "no IPv4 address"),
            (Format.IP4TRIE, "192.0.2.1-9", "load the file as ip4set"),
            (Format.IP4TSET, "192.0.2.0/24", "single addresses only"),
            (Format.IP6TRIE, "x.example", "no IPv6 address"),
        ):
            kind = ZoneKind.RHSBL if written is Format.DNSET else ZoneKind.IPBL
            warning, *_ = problems_of(line, kind, written)
            self.assertIn(words, warning)

    def test_special_lines_in_comments(self) -> None:
        """#$, ;$ and :$ are special lines as well, for files that others read, too."""
        zone = zone_of("#$1 one\n;$2 two\n:$TTL 60\n#plain\na.example $1 $2", ZoneKind.RHSBL, Format.DNSET)
        listing = asked(zone, "a.example")
        assert listing is not None
        self.assertEqual((listing.text(b""), listing.ttl), (b"one two", 60))

    def test_base_template(self) -> None:
        """The base template goes around every text that does not begin with an equals sign."""
        text = "$= See $1 [$=] ($) $$\n$1 var\na.example :2:r123\nb.example\nc.example :2:=other $"
        zone = zone_of(text, ZoneKind.RHSBL, Format.DNSET)
        texts = [
            listing.text(name.encode())
            for name in ("a.example", "b.example", "c.example")
            if (listing := asked(zone, name))
        ]
        expected = [b"See var [r123] (a.example) $", b"See var [b.example] (b.example) $", b"other c.example"]
        self.assertEqual(texts, expected)


def places(found: list[str]) -> list[str]:
    """Line and column of each problem."""
    return [":".join(problem.split(":")[1:3]) for problem in found]


class AddressTests(SynchronousTestCase):
    """Sets and tries of addresses."""

    def codes(self, text: str, address: str, written: Format) -> list[int]:
        """The last octets of the codes of an address."""
        listing = asked(zone_of(text, ZoneKind.IPBL, written, FORCED), reverse(address))
        return [] if listing is None else [code[3] for code in listing.codes]

    def test_the_smallest_piece_decides(self) -> None:
        """In a set, pieces of 1, 256, 65,536 addresses; in a trie, the longest prefix."""
        text = "192.0.2.0/24 :3\n192.0.2.128/25 :4\n192.0.2.130/31 :5\n!192.0.2.131"
        self.assertEqual(self.codes(text, "192.0.2.1", Format.IP4SET), [3])
        self.assertEqual(self.codes(text, "192.0.2.200", Format.IP4SET), [4])
        self.assertEqual(self.codes(text, "192.0.2.130", Format.IP4SET), [4, 5])
        self.assertEqual(self.codes(text, "192.0.2.130", Format.IP4TRIE), [5])
        for written in (Format.IP4SET, Format.IP4TRIE):
            self.assertEqual(self.codes(text, "192.0.2.131", written), [])

    def test_the_same_twice(self) -> None:
        """A set has both, a trie the first."""
        text = "192.0.2.1 :3\n192.0.2.1 :4"
        self.assertEqual(self.codes(text, "192.0.2.1", Format.IP4SET), [3, 4])
        self.assertEqual(self.codes(text, "192.0.2.1", Format.IP4TRIE), [3])

    def test_a_range_keeps_its_own(self) -> None:
        """What is added to one address of a range is not added to the others."""
        text = "192.0.2.1-192.0.2.3 :3\n192.0.2.2 :4"
        found = [self.codes(text, f"192.0.2.{at}", Format.IP4SET) for at in (1, 2, 3)]
        self.assertEqual(found, [[3], [3, 4], [3]])

    def test_tset(self) -> None:
        """Single addresses, and the first default for all."""
        text = ":3:one\n192.0.2.1\n:4:two\n192.0.2.2 :5:own\n192.0.3.0/24\n!192.0.2.1"
        found = [self.codes(text, address, Format.IP4TSET) for address in ("192.0.2.1", "192.0.2.2", "192.0.3.1")]
        self.assertEqual(found, [[3], [3], []])

    def test_widest_range(self) -> None:
        """$MAXRANGE4 leaves out what is wider, from there on, and only gets smaller."""
        text = "10.0.0.0/8\n$MAXRANGE4 /24\n$MAXRANGE4 65536\n192.0.0.0/23\n192.0.2.0/24"
        found = [self.codes(text, address, Format.IP4TRIE) for address in ("10.1.1.1", "192.0.1.1", "192.0.2.1")]
        self.assertEqual(found, [[2], [], [2]])


class RangeTests(SynchronousTestCase):
    """How addresses are written, and into which networks ranges fall."""

    def test_the_manual(self) -> None:
        """The spellings of rbldnsd(8) that rbldnsd itself takes."""
        for text in ("127.0.0.0/24", "127.0.0", "127.0.0.0-127.0.0.255"):
            self.assertEqual(parse_ipv4(text.encode()), (0x7F000000, 0x7F0000FF))
        wide = "127.16.0.0-127.31.255.255 127.16.0-127.31.255 127.16-127.31 127.16-31 127.16/12 127.16.0.0/12"
        for text in wide.split():
            self.assertEqual(parse_ipv4(text.encode()), (0x7F100000, 0x7F1FFFFF))
        self.assertEqual(parse_ipv4(b"127.0.0.1-255"), (0x7F000001, 0x7F0000FF))

    def test_ipv6(self) -> None:
        """Groups that are left out at the end are zeros."""
        self.assertEqual(parse_ipv6(b"2001:21ab:c000/36").length, 36)
        self.assertEqual(parse_ipv6(b"2001:db8:7:4242").length, 64)
        self.assertEqual(parse_ipv6(b"2001:db8::").length, 128)

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**18))
    def test_networks_make_up_their_range(self, first: int, size: int) -> None:
        """They follow each other without a gap, each at a multiple of its size."""
        last = min(first + size, 2**32 - 1)
        for cut in (networks_of, set_networks):
            expected = first
            for network in cut(first, last):
                self.assertEqual(network.first, expected)
                self.assertFalse(network.first % 2 ** (32 - network.length))
                expected += 2 ** (32 - network.length)
            self.assertEqual(expected, last + 1)

    @given(st.one_of(st.binary(max_size=20), st.text("0123456789./-:abf", max_size=24).map(str.encode)))
    def test_garbage(self, text: bytes) -> None:
        """Anything is a range or a LineError."""
        for parse in (parse_ipv4, parse_ipv6):
            try:
                parse(text)
            except LineError as error:
                self.assertTrue(str(error))

    @given(
        st.sampled_from(list(Format)),
        st.lists(
            st.one_of(st.binary(max_size=40), st.text("0123456789./-:!a$ ", max_size=24).map(str.encode)), max_size=8
        ),
    )
    def test_garbage_files(self, written: Format, lines: list[bytes]) -> None:
        """Any lines are loaded, with what can be read of them."""
        if written is not Format.NATIVE:
            source = Source("g", lines, written)
            zone = load_at_once(load_zone(APEX, ZoneKind.MIXED, [source], lambda: NOW, limits=FORCED)).zone
            zone.find(labels("1.2.3.4"))
