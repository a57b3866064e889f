"""From datagram to datagram: zones, access, what is remembered, what is limited, what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.test_answers import REASON, zone
from tests.blocklist.test_signature_zone import NOW, SIGNED, TestVerifier
from tests.wire.test_dns_question import message
from tests.wire.test_dns_response import authority
from twistedmilter.blocklist.answers import Served, ServedList, ServedSignatures
from twistedmilter.blocklist.listing import Values
from twistedmilter.blocklist.rate import Rates, ResponseKind, ResponseRateLimiter
from twistedmilter.blocklist.signature_zone import Limits, SignatureZone
from twistedmilter.dns_responder import MAX_ANSWERS, Access, Responder, ZoneEntry
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.wire.dns_cookies import ServerCookies

LOCAL, FRIEND, STRANGER = "127.0.0.1", "192.0.2.7", "198.51.100.1"


@dataclass
class Clock:
    """Both clocks."""

    seconds: float = 0.0

    def wall(self) -> float:
        """The wall clock."""
        return NOW + self.seconds


def listed(**entries: Values) -> ServedList:
    """The zone rhsbl.example.net with these .com domains."""
    return ServedList(authority(), zone({f"{name}.com": values for name, values in entries.items()}))


def responder(*entries: ZoneEntry, clock: Clock | None = None, rates: Rates | None = None) -> Responder:
    """One that serves these zones."""
    clock = clock or Clock()
    limiter = ResponseRateLimiter(rates or Rates())
    made = Responder(limiter, ServerCookies(bytes(16)), seconds=lambda: clock.seconds, wall=clock.wall)
    made.serve(entries)
    return made


def entry(served: Served, *ours: str, is_public: bool = False) -> ZoneEntry:
    """A zone and who may ask it."""
    return ZoneEntry(served, Access(NetworkSet.parse(ours or (LOCAL, FRIEND)), is_public))


def ask(
    given: Responder | Callable[[bytes, str], bytes | None],
    name: str,
    rdtype: str = "A",
    host: str = LOCAL,
    **options: Any,
) -> dns.message.Message | None:
    """One query made and its answer read by dnspython, which verifies that they belong together."""
    asked = dns.message.make_query(name, rdtype, **options)
    wire = (given.datagram if isinstance(given, Responder) else given)(asked.to_wire(), host)
    if wire is None:
        return None
    answer = dns.message.from_wire(wire)
    if not asked.is_response(answer):
        raise AssertionError(f"not an answer to it: {answer}")
    return answer


class ResponderTests(SynchronousTestCase):
    """One responder, one zone."""

    def setUp(self) -> None:
        """Two domains are listed."""
        self.clock = Clock()
        served = listed(ded304=Values(), ded305=REASON)
        assert served.zone is not None
        self.zone = served.zone
        self.responder = responder(entry(served), clock=self.clock)

    def rcode(self, name: str, host: str = LOCAL, **options: Any) -> int | None:
        """The rcode of an answer; None if there is none."""
        answer = ask(self.responder, name, host=host, **options)
        return None if answer is None else answer.rcode()

    def test_the_same_answer_twice(self) -> None:
        """What is remembered is what was said, but for id and capitals."""
        first = ask(self.responder, "ded304.com.rhsbl.example.net")
        again = ask(self.responder, "ded304.com.rhsbl.example.net")
        mixed = ask(self.responder, "dEd304.com.rhsbl.example.net")
        assert first is not None and again is not None and mixed is not None
        self.assertEqual(first.answer, again.answer)
        self.assertIn("dEd304.com", mixed.to_text())

    def test_access(self) -> None:
        """Strangers are refused, whatever others have asked before, over TCP too."""
        for name in ("ded304.com", "gathman.org", ""):
            whole = f"{name}.rhsbl.example.net".lstrip(".")
            self.assertNotEqual(self.rcode(whole, FRIEND), dns.rcode.REFUSED)
            self.assertEqual(self.rcode(whole, STRANGER), dns.rcode.REFUSED)
            answer = ask(self.responder.message, whole, host=STRANGER)
            self.assertEqual(answer and answer.rcode(), dns.rcode.REFUSED)

    def test_an_address_in_an_ipv6_address(self) -> None:
        """A client of a socket that takes both is who it is."""
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net", "::ffff:192.0.2.7"), 0)
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net", "fe80::1%eth0"), dns.rcode.REFUSED)

    def test_the_most_specific_zone(self) -> None:
        """A zone within a zone answers for itself, and who may not ask it gets nothing from the outer one."""
        inner = ServedList(authority(apex=(b"com", b"rhsbl", b"example", b"net")), zone({}))
        self.responder.serve([entry(listed(ded304=Values())), entry(inner, FRIEND)])
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net", FRIEND), dns.rcode.NXDOMAIN)
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net", LOCAL), dns.rcode.REFUSED)

    def test_silence(self) -> None:
        """D1; and a query of more than 512 octets (6.9)."""
        for octets in (b"", b"\0" * 11, message(b"\0", flags=0x8000), message(b"\1a\0", rest=b"x" * 500)):
            self.assertIsNone(self.responder.datagram(octets, LOCAL))
        self.assertEqual(self.responder.silent, 4)

    def test_format_errors(self) -> None:
        """D2: FORMERR over both transports."""
        for answer in (self.responder.datagram, self.responder.message):
            self.assertEqual((answer(message(b"\xc0\x0c"), LOCAL) or b"")[:4].hex(), "12348001")

    def test_other_data(self) -> None:
        """After a reload nothing of the old zone is said any more."""
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net"), 0)
        self.responder.serve([entry(listed(other=Values()))])
        self.assertEqual(self.rcode("ded304.com.rhsbl.example.net"), dns.rcode.NXDOMAIN)

    def ask_numbers(self, numbers: range) -> None:
        """Queries for names that are not listed."""
        for number in numbers:
            self.responder.datagram(message(b"\6%06d\5rhsbl\7example\3net\0" % number), LOCAL)

    def test_memory_is_bounded(self) -> None:
        """42: random names fill half of what is remembered, those that come again the rest, and no more."""
        self.ask_numbers(range(MAX_ANSWERS))
        rights = self.responder._clients[LOCAL].rights
        self.assertLess(len(rights.known), MAX_ANSWERS * 0.6)
        self.ask_numbers(range(MAX_ANSWERS // 2, MAX_ANSWERS * 2))
        self.ask_numbers(range(MAX_ANSWERS, MAX_ANSWERS * 2))
        self.assertEqual(len(rights.known), MAX_ANSWERS)
        self.responder.forget()
        self.ask_numbers(range(10))
        self.assertEqual(len(rights.known), 10)
        self.assertEqual(self.count("rhsbl.example.net"), (0, int(MAX_ANSWERS * 3.5) + 10, 0))

    def test_it_is_settled_in_slices(self) -> None:
        """Answers that were forgotten are counted and given back a few at a time."""
        self.ask_numbers(range(1000))
        self.responder.forget()
        self.assertEqual([self.responder.settle(300) for _ in range(4)], [True, True, True, False])

    def count(self, zone: str) -> tuple[int, ...]:
        """Answers of a zone, by kind."""
        return tuple(self.responder.count(zone, kind) for kind in ResponseKind)

    def test_clients_are_bounded(self) -> None:
        """So do random addresses."""
        for number in range(20_050):
            self.responder.datagram(message(b"\0"), f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertLessEqual(len(self.responder._clients), 10_000)

    def test_counts(self) -> None:
        """Every answer counts, remembered or not; hits are told by rule."""
        for name, times in (("ded304.com", 5), ("gathman.org", 3), ("com", 2)):
            for _ in range(times):
                ask(self.responder, f"{name}.rhsbl.example.net")
        ask(self.responder, "example.org")
        self.assertEqual((self.count("rhsbl.example.net"), self.count("")), ((5, 5, 0), (0, 0, 1)))
        self.responder.forget()
        self.assertFalse(self.responder.settle(1000))
        [((name, rule), hits)] = self.responder.hits.items()
        self.assertEqual((name, rule.ident), ("rhsbl.example.net", "test.zone:1"))
        [(_, counted)] = self.zone.hits()
        self.assertEqual(hits + counted, 5)

    def test_truncation(self) -> None:
        """D9: what is too long for UDP comes with EDNS or by TCP."""
        many = Values(codes=tuple(bytes((127, 0, 1, number)) for number in range(60)))
        self.responder.serve([entry(listed(ded304=many))])
        name = "ded304.com.rhsbl.example.net"
        answers = [
            ask(self.responder, name),
            ask(self.responder, name, use_edns=0, payload=1232),
            ask(self.responder.message, name),
        ]
        self.assertEqual([bool(each and each.flags & dns.flags.TC) for each in answers], [True, False, False])


class SignatureResponderTests(SynchronousTestCase):
    """A public zone, asked by strangers."""

    def setUp(self) -> None:
        """One signature is known."""
        self.clock = Clock()
        apex = (b"_ses", b"mouse", b"com")
        signatures = SignatureZone("mouse.com", TestVerifier(), self.fail, Limits(lookups=100_000))
        served = ServedSignatures(authority(apex=apex), signatures)
        self.responder = responder(entry(served, is_public=True), clock=self.clock)

    def ask(self, name: str = SIGNED, host: str = STRANGER, **options: Any) -> dns.message.Message | None:
        """One question."""
        return ask(self.responder, f"{name}._ses.mouse.com", host=host, **options)

    def test_answers_are_not_remembered(self) -> None:
        """The TTL follows the signature to its end."""
        ttls = []
        for self.clock.seconds in (0.0, 86_370.0, 86_390.0, 86_400.0):
            answer = self.ask()
            assert answer is not None
            ttls.append(answer.answer[0].ttl if answer.answer else None)
        self.assertEqual(ttls, [60, 30, 10, None])

    def test_rate(self) -> None:
        """41: over the rate answers are dropped, every second one is truncated; others are served."""
        found = [self.ask() for _ in range(60)]
        truncated = [each for each in found if each is not None and each.flags & dns.flags.TC]
        self.assertEqual((found[:20].count(None), found.count(None), len(truncated)), (0, 20, 20))
        self.assertEqual([each.answer for each in truncated], [[]] * 20)
        answer = self.ask(host="203.0.113.1")
        self.assertTrue(answer and answer.answer)

    def test_ours_are_not_limited(self) -> None:
        """6.9: a dropped answer reads as not listed."""
        self.assertEqual([self.ask(host=FRIEND) for _ in range(150)].count(None), 0)
        self.assertEqual(self.responder.limiter.dropped, 0)

    def test_errors_are_limited(self) -> None:
        """So are REFUSED and FORMERR, which are no use to anybody."""
        found = [ask(self.responder, "example.org", host=STRANGER) for _ in range(25)]
        self.assertEqual(sum(each is not None and not each.flags & dns.flags.TC for each in found), 5)
        found_none = [self.responder.datagram(message(b"\xc0\x0c"), STRANGER) for _ in range(20)].count(None)
        self.assertEqual(found_none, 20)

    def test_amplification(self) -> None:
        """D15: over the limit, less goes out than came in."""
        asked = dns.message.make_query(f"{SIGNED}._ses.mouse.com", "A").to_wire()
        sent = sum(len(self.responder.datagram(asked, STRANGER) or b"") for _ in range(10_000))
        self.assertLess(sent, len(asked) * 10_000)

    def test_a_cookie_of_ours(self) -> None:
        """RFC 7873: who sends it back is who it says, and is not limited; a made-up one does not help."""
        answer = self.ask(use_edns=0, options=[dns.edns.CookieOption(b"abcdefgh", b"")])
        assert answer is not None
        [option] = answer.options
        assert isinstance(option, dns.edns.CookieOption)
        self.assertEqual((option.client, len(option.server)), (b"abcdefgh", 16))
        forged = dns.edns.CookieOption(b"abcdefgh", b"\1" + bytes(15))
        for cookie, missing in ((option, 0), (forged, 25)):
            found = [self.ask(use_edns=0, options=[cookie]) for _ in range(100)]
            self.assertGreaterEqual(found.count(None), missing)
            self.assertLessEqual(found.count(None), missing * 2)

    def test_no_limit_over_tcp(self) -> None:
        """There the address is not forged."""
        name = f"{SIGNED}._ses.mouse.com"
        found = [ask(self.responder.message, name, host=STRANGER) for _ in range(150)]
        self.assertTrue(all(each and each.answer for each in found))
