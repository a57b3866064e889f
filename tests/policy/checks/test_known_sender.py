"""Tests of senders that are known and senders that are not wanted (seed-spec I06 to I11, E16, E21)."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IEndOfMessageCheck, IMailCheck
from twistedmilter.interfaces.stores import ISenderList, IStores, SenderEntry
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.known_sender import KnownSenderCheck, LearningKnownSenderCheck, SenderLists
from twistedmilter.store.memory import MemoryStores

NOW = 1_795_525_511.5
OURS = (ClientClass.INTERNAL, ClientClass.AUTHENTICATED)


def evidence(transaction: Transaction) -> dict[str, str]:
    """What the check recorded."""
    return {fact.name: fact.value for fact in transaction.evidence if fact.check == "known_sender"}


class KnownSenderTestCase(SynchronousTestCase):
    """Mail of alice@friend.ex, whose domain passes SPF unless a test says otherwise."""

    def setUp(self) -> None:
        """Lists that are empty."""
        self.stores = cast(IStores, MemoryStores())
        self.spf = "pass"
        self.transaction = make_transaction("<Alice@friend.ex>")

    def enter(self, which: str, name: str, expires: float | None = None) -> None:
        """Put a sender in a list of the store."""
        senders: ISenderList = getattr(self.stores, which)
        self.successResultOf(senders.add(SenderEntry(name, "because", NOW - 1, expires)))

    def judge(
        self, mode: str = "enforce", stores: IStores | None = None, *, precise: bool = False, **configured: list[str]
    ) -> Verdict | None:
        """The verdict at MAIL."""
        sets = [AddressSet.parse(configured.get(which, [])) for which in ("whitelist", "blacklist")]
        check = KnownSenderCheck(
            KnownSenderSettings(mode=mode, precise_only=precise),  # type: ignore[arg-type] # a mode
            SenderLists(stores or self.stores, *sets),
            FakeSPFEvaluator({"friend.ex": self.spf}),
            lambda: NOW,
        )
        verifyObject(IMailCheck, check)
        return self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))

    def assertRefused(self, verdict: Verdict | None) -> None:
        """It is a refusal of its own."""
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.7.1", "sender-blacklisted"))


class WhitelistTests(KnownSenderTestCase):
    """Known senders are believed more, if they are who they say."""

    def test_nobody_is_listed_by_default(self) -> None:
        """It is on, and changes nothing until somebody fills the lists."""
        settings = KnownSenderSettings()
        self.assertEqual(
            (settings.mode, settings.whitelist, settings.blacklist, settings.learn_from), ("enforce", [], [], [])
        )

    def test_an_address_and_a_domain(self) -> None:
        """I09: a full address, or a domain for all of it; case does not matter."""
        for name in ("alice@friend.ex", "friend.ex"):
            self.setUp()
            self.enter("whitelist", name)
            self.assertIsNone(self.judge())
            self.assertEqual(self.transaction.known_sender, f"{name} is in the whitelist: because")
            self.assertEqual(evidence(self.transaction), {"whitelist": f"{name} is in the whitelist: because"})

    def test_the_configuration(self) -> None:
        """An entry there is one for good."""
        self.assertIsNone(self.judge(whitelist=["@friend.ex"]))
        self.assertEqual(self.transaction.known_sender, "@friend.ex is in the whitelist: in the configuration")

    def test_precise_only(self) -> None:
        """I09: then a domain or a pattern makes nobody known, wherever it stands; a full address does, beside them."""
        for name in ("friend.ex", "*.ex"):
            self.enter("whitelist", name)
        self.assertIsNone(self.judge(precise=True, whitelist=["@friend.ex", "al*@friend.ex"]))
        self.assertEqual((self.transaction.known_sender, evidence(self.transaction)), ("", {}))
        self.enter("whitelist", "alice@friend.ex")
        self.judge(precise=True, whitelist=["@friend.ex"])
        self.assertEqual(self.transaction.known_sender, "alice@friend.ex is in the whitelist: because")
        self.setUp()
        self.judge(precise=True, whitelist=["@friend.ex", "alice@friend.ex"])
        self.assertEqual(self.transaction.known_sender, "alice@friend.ex is in the whitelist: in the configuration")

    def test_precise_only_refuses_domains(self) -> None:
        """It is about whom we believe: a domain in the blacklist is unwanted as ever."""
        self.enter("blacklist", "friend.ex")
        self.assertRefused(self.judge(precise=True))

    def test_a_stranger(self) -> None:
        """Who is in no list leaves no trace."""
        self.enter("whitelist", "bob@friend.ex")
        self.assertIsNone(self.judge())
        self.assertEqual((self.transaction.known_sender, evidence(self.transaction)), ("", {}))

    def test_only_with_spf_pass(self) -> None:
        """E21: anything else is probation, recorded only."""
        for result in ("none", "neutral", "softfail", "fail", "temperror", "permerror"):
            self.setUp()
            self.enter("whitelist", "friend.ex")
            self.spf = result
            self.assertIsNone(self.judge(), result)
            self.assertEqual(self.transaction.known_sender, "")
            self.assertEqual(evidence(self.transaction)["probation"], f"friend.ex is known, but SPF is {result}")

    def test_an_expired_entry(self) -> None:
        """I05: as if it had never been."""
        self.enter("whitelist", "alice@friend.ex", expires=NOW)
        self.judge()
        self.assertEqual(self.transaction.known_sender, "")

    def test_observe_spares_nobody(self) -> None:
        """The record shows what would have been."""
        self.enter("whitelist", "friend.ex")
        self.judge(mode="observe")
        self.assertEqual(self.transaction.known_sender, "")
        self.assertIn("whitelist", evidence(self.transaction))

    def test_what_a_policy_said_stays(self) -> None:
        """The first reason is kept."""
        self.transaction.known_sender = "WHITELIST by the policy of spf"
        self.judge(whitelist=["friend.ex"])
        self.assertEqual(self.transaction.known_sender, "WHITELIST by the policy of spf")

    def test_strangers_with_a_sender_only(self) -> None:
        """Clients of ours and bounces are not looked up."""
        for sender, client in (("<>", ClientClass.EXTERNAL), *(("<a@friend.ex>", each) for each in OURS)):
            self.transaction = make_transaction(sender, make_connection(client_class=client))
            self.assertIsNone(self.judge(blacklist=["*"]))
            self.assertEqual(evidence(self.transaction), {})

    def test_without_a_store(self) -> None:
        """A scan reads the configuration only, and says so."""
        check = KnownSenderCheck(KnownSenderSettings(), SenderLists(None), None, lambda: NOW)
        self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        self.assertEqual(evidence(self.transaction), {"lists": "those of the store are not read here"})

    def test_a_store_that_fails(self) -> None:
        """It is the chain's matter, by on_temporary_failure."""
        self.patch(self.stores.blacklist, "find", lambda *_: fail(TemporaryFailure("disk full")))
        check = KnownSenderCheck(KnownSenderSettings(), SenderLists(self.stores), None, lambda: NOW)
        judging = Deferred.fromCoroutine(check.check_mail(self.transaction))
        self.failureResultOf(judging, TemporaryFailure)


class BlacklistTests(KnownSenderTestCase):
    """Senders that are not wanted."""

    def test_whoever_sends_it(self) -> None:
        """I11: an address or a domain, with and without SPF pass; the comment is not told."""
        for name, told in (("alice@friend.ex", "Alice@friend.ex"), ("friend.ex", "friend.ex")):
            for self.spf in ("pass", "none"):
                self.stores, self.transaction = cast(IStores, MemoryStores()), make_transaction("<Alice@friend.ex>")
                self.enter("blacklist", name)
                verdict = self.judge()
                self.assertRefused(verdict)
                assert verdict is not None
                self.assertIn(f"mail from {told} is not wanted", verdict.reason.text)
                self.assertNotIn("because", verdict.reason.text)

    def test_patterns_of_the_configuration(self) -> None:
        """I16: wildcards and exceptions."""
        self.assertRefused(self.judge(blacklist=["*@fr*.ex"]))
        self.assertIsNone(self.judge(blacklist=["friend.ex", "!alice@friend.ex"]))

    def test_one_mailbox_taken_out(self) -> None:
        """The full address, for good and with SPF pass, wins over its domain."""
        self.enter("blacklist", "friend.ex")
        self.enter("whitelist", "alice@friend.ex")
        self.assertIsNone(self.judge())
        self.spf = "none"
        self.transaction = make_transaction("<alice@friend.ex>")
        self.assertRefused(self.judge())

    def test_what_is_no_exception(self) -> None:
        """Nobody takes out what we learnt, a domain, or an address that is itself in the blacklist."""
        for white, expires, black in (
            ("alice@friend.ex", NOW + 60, "friend.ex"),
            ("friend.ex", None, "friend.ex"),
            ("alice@friend.ex", None, "alice@friend.ex"),
        ):
            self.setUp()
            self.enter("whitelist", white, expires)
            self.enter("blacklist", black)
            self.assertRefused(self.judge())
            self.assertEqual(self.transaction.known_sender, "")


class LearningTests(SynchronousTestCase):
    """Which messages teach (D10, I06, I07)."""

    def judge(
        self,
        sender: str = "<bob@ours.ex>",
        *headers: tuple[str, str],
        client: ClientClass = ClientClass.INTERNAL,
        word: str = "",
    ) -> dict[str, str]:
        """What is recorded at the end of a message."""
        connection = make_connection(client_class=client, macros={"{auth_authen}": "bob"} if client is OURS[1] else {})
        transaction = make_transaction(sender, connection, list(headers))
        settings, teachers = KnownSenderSettings(learn_subject=word), AddressSet.parse(["@ours.ex"])
        check = LearningKnownSenderCheck(settings, SenderLists(None), None, lambda: NOW, teachers=teachers)
        verifyObject(IEndOfMessageCheck, check)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_end_of_message(transaction))))
        return evidence(transaction)

    def test_mail_of_ours(self) -> None:
        """It counts for the user who authenticated, else for the sender."""
        self.assertEqual(self.judge(), {"learns_for": "bob@ours.ex"})
        self.assertEqual(self.judge(client=ClientClass.AUTHENTICATED), {"learns_for": "bob"})

    def test_mail_of_others(self) -> None:
        """Strangers, relays, bounces and senders that are not in the list teach nothing."""
        for client in (ClientClass.EXTERNAL, ClientClass.TRUSTED_RELAY):
            self.assertEqual(self.judge(client=client), {})
        for sender in ("<>", "<bob@theirs.ex>"):
            self.assertEqual(self.judge(sender), {})

    def test_a_word_in_the_subject(self) -> None:
        """I15: with it anybody of ours teaches, one message at a time; nobody else does, and no machine."""
        asked = ("Subject", "Hello [Known] there")
        sender = "<amy@second.ex>"
        self.assertEqual(self.judge(sender, asked, word="[known]"), {"learns_for": "amy@second.ex"})
        self.assertEqual(self.judge(sender, ("Subject", "known"), word="[known]"), {})
        self.assertEqual(self.judge(sender, asked), {})
        self.assertEqual(self.judge(sender, asked, word="[known]", client=ClientClass.EXTERNAL), {})
        self.assertEqual(self.judge("<>", asked, word="[known]"), {})
        self.assertIn("not_learnt", self.judge(sender, asked, ("Precedence", "bulk"), word="[known]"))

    def test_a_test_teaches_nothing(self) -> None:
        """A marked test transaction leaves no trace."""
        transaction = make_transaction("<bob@ours.ex>", make_connection(client_class=ClientClass.INTERNAL))
        transaction.connection.is_test = True
        check = LearningKnownSenderCheck(
            KnownSenderSettings(), SenderLists(None), None, lambda: NOW, teachers=AddressSet.parse(["*"])
        )
        self.successResultOf(Deferred.fromCoroutine(check.check_end_of_message(transaction)))
        self.assertEqual(evidence(transaction), {})

    def test_mail_of_machines(self) -> None:
        """I07: automatic replies, lists, reports; the record says by which field."""
        for name, value in (
            ("Auto-Submitted", "auto-replied (vacation)"),
            ("Precedence", "Bulk"),
            ("List-Id", "<l.ours.ex>"),
            ("X-Autoreply", "yes"),
            ("Content-Type", "multipart/report; report-type=disposition-notification"),
            ("User-Agent", "Vacation 1.2"),
            ("Subject", "Re: AutoReply: away"),
            ("Subject", "Read: your letter"),
            ("Subject", "a Return Receipt for you"),
        ):
            self.assertEqual(self.judge("<bob@ours.ex>", (name, value)), {"not_learnt": f"{name}: {value.lower()}"})

    def test_mail_of_people(self) -> None:
        """Words that only look so."""
        for name, value in (("Auto-Submitted", "no"), ("Subject", "Please read: this"), ("Precedence", "first-class")):
            self.assertEqual(self.judge("<bob@ours.ex>", (name, value)), {"learns_for": "bob@ours.ex"})
