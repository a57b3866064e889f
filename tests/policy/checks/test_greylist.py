"""Tests of greylisting (seed-spec M01 to M04)."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.interfaces.checks import IRcptCheck
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.address import parse_path
from twistedmilter.model.known_sender_settings import GreylistSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import TempFail, Verdict
from twistedmilter.policy.checks.greylist import GreylistCheck, strikes_of
from twistedmilter.store.memory import MemoryStores

HOUR, DAY = 3_600.0, 86_400.0


class GreylistTestCase(SynchronousTestCase):
    """A stranger with one strike that writes to bob@ours.ex."""

    def setUp(self) -> None:
        """Nobody was here before."""
        self.now = 1_795_525_511.5
        self.stores = cast(IStores, MemoryStores())
        self.spf = "none"

    def transaction(self, sender: str = "<alice@friend.ex>", strikes: int | None = 1, **client: Any) -> Transaction:
        """A transaction as three_strikes leaves it; None: that was not asked."""
        made = make_transaction(sender, make_connection(**client))
        if strikes is not None:
            made.note("three_strikes", "strikes", f"{strikes} of 3")
        return made

    def ask(
        self, transaction: Transaction | None = None, recipient: str = "<bob@ours.ex>", **settings: Any
    ) -> Verdict | None:
        """What the recipient is answered; the transaction is kept."""
        self.asked = transaction or self.transaction()
        evaluator = FakeSPFEvaluator({"friend.ex": self.spf})
        check = GreylistCheck(GreylistSettings(**settings), self.stores, evaluator, lambda: self.now)
        verifyObject(IRcptCheck, check)
        rcpt = Recipient(parse_path(recipient))
        return self.successResultOf(Deferred.fromCoroutine(check.check_rcpt(self.asked, rcpt)))

    def evidence(self) -> dict[str, str]:
        """What was recorded of the last transaction."""
        return {fact.name: fact.value for fact in self.asked.evidence if fact.check == "greylist"}


class TimingTests(GreylistTestCase):
    """M02 and M03: who waited passes."""

    def test_off_by_default(self) -> None:
        """And, once on, for those with a strike, two minutes."""
        settings = GreylistSettings()
        self.assertEqual((settings.mode, settings.only_with_strike, settings.delay), ("off", True, 120.0))

    def test_the_reply_says_when_to_come_back(self) -> None:
        """451 4.7.1; the record tells how often it tried, and by which key."""
        verdict = self.ask()
        assert isinstance(verdict, TempFail)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (451, "4.7.1", "greylisted"))
        self.assertEqual(verdict.reason.text, "greylisted: come back in 120 seconds, or later; attempt 1")
        tries = "1, to come back in 120 s: 192.0.2.0/24 alice@friend.ex bob@ours.ex"
        self.assertEqual(self.evidence(), {"tries": tries})

    def test_too_soon(self) -> None:
        """Each attempt is counted, and the first one keeps its time."""
        self.ask()
        self.now += 119.5
        verdict = self.ask()
        assert isinstance(verdict, TempFail)
        self.assertEqual(verdict.reason.text, "greylisted: come back in 1 seconds, or later; attempt 2")
        self.now += 0.5
        self.assertIsNone(self.ask())

    def test_who_waited_passes_ever_after(self) -> None:
        """Until it was not seen for 36 days."""
        self.ask()
        for pause in (120, 1, 30 * DAY, 30 * DAY):
            self.now += pause
            self.assertIsNone(self.ask(), pause)
        self.assertIn("5, accepted 4 times", self.evidence()["tries"])
        self.now += 36 * DAY + 1
        self.assertIsInstance(self.ask(), TempFail)

    def test_who_comes_too_late_starts_over(self) -> None:
        """After six hours without having passed."""
        self.ask()
        self.now += 6 * HOUR + 1
        self.assertIsInstance(self.ask(), TempFail)

    def test_other_times(self) -> None:
        """They are settings."""
        times: dict[str, Any] = {"delay": 10.0, "expire_hours": 1.0, "retain_days": 1.0}
        self.ask(**times)
        self.now += 10
        self.assertIsNone(self.ask(**times))
        self.now += DAY + 1
        self.assertIsInstance(self.ask(**times), TempFail)


class KeyTests(GreylistTestCase):
    """M01: what counts as the same sender."""

    def assertSame(self, first: Transaction, second: Transaction, recipient: str = "<bob@ours.ex>") -> None:
        """The second one need not wait again."""
        self.ask(first)
        self.now += 120
        self.assertIsNone(self.ask(second, recipient))

    def assertOther(self, first: Transaction, second: Transaction, recipient: str = "<bob@ours.ex>") -> None:
        """The second one has to wait for itself."""
        self.ask(first)
        self.now += 120
        self.assertIsInstance(self.ask(second, recipient), TempFail)

    def test_another_host_of_the_network(self) -> None:
        """A retry may come from the next host of a /24, or of a /64."""
        self.assertSame(self.transaction(), self.transaction(ip="192.0.2.200"))
        for second, expected in (("2001:db8::2", self.assertSame), ("2001:db8:0:1::1", self.assertOther)):
            self.setUp()
            expected(self.transaction(ip="2001:db8::1"), self.transaction(ip=second))

    def test_without_spf_pass(self) -> None:
        """Another network, sender or recipient waits for itself."""
        for result in ("none", "softfail"):
            self.setUp()
            self.spf = result
            self.assertOther(self.transaction(), self.transaction(ip="192.0.3.1"))
            self.assertIsInstance(self.ask(self.transaction("<carol@friend.ex>")), TempFail)
            self.assertIsInstance(self.ask(self.transaction(), "<dora@ours.ex>"), TempFail)
            self.assertIsNone(self.ask())

    def test_with_spf_pass(self) -> None:
        """A domain that has come back has come back for all of it: it is known."""
        self.spf = "pass"
        other = self.transaction("<carol@friend.ex>", ip="198.51.100.7")
        self.assertSame(self.transaction(), other, "<dora@ours.ex>")
        self.assertIn(": domain friend.ex", self.evidence()["tries"])


class ExemptTests(GreylistTestCase):
    """M04: who is never asked to come back."""

    def assertExempt(self, transaction: Transaction) -> None:
        """No opinion, and nothing is counted."""
        self.assertIsNone(self.ask(transaction))
        self.assertNotIn("tries", self.evidence())

    def test_clients_of_ours(self) -> None:
        """Internal ones, trusted relays, AUTH, and who has no address."""
        for client in (ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED):
            self.assertExempt(self.transaction(client_class=client))
        self.assertExempt(self.transaction(ip=None))

    def test_bounces(self) -> None:
        """The null reverse-path comes once."""
        self.assertExempt(self.transaction("<>"))

    def test_known_senders(self) -> None:
        """Whatever they are known for."""
        known = self.transaction()
        known.known_sender = "we wrote to it"
        self.assertExempt(known)
        self.assertEqual(self.evidence(), {"spared": "we wrote to it"})

    def test_without_a_strike(self) -> None:
        """Only who has one is asked to wait, unless all are."""
        for strikes in (0, None):
            self.assertExempt(self.transaction(strikes=strikes))
            self.assertIsInstance(self.ask(self.transaction(strikes=strikes), only_with_strike=False), TempFail)
            self.setUp()
        self.assertEqual([strikes_of(self.transaction(strikes=each)) for each in (None, 0, 3)], [0, 0, 3])

    def test_recipients_that_the_mta_refused(self) -> None:
        """Nothing is to be waited for."""
        check = GreylistCheck(GreylistSettings(), self.stores, None, lambda: self.now)
        refused = Recipient(parse_path("<x@ours.ex>"), refused_by_mta=True)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_rcpt(self.transaction(), refused))))

    def test_where_nothing_is_remembered(self) -> None:
        """A test is not counted, and a scan has no store; the record says so."""
        tested = self.transaction()
        tested.connection.is_test = True
        self.assertExempt(tested)
        self.assertEqual(self.evidence(), {"not_asked": "nothing is counted here"})
        self.stores = cast(IStores, None)
        self.assertExempt(self.transaction())
        self.assertEqual(self.evidence(), {"not_asked": "nothing is counted here"})
