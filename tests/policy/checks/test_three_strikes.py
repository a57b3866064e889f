"""Tests of strangers without any identity (E13; seed-spec 3.2 to 3.4 and 3.8 as far as they need no callback)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck, INameJudge
from twistedmilter.model.check_settings import IprevSettings, ThreeStrikesSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection, Transaction
from twistedmilter.model.verdict import Hold, Mark, Refuse, TempFail, Verdict
from twistedmilter.policy.checks.iprev import IprevCheck
from twistedmilter.policy.checks.three_strikes import ThreeStrikesCheck
from twistedmilter.policy.dynamic_ptr import DynamicPatterns, load_patterns

PATTERNS = load_patterns()
PTR = "5.2.0.192.in-addr.arpa PTR"
REAL = f"{PTR} mail.good.ex.\nmail.good.ex A 192.0.2.5"
DYNAMIC = f"{PTR} x192-0-2-5.dyn.ex.\nx192-0-2-5.dyn.ex A 192.0.2.5"
ELSEWHERE = f"{PTR} mail.good.ex.\nmail.good.ex A 192.0.2.6"
ADDRESS = "hnone.ex A 192.0.2.5"


class ThreeStrikesTestCase(SynchronousTestCase):
    """A client at 192.0.2.5 that says HELO hnone.ex and sends as none.ex, without a record, an address or a name."""

    def setUp(self) -> None:
        """Nothing is known of anybody."""
        self.evaluator = FakeSPFEvaluator()
        self.resolver = FakeResolver()

    def make(self, **settings: str) -> ThreeStrikesCheck:
        """The check with these settings."""
        return ThreeStrikesCheck(ThreeStrikesSettings(**settings), self.resolver, self.evaluator, PATTERNS)  # type: ignore[arg-type] # all are texts

    def client(self, helo: str = "hnone.ex", client_class: ClientClass = ClientClass.EXTERNAL) -> Connection:
        """A connection of that client."""
        return make_connection("192.0.2.5", name="unknown", helo=helo, client_class=client_class)

    def judge(
        self,
        zone: str = "",
        spf: dict[str, str | dict[str, str]] | None = None,
        *,
        helo: str = "hnone.ex",
        **settings: str,
    ) -> Verdict | None:
        """The verdict with that zone and those SPF results; the transaction is kept."""
        self.resolver, self.evaluator = FakeResolver(zone), FakeSPFEvaluator(spf or {})
        self.transaction = make_transaction("<a@none.ex>", self.client(helo))
        return self.ask(self.make(**settings), self.transaction)

    def ask(self, check: ThreeStrikesCheck, transaction: Transaction) -> Verdict | None:
        """The verdict at MAIL."""
        return self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction)))

    def evidence(self) -> dict[str, str]:
        """What was recorded of the last transaction."""
        return {fact.name: fact.value for fact in self.transaction.evidence if fact.check == "three_strikes"}

    def assertStrike(self, what: str, fact: str) -> None:
        """That identity is missing, and this is what was seen."""
        self.assertEqual(self.evidence()[what], f"strike: {fact}")


class VerdictTests(ThreeStrikesTestCase):
    """Three are missing, or one is found."""

    def test_interface(self) -> None:
        """It is asked at MAIL, by the network, and refuses unless told otherwise: nothing is sent to anybody (E13)."""
        check = self.make()
        verifyObject(IMailCheck, check)
        verifyObject(INameJudge, check)
        self.assertEqual(
            (check.local, ThreeStrikesSettings().mode, ThreeStrikesSettings().policy), (False, "enforce", "REJECT")
        )

    def test_three_strikes(self) -> None:
        """E13: 550 5.7.1, with the three that are missing and that one suffices."""
        verdict = self.judge()
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.7.1", "three-strikes"))
        self.assertIn("one of them suffices", verdict.reason.text)
        self.assertEqual(
            verdict.reason.details,
            (
                "SPF: none.ex publishes no SPF record",
                "HELO: hnone.ex neither passes SPF nor has the address 192.0.2.5",
                "PTR: 192.0.2.5 has no PTR record",
            ),
        )
        self.assertEqual(self.evidence()["strikes"], "3 of 3")

    def test_any_published_record(self) -> None:
        """3.2: the strike is the result none only; what a record says is the spf check's matter."""
        for result in ("pass", "neutral", "softfail", "fail", "permerror", "temperror"):
            self.assertIsNone(self.judge(spf={"none.ex": result}), result)
            self.assertEqual(self.evidence()["spf"], f"found: {result} for none.ex")
            self.assertEqual(self.evidence()["strikes"], "2 of 3")

    def test_helo_that_passes(self) -> None:
        """3.8 row 7: the HELO name passes SPF, even one that looks dynamic."""
        self.assertIsNone(self.judge(spf={"hnone.ex": "pass"}))
        self.assertIsNone(self.judge(spf={"x192-0-2-5.dyn.ex": "pass"}, helo="x192-0-2-5.dyn.ex"))

    def test_helo_with_the_address(self) -> None:
        """3.8 row 9: the HELO name leads to the client, whatever its SPF record lacks."""
        for result in ("none", "neutral", "softfail", "fail", "permerror", "temperror"):
            self.assertIsNone(self.judge(ADDRESS, {"hnone.ex": result}), result)
        self.assertEqual(self.evidence()["helo"], "found: hnone.ex has the address 192.0.2.5")

    def test_helo_without_it(self) -> None:
        """3.8 row 6: another address, another result than pass."""
        for result in ("none", "neutral", "softfail", "fail", "permerror"):
            self.assertIsInstance(self.judge("hnone.ex A 192.0.2.6", {"hnone.ex": result}), Refuse, result)

    def test_dynamic_helo(self) -> None:
        """3.8 row 10: the provider's own name of the client is no valid HELO; nobody is asked."""
        self.assertIsInstance(self.judge("x192-0-2-5.dyn.ex A 192.0.2.5", helo="x192-0-2-5.dyn.ex"), Refuse)
        self.assertStrike("helo", "x192-0-2-5.dyn.ex looks like a dynamic name (DR4a)")
        self.assertNotIn("A x192-0-2-5.dyn.ex", self.resolver.asked)

    def test_helo_that_is_no_host_name(self) -> None:
        """A literal, one label or nothing is no name of anybody."""
        for helo in ("[192.0.2.5]", "localhost", "", "."):
            self.assertIsInstance(self.judge("localhost A 192.0.2.5", helo=helo), Refuse, helo)
        self.assertStrike("helo", ". is no full host name")

    def test_real_ptr(self) -> None:
        """3.8 rows 1 to 3: a name that leads back to the client."""
        self.assertIsNone(self.judge(REAL))
        self.assertEqual(self.evidence()["ptr"], "found: mail.good.ex")
        self.assertEqual(self.evidence()["strikes"], "2 of 3")

    def test_dynamic_ptr(self) -> None:
        """3.8 rows 4 to 6: a dynamic name does not count; the record says by which rule it is one."""
        self.assertIsInstance(self.judge(DYNAMIC), Refuse)
        self.assertStrike("ptr", "x192-0-2-5.dyn.ex, the name of 192.0.2.5, looks like a dynamic name (DR4a)")

    def test_ptr_that_leads_elsewhere(self) -> None:
        """Anybody can write a PTR record: it must be confirmed."""
        self.assertIsInstance(self.judge(ELSEWHERE), Refuse)
        self.assertStrike("ptr", "mail.good.ex, the name of 192.0.2.5, does not lead back to it")

    def test_a_known_sender_with_fewer(self) -> None:
        """One or two strikes matter to greylisting: the record says why a known sender is spared that."""
        for zone, expected in (("", "we wrote to it"), (f"{REAL}\n{ADDRESS}", None)):
            self.resolver, self.evaluator = FakeResolver(zone), FakeSPFEvaluator({"none.ex": "pass"})
            self.transaction = make_transaction("<a@none.ex>", self.client())
            self.transaction.known_sender = "we wrote to it"
            self.assertIsNone(self.ask(self.make(), self.transaction))
            self.assertEqual(self.evidence().get("spared"), expected)

    def test_a_known_sender_with_all_three(self) -> None:
        """It is spared, and the record says why; C{REJECT!} spares nobody (F14)."""
        for policy, expected in (("REJECT", type(None)), ("REJECT!", Refuse)):
            self.transaction = make_transaction("<a@none.ex>", self.client())
            self.transaction.known_sender = "WHITELIST by the policy of spf"
            self.assertIsInstance(self.ask(self.make(policy=policy), self.transaction), expected)
            self.assertEqual(self.evidence().get("spared") is None, policy == "REJECT!")

    def test_null_reverse_path(self) -> None:
        """3.4: the HELO identity stands for the sender (E03); a bounce without any identity is refused too."""
        for results, expected in (({}, Refuse), ({"hnone.ex": "neutral"}, None), ({"hnone.ex": "pass"}, None)):
            self.evaluator = FakeSPFEvaluator(results)  # type: ignore[arg-type] # texts only
            verdict = self.ask(self.make(), make_transaction("<>", self.client()))
            self.assertIs(type(verdict) if verdict is not None else None, expected)

    def test_nothing_to_ask_about(self) -> None:
        """Neither sender nor HELO: the strikes are the same."""
        self.transaction = make_transaction("<>", self.client(""))
        self.assertIsInstance(self.ask(self.make(), self.transaction), Refuse)
        self.assertStrike("spf", "neither the sender nor HELO names a domain")


class PolicyTests(ThreeStrikesTestCase):
    """What three strikes lead to."""

    def test_keywords(self) -> None:
        """3.6: the words of policy tables."""
        for word, kind in (("REJECT", Refuse), ("MARK", Mark), ("HOLD", Hold), ("TEMPFAIL", TempFail)):
            verdict = self.judge(policy=word)
            assert isinstance(verdict, kind), word
            self.assertEqual(verdict.reason.code, "three-strikes")
        self.assertIsNone(self.judge(policy="OK"))
        self.assertEqual(self.evidence()["strikes"], "3 of 3")

    def test_own_reply(self) -> None:
        """F13: the reply is the administrator's."""
        verdict = self.judge(policy='ERROR:"554 5.7.25 see http://mx.test/"')
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.text), (554, "5.7.25", "see http://mx.test/"))

    def test_unknown_word(self) -> None:
        """LL-09: a word that means nothing is an error, and never OK."""
        self.assertRaises(ValueError, self.make, policy="MAYBE")


class ScopeTests(ThreeStrikesTestCase):
    """Whom it is about, and what it does not ask twice."""

    def test_exempt(self) -> None:
        """Clients of ours, trusted relays and AUTH have another identity."""
        for client_class in (ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED):
            transaction = make_transaction("<a@none.ex>", self.client(client_class=client_class))
            self.assertIsNone(self.ask(self.make(), transaction))
            self.assertEqual(transaction.evidence, [])
        self.assertEqual((self.evaluator.asked, self.resolver.asked), ([], []))

    def test_without_evaluator_or_address(self) -> None:
        """E23, LL-17: without SPF or an address nothing is claimed."""
        check = ThreeStrikesCheck(ThreeStrikesSettings(), self.resolver, None, PATTERNS)
        self.assertIsNone(self.ask(check, make_transaction("<a@none.ex>", self.client())))
        self.assertIsNone(self.ask(self.make(), make_transaction("<a@none.ex>", make_connection(None))))

    def test_what_is_known_is_not_asked_again(self) -> None:
        """SPF and the reverse name are read from what spf and iprev left."""
        self.judge(REAL)
        self.resolver.asked.clear()
        connection = self.client()
        check = IprevCheck(IprevSettings(), self.resolver, lambda: 0.0)
        self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection)))
        self.resolver.asked.clear()
        self.evaluator.asked.clear()
        second = make_transaction("<a@none.ex>", connection)
        second.spf = dict(self.transaction.spf)
        self.assertIsNone(self.ask(self.make(), second))
        self.assertEqual((self.evaluator.asked, self.resolver.asked), ([], ["A hnone.ex"]))

    def test_what_iprev_recorded(self) -> None:
        """Each of its results is understood."""
        for zone, word in (
            (REAL, "found: mail.good.ex"),
            (DYNAMIC, "strike: x192"),
            (ELSEWHERE, "strike: mail.good.ex"),
        ):
            self.resolver = FakeResolver(zone)
            connection = self.client()
            check = IprevCheck(IprevSettings(), self.resolver, lambda: 0.0)
            self.successResultOf(Deferred.fromCoroutine(check.check_connect(connection)))
            self.transaction = make_transaction("<a@none.ex>", connection)
            self.ask(self.make(), self.transaction)
            self.assertTrue(self.evidence()["ptr"].startswith(word), self.evidence()["ptr"])

    def test_ipv6(self) -> None:
        """The same for IPv6, whose names are dynamic only when there are none."""
        self.resolver = FakeResolver("hnone.ex AAAA 2001:db8::5")
        transaction = make_transaction("<a@none.ex>", make_connection("2001:db8::5", helo="hnone.ex"))
        self.assertIsNone(self.ask(self.make(), transaction))
        self.resolver = FakeResolver("")
        self.assertIsInstance(
            self.ask(self.make(), make_transaction("<a@none.ex>", make_connection("2001:db8::6"))), Refuse
        )

    def test_mapped_address(self) -> None:
        """An IPv4-mapped address is the IPv4 address."""
        self.resolver = FakeResolver(ADDRESS)
        transaction = make_transaction("<a@none.ex>", make_connection("::ffff:192.0.2.5", helo="hnone.ex"))
        self.assertIsNone(self.ask(self.make(), transaction))

    def test_flag_of_the_log(self) -> None:
        """B05: the MTA's name of the client, without a lookup; an exception counts."""
        check = self.make()
        for name, expected in (("x192-0-2-5.dyn.ex", True), ("[192.0.2.5]", True), ("mail.good.ex", False)):
            self.assertEqual(check.looks_dynamic(make_connection("192.0.2.5", name=name)), expected)
        self.assertFalse(check.looks_dynamic(make_connection(None, name="localhost", address="/")))
        patterns = DynamicPatterns.parse([("mine", "!dyn \\.dyn\\.ex$")])
        check = ThreeStrikesCheck(ThreeStrikesSettings(), self.resolver, self.evaluator, patterns)
        self.assertFalse(check.looks_dynamic(make_connection("192.0.2.5", name="x192-0-2-5.dyn.ex")))
        self.assertEqual(self.resolver.asked, [])


class TroubleTests(ThreeStrikesTestCase):
    """I1: a fault may delay mail, it is never a 5xx."""

    def assertUnknown(self, zone: str, spf: dict[str, str | dict[str, str]] | None, what: str) -> None:
        """Nothing can be said, and the record says which identity could not be looked up."""
        self.resolver, self.evaluator = FakeResolver(zone), FakeSPFEvaluator(spf or {})
        self.transaction = make_transaction("<a@none.ex>", self.client())
        self.failureResultOf(Deferred.fromCoroutine(self.make().check_mail(self.transaction)), TemporaryFailure)
        self.assertTrue(self.evidence()[what].startswith("unknown: "), self.evidence())
        self.assertEqual(self.evidence()["strikes"], "2 of 3")

    def test_lookups_that_fail(self) -> None:
        """What cannot be looked up is no strike."""
        self.assertUnknown("hnone.ex A SERVFAIL", None, "helo")
        self.assertUnknown("", {"hnone.ex": "temperror"}, "helo")
        self.assertUnknown(f"{PTR} TIMEOUT", None, "ptr")
        self.assertUnknown(f"{PTR} mail.good.ex.\nmail.good.ex A SERVFAIL", None, "ptr")

    def test_one_that_is_found_is_enough(self) -> None:
        """A failure does not matter where another identity is found."""
        self.assertIsNone(self.judge(f"{PTR} TIMEOUT\n{ADDRESS}"))
        self.assertIsNone(self.judge(f"{REAL}\nhnone.ex A SERVFAIL"))

    def test_later(self) -> None:
        """The answer may come later."""
        self.resolver = FakeResolver(REAL, holding=True)
        waiting = Deferred.fromCoroutine(self.make().check_mail(make_transaction("<a@none.ex>", self.client())))
        self.assertNoResult(waiting)
        for _lookup in range(3):
            self.resolver.release()
        self.assertIsNone(self.successResultOf(waiting))

    def test_never(self) -> None:
        """It can be cancelled, and leaves no evidence then."""
        self.resolver = FakeResolver("", holding=True)
        transaction = make_transaction("<a@none.ex>", self.client())
        waiting = Deferred.fromCoroutine(self.make().check_mail(transaction))
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(transaction.evidence, [])
