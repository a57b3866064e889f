"""Tests of the Received-SPF field (RFC 7208 section 9.1)."""

from __future__ import annotations

import re
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult, received_spf

PASS = SPFOutcome(
    SPFResult.PASS, Identity.MAIL_FROM, "bob@example.com", "example.com", mechanism="ip4:192.0.2.0/24", record="v=spf1"
)


def field_of(outcome: SPFOutcome, **changed: str) -> str:
    """The value for a usual message."""
    words = {"helo": "mail.example.net", "mail_from": "bob@example.com", "receiver": "mx.example.org"} | changed
    ip = ip_address(words.pop("ip", "192.0.2.9"))
    return received_spf(outcome, ip=ip, helo=words["helo"], mail_from=words["mail_from"], receiver=words["receiver"])


class ReceivedSPFTests(SynchronousTestCase):
    """What the field says."""

    def test_whole_field(self) -> None:
        """E15: result, comment with the receiver, then the pairs; values that are no dot-atom are quoted."""
        self.assertEqual(
            field_of(PASS),
            "pass (mx.example.org: example.com designates 192.0.2.9 as permitted sender)\n"
            "\tclient-ip=192.0.2.9;\n"
            '\tenvelope-from="bob@example.com";\n'
            "\thelo=mail.example.net;\n"
            "\tidentity=mailfrom;\n"
            "\treceiver=mx.example.org;\n"
            '\tmechanism="ip4:192.0.2.0/24"',
        )

    def test_every_result_has_its_comment(self) -> None:
        """3.7: the comment tells the result in words."""
        for result in SPFResult:
            outcome = SPFOutcome(result, Identity.HELO, "postmaster@a.example", "a.example", problem="no answer")
            value = field_of(outcome, mail_from="")
            self.assertTrue(value.startswith(f"{result.value} (mx.example.org: "), value)
            self.assertIn("a.example", value.splitlines()[0])
            self.assertIn('envelope-from="<>"', value)

    def test_ipv6_is_quoted(self) -> None:
        """A colon is in no dot-atom."""
        self.assertIn('client-ip="2001:db8::1"', field_of(PASS, ip="2001:db8::1"))

    def test_comment_cannot_be_closed(self) -> None:
        """M22: a parenthesis in a domain or a problem stays within the comment."""
        outcome = SPFOutcome(SPFResult.PERMERROR, Identity.MAIL_FROM, "a@b", "b) pass (", problem="x\\")
        self.assertIn(r"b\) pass \(: x\\)", field_of(outcome))

    @given(st.text(), st.text(), st.text(), st.text())
    def test_hostile_text_stays_in_place(self, helo: str, mail_from: str, domain: str, problem: str) -> None:
        """I8: nothing that the network said breaks the line, the comment or a quoted-string."""
        outcome = SPFOutcome(SPFResult.TEMPERROR, Identity.MAIL_FROM, mail_from, domain, problem=problem)
        value = field_of(outcome, helo=helo, mail_from=mail_from)
        InsertHeader(0, "Received-SPF", value)
        self.assertNotRegex(value, r"[\x00-\x08\x0b-\x1f\x7f]|\n(?!\t)")
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "q", re.sub(r"\((?:[^()\\]|\\.)*\)", "c", value, count=1, flags=re.DOTALL))
        self.assertRegex(bare, r"^temperror c\n\tclient-ip=192.0.2.9(;\n\t[a-z-]+=[^;\"()]+)+$")
