"""Tests of what three strikes lead to (E13, 3.6, F14)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver, FakeSPFEvaluator, make_connection, make_transaction
from twistedmilter.model.check_settings import ThreeStrikesSettings
from twistedmilter.model.transaction import Transaction
from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.three_strikes import ThreeStrikesCheck
from twistedmilter.policy.dynamic_ptr import load_patterns
from twistedmilter.policy.spf_policy import SPFPolicy

PATTERNS = load_patterns()


class ThreeStrikesPolicyTests(SynchronousTestCase):
    """A stranger who has none of the three."""

    def judge(self, policy: str, entries: dict[str, str] | None = None, access: str = "", known: str = "") -> str:
        """What comes of it; the transaction is kept."""
        access_map = AccessMap.parse(access, "access")
        check = ThreeStrikesCheck(
            ThreeStrikesSettings(policy=policy),
            FakeResolver(),
            FakeSPFEvaluator(),
            PATTERNS,
            SPFPolicy.parse(entries or {}, lambda: access_map).table,
            Means(callback=True, dsn=True),
        )
        self.transaction: Transaction = make_transaction("<a@none.ex>", make_connection("192.0.2.5", helo="hnone.ex"))
        self.transaction.known_sender = known
        verdict = self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        told = [verdict.word] if verdict is not None else []
        return " ".join([*told, *(f"ask {each.template}".rstrip() for each in self.transaction.inquiries)])

    def facts(self, name: str) -> list[str]:
        """The values of that evidence."""
        return [fact.value for fact in self.transaction.evidence if fact.name == name]

    def test_words(self) -> None:
        """3.6: each word does what it says; DSN sends strike3 unless it names another."""
        for word, expected in (
            ("OK", ""),
            ("MARK", "mark"),
            ("HOLD", "hold"),
            ("CBV", "ask"),
            ("DSN", "ask strike3"),
            ("DSN:own", "ask own"),
            ("REJECT", "refuse"),
            ("BAN", "refuse"),
            ("TEMPFAIL", "tempfail"),
            ('ERROR:"551 no"', "refuse"),
        ):
            self.assertEqual(self.judge(word), expected, word)

    def test_an_entry_for_the_sender_comes_first(self) -> None:
        """F02: the word for spf-none with the sender's domain decides, of a table or a map; the bare one does not."""
        for entries, access, expected in (
            ({"none:none.ex": "CBV"}, "", "ask"),
            ({}, "spf-none:a@none.ex OK", ""),
            ({}, "spf-none:.ex HOLD", "hold"),
            ({"none": "OK"}, "", "refuse"),
            ({}, "spf-none: OK", "refuse"),
            ({"none:other.ex": "OK"}, "", "refuse"),
        ):
            self.assertEqual(self.judge("REJECT", entries, access), expected, (entries, access))
        self.judge("REJECT", {"none:none.ex": "CBV"})
        self.assertEqual(self.facts("policy"), ["CBV: [spf.policy] none:none.ex"])

    def test_a_known_sender_is_spared(self) -> None:
        """I09, F14: whom we know is spared, and the record says why; C{REJECT!} spares nobody."""
        self.assertEqual(self.judge("REJECT", known="we wrote to a@none.ex"), "")
        self.assertEqual(self.facts("spared"), ["we wrote to a@none.ex"])
        self.assertEqual(self.judge("DSN", known="we wrote to a@none.ex"), "")
        self.assertEqual(self.judge("REJECT!", known="we wrote to a@none.ex"), "refuse")
        self.assertEqual(self.facts("strikes"), ["3 of 3"])
