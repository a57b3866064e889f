"""Tests of what a callback does to a message (seed-spec G01, G14, G22; 8.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.interfaces.callbacks import NULL_MX, CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.checks import ILastCheck
from twistedmilter.model.address import Mailbox, parse_path
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.transaction import SenderInquiry, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.callback import CallbackCheck

WHY = Reason("spf-softfail", "example.com says that 192.0.2.9 is probably not allowed to send for it")
SAID = CallbackOutcome(CallbackResult.INVALID, "RCPT", "mx.example.com [192.0.2.1]", "550 5.1.1 no bob", 550)


@implementer(ICallbackVerifier)
@dataclass
class FakeVerifier:
    """Answers by mailbox; what is asked without being dialled comes from C{remembered}."""

    outcomes: dict[str, CallbackOutcome] = field(default_factory=dict)
    remembered: dict[str, CallbackOutcome] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def verify(self, mailbox: Mailbox) -> CallbackOutcome:
        """Dial."""
        self.asked.append(mailbox.canonical)
        return self.outcomes[mailbox.canonical]

    async def known(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """Look only."""
        return self.remembered.get(mailbox.canonical)


class CallbackCheckTests(SynchronousTestCase):
    """One message of bob@example.com that a policy wants to be asked about."""

    def setUp(self) -> None:
        """The sender does not exist."""
        self.verifier = FakeVerifier({"bob@example.com": SAID, "amy@example.com": replace(SAID, text="550 no amy")})
        self.transaction = make_transaction("<bob@example.com>", make_connection())
        self.transaction.inquiries.append(SenderInquiry("spf", self.transaction.mail_from, WHY))

    def judge(self, *, has_verifier: bool = True, own: list[str] | None = None, **settings: Any) -> Verdict | None:
        """The verdict at the end."""
        section = CallbackSettings(mode="enforce", **settings)
        verifier = self.verifier if has_verifier else None
        check = CallbackCheck(section, verifier, AddressSet(section.never_probe), AddressSet(own or []))
        verifyObject(ILastCheck, check)
        return self.successResultOf(Deferred.fromCoroutine(check.check_last(self.transaction)))

    def found(self, result: CallbackResult, **fields: Any) -> None:
        """The exchanger says this."""
        self.verifier.outcomes["bob@example.com"] = replace(SAID, result=result, **fields)

    def evidence(self) -> dict[str, str]:
        """What was recorded."""
        return {fact.name: fact.value for fact in self.transaction.evidence if fact.check == "callback"}

    def test_invalid(self) -> None:
        """G14: 550 5.1.8 (RFC 3463) quotes the exchanger by name, and says why it was asked."""
        verdict = self.judge()
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.1.8", "callback-invalid"))
        self.assertEqual(
            verdict.reason.text,
            "<bob@example.com> takes no bounces: mx.example.com [192.0.2.1] said to RCPT: 550 5.1.1 no bob",
        )
        self.assertEqual(verdict.reason.details, (WHY.text,))
        self.assertEqual(
            self.evidence(),
            {
                "result": "<bob@example.com>: invalid",
                "answer": "mx.example.com [192.0.2.1] said to RCPT: 550 5.1.1 no bob",
                "source": "exchanger",
            },
        )

    def test_null_mx(self) -> None:
        """RFC 7505 section 4.2: a domain that takes no mail is 5.7.27."""
        self.found(CallbackResult.INVALID, exchanger="", text=NULL_MX, code=0)
        verdict = self.judge()
        assert isinstance(verdict, Refuse)
        self.assertEqual(verdict.status, "5.7.27")

    def test_valid(self) -> None:
        """G14: a sender that exists goes on, with evidence; that it was known is told."""
        self.found(CallbackResult.VALID, from_cache=True)
        self.assertIsNone(self.judge())
        self.assertEqual((self.evidence()["result"], self.evidence()["source"]), ("<bob@example.com>: valid", "cache"))

    def test_temporary(self) -> None:
        """A 4xx says nothing against the sender: it marks, or is 450 4.2.0 where the administrator wants that."""
        self.found(CallbackResult.TEMPORARY)
        self.assertIsInstance(self.judge(), Mark)
        verdict = self.judge(on_temporary_failure="tempfail")
        assert isinstance(verdict, TempFail)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (450, "4.2.0", "callback-temporary"))

    def test_unknown(self) -> None:
        """An answer that says nothing marks, whatever is to be done about temporary ones."""
        self.found(CallbackResult.UNKNOWN)
        verdict = self.judge(on_temporary_failure="tempfail")
        assert isinstance(verdict, Mark)
        self.assertEqual(verdict.reason.code, "callback-unknown")

    def test_known_sender(self) -> None:
        """I14: a sender that is believed is not asked about, and the record says why."""
        self.transaction.known_sender = "joe@example.org wrote to it"
        self.assertIsNone(self.judge())
        self.assertEqual((self.evidence(), self.verifier.asked), ({"spared": "joe@example.org wrote to it"}, []))

    def test_never_probe(self) -> None:
        """G22 and the opt-out: exchangers of these domains and of our own are not called."""
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"never_probe": ["example.com"]}, "never_probe has example.com"),
            ({"own": ["example.com"]}, "the domain is our own"),
        )
        for settings, why in cases:
            verdict = self.judge(**settings)
            assert isinstance(verdict, Mark)
            self.assertEqual(verdict.reason, WHY)
            self.assertEqual(self.evidence()["not_asked"], f"<bob@example.com>: {why}")
        self.assertEqual(self.verifier.asked, [])

    def test_tests_call_nobody(self) -> None:
        """A marked test is judged by what is remembered; neither it nor a scan calls anybody."""
        self.transaction.connection.is_test = True
        for has_verifier in (True, False):
            self.assertIsInstance(self.judge(has_verifier=has_verifier), Mark)
        self.verifier.remembered["bob@example.com"] = SAID
        self.assertIsInstance(self.judge(), Refuse)
        self.assertEqual(self.verifier.asked, [])

    def test_other_inquiries(self) -> None:
        """One with a template is not ours; a mailbox that two want asked about is asked about once."""
        amy = SenderInquiry("helo", parse_path("<amy@example.com>"), WHY, "softfail")
        self.transaction.inquiries += [amy, replace(self.transaction.inquiries[0], check="three_strikes")]
        self.judge()
        self.assertEqual(self.verifier.asked, ["bob@example.com"])

    def test_the_worst_decides(self) -> None:
        """Where several mailboxes are asked about, one that does not exist is enough."""
        self.found(CallbackResult.VALID)
        self.transaction.inquiries.append(SenderInquiry("helo", parse_path("<amy@example.com>"), WHY))
        verdict = self.judge()
        assert isinstance(verdict, Refuse)
        self.assertIn("550 no amy", verdict.reason.text)

    def test_nothing_to_ask(self) -> None:
        """G01: without an inquiry nobody is asked, and nothing is recorded."""
        transaction: Transaction = self.transaction
        transaction.inquiries.clear()
        self.assertIsNone(self.judge())
        self.assertEqual((self.verifier.asked, self.evidence()), ([], {}))
