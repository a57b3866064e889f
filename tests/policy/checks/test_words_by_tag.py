"""Every word for every SPF tag, out of a table and out of an access map (seed-spec 3.6, LL-09)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.spf import SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Refuse, TempFail, Verdict
from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.spf import SPFCheck
from twistedmilter.policy.keywords import Word
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.spf_policy import SPFPolicy

MAIL, HELO = "a.example", "mail.h.example"
KINDS = ("spf", "helo")
TEMPLATES = {"none": "strike3", "pass": ""}
# by word: what comes of it; S is the last number of the enhanced status codes (RFC 7372)
EXPECTED = {
    "OK": "",
    "WHITELIST": "known",
    "MARK": "mark",
    "HOLD": "hold",
    "CBV": "ask",
    "DSN": "ask TEMPLATE",
    "DSN:own": "ask own",
    "REJECT": "refuse 550 5.7.S",
    "REJECT!": "refuse 550 5.7.S",
    "BAN": "refuse 550 5.7.S ban",
    "TEMPFAIL": "tempfail 451 4.7.S",
    'ERROR:"551 5.1.8 no"': "refuse 551 5.1.8",
    "ERROR:4.1.8:450 later": "tempfail 450 4.1.8",
}


class WordsByTagTests(SynchronousTestCase):
    """One table, both sources."""

    def outcome(
        self, kind: str, result: str, table: dict[str, str], access: str = "", means: Means | None = None
    ) -> str:
        """What comes of a stranger whose identity of that kind has that result; the other one has none."""
        results: dict[str, str | dict[str, str]] = {MAIL: "none", HELO: "none"}
        results[MAIL if kind == "spf" else HELO] = result
        access_map = AccessMap.parse(access, "access")
        policy = SPFPolicy.parse(table, lambda: access_map)
        check = SPFCheck(
            SPFSettings(received_spf=False),
            FakeSPFEvaluator(results),
            NetworkSet.parse([]),
            lambda: 0.0,
            policy=policy,
            means=means or Means(callback=True, dsn=True),
        )
        self.transaction = make_transaction(f"<bob@{MAIL}>", make_connection(helo=HELO))
        verdict = self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        return in_words(verdict, self.transaction)

    def test_every_word_for_every_tag(self) -> None:
        """LL-09: each of the words does for each tag what the table says, whichever source it is from."""
        self.assertEqual({word.partition(":")[0].rstrip("!") for word in EXPECTED}, {word.value for word in Word})
        for kind in KINDS:
            for result in SPFResult:
                status = "24" if result in {SPFResult.PERMERROR, SPFResult.TEMPERROR} else "23"
                template = TEMPLATES.get(result, result.value) if kind == "spf" else "heloerror"
                for word, expected in EXPECTED.items():
                    expected_here = expected.replace("TEMPLATE", template).replace(".S", f".{status}")
                    with self.subTest(kind=kind, result=result, word=word):
                        tag = f"{kind}-{result.value}"
                        domain = MAIL if kind == "spf" else HELO
                        by_table = self.outcome(kind, result.value, {f"{tag}:{domain}": word})
                        self.assertEqual(by_table, expected_here.rstrip())
                        by_map = self.outcome(kind, result.value, {}, f"{tag}:{domain} {word}")
                        self.assertEqual(by_map, expected_here.rstrip())

    def test_unknown_words_of_a_map_refuse(self) -> None:
        """LL-09: for every tag, spf-none too."""
        for kind in KINDS:
            for result in SPFResult:
                told = self.outcome(kind, result.value, {}, f"{kind}-{result.value}: PERHAPS")
                self.assertTrue(told.startswith("refuse 550 "), (kind, result, told))

    def test_whitelist_and_the_helo_name(self) -> None:
        """F14: a sender of WHITELIST is not refused for its HELO name, unless that is REJECT!."""
        for helo, expected in (("REJECT", "known"), ("BAN", "known"), ("REJECT!", "refuse 550 5.7.23 known")):
            told = self.outcome("helo", "fail", {f"none:{MAIL}": "WHITELIST", "helo-fail": helo})
            self.assertEqual(told, expected, helo)

    def test_without_means(self) -> None:
        """CBV and DSN mark where nobody can be asked."""
        for word in ("CBV", "DSN"):
            self.assertEqual(self.outcome("spf", "softfail", {"softfail": word}, means=Means()), "mark")

    def test_the_record_says_which_entry(self) -> None:
        """What decided is evidence; a default is none."""
        self.outcome("spf", "softfail", {}, "# ours\nspf-softfail:a.example MARK")
        facts = [fact.value for fact in self.transaction.evidence if fact.name == "policy"]
        self.assertEqual(facts, ["MARK: access:2: spf-softfail:a.example"])
        self.outcome("spf", "fail", {})
        self.assertNotIn("policy", [fact.name for fact in self.transaction.evidence])


def in_words(verdict: Verdict | None, transaction: Transaction) -> str:
    """The verdict, and what was left on the transaction."""
    told = []
    if verdict is not None:
        told.append(verdict.word)
    if isinstance(verdict, (Refuse, TempFail)):
        told.append(f"{verdict.code} {verdict.status}")
    told += [f"ask {inquiry.template}".rstrip() for inquiry in transaction.inquiries]
    told += [fact.name for fact in transaction.evidence if fact.name == "ban"]
    if transaction.known_sender:
        told.append("known")
    return " ".join(told)
