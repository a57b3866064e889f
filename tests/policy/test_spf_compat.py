"""Tests of the ancestor's decision (seed-spec 3.1 to 3.4): each row of its tables."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.spf import SPFResult
from twistedmilter.policy.keywords import Keyword, Word, parse_keyword
from twistedmilter.policy.spf_compat import SeedCase, decide, default_words

NEUTRAL, SOFTFAIL, FAIL = SPFResult.NEUTRAL, SPFResult.SOFTFAIL, SPFResult.FAIL
NONE, PASS = SPFResult.NONE, SPFResult.PASS
PERMERROR, TEMPERROR = SPFResult.PERMERROR, SPFResult.TEMPERROR
_LATER = "450 4.3.0 temperror"
BAD_HELO = (FAIL, SOFTFAIL, NEUTRAL)
SILENT_HELO = (NONE, PERMERROR, TEMPERROR)
REJ = "550 5.7.1"


class SeedTestCase(SynchronousTestCase):
    """Decisions as text."""

    def said(self, case: SeedCase, words: dict[str, str] | None = None, *, reject_noptr: bool = False) -> str:
        """The decision: C{go}, C{go TEMPLATE}, or the reply with what it is about."""
        defaults = default_words(reject_noptr=reject_noptr)

        def find(result: SPFResult) -> Keyword:
            given = (words or {}).get(result.value)
            return parse_keyword(given) if given else defaults.get(f"spf-{result.value}", Keyword(Word.OK))

        decision = decide(case, find)
        if decision.why is not None:
            return f"{decision.code} {decision.status} {decision.why}"
        return f"go {decision.template}".strip()


class DefaultTests(SeedTestCase):
    """3.2: result, HELO and PTR with the default policies."""

    def test_table(self) -> None:
        """Each row: a bad HELO, one that says nothing, a good one."""
        strikes = f"{REJ} three-strikes"
        rows: tuple[tuple[SeedCase, bool, str, str, str], ...] = (
            (SeedCase(PASS), False, "go", "go", "go"),
            (SeedCase(TEMPERROR), False, "450 4.3.0 temperror", "450 4.3.0 temperror", "450 4.3.0 temperror"),
            (SeedCase(NONE), False, f"{REJ} helo", "go", "go"),
            (SeedCase(NONE, guess=PASS, has_dynamic_ptr=True), True, "go", "go", "go"),
            (SeedCase(NONE, has_dynamic_ptr=True), False, f"{REJ} helo", "go strike3", "go"),
            (SeedCase(NONE, guess=NEUTRAL, has_dynamic_ptr=True), False, f"{REJ} helo", "go strike3", "go"),
            (SeedCase(NONE, has_dynamic_ptr=True), True, f"{REJ} helo", strikes, "go"),
            (SeedCase(NEUTRAL, has_dynamic_ptr=True), True, f"{REJ} helo", "go", "go"),
            (SeedCase(NONE, guess=NEUTRAL), True, f"{REJ} helo", "go", "go"),
            (SeedCase(SOFTFAIL), False, f"{REJ} helo", f"{REJ} softfail", "go softfail"),
            (SeedCase(FAIL), False, f"{REJ} helo", f"{REJ} fail", f"{REJ} fail"),
            (SeedCase(PERMERROR), False, f"{REJ} helo", "550 5.5.2 permerror", "550 5.5.2 permerror"),
            (SeedCase(PERMERROR, lax=PASS), False, "go permerror", "go permerror", "go permerror"),
            (SeedCase(PERMERROR, lax=FAIL), False, f"{REJ} helo", f"{REJ} fail", f"{REJ} fail"),
            (SeedCase(PERMERROR, lax=SOFTFAIL), False, f"{REJ} helo", f"{REJ} softfail", "go permerror"),
            (SeedCase(PERMERROR, lax=NEUTRAL), False, f"{REJ} helo", "go permerror", "go permerror"),
        )
        for case, reject_noptr, bad, silent, good in rows:
            for helo in BAD_HELO:
                self.assertEqual(self.said(_with(case, helo), reject_noptr=reject_noptr), bad, (case, helo))
            for helo in SILENT_HELO:
                self.assertEqual(self.said(_with(case, helo), reject_noptr=reject_noptr), silent, (case, helo))
            self.assertEqual(self.said(_with(case, PASS), reject_noptr=reject_noptr), good, case)


class WordTests(SeedTestCase):
    """3.3: the words of the access map."""

    def test_table(self) -> None:
        """Each row: OK, CBV with HELO none, CBV with a good HELO, and every other word."""
        rows: tuple[tuple[SeedCase, str, str, str, str], ...] = (
            (SeedCase(NEUTRAL), "go", f"{REJ} neutral", "go neutral", f"{REJ} neutral"),
            (SeedCase(SOFTFAIL), "go", f"{REJ} softfail", "go softfail", f"{REJ} softfail"),
            (SeedCase(FAIL), "go", f"{REJ} fail", "go softfail", f"{REJ} fail"),
            (SeedCase(PERMERROR), "go", "550 5.5.2 permerror", "go permerror", "550 5.5.2 permerror"),
            (SeedCase(PASS), "go", "go", "go", "go"),
            (SeedCase(TEMPERROR), _LATER, _LATER, _LATER, _LATER),
        )
        for case, on_ok, on_cbv, on_cbv_good, other in rows:
            tag, good = case.official.value, _with(case, PASS)
            self.assertEqual(self.said(case, {tag: "OK"}), on_ok, case)
            self.assertEqual(self.said(case, {tag: "CBV"}), on_cbv, case)
            self.assertEqual(self.said(good, {tag: "CBV"}), on_cbv_good, case)
            for word in ("REJECT", "DSN", 'ERROR:"550 no"'):
                self.assertEqual(self.said(case, {tag: word}), other, (case, word))
                self.assertEqual(self.said(good, {tag: word}), other, (case, word))

    def test_none(self) -> None:
        """spf-none is reached on three strikes only."""
        case = SeedCase(NONE, has_dynamic_ptr=True)
        for word, said in (("OK", "go"), ("CBV", "go strike3"), ("REJECT", f"{REJ} three-strikes")):
            self.assertEqual(self.said(case, {"none": word}), said, word)
        self.assertEqual(self.said(SeedCase(NONE), {"none": "REJECT"}), "go")

    def test_neutral_cbv_changes_the_result(self) -> None:
        """Side effect of 3.3: a guessed or lax neutral becomes the official one, and takes its template."""
        for case in (SeedCase(NONE, guess=NEUTRAL), SeedCase(PERMERROR, lax=NEUTRAL)):
            good = _with(case, PASS)
            self.assertEqual(self.said(good, {"neutral": "CBV"}), "go neutral")
            self.assertIs(decide(good, lambda _result: Keyword(Word.CBV)).official, NEUTRAL)

    def test_guessed_neutral_on_strikes(self) -> None:
        """3.8 row 13: the notification of three strikes is dropped when the neutral word refuses."""
        case = SeedCase(NONE, guess=NEUTRAL, has_dynamic_ptr=True)
        self.assertEqual(self.said(case, {"neutral": "REJECT"}), f"{REJ} neutral")


class NullSenderTests(SeedTestCase):
    """3.4: <> is judged as postmaster@HELO, once."""

    def test_table(self) -> None:
        """Each row; nothing is flagged but a lax permerror (LL-13)."""
        rows = (
            (SeedCase(PASS, is_null=True, helo_is_ok=True), False, "go"),
            (SeedCase(NONE, is_null=True), False, "go"),
            (SeedCase(NONE, is_null=True, has_dynamic_ptr=True), False, "go"),
            (SeedCase(NONE, is_null=True, has_dynamic_ptr=True), True, f"{REJ} three-strikes"),
            (SeedCase(NEUTRAL, is_null=True), False, "go"),
            (SeedCase(SOFTFAIL, is_null=True), False, f"{REJ} softfail"),
            (SeedCase(FAIL, is_null=True), False, f"{REJ} fail"),
            (SeedCase(PERMERROR, is_null=True), False, "550 5.5.2 permerror"),
            (SeedCase(PERMERROR, lax=PASS, is_null=True), False, "go permerror"),
            (SeedCase(TEMPERROR, is_null=True), False, "450 4.3.0 temperror"),
        )
        for case, reject_noptr, said in rows:
            self.assertEqual(self.said(case, reject_noptr=reject_noptr), said, case)


def _with(case: SeedCase, helo: SPFResult) -> SeedCase:
    return SeedCase(
        case.official,
        lax=case.lax,
        guess=case.guess,
        helo=helo,
        helo_is_ok=helo is PASS,
        has_dynamic_ptr=case.has_dynamic_ptr,
    )
