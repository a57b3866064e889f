"""Tests of the SPF evaluation over a fake resolver."""

from __future__ import annotations

import ast
import inspect
import warnings
from ipaddress import ip_address

import spf
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.spf_driver import SPFEvaluator
from twistedmilter.spf_query import MAX_DOMAIN_SPEC, MAX_MACROS, shown

CLIENT = "192.0.2.1"


class EvaluatorTestCase(SynchronousTestCase):
    """An evaluator over zone text."""

    def zone(self, text: str) -> FakeResolver:
        """Ask this zone from now on."""
        self.resolver = FakeResolver(text)
        self.now = 0.0
        self.evaluator = SPFEvaluator(self.resolver, lambda: self.now)
        return self.resolver

    def check(
        self, mail_from: str = "bob@example.com", helo: str = "mail.example.net", ip: str = CLIENT
    ) -> Deferred[SPFOutcome]:
        """An evaluation under way."""
        return Deferred.fromCoroutine(self.evaluator.check_host(ip_address(ip), mail_from, helo))

    def outcome(self, *args: str, **keys: str) -> SPFOutcome:
        """What a finished evaluation said."""
        return self.successResultOf(self.check(*args, **keys))


class OutcomeTests(EvaluatorTestCase):
    """What an outcome tells."""

    def test_interface(self) -> None:
        """It is what the spf check asks."""
        self.zone("")
        verifyObject(ISPFEvaluator, self.evaluator)

    def test_pass(self) -> None:
        """Result, identity, mailbox, domain, the mechanism that matched, the record, and what was asked."""
        self.zone('example.com TXT "v=spf1 a -all"\nexample.com A 192.0.2.1')
        self.assertEqual(
            self.outcome("Bob@Example.com"),
            SPFOutcome(
                SPFResult.PASS,
                Identity.MAIL_FROM,
                "Bob@example.com",
                "example.com",
                mechanism="a",
                record="v=spf1 a -all",
                lookups=('TXT example.com: "v=spf1 a -all"', "A example.com: 192.0.2.1"),
            ),
        )

    def test_null_reverse_path(self) -> None:
        """RFC 7208 section 2.4: the HELO identity, as postmaster."""
        self.zone('mail.example.net TXT "v=spf1 ip4:192.0.2.1 -all"')
        outcome = self.outcome("", "Mail.Example.NET.")
        self.assertEqual(
            (outcome.result, outcome.identity, outcome.sender),
            (SPFResult.PASS, Identity.HELO, "postmaster@mail.example.net"),
        )

    def test_names_that_have_no_record(self) -> None:
        """RFC 7208 section 4.3: none, and nobody is asked."""
        self.zone("")
        for helo in ("", "localhost", "[192.0.2.1]", "192.0.2.1", "a..example.com", "a" * 64 + ".example", "."):
            self.assertEqual(self.outcome("", helo).result, SPFResult.NONE, helo)
        self.assertEqual(self.outcome("nobody").result, SPFResult.NONE)
        self.assertEqual(self.resolver.asked, [])

    def test_permerror_says_what_is_wrong(self) -> None:
        """The problem names the term, and no byte of it can break a line (I8)."""
        self.zone('example.com TXT "v=spf1 moo\\010 -all"')
        outcome = self.outcome()
        self.assertEqual((outcome.result, outcome.problem), (SPFResult.PERMERROR, r"Unknown mechanism found: moo\x0a"))

    def test_temperror_says_what_failed(self) -> None:
        """A7: a lookup that failed is never none or neutral."""
        self.zone("example.com TXT SERVFAIL")
        outcome = self.outcome()
        self.assertEqual((outcome.result, outcome.problem), (SPFResult.TEMPERROR, "SERVFAIL for TXT example.com"))

    def test_failure_behind_a_match_does_not_matter(self) -> None:
        """Mechanisms are asked in order, and none after the one that matches."""
        self.zone('example.com TXT "v=spf1 ip4:192.0.2.1 include:broken.example -all"\nbroken.example TXT SERVFAIL')
        self.assertEqual(self.outcome().result, SPFResult.PASS)
        self.assertEqual(self.resolver.asked, ["TXT example.com"])

    def test_quoted_local_part(self) -> None:
        """LL-22: the last @ decides, here as in the check before us."""
        self.zone('example.com TXT "v=spf1 exists:%{l}.example.net -all"\n*.example.net A 127.0.0.2')
        self.assertEqual(self.outcome('"a@evil.example"@example.com').domain, "example.com")

    def test_internationalised_domain(self) -> None:
        """RFC 8616 section 4: U-labels are judged as A-labels; a local-part that is not ASCII matches nothing."""
        self.zone('xn--strae-oqa.example TXT "v=spf1 ip4:192.0.2.1 -all"')
        outcome = self.outcome("jörg@straße.example")
        self.assertEqual((outcome.result, outcome.sender), (SPFResult.PASS, "jörg@xn--strae-oqa.example"))

    def test_mapped_address(self) -> None:
        """RFC 7208 section 5: an IPv4-mapped address is IPv4; the zone of a link-local one is dropped."""
        self.zone('example.com TXT "v=spf1 ip4:192.0.2.1 ip6:fe80::1 -all"')
        self.assertEqual(self.outcome(ip="::ffff:192.0.2.1").result, SPFResult.PASS)
        self.assertEqual(self.outcome(ip="fe80::1%eth0").result, SPFResult.PASS)


class ExplanationTests(EvaluatorTestCase):
    """exp= (RFC 7208 section 6.2)."""

    ZONE = """
        example.com       TXT  "v=spf1 ip4:192.0.2.1 -all exp=why.example.com"
        why.example.com   TXT  "%{i} may not send for %{d}"
        away.example.com  TXT  "v=spf1 redirect=example.com exp=other.example.com"
    """

    def test_fail(self) -> None:
        """The domain's own text, macros expanded."""
        self.zone(self.ZONE)
        self.assertEqual(self.outcome(ip="192.0.2.2").explanation, "192.0.2.2 may not send for example.com")

    def test_not_asked_for_unless_it_fails(self) -> None:
        """On pass nobody asks for it."""
        self.zone(self.ZONE)
        self.assertEqual(self.outcome().explanation, "")
        self.assertEqual(self.resolver.asked, ["TXT example.com"])

    def test_redirect(self) -> None:
        """RFC 7208 section 6.2: after a redirect the explanation is that of its target."""
        self.zone(self.ZONE)
        outcome = self.outcome("bob@away.example.com", ip="192.0.2.2")
        self.assertEqual(outcome.explanation, "192.0.2.2 may not send for example.com")

    def test_trouble(self) -> None:
        """An explanation that cannot be had changes no result."""
        for why in ("why.example.com TXT SERVFAIL", 'why.example.com TXT "%(x)"', 'why.example.com TXT "\\255"', ""):
            self.zone(f'example.com TXT "v=spf1 -all exp=why.example.com"\n{why}')
            outcome = self.outcome()
            self.assertEqual((outcome.result, outcome.explanation), (SPFResult.FAIL, ""), why)

    def test_no_time_left(self) -> None:
        """A fail stays a fail when there is no time to ask why."""
        self.zone(self.ZONE)
        self.evaluator = SPFEvaluator(self.resolver, iter([0.0, 0.0, 1.0, 20.0]).__next__)
        outcome = self.outcome(ip="192.0.2.2")
        self.assertEqual((outcome.result, outcome.explanation), (SPFResult.FAIL, ""))

    def test_void_lookups_of_the_explanation(self) -> None:
        """Its macros do not count against the limit of the evaluation."""
        self.zone(
            """
            example.com      TXT  "v=spf1 exists:a.example.com exists:b.example.com -all exp=why.example.com"
            why.example.com  TXT  "connect from %{p}"
            """
        )
        self.assertEqual(self.outcome().explanation, "connect from unknown")


class LookupTests(EvaluatorTestCase):
    """What is asked, when, and how often."""

    ZONE = """
        example.com      TXT  "v=spf1 mx -all"
        example.com      MX   10 a.example.com
        example.com      MX   20 b.example.com
        example.com      MX   30 c.example.com
        c.example.com    A    192.0.2.1
    """

    def test_exchanges_in_parallel(self) -> None:
        """Pitfall 4: the addresses of all exchanges are asked for at the same time."""
        resolver = self.zone(self.ZONE)
        resolver.holding = True
        check = self.check()
        steps = []
        while not check.called:
            steps.append(len(resolver.asked))
            resolver.release()
        self.assertEqual(steps, [1, 2, 5])
        self.assertEqual(self.successResultOf(check).result, SPFResult.PASS)

    def test_nothing_is_asked_twice(self) -> None:
        """Pitfall 6: void answers are remembered, too; passes repeat no question."""
        resolver = self.zone(self.ZONE)
        self.outcome()
        self.assertEqual(len(set(resolver.asked)), len(resolver.asked))

    def test_known_answers_are_not_asked(self) -> None:
        """With everything in the cache one pass is enough, and no lookup."""
        resolver = self.zone(self.ZONE)
        first = self.outcome()
        resolver.asked.clear()
        self.assertEqual(self.outcome(), first)
        self.assertEqual(resolver.asked, [])

    def test_answer_that_never_comes(self) -> None:
        """M8: cancelling the evaluation cancels every lookup."""
        resolver = self.zone(self.ZONE)
        resolver.holding = True
        check = self.check()
        resolver.release()
        resolver.release()
        check.cancel()
        self.failureResultOf(check, CancelledError)
        self.assertEqual(resolver.waiting, 0)

    def test_pointer_names(self) -> None:
        """RFC 7208 section 5.5: errors in looking up PTR names are no match, and others are still tried."""
        zone = """
            example.com            TXT  "v=spf1 ptr -all"
            1.2.0.192.in-addr.arpa PTR  broken.example.com
            1.2.0.192.in-addr.arpa PTR  good.example.com
            broken.example.com     A    SERVFAIL
            good.example.com       A    192.0.2.1
            2.2.0.192.in-addr.arpa PTR  SERVFAIL
        """
        self.zone(zone)
        self.assertEqual(self.outcome().result, SPFResult.PASS)
        self.assertEqual(self.outcome(ip="192.0.2.2").result, SPFResult.FAIL)

    def test_null_mx(self) -> None:
        """LL-04: the exchange of a null MX is not asked for."""
        resolver = self.zone('example.com TXT "v=spf1 mx -all"\nexample.com MX 0 .')
        self.assertEqual(self.outcome().result, SPFResult.FAIL)
        self.assertEqual(resolver.asked, ["TXT example.com", "MX example.com"])


class LimitTests(EvaluatorTestCase):
    """What one evaluation may cost."""

    def test_time(self) -> None:
        """RFC 7208 section 4.6.4: an evaluation over its time is a temperror."""
        resolver = self.zone('example.com TXT "v=spf1 a mx -all"')
        resolver.holding = True
        check = self.check()
        self.now = 20.0
        resolver.release()
        outcome = self.successResultOf(check)
        self.assertEqual(
            (outcome.result, outcome.problem), (SPFResult.TEMPERROR, "SPF evaluation takes longer than 20 s")
        )

    def test_passes(self) -> None:
        """An evaluation that does not end is ended."""
        self.zone('example.com TXT "v=spf1 a mx -all"')
        self.evaluator = SPFEvaluator(self.resolver, lambda: 0.0, max_passes=2)
        self.assertIn("too many steps", self.outcome().problem)

    def test_void_lookups(self) -> None:
        """RFC 7208 section 4.6.4: the third void lookup is a permerror."""
        terms = " ".join(f"a:a{number}.example.com" for number in range(3))
        self.zone(f'example.com TXT "v=spf1 {terms} -all"')
        self.assertEqual(self.outcome().problem, "Void lookup limit of 2 exceeded")

    def test_ten_lookups(self) -> None:
        """RFC 7208 section 4.6.4: the eleventh term that asks is a permerror."""
        terms = " ".join(["a:a.example.com"] * 11)
        self.zone(f'example.com TXT "v=spf1 {terms} -all"\na.example.com A 192.0.2.9')
        self.assertIn("Too many DNS lookups", self.outcome().problem)

    def test_long_record(self) -> None:
        """A10: a record over 4096 octets is a permerror; other long texts do not matter."""
        strings = " ".join(['"' + "a" * 250 + '"'] * 17)
        self.zone(f'example.com TXT "v=spf1 " {strings}')
        self.assertIn("4096", self.outcome().problem)
        self.zone(f'example.com TXT {strings}\nexample.com TXT "v=spf1 -all"')
        self.assertEqual(self.outcome().result, SPFResult.FAIL)

    def test_long_domain_spec(self) -> None:
        """I3: a term on which pyspf would spend its time is a permerror."""
        spec = ".".join(["a" * 60] * 5)
        strings = " ".join(f'"{text}"' for text in ("v=spf1 a:", spec[:200], spec[200:], " -all"))
        self.zone(f"example.com TXT {strings}")
        self.assertIn(str(MAX_DOMAIN_SPEC), self.outcome().problem)

    def test_many_macros(self) -> None:
        """I3: macros are counted over the whole evaluation."""
        strings = " ".join(f'" x{number}=' + "%{d}" * 50 + '"' for number in range(6))
        self.zone(f'example.com TXT "v=spf1" {strings} " -all"')
        self.assertIn(str(MAX_MACROS), self.outcome().problem)


_WORDS = (
    "a mx ptr all include: exists: ip4: ip6: redirect= exp= %{l} %{d2r} %{p} %{d99999999999999999999} % %{ } / // 24"
    " 999 - ~ ? : :: . .. = é \x00 \\ example.com b.example 1.2.3.4 2001:db8::1 "
)
_TERMS = st.sampled_from([*_WORDS.split(" "), " ", " ", "x" * 70])
_HOSTILE = st.text(st.sampled_from('ab.@"\\%{}l \x00\r\né\udcff[]:1'), max_size=30)


class HostileTests(EvaluatorTestCase):
    """I2: whatever a domain publishes or a client says, there is an outcome."""

    @given(st.lists(_TERMS, max_size=20), st.lists(_TERMS, max_size=20), _HOSTILE, _HOSTILE)
    def test_always_an_outcome(self, terms: list[str], others: list[str], local_part: str, helo: str) -> None:
        """No record, sender or HELO name makes pyspf or the driver raise."""
        self.zone("1.2.0.192.in-addr.arpa PTR example.com\nexample.com A 192.0.2.1\nexample.com MX 10 b.example")
        for name, words in (("example.com", terms), ("b.example", others)):
            octets = ("v=spf1 " + "".join(words)).encode()
            strings = " ".join(
                '"' + "".join(f"\\{octet:03}" for octet in octets[at : at + 250]) + '"' for at in (0, 250)
            )
            self.resolver.zone.records.update(FakeResolver(f"{name} TXT {strings}").zone.records)
        for mail_from in (f"{local_part}@example.com", local_part, ""):
            outcome = self.outcome(mail_from, helo)
            self.assertIn(outcome.result, SPFResult)
            self.assertTrue("".join((outcome.problem, outcome.record, *outcome.lookups)).isprintable())

    def test_shown(self) -> None:
        """I8: what is not printable US-ASCII is escaped."""
        self.assertEqual(shown("a\r\n\x7f\xff b"), r"a\x0d\x0a\x7f\xff b")


class PyspfTests(SynchronousTestCase):
    """Facts of pyspf that the driver stands on; a new pyspf may change them."""

    def parsed(self) -> ast.Module:
        """The source of pyspf, whose string escapes Python warns of."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(inspect.getsource(spf))

    def test_one_seam(self) -> None:
        """The network is reached through C{DNSLookup}, called in C{query.dns} and nowhere else."""
        calls = [
            (outer.name, ast.unparse(node.func))
            for outer in ast.walk(self.parsed())
            if isinstance(outer, ast.FunctionDef)
            for node in ast.walk(outer)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "DNSLookup"
        ]
        self.assertEqual(calls, [("dns", "DNSLookup")])

    def test_explanation_is_swallowed(self) -> None:
        """Pitfall 1: a bare except around C{exp=}, which is why misses are listed and not only raised."""
        handlers = [node for node in ast.walk(self.parsed()) if isinstance(node, ast.ExceptHandler)]
        self.assertTrue(any(handler.type is None for handler in handlers))
        self.assertIn("self.set_explanation(exp)", inspect.getsource(spf.query.check0))

    def test_limits(self) -> None:
        """RFC 7208 section 4.6.4, as pyspf has them."""
        self.assertEqual((spf.MAX_LOOKUP, spf.MAX_MX, spf.MAX_PTR, spf.MAX_VOID_LOOKUPS), (10, 10, 10, 2))

    def test_types_that_are_asked(self) -> None:
        """Every type that pyspf asks for is one that the driver converts."""
        self.assertTrue({"A", "AAAA", "MX", "PTR", "TXT"} <= {rdtype.name for rdtype in RdataType})
        self.assertEqual(
            spf.query.SAFE2CACHE.keys() & {("TXT", "TXT"), ("PTR", "PTR")}, {("TXT", "TXT"), ("PTR", "PTR")}
        )
