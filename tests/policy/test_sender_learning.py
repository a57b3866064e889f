"""Tests of who becomes a known sender, and when (seed-spec I06, I16; invariant I6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.logger import ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observe.records import connection, decision, record, refusal, transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.modification import ReplaceBody
from twistedmilter.model.record import NO_OBJECTION, RecipientRecord
from twistedmilter.model.settings import NetworksSettings, PolicySettings, Settings
from twistedmilter.model.transaction import Evidence
from twistedmilter.model.verdict import Accept, Discard, Hold, Mark, Reason
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.sender_learning import MAX_USERS, SenderLearner, learner_of
from twistedmilter.store.memory import MemoryStores

NOW = 1_795_525_511.5  # 2026-11-24
DAY = 86_400.0
REASON = Reason("because", "because")


class LearnerTestCase(SynchronousTestCase):
    """An empty whitelist, and what of ours fills it."""

    def setUp(self) -> None:
        """A learner with the default settings and an empty list."""
        self.now = NOW
        self.stores = MemoryStores()
        self.whitelist = cast(ISenderList, self.stores.whitelist)
        self.lines: list[str] = []
        told = cast(ILogObserver, lambda event: self.lines.append(event["log_format"]))
        self.patch(SenderLearner, "_log", Logger(observer=told))
        self.learner = self.make()

    def make(self, **settings: Any) -> SenderLearner:
        """A learner with these settings."""
        section = KnownSenderSettings(**settings)
        sets = AddressSet.parse(["ours.ex"]), AddressSet.parse(section.never_learn)
        return SenderLearner(section, self.whitelist, *sets, lambda: self.now)

    def send(self, *addresses: str, user: str = "bob", **fields: Any) -> None:
        """The end of a message of ours that teaches."""
        taught = {
            "mail_from": "bob@ours.ex",
            "recipients": tuple(RecipientRecord(each, "continue") for each in addresses or ("alice@friend.ex",)),
            "evidence": (Evidence("known_sender", "learns_for", user),),
        }
        self.learner.ended(record(**(taught | fields)))

    def known(self) -> list[str]:
        """The names in the list."""
        return [each.name for each in self.successResultOf(self.whitelist.entries(self.now))]


class SenderLearnerTests(LearnerTestCase):
    """What the records of our own messages leave in the whitelist."""

    def test_recipients_become_known(self) -> None:
        """For 60 days, with a comment that says who wrote when."""
        self.send("Alice@Friend.EX", "carol@friend.ex")
        self.assertEqual(self.known(), ["alice@friend.ex", "carol@friend.ex"])
        entry = self.successResultOf(self.whitelist.find("alice@friend.ex", NOW))
        comment = "bob@ours.ex wrote to it on 2026-11-24"
        self.assertEqual(entry, SenderEntry("alice@friend.ex", comment, NOW, NOW + 60 * DAY))
        self.assertEqual(len(self.lines), 2)

    def test_it_is_an_observer(self) -> None:
        """Nothing but the end of a message teaches."""
        verifyObject(IObserver, self.learner)
        self.learner.connected(connection())
        self.learner.greeted(connection())
        self.learner.mail_began(transaction())
        for each in transaction().recipients:
            self.learner.recipient_named(transaction(), each)
        self.learner.disconnected(connection())
        self.learner.trouble("-", "x", "y")
        self.assertEqual(self.known(), [])

    def test_accepted_messages_only(self) -> None:
        """I6: refused, held, discarded, lost, changed, tests, and what the check did not say, teach nothing."""
        for fields in (
            {"decision": refusal("spf-fail")},
            {"decision": decision(Hold(REASON))},
            {"decision": decision(Discard(REASON))},
            {"ended": "lost"},
            {"modifications": (ReplaceBody(b"cleaned\r\n"),)},
            {"is_test": True},
            {"evidence": (Evidence("known_sender", "not_learnt", "List-Id: x"),)},
            {"evidence": (Evidence("other", "learns_for", "bob"),)},
        ):
            self.send(**fields)
            self.assertEqual(self.known(), [], fields)
        self.send(decision=decision(Accept(REASON)))
        self.assertEqual(self.known(), ["alice@friend.ex"])

    def test_which_recipients(self) -> None:
        """Not ours, no machines, no roles, and only those that were accepted (I16)."""
        self.send("bob@ours.ex", "NoReply@friend.ex", "postmaster@friend.ex", "list-bounces@friend.ex", "root", "")
        refused = tuple(RecipientRecord(f"{word}@friend.ex", word) for word in ("refuse", "refused-by-mta"))
        self.send(recipients=refused)
        self.assertEqual(self.known(), [])

    def test_a_domain_in_u_labels(self) -> None:
        """It is entered as SPF will judge it."""
        self.send("alice@bücher.ex")
        self.assertEqual(self.known(), ["alice@xn--bcher-kva.ex"])

    def test_the_limit_of_a_day(self) -> None:
        """100 new addresses from a user; what is known is renewed all the same, and the next day begins anew."""
        self.send(*(f"a{number}@friend.ex" for number in range(101)))
        self.assertEqual(len(self.known()), 100)
        self.send("b@friend.ex", "c@friend.ex")
        self.send("b@friend.ex", user="dora")
        self.assertEqual(len(self.known()), 101)
        self.assertEqual(len([line for line in self.lines if "more than" in line]), 1)
        self.now += DAY
        self.send("a1@friend.ex", "c@friend.ex")
        self.assertEqual(len(self.known()), 102)
        entry = self.successResultOf(self.whitelist.find("a1@friend.ex", NOW))
        assert entry is not None
        self.assertEqual(entry.stored, self.now)

    def test_renewing_is_not_counted(self) -> None:
        """Who was known stays so, once a day and without using up the limit."""
        self.learner = self.make(learn_limit=1)
        self.send()
        for _ in range(3):
            self.now += DAY
            self.send()
        self.send("new@friend.ex")
        self.assertEqual(self.known(), ["alice@friend.ex", "new@friend.ex"])

    def test_a_second_letter_of_the_same_day(self) -> None:
        """Writes nothing."""
        self.send()
        self.now += 60
        self.send()
        entry = self.successResultOf(self.whitelist.find("alice@friend.ex", self.now))
        assert entry is not None
        self.assertEqual(entry.stored, NOW)

    def test_known_for_good(self) -> None:
        """What a person entered is left alone, be it the address or its domain."""
        self.successResultOf(self.whitelist.add(SenderEntry("friend.ex", "partner", NOW, None)))
        self.send()
        self.assertEqual(self.known(), ["friend.ex"])

    def test_an_invented_user_each_time(self) -> None:
        """The book of users has an end, and then nobody new teaches that day."""
        for number in range(MAX_USERS + 1):
            self.learner._may_learn(f"u{number}", NOW)
        self.send(user="late")
        self.assertEqual(self.known(), [])

    def test_a_store_that_takes_its_time(self) -> None:
        """Nobody waits for it, and two letters at once are one entry."""
        found: list[Deferred[SenderEntry | None]] = [Deferred(), Deferred()]
        waiting = iter(found)
        self.patch(self.whitelist, "find", lambda *_: next(waiting))
        self.send()
        self.send()
        self.assertEqual(self.known(), [])
        for each in found:
            each.callback(None)
        self.assertEqual(self.known(), ["alice@friend.ex"])

    def test_a_store_that_fails(self) -> None:
        """It is told once, and again after it has worked."""
        works = self.whitelist.find
        for is_down in (True, True, False, True):
            self.patch(self.whitelist, "find", (lambda *_: fail(TemporaryFailure("full"))) if is_down else works)
            self.send()
        self.assertEqual((self.lines.count("recipients are not learnt: {reason}"), self.learner.lost), (2, 3))


class ForgettingTests(LearnerTestCase):
    """I14: a learnt sender that sends something bad is in other hands."""

    def setUp(self) -> None:
        """Alice was learnt, carol was entered for good."""
        super().setUp()
        self.send("alice@friend.ex")
        self.whitelist.add(SenderEntry("carol@friend.ex", "by hand", NOW))
        self.learner = self.make(forget_for=["attachment-banned"])

    def receive(
        self, *facts: str, sender: str = "<Alice@Friend.EX>", code: str = "attachment-banned", **more: Any
    ) -> None:
        """The end of a message of theirs."""
        evidence = tuple(Evidence("known_sender", name, "x") for name in facts)
        self.learner.ended(record(mail_from=sender, evidence=evidence, **{"decision": refusal(code), **more}))

    def test_forgotten(self) -> None:
        """For a reason that is listed, whatever became of the message; and that is told."""
        self.receive("whitelist")
        self.assertEqual(self.known(), ["carol@friend.ex"])
        self.assertIn("is not known any more", self.lines[-1])
        self.send("alice@friend.ex")
        self.receive("whitelist", decision=NO_OBJECTION, marks=(Mark(Reason("attachment-banned", "x")),))
        self.assertEqual(self.known(), ["carol@friend.ex"])

    def test_not_forgotten(self) -> None:
        """For another reason; one who may be forged; a test; what a person entered."""
        self.receive("whitelist", code="spf-fail")
        self.receive("whitelist", "probation")
        self.receive()
        self.receive("whitelist", is_test=True)
        self.receive("whitelist", sender="<carol@friend.ex>")
        self.receive("whitelist", sender="<dave@friend.ex>")
        self.assertEqual(self.known(), ["alice@friend.ex", "carol@friend.ex"])


class LearnerOfTests(SynchronousTestCase):
    """Whether a configuration has a learner."""

    def make(self, checks: list[str], **section: Any) -> SenderLearner | None:
        """What there is."""
        settings = Settings(
            networks=NetworksSettings(internal_domains=["ours.ex"]),
            policy=PolicySettings(checks=checks),
            known_sender=KnownSenderSettings(**section),
        )
        whitelist = cast(ISenderList, MemoryStores().whitelist)
        return learner_of(settings, whitelist, lambda: NOW, Path("/nonexistent"))

    def test_somebody_has_to_teach(self) -> None:
        """The check is in the chain and not off, and somebody's mail is learnt from; observing learns too."""
        teach = {"learn_from": ["@ours.ex"]}
        for mode in ("enforce", "observe"):
            self.assertIsInstance(self.make(["known_sender"], mode=mode, **teach), SenderLearner)
        self.assertIsInstance(self.make(["known_sender"], mode="enforce", learn_subject="[known]"), SenderLearner)
        self.assertIsInstance(self.make(["known_sender"], mode="enforce", forget_for=["x"]), SenderLearner)
        self.assertIsNone(self.make(["known_sender"], mode="off", **teach))
        self.assertIsNone(self.make(["known_sender"], mode="enforce"))
        self.assertIsNone(self.make(["spf"], mode="enforce", **teach))
