"""Outcomes that are remembered: for whom they hold, and for how long."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.spf_driver import SPFEvaluator

RESOLVER_TTL = 3600.0  # of what L{FakeResolver} answers


class RememberedTests(SynchronousTestCase):
    """Evaluations one after the other; the zone changes in between, and only a fresh evaluation can see it."""

    def setUp(self) -> None:
        """Time stands still."""
        self.now = 0.0

    def zone(self, text: str) -> None:
        """Begin anew with this zone."""
        self.evaluator = SPFEvaluator(FakeResolver(text), lambda: self.now)

    def change(self, text: str) -> None:
        """Let the same evaluator ask another resolver, which has nothing in its cache."""
        self.evaluator._resolver = FakeResolver(text)

    def check(
        self, mail_from: str = "a@example.com", helo: str = "mx.example.net", ip: str = "192.0.2.1"
    ) -> SPFOutcome:
        """One evaluation."""
        checking = self.evaluator.check_host(ip_address(ip), mail_from, helo)
        return self.successResultOf(Deferred.fromCoroutine(checking))

    def test_another_mailbox_of_the_domain(self) -> None:
        """The same client and domain: the same outcome, told of the mailbox that sends now."""
        self.zone('example.com TXT "v=spf1 a -all"\nexample.com A 192.0.2.1')
        first = self.check("a@example.com")
        self.change("")
        second = self.check("b@Example.COM", helo="other.example.net")
        self.assertEqual((first.result, second.result), (SPFResult.PASS, SPFResult.PASS))
        self.assertEqual((second.sender, second.mechanism, second.lookups), ("b@example.com", "a", first.lookups))

    def test_until_an_answer_is_stale(self) -> None:
        """It holds no longer than the answers that it rests on."""
        self.zone('example.com TXT "v=spf1 ip4:192.0.2.1 -all"')
        self.check()
        self.change("")
        self.now = RESOLVER_TTL - 1
        self.assertEqual(self.check().result, SPFResult.PASS)
        self.now = RESOLVER_TTL
        self.assertEqual(self.check().result, SPFResult.NONE)

    def test_not_for_another_client(self) -> None:
        """Another address is evaluated by itself."""
        self.zone('example.com TXT "v=spf1 ip4:192.0.2.1 -all"')
        self.assertEqual(self.check().result, SPFResult.PASS)
        self.assertEqual(self.check(ip="192.0.2.2").result, SPFResult.FAIL)

    def test_not_for_another_identity(self) -> None:
        """The same name as HELO: an outcome of its own, that says so."""
        self.zone('example.com TXT "v=spf1 ip4:192.0.2.1 -all"')
        self.check("a@example.com")
        outcome = self.check("", helo="example.com")
        self.assertEqual((outcome.identity, outcome.sender), (Identity.HELO, "postmaster@example.com"))

    def test_not_with_macros(self) -> None:
        """RFC 7208 section 7: a record may ask for the mailbox, and then each has its own outcome."""
        self.zone('example.com TXT "v=spf1 exists:%{l}.ok.example.com -all"\ngood.ok.example.com A 127.0.0.1')
        self.assertEqual(self.check("good@example.com").result, SPFResult.PASS)
        self.assertEqual(self.check("bad@example.com").result, SPFResult.FAIL)

    def test_not_a_failed_lookup(self) -> None:
        """A temperror is not remembered: the resolver decides when to ask again."""
        self.zone("example.com TXT SERVFAIL")
        self.assertEqual(self.check().result, SPFResult.TEMPERROR)
        self.change('example.com TXT "v=spf1 ip4:192.0.2.1 -all"')
        self.assertEqual(self.check().result, SPFResult.PASS)

    def test_not_a_fail_with_an_explanation(self) -> None:
        """It may have been left out for want of time."""
        self.zone('example.com TXT "v=spf1 -all exp=why.example.com"\nwhy.example.com TXT "no"')
        self.assertEqual(self.check().explanation, "no")
        self.change('example.com TXT "v=spf1 -all exp=why.example.com"\nwhy.example.com TXT "still no"')
        self.assertEqual(self.check().explanation, "still no")
