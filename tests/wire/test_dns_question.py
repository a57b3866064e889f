"""Queries from octets: what is read, what is answered FORMERR, and what is not answered at all."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.wire.dns_question import FormatError, Query, parse_query

SAMPLE = bytes.fromhex("1234000000010000000000000664656433303403636f6d05726873626c076578616d706c65036e65740000010001")
IN_A = b"\0\1\0\1"


def message(
    name: bytes, *, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0), rest: bytes = b""
) -> bytes:
    """A query of type A for a name on the wire."""
    return struct.pack("!6H", 0x1234, flags, *counts) + name + IN_A + rest


def opt(options: bytes = b"", *, owner: bytes = b"\0", version: int = 0, flags: int = 0, payload: int = 1232) -> bytes:
    """An OPT record."""
    return owner + struct.pack("!HHBBHH", 41, payload, 0, version, flags, len(options)) + options


class ParseTests(SynchronousTestCase):
    """What a query says."""

    def test_the_sample_of_the_specification(self) -> None:
        """6.6: an A query of 46 octets."""
        query = parse_query(SAMPLE)
        labels = (b"ded304", b"com", b"rhsbl", b"example", b"net")
        self.assertEqual(query, Query(b"\x12\x34", 0, False, SAMPLE[12:], labels, 1, 1, None))

    def test_case(self) -> None:
        """39: labels are folded for ASCII alone, the question is kept as it came."""
        query = parse_query(message(b"\x03DeD\x02\xc3\x84\0"))
        assert query is not None
        self.assertEqual((query.labels, query.question), ((b"ded", b"\xc3\x84"), b"\x03DeD\x02\xc3\x84\0" + IN_A))

    def test_a_label_with_a_dot_is_one_label(self) -> None:
        """38: so are those with NUL and backslash, which is not another spelling of anything."""
        for label in (b"spam.com", b"a\0b", b"a\\.b"):
            with self.subTest(label):
                query = parse_query(message(bytes([len(label)]) + label + b"\0"))
                assert query is not None
                self.assertEqual(query.labels, (label,))

    def test_the_root(self) -> None:
        """A name without labels is a name."""
        query = parse_query(message(b"\0"))
        assert query is not None
        self.assertEqual(query.labels, ())

    def test_flags(self) -> None:
        """RD is copied by the answer, the opcode as well."""
        query = parse_query(message(b"\0", flags=0x0100 | 4 << 11))
        assert query is not None
        self.assertEqual((query.opcode, query.wants_recursion), (4, True))

    def test_edns(self) -> None:
        """Payload, version, DO and the cookie; options that we do not know do not matter (D8)."""
        options = b"\0\x64\0\3abc" + b"\0\x0a\0\x08cookie12" + b"\0\x0c\0\0"
        query = parse_query(
            message(b"\0", counts=(1, 0, 0, 1), rest=opt(options, version=7, flags=0x8001, payload=4096))
        )
        assert query is not None
        edns = query.edns
        assert edns is not None
        self.assertEqual((edns.version, edns.payload, edns.is_dnssec_ok, edns.cookie), (7, 4096, True, b"cookie12"))

    def test_other_records_are_passed_over(self) -> None:
        """A signature in the additional section, its name compressed, keeps nobody from an answer."""
        tsig = b"\xc0\x0c" + struct.pack("!HHIH", 250, 255, 0, 3) + b"abc"
        query = parse_query(message(b"\1a\0", counts=(1, 0, 0, 2), rest=opt() + tsig))
        self.assertIsNotNone(query and query.edns)

    def test_silence(self) -> None:
        """D1: less than a header, and every response, so that two servers never talk to each other."""
        for wire in (b"", SAMPLE[:11], message(b"\0", flags=0x8000), struct.pack("!6H", 1, 0x8180, 0, 0, 0, 0)):
            with self.subTest(wire):
                self.assertIsNone(parse_query(wire))

    def test_format_errors(self) -> None:
        """38, D2, D8, D11: each is told from a query."""
        one, two = (1, 0, 0, 1), (1, 0, 0, 2)
        for what, wire in {
            "no question": message(b"", counts=(0, 0, 0, 0)),
            "two questions": message(b"\0", counts=(2, 0, 0, 0), rest=b"\0" + IN_A),
            "65535 questions": message(b"\0", counts=(65535, 0, 0, 0)),
            "cut in the name": SAMPLE[:20],
            "cut before the class": SAMPLE[:-2],
            "nothing but a header": SAMPLE[:12],
            "pointer to itself": message(b"\xc0\x0c"),
            "pointer forward": message(b"\xc0\x20"),
            "label of type 01": message(b"\x40" + b"a" * 64 + b"\0"),
            "label of type 10": message(b"\x80" + b"a" * 128 + b"\0"),
            "name over 255": message((b"\x3f" + b"a" * 63) * 4 + b"\0"),
            "octets behind": SAMPLE + b"\0",
            "record announced": message(b"\0", counts=(1, 0, 0, 1)),
            "record cut": message(b"\0", counts=one, rest=opt(b"\0\x64\0\0")[:-1]),
            "octets behind OPT": message(b"\0", counts=one, rest=opt() + b"\0"),
            "two OPT": message(b"\0", counts=two, rest=opt() * 2),
            "OPT with a name": message(b"\0", counts=one, rest=opt(owner=b"\1a\0")),
            "OPT as an answer": message(b"\0", counts=(1, 1, 0, 0), rest=opt()),
            "option beyond OPT": message(b"\0", counts=one, rest=opt(b"\0\x64\0\x09abc")),
            "half an option": message(b"\0", counts=one, rest=opt(b"\0\x64\0")),
            "cookie of 9": message(b"\0", counts=one, rest=opt(b"\0\x0a\0\x09cookie123")),
            "owner of type 01": message(b"\0", counts=one, rest=b"\x41" + opt()),
        }.items():
            with self.subTest(what):
                self.assertRaises(FormatError, parse_query, wire)

    def test_a_name_of_255_octets(self) -> None:
        """The longest that there may be."""
        name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
        query = parse_query(message(name))
        assert query is not None
        self.assertEqual((len(name), len(query.labels)), (255, 4))

    @given(st.binary(max_size=600))
    def test_noise(self, octets: bytes) -> None:
        """Any octets are a query, silence or FORMERR."""
        try:
            parse_query(octets)
        except FormatError as error:
            self.assertLessEqual(len(error.offending), 64)

    @given(st.binary(max_size=200), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
    def test_noise_behind_a_question(self, octets: bytes, answers: int, authorities: int, additional: int) -> None:
        """So it is with whatever the counts promise."""
        wire = message(b"\1a\0", counts=(1, answers, authorities, additional), rest=octets)
        try:
            query = parse_query(wire)
        except FormatError:
            return
        self.assertEqual(query and query.labels, (b"a",))

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.integers(0, 65535), st.booleans())
    def test_as_dnspython_writes_it(self, labels: list[bytes], rdtype: int, with_edns: bool) -> None:
        """What another library makes is read as it was meant."""
        name = dns.name.Name([*labels, b""])
        asked = dns.message.make_query(name, RdataType(rdtype))
        if with_edns:
            asked.use_edns(0, payload=1400, options=[dns.edns.CookieOption(b"12345678", b"")])
        query = parse_query(asked.to_wire())
        assert query is not None
        self.assertEqual((query.labels, query.rdtype), (tuple(map(bytes.lower, labels)), rdtype))
        self.assertEqual(query.edns is not None and query.edns.cookie == b"12345678", with_edns)
