"""The reputation of senders (gossip spec 1.4, 1.12)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from tests.observe.records import record
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.record import Decision, RecipientRecord
from twistedmilter.model.reputation import UNKNOWN, Assessment, Identity, Opinion, PeerOpinion, Vote
from twistedmilter.model.reputation_settings import ReputationSettings
from twistedmilter.model.stage import ClientClass, Stage
from twistedmilter.model.transaction import Evidence, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.checks.reputation import ReputationCheck
from twistedmilter.policy.reputation_feedback import ReputationFeedback


class FakeNode:
    """Knows what the test tells it.

    @ivar own: what it has seen. @ivar peers: what others say, and what that weighs.
    """

    def __init__(self) -> None:
        self.opinion = self.own = UNKNOWN
        self.peers: tuple[PeerOpinion, ...] = ()
        self.asked: list[Identity] = []
        self.told: list[tuple[str, Vote]] = []

    def new_umis(self) -> str:
        """Always the same."""
        return "hYFCubydN$h65iP35P9kcQ"

    async def ask(self, identity: Identity, umis: str) -> Assessment:
        """What is known."""
        self.asked.append(identity)
        return Assessment(umis, identity, self.opinion, self.own, self.peers)

    async def tell(self, umis: str, vote: Vote) -> bool:
        """Remember."""
        self.told.append((umis, vote))
        return True


class ReputationTestCase(SynchronousTestCase):
    """A stranger, and a node."""

    def setUp(self) -> None:
        """Nothing is known."""
        self.node = FakeNode()

    def ask(
        self, results: dict[str, str] | None = None, sender: str = "<a@Friend.ex>", **settings: Any
    ) -> Verdict | None:
        """What the sender is answered; the transaction is kept."""
        self.transaction = make_transaction(sender, make_connection())
        return self.judge(self.transaction, results or {}, **settings)

    def judge(self, transaction: Transaction, results: dict[str, str], **settings: Any) -> Verdict | None:
        """The verdict on a transaction."""
        check = ReputationCheck(ReputationSettings(**settings), self.node, FakeSPFEvaluator(results))  # type: ignore[arg-type]
        verifyObject(IMailCheck, check)
        return self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction)))

    def evidence(self) -> dict[str, str]:
        """What was recorded of the last transaction."""
        return {fact.name: fact.value for fact in self.transaction.evidence if fact.check == "reputation"}

    def know(self, opinion: Opinion, own: Opinion | None = None) -> None:
        """What is thought, by us and all."""
        self.node.opinion, self.node.own = opinion, own if own is not None else opinion


class IdentityTests(ReputationTestCase):
    """Who is judged (1.4)."""

    def test_what_proves_it(self) -> None:
        """The first that holds: SPF, HELO, else the result, which is another actor (case 8)."""
        for results, expected in (
            ({"friend.ex": "pass"}, Identity("friend.ex", "SPF")),
            ({"friend.ex": "neutral", "mail.example.net": "pass"}, Identity("mail.example.net", "HELO")),
            ({"friend.ex": "neutral"}, Identity("friend.ex", "neutral")),
            ({"friend.ex": "softfail"}, Identity("friend.ex", "softfail")),
            ({}, Identity("friend.ex", "none")),
        ):
            self.ask(results)
            self.assertEqual(self.node.asked[-1], expected)

    def test_who_has_no_name(self) -> None:
        """An address literal; the null reverse-path, unless HELO passes."""
        self.assertIsNone(self.ask(sender="<a@[192.0.2.1]>"))
        self.assertIsNone(self.ask(sender="<>"))
        self.assertEqual(self.node.asked, [])

    def test_only_strangers_are_asked_about(self) -> None:
        """Not our own, and nothing in a test."""
        ours = make_transaction("<a@friend.ex>", make_connection(client_class=ClientClass.INTERNAL))
        self.assertIsNone(self.judge(ours, {}))
        test = make_transaction("<a@friend.ex>", make_connection())
        test.connection.is_test = True
        self.assertIsNone(self.judge(test, {}))
        self.assertEqual(self.node.asked, [])


class VerdictTests(ReputationTestCase):
    """What comes of it (1.12)."""

    def test_thresholds(self) -> None:
        """On the integers that the header shows."""
        for opinion, is_refused in (
            (Opinion(-51.0, 4.0), True),
            (Opinion(-50.9, 4.0), False),
            (Opinion(-51.0, 3.9), False),
            (UNKNOWN, False),
        ):
            self.know(opinion)
            verdict = self.ask()
            self.assertEqual(isinstance(verdict, Refuse), is_refused)
        self.know(Opinion(-51.0, 4.0))
        verdict = self.ask({"friend.ex": "pass"})
        assert verdict is not None
        self.assertEqual(verdict.reason.code, "reputation-bad")
        self.assertEqual(verdict.reason.text, "mail from friend.ex (SPF) was mostly spam, score -51,4")

    def test_peers_alone_mark(self) -> None:
        """Unless it is wanted otherwise."""
        self.know(Opinion(-76.0, 10.0), UNKNOWN)
        self.node.peers = (PeerOpinion("there", Opinion(-76.0, 49.0), 10.0),)
        for action, kind in (("mark", Mark), ("refuse", Refuse), ("none", type(None))):
            verdict = self.ask(peer_only_action=action)
            self.assertIsInstance(verdict, kind)
        self.assertEqual(self.evidence()["peer"], "there says -76,49, which weighs 10.00")
        self.assertEqual(self.evidence()["own"], "0,0")

    def test_evidence(self) -> None:
        """What is known, who is new, who is good."""
        self.ask()
        self.assertEqual(
            self.evidence(),
            {
                "umis": "hYFCubydN$h65iP35P9kcQ",
                "opinion": "friend.ex:none 0,0",
                "new": "nothing is known of friend.ex:none",
            },
        )
        self.know(Opinion(41.0, 1.0))
        self.ask()
        self.assertEqual(self.evidence()["good"], "friend.ex:none is known as good")
        self.know(Opinion(40.9, 1.0))
        self.ask()
        self.assertNotIn("good", self.evidence())

    def test_the_header(self) -> None:
        """As the reference writes it; not where it is not wanted."""
        self.know(Opinion(-50.7, 29.4))
        self.ask()
        expected = InsertHeader(0, "X-GOSSiP", "hYFCubydN$h65iP35P9kcQ,-50,29")
        self.assertEqual(self.transaction.proposals, [expected])
        self.ask(header=False)
        self.assertEqual(self.transaction.proposals, [])

    def test_a_scan_asks_nobody(self) -> None:
        """It has no node."""
        check = ReputationCheck(ReputationSettings(), None, None)
        transaction = make_transaction("<a@friend.ex>", make_connection())
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction))))


class FeedbackTests(ReputationTestCase):
    """What becomes of messages."""

    def votes(self, *, verdict: Verdict | None = None, **fields: Any) -> list[tuple[str, Vote]]:
        """What is told of a message that ended so."""
        feedback = ReputationFeedback(self.node, ReputationSettings().spam_codes)  # type: ignore[arg-type]
        verifyObject(IObserver, feedback)
        fact = Evidence("reputation", "umis", "u")
        given = {"evidence": (fact,), "marks": (), "ended": "end-of-message", "is_test": False}
        decision = Decision(Stage.END_OF_MESSAGE, verdict, "callback")
        self.node.told.clear()
        feedback.ended(record(decision=decision, **{**given, **fields}))
        return list(self.node.told)

    def test_what_goes_on_is_ham(self) -> None:
        """If nothing marked it, and it is no test."""
        self.assertEqual(self.votes(), [("u", Vote.HAM)])
        self.assertEqual(self.votes(marks=(Mark(Reason("x", "y")),)), [])
        self.assertEqual(self.votes(is_test=True), [])
        self.assertEqual(self.votes(evidence=()), [])
        self.assertEqual(self.votes(ended="lost", recipients=()), [])

    def test_what_was_refused_as_spam_is_spam(self) -> None:
        """By the code; its own refusals say nothing, so that a bad reputation does not feed on itself."""
        self.assertEqual(self.votes(verdict=Refuse(Reason("callback-invalid", "no"))), [("u", Vote.SPAM)])
        for verdict in (
            Refuse(Reason("reputation-bad", "no")),
            Refuse(Reason("spf-fail", "no")),
            TempFail(Reason("greylisted", "later")),
        ):
            self.assertEqual(self.votes(verdict=verdict), [])

    def test_unknown_recipients(self) -> None:
        """Where there was no other."""
        unknown = RecipientRecord("x@ours.ex", "refuse", "recipient-unknown")
        self.assertEqual(self.votes(ended="abort", recipients=(unknown, unknown)), [("u", Vote.SPAM)])
        known = RecipientRecord("y@ours.ex", "continue")
        self.assertEqual(self.votes(ended="abort", recipients=(unknown, known)), [])
