"""Tests of the words of policy tables (seed-spec 3.6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.verdict import Hold, Mark, Reason, Refuse, TempFail
from twistedmilter.policy.keywords import Keyword, Word, parse_keyword

WHY = Reason("spf-fail", "because", ("more",))


class ParseKeywordTests(SynchronousTestCase):
    """From the text of an entry to a verdict."""

    def test_plain_words(self) -> None:
        """Capitals and blanks do not matter (LL-16)."""
        for word in Word:
            if word is Word.ERROR:
                continue
            self.assertEqual(parse_keyword(f" {word.lower()} "), Keyword(Word(word)))

    def test_verdicts(self) -> None:
        """Each word's verdict carries the reason."""
        self.assertIsNone(parse_keyword("OK").verdict(WHY))
        self.assertEqual(parse_keyword("MARK").verdict(WHY), Mark(WHY))
        self.assertEqual(parse_keyword("HOLD").verdict(WHY), Hold(WHY))
        self.assertEqual(parse_keyword("REJECT").verdict(WHY, refuse_status="5.7.23"), Refuse(WHY, 550, "5.7.23"))
        self.assertEqual(parse_keyword("TEMPFAIL").verdict(WHY, tempfail_status="4.7.24"), TempFail(WHY, 451, "4.7.24"))

    def test_error_in_both_spellings(self) -> None:
        """3.6: ERROR:"ccc x.y.z text", and sendmail's ERROR:x.y.z:ccc text; a missing x.y.z is filled in."""
        for text, expected in (
            ('ERROR:"550 5.1.8 go away"', (550, "5.1.8")),
            ('error: "550 5.1.8 go away"', (550, "5.1.8")),
            ("ERROR:550 5.1.8 go away", (550, "5.1.8")),
            ('ERROR:"550 go away"', (550, "5.7.1")),
            ('ERROR:"451 go away"', (451, "4.7.1")),
            ("ERROR:5.1.8:554 go away", (554, "5.1.8")),
            ('ERROR:"4.3.0:450 go away"', (450, "4.3.0")),
        ):
            keyword = parse_keyword(text)
            self.assertEqual((keyword.code, keyword.status, keyword.text), (*expected, "go away"), text)

    def test_error_verdict(self) -> None:
        """The reply is exactly what was given; the reason's code stays for machines."""
        self.assertEqual(
            parse_keyword('ERROR:"554 5.1.8 go away"').verdict(WHY), Refuse(Reason("spf-fail", "go away"), 554, "5.1.8")
        )
        self.assertIsInstance(parse_keyword('ERROR:"451 later"').verdict(WHY), TempFail)

    def test_unknown_word(self) -> None:
        """LL-09: an unknown word is an error at load, never OK."""
        for text in (
            "",
            "OKAY",
            "RELAY",
            "REJECT now",
            "REJECT!!",
            "DSN:",
            "DSN:a b",
            "DSN:../x",
            "CBV:strike3",
            "ERROR",
            "ERROR:",
            'ERROR:"250 2.0.0 fine"',
            'ERROR:"550"',
            'ERROR:"550 4.7.1 x"',
            "ERROR:550 a\nb",
        ):
            with self.assertRaises(ValueError, msg=text):
                parse_keyword(text)

    def test_words_that_ask(self) -> None:
        """3.6: CBV and DSN mark where nobody can be asked; DSN may name its notification."""
        for text, template in (("CBV", ""), ("DSN", ""), ("dsn:Strike3", "strike3"), ("DSN:our-own_2", "our-own_2")):
            keyword = parse_keyword(text)
            self.assertEqual((keyword.asks, keyword.template), (True, template), text)
            self.assertEqual(keyword.verdict(WHY), Mark(WHY))
        for text in ("OK", "WHITELIST", "REJECT", "BAN"):
            self.assertFalse(parse_keyword(text).asks, text)

    def test_ban_and_whitelist(self) -> None:
        """3.6: BAN refuses as REJECT does, WHITELIST has no objection."""
        self.assertEqual(parse_keyword("BAN").verdict(WHY), Refuse(WHY))
        self.assertIsNone(parse_keyword("WHITELIST").verdict(WHY))

    def test_strong_reject(self) -> None:
        """F14: C{REJECT!} is a REJECT that a whitelist does not soften."""
        self.assertEqual(parse_keyword("reject!"), Keyword(Word.REJECT, is_strong=True))
        self.assertEqual(parse_keyword("REJECT!").verdict(WHY), Refuse(WHY))
        self.assertFalse(parse_keyword("REJECT").is_strong)

    def test_recipient_in_the_text(self) -> None:
        """E28: a reply may name the recipient, and nothing else."""
        verdict = parse_keyword('ERROR:"551 5.7.1 <{recipient}> has moved; {recipient}"').verdict(WHY)
        assert verdict is not None
        said = verdict.about("bob@test.invalid")
        self.assertEqual(said, Refuse(Reason("spf-fail", "<bob@test.invalid> has moved; bob@test.invalid"), 551))
        self.assertIs(said.about("eve@test.invalid"), said)
        self.assertEqual(verdict.about("").reason.text, "<your recipient> has moved; your recipient")
        with self.assertRaisesRegex(ValueError, r"\{recipent\} is no placeholder of ERROR; allowed is \{recipient\}"):
            parse_keyword('ERROR:"551 ask {recipent}"')

    def test_text_of_others_names_no_recipient(self) -> None:
        """E28: what a client or a domain said is told as it is."""
        why = Refuse(Reason("spf-fail", "{recipient} explains"))
        self.assertIs(why.about("bob@test.invalid"), why)

    def test_spelling(self) -> None:
        """A keyword is shown as a table has it, and that text is the same keyword."""
        for text in ("OK", "REJECT!", "DSN:strike3", "CBV", 'ERROR:"550 5.7.1 no"'):
            self.assertEqual(str(parse_keyword(text)), text)

    @given(st.text())
    def test_garbage_raises_value_error_only(self, text: str) -> None:
        """Any text is a keyword or a ValueError, and what it gives is a legal reply."""
        for candidate in (text, f"ERROR:{text}", f'ERROR:"550 {text}"'):
            try:
                parse_keyword(candidate).verdict(WHY)
            except ValueError as problem:
                self.assertNotIn("both begin", str(problem))
