"""Answers as octets: the samples of the specification byte for byte, EDNS, truncation, names of the zone."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.test_dns_question import SAMPLE, message, opt
from twistedmilter.wire.dns_question import Labels, Query, parse_query
from twistedmilter.wire.dns_response import (
    BADVERS,
    NXDOMAIN,
    REFUSED,
    TCP_SIZE,
    Authority,
    Records,
    Reply,
    address_records,
    encode_error,
    encode_reply,
    text_record,
    udp_limit,
)

APEX = (b"rhsbl", b"example", b"net")
LISTED = bytes.fromhex(
    "1234840000010001000000000664656433303403636f6d05726873626c076578616d706c65036e65740000010001"
    "c00c000100010000012c00047f000002"
)
NOT_LISTED = bytes.fromhex(
    "12348403000100000001000007676174686d616e036f726705726873626c076578616d706c65036e65740000010001"
    "c018000600010000012c0027036e7331c01e0a686f73746d6173746572c01e78c4059100000e100000025800093a800000012c"
)


def labels(text: str) -> Labels:
    """The labels of a name."""
    return tuple(text.encode().split(b"."))


def authority(*servers: str, contact: str = "hostmaster.example.net", apex: Labels = APEX) -> Authority:
    """That of the samples."""
    names = [labels(server) for server in servers or ("ns1.example.net",)]
    return Authority(apex, names, labels(contact), 2_026_112_401)


def query(wire: bytes) -> Query:
    """A query that can be read."""
    parsed = parse_query(wire)
    assert parsed is not None
    return parsed


def asked(name: str, *, flags: int = 0, edns: bytes = b"") -> Query:
    """A query of type A for a name."""
    octets = b"".join(bytes([len(label)]) + label for label in labels(name)) + b"\0"
    return query(message(octets, flags=flags, counts=(1, 0, 0, 1 if edns else 0), rest=edns))


class SampleTests(SynchronousTestCase):
    """6.6, byte for byte."""

    def test_listed(self) -> None:
        """62 octets, A 127.0.0.2 for 300 s."""
        reply = Reply(is_authoritative=True, answers=address_records([b"\x7f\0\0\2"], 300))
        self.assertEqual(encode_reply(query(SAMPLE), reply, 512), LISTED)

    def test_not_listed(self) -> None:
        """NXDOMAIN with the SOA of the zone, 98 octets."""
        asking = asked("gathman.org.rhsbl.example.net")
        reply = Reply(NXDOMAIN, is_authoritative=True, authority=authority().negative(asking.question))
        self.assertEqual(encode_reply(asking, reply, 512), NOT_LISTED)

    def test_refused(self) -> None:
        """29 octets, the question and no more."""
        wire = encode_reply(asked("example.org"), Reply(REFUSED), 512)
        self.assertEqual((len(wire), wire[2:4].hex()), (29, "8005"))

    def test_text(self) -> None:
        """TXT of 87 octets in 146."""
        reply = Reply(is_authoritative=True, answers=text_record(b"x" * 87, 300))
        self.assertEqual(len(encode_reply(query(SAMPLE), reply, 512)), 146)


class EncodeTests(SynchronousTestCase):
    """Everything around the records."""

    def test_opt_if_there_was_one(self) -> None:
        """Ours offers 1232 octets and copies DO alone (D8)."""
        plain = dns.message.from_wire(encode_reply(asked("a"), Reply(), 512))
        answer = dns.message.from_wire(encode_reply(asked("a", edns=opt(flags=0x8001)), Reply(), 512))
        self.assertEqual((plain.edns, answer.edns, answer.payload, answer.ednsflags), (-1, 0, 1232, 0x8000))

    def test_extended_rcode(self) -> None:
        """D7: BADVERS stands in two places."""
        wire = encode_reply(asked("a", edns=opt(version=1)), Reply(BADVERS), 512)
        self.assertEqual(dns.message.from_wire(wire).rcode(), dns.rcode.BADVERS)
        self.assertEqual(wire[3] & 15, 0)

    def test_recursion_desired_is_copied(self) -> None:
        """D24; recursion is never available."""
        answer = dns.message.from_wire(encode_reply(asked("a", flags=0x0100), Reply(is_authoritative=True), 512))
        self.assertEqual(answer.flags, dns.flags.QR | dns.flags.AA | dns.flags.RD)

    def test_limits(self) -> None:
        """D9: 512 without EDNS, else what the client takes, no less than 512 and no more than 1232."""
        sizes = [udp_limit(asked("a", edns=opt(payload=size))) for size in (0, 512, 900, 1232, 65535)]
        self.assertEqual([udp_limit(asked("a")), *sizes], [512, 512, 512, 900, 1232, 1232])

    def test_truncation(self) -> None:
        """D9: TC and the question, nothing else; the same fits over TCP."""
        for edns in (b"", opt()):
            asking = asked("a", edns=edns)
            reply = Reply(is_authoritative=True, answers=text_record(b"x" * 1500, 5))
            wire = encode_reply(asking, reply, 600)
            answer = dns.message.from_wire(wire)
            self.assertTrue(answer.flags & dns.flags.TC)
            self.assertEqual((answer.sections[1:3], len(wire)), ([[], []], 12 + len(asking.question) + len(edns)))
            whole = dns.message.from_wire(encode_reply(asking, reply, TCP_SIZE))
            self.assertFalse(whole.flags & dns.flags.TC)

    def test_errors(self) -> None:
        """D2: id, opcode and RD are those of the message; other opcodes are not implemented."""
        self.assertEqual(encode_error(message(b"", flags=0x0100, counts=(0, 0, 0, 0)))[:4].hex(), "12348101")
        self.assertEqual(encode_error(message(b"", flags=5 << 11, counts=(0, 0, 0, 0)))[:4].hex(), "1234a804")

    @given(st.binary(max_size=2000))
    def test_any_text(self, text: bytes) -> None:
        """D10: printable ASCII in strings of at most 255 octets, at most 1,024 in all."""
        reply = Reply(answers=text_record(text, 1))
        [rrset] = dns.message.from_wire(encode_reply(asked("a"), reply, TCP_SIZE)).answer
        strings = rrset[0].strings
        self.assertEqual(b"".join(strings), bytes(octet for octet in text if 32 <= octet < 127)[:1024])
        self.assertTrue(all(len(string) <= 255 for string in strings))


class AuthorityTests(SynchronousTestCase):
    """The records of the zone itself."""

    def records(self, records: Records, name: str = "rhsbl.example.net") -> list[str]:
        """Records as dnspython reads them."""
        reply = Reply(answers=records)
        answer = dns.message.from_wire(encode_reply(asked(name), reply, TCP_SIZE))
        return [line for rrset in answer.answer for line in rrset.to_text().splitlines()]

    def test_name_servers(self) -> None:
        """Names within, beside and far from the zone."""
        found = self.records(authority("ns.rhsbl.example.net", "ns2.example.net", "ns.example.org").name_servers())
        names = [line.split()[-1] for line in found]
        self.assertEqual(names, ["ns.rhsbl.example.net.", "ns2.example.net.", "ns.example.org."])

    def test_the_zone_as_its_own_server(self) -> None:
        """Both names of the SOA may be the apex or below it."""
        whole = authority("rhsbl.example.net", contact="hostmaster.rhsbl.example.net")
        [soa] = self.records(whole.start_of_authority())
        numbers = "2026112401 3600 600 604800 300"
        expected = f"rhsbl.example.net. 3600 IN SOA rhsbl.example.net. hostmaster.rhsbl.example.net. {numbers}"
        self.assertEqual(soa, expected)

    def test_another_place(self) -> None:
        """The same SOA behind questions of any length."""
        whole = authority()
        for name in ("rhsbl.example.net", "a.rhsbl.example.net", f"{'a' * 63}.b.rhsbl.example.net"):
            question = asked(name).question
            [soa] = self.records(whole.negative(question), name)
            self.assertTrue(soa.startswith("rhsbl.example.net. 300 IN SOA ns1.example.net. hostmaster.example.net. "))
            self.assertIs(whole.negative(question), whole.negative(question))
