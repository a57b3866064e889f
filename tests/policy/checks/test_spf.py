"""Tests of the SPF check (E01 to E04, E15, E17, E23, 3.6)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.interfaces.checks import IHeaderCheck, IMailCheck
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Hold, Mark, Refuse, TempFail, Verdict
from twistedmilter.policy.checks.spf import RelayedSPFCheck
from twistedmilter.policy.networks import NetworkSet

MAIL, HELO = "example.com", "mail.example.net"
RELAY = ClientClass.TRUSTED_RELAY


class RelayedSPFCheckTestCase(SynchronousTestCase):
    """A check with an evaluator that knows results by domain."""

    def setUp(self) -> None:
        """No results, the default policy, time at 1000 s."""
        self.evaluator = FakeSPFEvaluator()
        self.now = 1000.0
        self.check = self.make({})

    def make(self, policy: dict[str, str], *, explain: bool = True, received: bool = True) -> RelayedSPFCheck:
        """The check with a policy table."""
        settings = SPFSettings(policy=policy, explain=explain, received_spf=received)
        trusted = NetworkSet.parse(["203.0.113.0/24"])
        return RelayedSPFCheck(settings, self.evaluator, trusted, lambda: self.now)

    def ask(self, transaction: Transaction | None = None, **results: str) -> Verdict | None:
        """The verdict at MAIL; C{mail} and C{helo} are the results of the two identities."""
        if results:
            self.evaluator.results = {MAIL: results.get("mail", "none"), HELO: results.get("helo", "none")}
        transaction = transaction if transaction is not None else make_transaction()
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction)))

    def assertReply(self, verdict: Verdict | None, reply: str) -> Verdict:
        """The verdict is C{CODE STATUS reason-code}, or C{mark reason-code}, or C{hold reason-code}."""
        assert verdict is not None
        codes = f"{verdict.code} {verdict.status}" if isinstance(verdict, (Refuse, TempFail)) else verdict.word
        self.assertEqual(f"{codes} {verdict.reason.code}", reply)
        return verdict


class DefaultPolicyTests(RelayedSPFCheckTestCase):
    """What each result does without a policy table."""

    def test_interfaces(self) -> None:
        """It is asked at MAIL and at the end of the header section."""
        verifyObject(IMailCheck, self.check)
        verifyObject(IHeaderCheck, self.check)

    def test_results_that_go_on(self) -> None:
        """3.6: pass, none, neutral and softfail go on."""
        for result in ("pass", "none", "neutral", "softfail"):
            self.assertIsNone(self.ask(mail=result), result)

    def test_fail(self) -> None:
        """3.6: fail is 550 5.7.23 and names identity, address and client."""
        verdict = self.assertReply(self.ask(mail="fail"), "550 5.7.23 spf-fail")
        for word in ("mailfrom", "bob@example.com", "192.0.2.9"):
            self.assertIn(word, verdict.reason.text)

    def test_permerror_marks(self) -> None:
        """Issue item 5: permerror is delivered marked, and says what is wrong."""
        self.evaluator.results = {MAIL: {"result": "permerror", "problem": "two SPF records"}}
        verdict = self.assertReply(self.ask(), "mark spf-permerror")
        self.assertIn("two SPF records", verdict.reason.text)

    def test_temperror_tempfails(self) -> None:
        """E17: temperror is 451 4.7.24."""
        self.assertReply(self.ask(mail="temperror"), "451 4.7.24 spf-temperror")

    def test_helo_fail(self) -> None:
        """E08, later form: a HELO fail refuses when MAIL FROM does not pass, and says that it is HELO."""
        for result in ("none", "neutral", "softfail", "permerror"):
            verdict = self.assertReply(self.ask(mail=result, helo="fail"), "550 5.7.23 spf-helo-fail")
            self.assertIn("HELO mail.example.net (helo identity)", verdict.reason.text)

    def test_helo_fail_is_no_matter(self) -> None:
        """E08: not when MAIL FROM passes, nor while it may still pass."""
        self.assertIsNone(self.ask(mail="pass", helo="fail"))
        self.assertReply(self.ask(mail="temperror", helo="fail"), "451 4.7.24 spf-temperror")

    def test_other_helo_results_go_on(self) -> None:
        """3.6: only fail of HELO counts by default."""
        for result in ("softfail", "neutral", "none", "permerror", "temperror", "pass"):
            self.assertIsNone(self.ask(mail="none", helo=result), result)

    def test_mail_fail_comes_first(self) -> None:
        """When both fail the reply is about MAIL FROM."""
        self.assertReply(self.ask(mail="fail", helo="fail"), "550 5.7.23 spf-fail")

    def test_null_reverse_path(self) -> None:
        """E03: <> is judged by its HELO identity, once."""
        transaction = make_transaction("<>")
        self.assertReply(self.ask(transaction, helo="fail"), "550 5.7.23 spf-helo-fail")
        self.assertEqual(self.evaluator.asked, [("192.0.2.9", "", HELO)])
        self.assertEqual([str(each) for each in transaction.auth_results], [f"spf=fail smtp.helo={HELO}"])

    def test_explanation(self) -> None:
        """The domain's own words come as a line of their own, labelled with the domain."""
        self.evaluator.results = {MAIL: {"result": "fail", "explanation": "Use our servers"}}
        verdict = self.assertReply(self.ask(), "550 5.7.23 spf-fail")
        self.assertEqual(verdict.reason.details, ("example.com explains: Use our servers",))
        self.check = self.make({}, explain=False)
        verdict = self.assertReply(self.ask(), "550 5.7.23 spf-fail")
        self.assertEqual(verdict.reason.details, ())


class PolicyTableTests(RelayedSPFCheckTestCase):
    """[spf.policy]."""

    def test_keywords(self) -> None:
        """3.6: each word does what it says, with the status of RFC 7372."""
        for keyword, result, reply in (
            ("REJECT", "softfail", "550 5.7.23 spf-softfail"),
            ("REJECT", "none", "550 5.7.23 spf-none"),
            ("REJECT", "permerror", "550 5.7.24 spf-permerror"),
            ("REJECT", "temperror", "550 5.7.24 spf-temperror"),
            ("TEMPFAIL", "neutral", "451 4.7.23 spf-neutral"),
            ("MARK", "fail", "mark spf-fail"),
            ("HOLD", "fail", "hold spf-fail"),
            ("REJECT", "pass", "550 5.7.23 spf-pass"),
            ('ERROR:"554 5.1.8 go away"', "fail", "554 5.1.8 spf-fail"),
        ):
            self.check = self.make({result: keyword})
            self.assertReply(self.ask(mail=result), reply)

    def test_ok_lets_fail_pass(self) -> None:
        """E26: a policy of OK only adds headers."""
        self.check = self.make({"fail": "OK"})
        self.assertIsNone(self.ask(mail="fail"))

    def test_domain_comes_first(self) -> None:
        """F02, F03: result:domain beats the result, for the domain and those below it."""
        self.check = self.make({"fail": "HOLD", "fail:Example.COM": "MARK"})
        self.assertIsInstance(self.ask(mail="fail"), Mark)
        self.evaluator.results = {"a.b.example.com": "fail", "xexample.com": "fail"}
        self.assertIsInstance(self.ask(make_transaction("<a@a.b.example.com>")), Mark)
        self.assertIsInstance(self.ask(make_transaction("<a@xexample.com>")), Hold)

    def test_helo_keys(self) -> None:
        """F04: helo-RESULT is about the HELO identity, by its own domain."""
        self.check = self.make({"helo-softfail": "REJECT", "helo-fail:example.net": "OK"})
        self.assertReply(self.ask(mail="none", helo="softfail"), "550 5.7.23 spf-helo-softfail")
        self.assertIsNone(self.ask(mail="none", helo="fail"))

    def test_stronger_verdict_wins(self) -> None:
        """A mark for MAIL FROM does not hide a HELO refusal, a refusal is not asked about again."""
        self.check = self.make({"softfail": "MARK", "helo-softfail": "MARK"})
        self.assertReply(self.ask(mail="softfail", helo="fail"), "550 5.7.23 spf-helo-fail")
        self.assertReply(self.ask(mail="softfail", helo="none"), "mark spf-softfail")
        self.assertReply(self.ask(mail="fail", helo="softfail"), "550 5.7.23 spf-fail")

    def test_wrong_table(self) -> None:
        """LL-09: an unknown word or result is an error when the check is made, never OK."""
        for policy, word in (({"fail": "REJCT"}, "REJCT"), ({"fial": "OK"}, "fial")):
            with self.assertRaisesRegex(ValueError, word):
                self.make(policy)


class TemperrorTests(RelayedSPFCheckTestCase):
    """For how long a temperror is waited out."""

    def test_four_hours(self) -> None:
        """Issue item 5: at most four hours per domain and network, then marked."""
        for hours, reply in (
            (0.0, "451 4.7.24"),
            (2.0, "451 4.7.24"),
            (3.99, "451 4.7.24"),
            (4.0, "mark"),
            (9.0, "mark"),
        ):
            self.now = 1000.0 + hours * 3600
            verdict = self.assertReply(self.ask(mail="temperror"), f"{reply} spf-temperror")
        self.assertIn("no answer for 4 hours", verdict.reason.text)

    def test_by_network(self) -> None:
        """Another network begins its own four hours, a neighbour in the /24 does not."""
        self.ask(mail="temperror")
        self.now += 5 * 3600
        self.assertIsInstance(self.ask(make_transaction(connection=make_connection("192.0.2.200"))), Mark)
        self.assertIsInstance(self.ask(make_transaction(connection=make_connection("198.51.100.1"))), TempFail)

    def test_an_answer_ends_it(self) -> None:
        """Once the name servers answered, the next trouble is waited out anew."""
        self.ask(mail="temperror")
        self.now += 5 * 3600
        self.ask(mail="pass")
        self.assertIsInstance(self.ask(mail="temperror"), TempFail)

    def test_test_transaction_leaves_no_trace(self) -> None:
        """Issue item 9: a scan never learns."""
        connection = make_connection()
        connection.is_test = True
        self.ask(make_transaction(connection=connection), mail="temperror")
        self.now += 5 * 3600
        self.assertIsInstance(self.ask(mail="temperror"), TempFail)


class WhoIsJudgedTests(RelayedSPFCheckTestCase):
    """E01, E23 and the answer that comes later."""

    def test_strangers_only(self) -> None:
        """E01: not internal, not a relay, not authenticated, and an address."""
        for connection in (
            make_connection(client_class=ClientClass.INTERNAL),
            make_connection(client_class=ClientClass.AUTHENTICATED),
            make_connection(client_class=RELAY),
            make_connection(None),
        ):
            self.assertIsNone(self.ask(make_transaction(connection=connection), mail="fail"))
        self.assertEqual(self.evaluator.asked, [])

    def test_without_evaluator(self) -> None:
        """E23: no library, no opinion."""
        check = RelayedSPFCheck(SPFSettings(), None, NetworkSet.parse([]), lambda: 0.0)
        for transaction in (make_transaction(), make_transaction(connection=make_connection(client_class=RELAY))):
            for ask in (check.check_mail, check.check_headers):
                self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(ask(transaction))))
            self.assertEqual((transaction.auth_results, transaction.proposals), ([], []))

    def test_helo_that_is_no_name(self) -> None:
        """RFC 7208 section 2.3: a literal or a single label is not judged by itself."""
        for helo in ("[192.0.2.9]", "localhost", ""):
            self.evaluator.asked.clear()
            self.ask(make_transaction(connection=make_connection(helo=helo)))
            self.assertEqual([asked[1] for asked in self.evaluator.asked], ["bob@example.com"])

    def test_u_labels(self) -> None:
        """M18: SPF is asked about A-labels."""
        self.ask(make_transaction("<bob@bücher.example>"))
        self.assertEqual(self.evaluator.asked[0][1], "bob@xn--bcher-kva.example")

    def test_later_and_cancelled(self) -> None:
        """The check waits; when it is cancelled nothing is recorded."""
        self.evaluator.results = {MAIL: "fail"}
        self.evaluator.holding = True
        transaction, gone = make_transaction(), make_transaction()
        waiting = Deferred.fromCoroutine(self.check.check_mail(transaction))
        cancelled = Deferred.fromCoroutine(self.check.check_mail(gone))
        cancelled.cancel()
        self.failureResultOf(cancelled)
        self.evaluator.release()
        self.evaluator.release()
        self.assertReply(self.successResultOf(waiting), "550 5.7.23 spf-fail")
        self.assertEqual((gone.auth_results, gone.proposals), ([], []))


class EvidenceTests(RelayedSPFCheckTestCase):
    """What is left on the transaction, whatever the verdict."""

    def test_both_identities(self) -> None:
        """Issue item 5: spf with smtp.mailfrom and smtp.helo."""
        transaction = make_transaction()
        self.ask(transaction, mail="softfail", helo="pass")
        self.assertEqual(
            [str(each) for each in transaction.auth_results],
            ["spf=softfail smtp.mailfrom=bob@example.com", "spf=pass smtp.helo=mail.example.net"],
        )
        self.assertEqual(sorted(transaction.spf), ["helo", "mailfrom"])
        self.assertIn(("mailfrom", "softfail example.com"), [(fact.name, fact.value) for fact in transaction.evidence])

    def test_received_spf(self) -> None:
        """E15: Received-SPF at index 0, for every result."""
        for result in ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"):
            transaction = make_transaction()
            self.ask(transaction, mail=result)
            (field,) = transaction.proposals
            assert isinstance(field, InsertHeader)
            self.assertEqual((field.position, field.name, field.value.split()[0]), (0, "Received-SPF", result))

    def test_received_spf_can_be_switched_off(self) -> None:
        """[spf] received_spf = false writes none."""
        self.check = self.make({}, received=False)
        transaction = make_transaction()
        self.ask(transaction, mail="pass")
        self.assertEqual(transaction.proposals, [])


class TrustedRelayTests(RelayedSPFCheckTestCase):
    """B04 and beyond: the real client is found in Received."""

    RECEIVED = ("Received", "from mail.example.net (mail.example.net [192.0.2.9])\n\tby relay.example.org with ESMTP")

    def headers(
        self, *fields: tuple[str, str], client_class: ClientClass = RELAY
    ) -> tuple[Verdict | None, Transaction]:
        """The verdict at the end of a header section that a relay handed over."""
        connection = make_connection("203.0.113.1", helo="relay.example.org", client_class=client_class)
        transaction = make_transaction(connection=connection, headers=list(fields))
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_headers(transaction))), transaction

    def test_fail_becomes_a_mark(self) -> None:
        """A relay would bounce a refusal to a forged sender; so it is a mark about the real client."""
        self.evaluator.results = {MAIL: "fail"}
        verdict, transaction = self.headers(self.RECEIVED)
        self.assertReply(verdict, "mark spf-fail")
        self.assertEqual(self.evaluator.asked[0], ("192.0.2.9", "bob@example.com", "mail.example.net"))
        assert transaction.real_client is not None
        self.assertEqual(str(transaction.real_client.ip), "192.0.2.9")
        self.assertEqual(len(transaction.auth_results), 2)

    def test_temperror_becomes_a_mark(self) -> None:
        """A relay is not kept waiting for somebody else's name servers."""
        self.evaluator.results = {MAIL: "temperror"}
        self.assertReply(self.headers(self.RECEIVED)[0], "mark spf-temperror")

    def test_pass(self) -> None:
        """The message of a permitted client goes on."""
        self.evaluator.results = {MAIL: "pass"}
        self.assertIsNone(self.headers(self.RECEIVED)[0])

    def test_relays_in_a_row(self) -> None:
        """Our own relays are walked through."""
        inner = ("Received", "from relay2.example.org (relay2.example.org [203.0.113.2]) by relay.example.org")
        _, transaction = self.headers(inner, self.RECEIVED)
        assert transaction.real_client is not None
        self.assertEqual(transaction.real_client.received_index, 1)

    def test_no_client_to_be_found(self) -> None:
        """Without a readable Received nothing is judged, and the record says so."""
        verdict, transaction = self.headers(("Received", "by relay.example.org id 1"), self.RECEIVED)
        self.assertIsNone(verdict)
        self.assertEqual(self.evaluator.asked, [])
        self.assertEqual([fact.value for fact in transaction.evidence], ["not told by Received"])

    def test_strangers_received_is_not_read(self) -> None:
        """Received fields of anybody else are hearsay."""
        verdict, transaction = self.headers(self.RECEIVED, client_class=ClientClass.EXTERNAL)
        self.assertIsNone(verdict)
        self.assertIsNone(transaction.real_client)
