"""Tests of the stub resolver's codec; dnspython is the other side."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.dns_query import (
    MAX_CNAMES,
    MAX_RECORDS,
    Outcome,
    Question,
    Response,
    encode_question,
    name_text,
    question,
    read_response,
)

SOA = "example.com. 900 IN SOA ns.example.com. a.example.com. 1 2 3 4 60"


def ask(name: str = "example.com", rdtype: RdataType = RdataType.A) -> Question:
    """A question that can be asked."""
    asked = question(name, rdtype)
    assert asked is not None
    return asked


def reply(
    asked: Question,
    *answer: str,
    authority: tuple[str, ...] = (),
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    flags: int = 0,
    query_id: int = 1,
) -> bytes:
    """A response made by dnspython from lines of a zone file."""
    message = dns.message.make_response(dns.message.from_wire(encode_question(asked, query_id, edns=True)))
    message.set_rcode(rcode)
    message.flags |= flags
    for section, lines in ((message.answer, answer), (message.authority, authority)):
        for line in lines:
            name, ttl, rdclass, rdtype, data = line.split(None, 4)
            section.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data))
    return message.to_wire(max_size=65535)


def read(octets: bytes, asked: Question) -> Response:
    """The response to a question with id 1."""
    return read_response(octets, asked, 1)


class QuestionTests(SynchronousTestCase):
    """Names to questions, questions to octets."""

    def test_octets(self) -> None:
        """RFC 1035 section 4.1: recursion desired, one question, and an OPT record that says 1232 octets."""
        self.assertEqual(
            encode_question(ask("MX.example.com.", RdataType.MX), 0xABCD, edns=True),
            bytes.fromhex("abcd 0100 0001 0000 0000 0001")
            + b"\x02mx\x07example\x03com\0"
            + bytes.fromhex("000f 0001  00 0029 04d0 00000000 0000"),
        )

    def test_without_edns(self) -> None:
        """A server that does not know EDNS gets a bare question."""
        message = dns.message.from_wire(encode_question(ask(), 7, edns=False))
        self.assertEqual((message.edns, message.id), (-1, 7))

    def test_names_that_cannot_exist(self) -> None:
        """Empty labels, labels over 63 octets and names over 255 are not asked."""
        for name in (
            "",
            ".",
            "a..b",
            ".example.com",
            "a" * 64 + ".example",
            ".".join(["a" * 63] * 4),
            "\udcff.example",
        ):
            self.assertIsNone(question(name, RdataType.A), name)

    def test_longest_names(self) -> None:
        """63 octets in a label and 255 in a name are allowed."""
        self.assertIsNotNone(question(".".join(["a" * 63] * 3 + ["b" * 61]), RdataType.A))
        self.assertIsNone(question(".".join(["a" * 63] * 3 + ["b" * 62]), RdataType.A))

    def test_odd_octets_are_asked_as_they_are(self) -> None:
        """What a macro brings is octets: a backslash escapes nothing."""
        self.assertEqual(ask(r"a\046b c.example").labels, (rb"a\046b c", b"example"))

    def test_u_labels_are_asked_as_a_labels(self) -> None:
        """RFC 5890: only A-labels go on the wire."""
        self.assertEqual(str(ask("straße.example", RdataType.TXT)), "TXT xn--strae-oqa.example")

    def test_text_is_printable(self) -> None:
        """I8: octets that are not printable are escaped in what people read."""
        self.assertEqual(name_text((b"a\r\n", b"\xff", b"example")), r"a\013\010.\255.example")


class ResponseTests(SynchronousTestCase):
    """Octets to responses."""

    def test_found(self) -> None:
        """The records and the least of their TTLs."""
        asked = ask("Example.com")
        response = read(reply(asked, "example.com. 60 IN A 192.0.2.1", "EXAMPLE.com. 60 IN A 192.0.2.2"), asked)
        self.assertEqual((response.outcome, response.ttl), (Outcome.FOUND, 60))
        self.assertEqual([record.to_text() for record in response.records], ["192.0.2.1", "192.0.2.2"])

    def test_compressed_names_in_records(self) -> None:
        """An exchange that is a pointer is read whole; a null MX is data (LL-04)."""
        asked = ask(rdtype=RdataType.MX)
        response = read(reply(asked, "example.com. 60 IN MX 10 mail.example.com.", "example.com. 60 IN MX 0 ."), asked)
        self.assertEqual([record.to_text() for record in response.records], ["10 mail.example.com.", "0 ."])

    def test_records_of_other_names_and_types_are_left_out(self) -> None:
        """LL-06: an answer cannot bring what was not asked for."""
        asked = ask()
        octets = reply(asked, "example.com. 60 IN A 192.0.2.1", "victim.example. 60 IN A 203.0.113.6")
        self.assertEqual([record.to_text() for record in read(octets, asked).records], ["192.0.2.1"])

    def test_chain_is_followed(self) -> None:
        """RFC 1034 section 3.6.2: the records are those at its end, and the least TTL of all links counts."""
        asked = ask("www.example.com")
        octets = reply(
            asked,
            "www.example.com. 30 IN CNAME a.example.com.",
            "a.example.com. 90 IN CNAME b.example.com.",
            "b.example.com. 60 IN A 192.0.2.1",
        )
        response = read(octets, asked)
        self.assertEqual((response.outcome, response.ttl, len(response.chain)), (Outcome.FOUND, 30, 3))

    def test_chain_that_ends_elsewhere(self) -> None:
        """A chain without its end has to be asked for further."""
        asked = ask("www.example.com")
        response = read(reply(asked, "www.example.com. 30 IN CNAME a.example.net."), asked)
        self.assertEqual((response.outcome, response.chain[-1]), (Outcome.ELSEWHERE, (b"a", b"example", b"net")))

    def test_question_for_a_cname(self) -> None:
        """Asked for itself, a CNAME is an answer."""
        asked = ask("www.example.com", RdataType.CNAME)
        response = read(reply(asked, "www.example.com. 30 IN CNAME a.example.net."), asked)
        self.assertEqual(response.records[0].to_text(), "a.example.net.")

    def test_loops_and_long_chains(self) -> None:
        """LL-03, A10: a loop is an error, whatever its case, and so is a chain over the limit."""
        asked = ask("a0.example")
        loop = reply(asked, "a0.example. 30 IN CNAME b.example.", "B.example. 30 IN CNAME A0.example.")
        links = [f"a{n}.example. 30 IN CNAME a{n + 1}.example." for n in range(MAX_CNAMES + 1)]
        for octets in (loop, reply(asked, *links, f"a{MAX_CNAMES + 1}.example. 30 IN A 192.0.2.1")):
            response = read(octets, asked)
            self.assertEqual(response.outcome, Outcome.UNUSABLE)
            self.assertIn("CNAME", response.problem)
        enough = reply(asked, *links[:-1], f"a{MAX_CNAMES}.example. 30 IN A 192.0.2.1")
        self.assertEqual(read(enough, asked).outcome, Outcome.FOUND)

    def test_negative_answers(self) -> None:
        """RFC 2308 section 5: a negative answer holds for the lesser of the SOA's TTL and its MINIMUM."""
        asked = ask()
        for rcode, outcome in ((dns.rcode.NXDOMAIN, Outcome.NXDOMAIN), (dns.rcode.NOERROR, Outcome.NODATA)):
            response = read(reply(asked, rcode=rcode, authority=(SOA,)), asked)
            self.assertEqual((response.outcome, response.ttl), (outcome, 60))

    def test_end_of_a_chain_that_is_not_there(self) -> None:
        """NXDOMAIN is about the end of the chain, with a SOA and without."""
        asked = ask("www.example.com")
        octets = reply(asked, "www.example.com. 30 IN CNAME a.example.net.", rcode=dns.rcode.NXDOMAIN)
        self.assertEqual(read(octets, asked).outcome, Outcome.NXDOMAIN)

    def test_servers_that_cannot_say(self) -> None:
        """A7: refused, failed, lame, and NXDOMAIN with answers are no answers."""
        asked = ask()
        record = "example.com. 60 IN A 192.0.2.1"
        lame = reply(asked, authority=("example.com. 60 IN NS ns.elsewhere.example.",))
        for octets, problem in (
            (reply(asked, rcode=dns.rcode.SERVFAIL), "SERVFAIL"),
            (reply(asked, rcode=dns.rcode.REFUSED), "REFUSED"),
            (reply(asked, record, rcode=dns.rcode.NXDOMAIN), "NXDOMAIN with answers"),
            (lame, "lame"),
        ):
            response = read(octets, asked)
            self.assertEqual(response.outcome, Outcome.UNUSABLE)
            self.assertIn(problem, response.problem)

    def test_truncated(self) -> None:
        """TC means ask over TCP, whatever else is in it."""
        asked = ask()
        octets = reply(asked, "example.com. 60 IN A 192.0.2.1", flags=dns.flags.TC)
        self.assertEqual(read(octets, asked).outcome, Outcome.TRUNCATED)

    def test_edns_refused(self) -> None:
        """FORMERR, even from a server that leaves the question out."""
        bare = struct.pack("!6H", 1, 0x8181, 0, 0, 0, 0)
        self.assertEqual(read(bare, ask()).outcome, Outcome.EDNS_REFUSED)

    def test_at_most_64_records_are_used(self) -> None:
        """A10: the rest of a long answer is left out."""
        asked = ask()
        octets = reply(asked, *(f"example.com. 60 IN A 192.0.{n // 250}.{n % 250}" for n in range(300)))
        self.assertEqual(len(read(octets, asked).records), MAX_RECORDS)

    def test_text_without_a_string(self) -> None:
        """A TXT record without any string is left out, the others stay."""
        asked = ask(rdtype=RdataType.TXT)
        whole = reply(asked, 'example.com. 60 IN TXT "a"')
        empty = whole.replace(b"\0\x02\x01a", b"\0\0")
        self.assertEqual(read(empty, asked).outcome, Outcome.NODATA)

    def test_malformed_record(self) -> None:
        """An address of three octets makes the answer unusable."""
        asked = ask()
        octets = reply(asked, "example.com. 60 IN A 192.0.2.1")
        broken = octets.replace(b"\0\x04\xc0\x00\x02\x01", b"\0\x03\xc0\x00\x02")
        self.assertEqual(read(broken, asked).problem, "malformed A record")


class ForgeryTests(SynchronousTestCase):
    """A9: what is not the answer to our question does not count."""

    def violate(self, octets: bytes, asked: Question | None = None) -> None:
        """Reading must raise ProtocolViolation."""
        self.assertRaises(ProtocolViolation, read, octets, asked or ask())

    def test_wrong_id(self) -> None:
        """An id that was not asked with."""
        self.violate(reply(ask(), "example.com. 60 IN A 192.0.2.1", query_id=2))

    def test_question_sent_back(self) -> None:
        """QR=0 is no response."""
        self.violate(encode_question(ask(), 1, edns=True))

    def test_another_question(self) -> None:
        """Another name, another type."""
        self.violate(reply(ask("example.net"), "example.net. 60 IN A 192.0.2.1"))
        self.violate(reply(ask(), "example.com. 60 IN A 192.0.2.1"), ask(rdtype=RdataType.TXT))

    def test_no_question(self) -> None:
        """An answer must say what it answers."""
        self.violate(struct.pack("!6H", 1, 0x8180, 0, 0, 0, 0))

    def test_pointer_loop(self) -> None:
        """A10: a name that points at itself, and two that point at each other."""
        header = struct.pack("!6H", 1, 0x8180, 1, 0, 0, 0)
        self.violate(header + b"\xc0\x0c\0\1\0\1")
        self.violate(header + b"\xc0\x0e\xc0\x0c\0\1\0\1")

    def test_pointer_chain(self) -> None:
        """A10, CVE-2026-42304: a chain of pointers, each going back, ends after 16."""
        asked = ask(rdtype=RdataType.MX)
        body = encode_question(asked, 1, edns=False)[12:]
        chain_at = 12 + len(body) + 12  # behind the owner, type, class, TTL and size of a NULL record that holds it
        for length, is_read in ((15, True), (16, False), (400, False)):
            targets = [12, *range(chain_at, chain_at + 2 * (length - 1), 2)]
            chain = b"".join(struct.pack("!H", 0xC000 | target) for target in targets)
            carrier = b"\xc0\x0c" + struct.pack("!HHIH", RdataType.NULL, 1, 60, len(chain)) + chain
            exchange = struct.pack("!HH", 10, 0xC000 | (chain_at + 2 * (length - 1)))
            record = b"\xc0\x0c" + struct.pack("!HHIH", RdataType.MX, 1, 60, len(exchange)) + exchange
            octets = struct.pack("!6H", 1, 0x8180, 1, 2, 0, 0) + body + carrier + record
            if is_read:
                self.assertEqual(read(octets, asked).records[0].to_text(), "10 example.com.")
            else:
                self.violate(octets, asked)

    def test_record_longer_than_its_message(self) -> None:
        """A10: RDLENGTH that lies."""
        asked = ask()
        octets = encode_question(asked, 1, edns=False)[12:] + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 400)
        self.violate(struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + octets)

    @given(st.binary(max_size=600))
    @example(b"")
    def test_garbage(self, octets: bytes) -> None:
        """I2: octets of no meaning raise ProtocolViolation only."""
        self.violate(octets)

    @given(st.data())
    def test_damaged_responses(self, data: st.DataObject) -> None:
        """I2: a response with octets changed is read, or raises ProtocolViolation only."""
        asked = ask("www.example.com", RdataType.MX)
        octets = bytearray(
            reply(
                asked,
                "www.example.com. 30 IN CNAME example.com.",
                "example.com. 60 IN MX 10 mail.example.com.",
                authority=(SOA,),
            )
        )
        for _ in range(data.draw(st.integers(1, 6))):
            octets[data.draw(st.integers(2, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            response = read(bytes(octets), asked)
        except ProtocolViolation:
            return
        self.assertLessEqual(len(response.records), MAX_RECORDS)
