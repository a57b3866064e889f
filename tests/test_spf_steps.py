"""Tests of the evaluation step by step (W09)."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from twistedmilter.spf_driver import SPFEvaluator
from twistedmilter.spf_steps import explain_steps

ZONE = """
    example.com       TXT  "v=spf1 include:_spf.example.net mx -all exp=why.example.com"
    _spf.example.net  TXT  "v=spf1 ip4:198.51.100.0/24 ~all"
    example.com       MX   10 mx.example.com
    mx.example.com    A    192.0.2.2
    why.example.com   TXT  "%{i} is none of ours"
    broken.example    TXT  SERVFAIL
    wrong.example     TXT  "v=spf1 moo -all"
"""


class StepsTests(SynchronousTestCase):
    """What an administrator reads."""

    def steps(self, ip: str, mail_from: str, helo: str = "mail.example.net") -> list[str]:
        """The lines for one evaluation."""
        evaluator = SPFEvaluator(FakeResolver(ZONE), lambda: 0.0)
        explained = Deferred.fromCoroutine(explain_steps(evaluator, ip_address(ip), mail_from, helo))
        return list(self.successResultOf(explained).steps)

    def test_every_step(self) -> None:
        """Each record, mechanism, question and answer in the order of the evaluation, then the result."""
        self.assertEqual(
            self.steps("192.0.2.1", "bob@example.com"),
            [
                "mailfrom identity: bob@example.com, client 192.0.2.1, HELO mail.example.net",
                '    DNS TXT example.com: "v=spf1 include:_spf.example.net mx -all exp=why.example.com"',
                "record of example.com: v=spf1 include:_spf.example.net mx -all exp=why.example.com",
                "  mechanism include:_spf.example.net",
                '    DNS TXT _spf.example.net: "v=spf1 ip4:198.51.100.0/24 ~all"',
                "  record of _spf.example.net: v=spf1 ip4:198.51.100.0/24 ~all",
                "    mechanism ip4:198.51.100.0/24",
                "    mechanism ~all",
                "  _spf.example.net says softfail",
                "  mechanism mx",
                "    DNS MX example.com: 10 mx.example.com",
                "    DNS A mx.example.com: 192.0.2.2",
                "  mechanism -all",
                "example.com says fail",
                '    DNS TXT why.example.com: "%{i} is none of ours"',
                "result: fail, by -all",
                "explanation: 192.0.2.1 is none of ours",
            ],
        )

    def test_mechanisms_after_the_match_are_not_told(self) -> None:
        """What was not considered is not in it."""
        steps = self.steps("192.0.2.2", "bob@example.com")
        self.assertNotIn("  mechanism -all", steps)
        self.assertEqual(steps[-1], "result: pass, by mx")

    def test_trouble(self) -> None:
        """What went wrong stands at the end."""
        self.assertEqual(self.steps("192.0.2.1", "a@broken.example")[-1], "problem: SERVFAIL for TXT broken.example")
        self.assertEqual(self.steps("192.0.2.1", "a@wrong.example")[-1], "problem: Unknown mechanism found: moo")

    def test_nothing_to_ask(self) -> None:
        """A HELO name without a domain is said to be one."""
        self.assertEqual(
            self.steps("192.0.2.1", "", "lo\ncal"),
            [
                r"helo identity: postmaster@lo\x0acal, client 192.0.2.1, HELO lo\x0acal",
                r"lo\x0acal is not a domain name that can have a record",
                "result: none",
            ],
        )
