"""Tests of C{[spf] compat = "seed"} through the check, over a real evaluation: the vectors of seed-spec 3.8."""

from __future__ import annotations

from msgspec import convert
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver, make_connection, make_transaction
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.spf import SPFCheck
from twistedmilter.policy.dynamic_ptr import load_patterns
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.spf_driver import SPFEvaluator

ZONE = """guess.ex A 192.0.2.77
lax.ex TXT "v=spf1 ip:192.0.2.5 -all"
hlax.ex TXT "v=spf1 ip:192.0.2.5 -all"
laxfail.ex TXT "v=spf1 ip:192.0.2.9 -all"
laxsoft.ex TXT "v=spf1 ip:192.0.2.9 ~all"
hpass.ex TXT "v=spf1 ip4:192.0.2.5 -all"
hfail.ex TXT "v=spf1 -all"
hguess.ex A 192.0.2.5
fail.ex TXT "v=spf1 -all"
softfail.ex TXT "v=spf1 ~all"
neutral.ex TXT "v=spf1 ?all"
broken.ex TXT SERVFAIL
x192-0-2-5.dyn.ex A 192.0.2.5
"""
DYN, OKP = "[192.0.2.5]", "mail.good.ex"
REJ = "550 5.7.1"


class SeedCheckTestCase(SynchronousTestCase):
    """The check as the ancestor was configured."""

    def ask(self, sender: str, helo: str, ptr: str, **settings: object) -> str:
        """The verdict: C{go}, C{go TEMPLATE} or a reply; the transaction is kept."""
        section = convert({"compat": "seed", **settings}, SPFSettings)
        evaluator = SPFEvaluator(FakeResolver(ZONE), lambda: 0.0)
        check = SPFCheck(
            section, evaluator, NetworkSet.parse([]), lambda: 0.0, means=Means(True, True), patterns=load_patterns()
        )
        path = f"<bob@{sender}>" if sender else "<>"
        self.transaction = make_transaction(path, make_connection("192.0.2.5", name=ptr, helo=helo))
        return self.shown(self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction))))

    def shown(self, verdict: Verdict | None) -> str:
        """A verdict with what it left behind."""
        if isinstance(verdict, (Refuse, TempFail)):
            self.text = verdict.reason.text
            return f"{verdict.code} {verdict.status}"
        if verdict is not None:
            return verdict.word
        return " ".join(["go", *[each.template for each in self.transaction.inquiries]])

    def header(self, name: str) -> str:
        """The value of a header that is proposed, or empty."""
        return header(self.transaction, name)


def header(transaction: Transaction, name: str) -> str:
    """The first word of a header that is proposed, or empty."""
    found = [each.value for each in transaction.proposals if isinstance(each, InsertHeader) and each.name == name]
    return found[0].split()[0] if found else ""


class VectorTests(SeedCheckTestCase):
    """3.8, by number."""

    def test_none_and_guess(self) -> None:
        """Rows 1 to 13: no record, guesses, three strikes; the last column is X-Guessed-SPF."""
        bg, rn = {"best_guess": True}, {"reject_noptr": True}
        key = {"policy": {"neutral": "REJECT"}}
        dyn_helo = "x192-0-2-5.dyn.ex"
        rows: tuple[tuple[int, str, str, str, dict[str, object], str, str], ...] = (
            (1, "none.ex", "hnone.ex", OKP, {}, "go", ""),
            (2, "none.ex", "hnone.ex", OKP, {**bg}, "go", "neutral"),
            (3, "guess.ex", "hnone.ex", OKP, {**bg}, "go", "pass"),
            (4, "none.ex", "hnone.ex", DYN, {}, "go strike3", ""),
            (5, "none.ex", "hnone.ex", DYN, {**bg}, "go strike3", "neutral"),
            (6, "none.ex", "hnone.ex", DYN, {**rn}, REJ, ""),
            (6, "none.ex", "hnone.ex", DYN, {**rn, **bg}, REJ, "neutral"),
            (7, "none.ex", "hpass.ex", DYN, {**rn}, "go", ""),
            (8, "none.ex", "hguess.ex", DYN, {}, "go strike3", ""),
            (8, "none.ex", "hguess.ex", DYN, {**rn}, REJ, ""),
            (9, "none.ex", "hguess.ex", DYN, {**bg, **rn}, "go", "neutral"),
            (10, "none.ex", dyn_helo, DYN, {**bg, **rn}, REJ, "neutral"),
            (11, "guess.ex", "hnone.ex", DYN, {**bg, **rn}, "go", "pass"),
            (11, "guess.ex", "hnone.ex", DYN, {**rn}, REJ, ""),
            (12, "none.ex", "hnone.ex", OKP, {**bg, **key}, REJ, "neutral"),
            (13, "none.ex", "hnone.ex", DYN, {**bg, **key}, REJ, "neutral"),
        )
        for number, sender, helo, ptr, settings, said, guessed in rows:
            self.assertEqual(self.ask(sender, helo, ptr, **settings), said, number)
            self.assertEqual(self.header("X-Guessed-SPF"), guessed, number)
            self.assertEqual(self.header("Received-SPF"), "none", number)

    def test_lax(self) -> None:
        """Rows 14, 15, 22: a permerror with a lax result."""
        for helo in ("hnone.ex", "hfail.ex"):
            self.assertEqual(self.ask("lax.ex", helo, OKP), "go permerror")
            self.assertEqual((self.header("X-Guessed-SPF"), self.header("Received-SPF")), ("pass", "permerror"))
        self.assertEqual(self.ask("laxfail.ex", "hpass.ex", OKP), REJ)
        self.assertTrue(self.text.startswith("EXT: "), self.text)
        self.assertEqual(self.ask("laxsoft.ex", "hpass.ex", OKP), "go permerror")
        self.assertEqual(self.header("X-Guessed-SPF"), "softfail")
        self.assertEqual(self.ask("laxsoft.ex", "hnone.ex", OKP), REJ)

    def test_lists(self) -> None:
        """Rows 16 to 18: accept_fail, accept_softfail, and reject_neutral that does nothing on neutral."""
        accept = {"accept_fail": ["fail.ex"]}
        self.assertEqual(self.ask("fail.ex", "hpass.ex", OKP, **accept), "go softfail")
        self.assertEqual(self.ask("fail.ex", "hnone.ex", OKP, **accept), REJ)
        self.assertEqual(self.ask("softfail.ex", "hnone.ex", OKP, accept_softfail=["softfail.ex"]), "go")
        self.assertEqual(self.ask("neutral.ex", "hpass.ex", OKP, reject_neutral=["neutral.ex"]), "go")

    def test_forwarder(self) -> None:
        """Row 19: the second forwarder stands for the sender, and Received-SPF says so."""
        forwarders = ["nofwd.ex", "hpass.ex"]
        self.assertEqual(self.ask("fail.ex", "hfail.ex", OKP, trusted_forwarders=forwarders), "go")
        self.assertEqual(self.header("Received-SPF"), "pass")
        results = [str(each) for each in self.transaction.auth_results]
        self.assertIn("spf=fail smtp.mailfrom=bob@fail.ex", results)

    def test_null_sender(self) -> None:
        """Row 20: the ancestor would have told postmaster@hlax.ex; we tell nobody for <> and mark."""
        self.assertEqual(self.ask("", "hlax.ex", DYN), "mark")
        self.assertEqual(self.ask("", "hfail.ex", OKP), REJ)

    def test_neutral_callback(self) -> None:
        """Row 21: CBV on a guessed neutral makes it the official result."""
        settings = {"best_guess": True, "policy": {"neutral": "CBV"}}
        for ptr in (OKP, DYN):
            self.assertEqual(self.ask("none.ex", "hpass.ex", ptr, **settings), "go neutral")
            self.assertEqual((self.header("Received-SPF"), self.header("X-Guessed-SPF")), ("neutral", ""))

    def test_temperror(self) -> None:
        """E17: always 450 4.3.0."""
        self.assertEqual(self.ask("broken.ex", "hnone.ex", OKP), "450 4.3.0")
