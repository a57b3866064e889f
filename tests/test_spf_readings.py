"""Tests of SPF records read otherwise than RFC 7208 wants (E02, E10, E14, E25), over a fake resolver."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver
from tests.zonetext import Zone
from twistedmilter.interfaces.dns import ISPFReader
from twistedmilter.model.spf import Reading, SPFOutcome
from twistedmilter.spf_driver import SPFEvaluator
from twistedmilter.spf_readings import corrected

LAX, HOPEFUL = Reading(is_lax=True), Reading(is_hopeful=True)
_TERMS = (
    *("ip4:192.0.2.5", "-ip4:192.0.2.4/30", "ip4:192.0.2.0/29", "?ip4:192.0.2.12", "a:host.example", "mx/31", "ptr"),
    *(
        "include:g.example",
        "~include:h.example",
        "exists:%{i}.example",
        "redirect=h.example",
        "-all",
        "?all",
        "+all",
        "all",
    ),
)
_RECORDS = st.lists(st.sampled_from(_TERMS), max_size=5)
GUESS = Reading(record="v=spf1 a/24 mx/24 ptr")


class ReadingTestCase(SynchronousTestCase):
    """An evaluator over zone text; the client is 192.0.2.5."""

    def read(self, zone: str, reading: Reading, mail_from: str = "bob@a.example") -> SPFOutcome:
        """What a reading says of the sender."""
        self.resolver = FakeResolver(zone)
        self.evaluator = SPFEvaluator(self.resolver, lambda: 0.0)
        reading_it = self.evaluator.read(ip_address("192.0.2.5"), mail_from, "mail.example.net", reading)
        return self.successResultOf(Deferred.fromCoroutine(reading_it))

    def result(self, zone: str, reading: Reading) -> str:
        """The word alone."""
        return self.read(zone, reading).result.value


class LaxTests(ReadingTestCase):
    """A lax reading goes on past mistakes (3.8)."""

    def test_mistakes(self) -> None:
        """3.8 rows 14, 15, 22: the mistake is read as what was meant, or is no match."""
        for record, result in (
            ("v=spf1 ip:192.0.2.5 -all", "pass"),
            ("v=spf1 ip:192.0.2.9 -all", "fail"),
            ("v=spf1 ip:192.0.2.9 ~all", "softfail"),
            ("v=spf1 ip4:192.0.2.9, ?all", "neutral"),
            ("v=spf1 ip4:192.0.2.5 -all moo", "pass"),
        ):
            self.assertEqual(self.result(f'a.example TXT "{record}"', LAX), result, record)

    def test_beyond_help(self) -> None:
        """A record that makes no sense has no lax result."""
        self.assertEqual(self.result('a.example TXT "v=spf1 ip4:192.0.2.300 -all"', LAX), "permerror")
        two = 'a.example TXT "v=spf1 -all"\na.example TXT "v=spf1 ~all"'
        self.assertEqual(self.result(two, LAX), "permerror")

    def test_good_record(self) -> None:
        """Of a record without mistakes both say the same."""
        self.assertEqual(self.result('a.example TXT "v=spf1 ip4:192.0.2.5 -all"', LAX), "pass")


class CorrectionTests(ReadingTestCase):
    """What a wrong term was meant to be."""

    def test_corrected(self) -> None:
        """Names, addresses without mechanism, commas and arguments of all are put right; others are not guessed."""
        for term, better in (
            ("ip:192.0.2.5", "ip4:192.0.2.5"),
            ("-ipv6:2001:db8::/32", "-ip6:2001:db8::/32"),
            ("~prt", "~ptr"),
            ("192.0.2.5", "ip4:192.0.2.5"),
            ("a:192.0.2.5", "ip4:192.0.2.5"),
            ("mx,", "mx"),
            ("-all:now", "-all"),
            ("moo", ""),
            ("ip4:192.0.2.300", ""),
        ):
            self.assertEqual(corrected(term), better, term)

    def test_outcome(self) -> None:
        """The official outcome has it."""
        self.read('a.example TXT "v=spf1 ip:192.0.2.5 -all"', LAX)
        checking = self.evaluator.check_host(ip_address("192.0.2.5"), "bob@a.example", "x.example")
        outcome = self.successResultOf(Deferred.fromCoroutine(checking))
        self.assertEqual((outcome.result.value, outcome.correction), ("permerror", "ip4:192.0.2.5"))


class GuessTests(ReadingTestCase):
    """A record that is made up (E10, E14)."""

    def test_guess(self) -> None:
        """E10: the network of the domain's address passes, others are neutral; no TXT is asked for."""
        self.assertEqual(self.result("a.example A 192.0.2.77", GUESS), "pass")
        self.assertFalse([each for each in self.resolver.asked if each.startswith("TXT")])
        self.assertEqual(self.result("a.example A 198.51.100.77", GUESS), "neutral")

    def test_delegate(self) -> None:
        """E14: the record of a third party counts for this domain; without one there is none."""
        delegate = Reading(delegate="trust.example")
        zone = 'a.example._spf.trust.example TXT "v=spf1 ip4:192.0.2.5 -all"'
        self.assertEqual(self.result(zone, delegate), "pass")
        self.assertEqual(self.result(zone.replace(".5", ".6"), delegate), "fail")
        self.assertEqual(self.result("", delegate), "none")


class HopeTests(ReadingTestCase):
    """E25: the best that a record can still give when a lookup fails."""

    def test_best(self) -> None:
        """Only what a failed term would have given, and what stands behind it, is possible."""
        for record, result in (
            ("v=spf1 a:broken.example -all", "pass"),
            ("v=spf1 -a:broken.example ~all", "softfail"),
            ("v=spf1 ?a:broken.example -all", "neutral"),
            ("v=spf1 -a:broken.example ip4:192.0.2.5 -all", "pass"),
            ("v=spf1 include:broken.example -all", "pass"),
            ("v=spf1 -include:broken.example -all", "fail"),
            ("v=spf1 -include:broken.example ip4:192.0.2.5 -all", "pass"),
            ("v=spf1 -a:broken.example redirect=broken.example", "pass"),
            ("v=spf1 -include:b.example redirect=c.example", "fail"),
        ):
            zone = (
                f'a.example TXT "{record}"\nbroken.example A SERVFAIL\nbroken.example TXT SERVFAIL\n'
                'b.example TXT "v=spf1 ip4:192.0.2.9 -all"\nc.example TXT "v=spf1 -a:broken.example -all"'
            )
            self.assertEqual(self.result(zone, HOPEFUL), result, record)

    def test_no_record(self) -> None:
        """Without the record itself anything may pass."""
        self.assertEqual(self.result("a.example TXT SERVFAIL", HOPEFUL), "pass")


class NetworksTests(SynchronousTestCase):
    """E24: records as sets of addresses."""

    def networks(self, zone: str) -> tuple[list[str], bool]:
        """The networks of f.example, and whether they are all."""
        self.resolver = FakeResolver(zone)
        self.now = 0.0
        self.evaluator = SPFEvaluator(self.resolver, lambda: self.now)
        verifyObject(ISPFReader, self.evaluator)
        return self.again()

    def again(self) -> tuple[list[str], bool]:
        """The same once more."""
        found = self.successResultOf(Deferred.fromCoroutine(self.evaluator.networks_of("f.example")))
        self.found = found
        return [str(network) for network in found.networks], found.is_whole

    def holds(self, ip: str) -> bool:
        """Whether an address is in what was found."""
        return ip_address(ip) in self.found

    def test_whole(self) -> None:
        """Addresses, hosts, exchangers, includes and redirect are taken, each network once."""
        zone = """f.example TXT "v=spf1 ip4:192.0.2.0/25 a:h.example/24 mx include:g.example redirect=r.example"
f.example MX 10 m.example
h.example A 198.51.100.7
m.example A 203.0.113.4
m.example AAAA 2001:db8::4
g.example TXT "v=spf1 ip4:192.0.2.0/25 ip6:2001:db8:1::/48 ~all"
r.example TXT "v=spf1 ip4:192.0.2.200 -all"
"""
        expected = ["192.0.2.0/25", "198.51.100.0/24", "203.0.113.4/32"]
        expected += ["2001:db8::4/128", "2001:db8:1::/48", "192.0.2.200/32"]
        self.assertEqual(self.networks(zone), (expected, True))
        for ip, is_in in (
            ("192.0.2.5", True),
            ("192.0.2.201", False),
            ("2001:db8:1::9", True),
            ("2001:db8:2::", False),
        ):
            self.assertEqual(ip_address(ip) in self.found, is_in, ip)

    def test_not_whole(self) -> None:
        """Terms that no set can say leave the rest valid; those that do not pass hide what follows."""
        for record, networks in (
            ("v=spf1 exists:%{i}.x.example ip4:192.0.2.5 -all", ["192.0.2.5/32"]),
            ("v=spf1 ip4:192.0.2.5 -ip4:192.0.2.6 ip4:192.0.2.0/24 -all", ["192.0.2.5/32"]),
            ("v=spf1 ptr -all", []),
            ("v=spf1 +all", []),
        ):
            self.assertEqual(self.networks(f'f.example TXT "{record}"'), (networks, False), record)

    def test_wrong(self) -> None:
        """Nothing of a wrong record is relied on, nor of one whose lookup fails."""
        for record in (
            "v=spf1 ip4:192.0.2.5 moo -all",
            "v=spf1 ip4:192.0.2.5 -all moo",
            "v=spf1 ip4:192.0.2.5 include",
            "v=spf1 ip4:192.0.2.5 redirect=h.example redirect=h.example",
            "v=spf1 ip4:192.0.2.5 a:s.example -all",
        ):
            self.assertEqual(self.networks(f'f.example TXT "{record}"\ns.example A SERVFAIL'), ([], False), record)
        self.assertTrue(self.found.is_published)
        self.networks("")
        self.assertFalse(self.found.is_published)

    @given(records=st.lists(_RECORDS, min_size=3, max_size=3), host=st.integers(0, 15))
    def test_as_evaluated(self, records: list[list[str]], host: int) -> None:
        """What is in a set passes; what is not in a whole one does not, whatever the record.

        Where terms are left out, an evaluation may be a permerror for too many void lookups.
        """
        names = ("f.example", "g.example", "h.example")
        zone = [f'{name} TXT "v=spf1 {" ".join(terms)}"' for name, terms in zip(names, records, strict=True)]
        self.networks("\n".join([*zone, "host.example A 192.0.2.6", "f.example MX 10 host.example"]))
        client = f"192.0.2.{host}"
        checking = self.evaluator.check_host(ip_address(client), "bob@f.example", "x.example")
        result = self.successResultOf(Deferred.fromCoroutine(checking)).result.value
        if self.holds(client):
            self.assertIn(result, ("pass",) if self.found.is_whole else ("pass", "permerror"), zone)
        elif self.found.is_whole:
            self.assertNotEqual(result, "pass", zone)

    def test_kept(self) -> None:
        """It is compiled once, and again when its answers are stale."""
        self.networks('f.example TXT "v=spf1 ip4:192.0.2.5 -all"')
        self.again()
        self.assertEqual(len(self.resolver.asked), 1)
        self.now = self.found.expires + 1
        self.again()
        self.assertEqual(len(self.resolver.asked), 2)

    def test_stale(self) -> None:
        """While lookups fail the last good set serves, for a day."""
        good = self.networks('f.example TXT "v=spf1 ip4:192.0.2.5 -all"')
        self.resolver.zone = Zone.parse("f.example TXT SERVFAIL")
        for self.now, found in ((3601.0, good), (80_000.0, good), (90_000.0, ([], False))):
            self.assertEqual(self.again(), found, self.now)
