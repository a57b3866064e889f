"""Tests of L{twistedmilter.observe.sanitise} (reliability O1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.observe.sanitise import MAX_FIELD, MAX_LINE, one_line, one_word, short_line


class OneLineTests(SynchronousTestCase):
    """Text of the network on one line."""

    def test_printable_text_is_unchanged(self) -> None:
        """What shows what it is stays as it is, also beyond ASCII."""
        self.assertEqual("Grüße aus Köln <a@b>", one_line("Grüße aus Köln <a@b>"))

    def test_control_characters_are_escaped(self) -> None:
        """CR, LF, TAB, ESC, NUL, DEL and C1 are told in the spelling of C."""
        self.assertEqual(r"a\r\nb\tc\x1b\x00\x7f\u0085", one_line("a\r\nb\tc\x1b\0\x7f\x85"))

    def test_bidi_controls_and_separators_are_escaped(self) -> None:
        """Nothing turns the rest of a line around or breaks it."""
        self.assertEqual(r"\u202e\u2066\u2028\U000e0001", one_line("\u202e\u2066\u2028\U000e0001"))

    def test_octets_that_are_not_utf_8_are_told(self) -> None:
        """A surrogate escape is the octet it stands for."""
        self.assertEqual(r"gr\xfc\xdfe", one_line(b"gr\xfc\xdfe".decode("utf-8", "surrogateescape")))

    def test_a_backslash_cannot_pretend(self) -> None:
        """A literal backslash is doubled, so an escape is always ours."""
        self.assertEqual(r"a\\nb", one_line(r"a\nb"))

    def test_a_long_text_is_cut_at_a_whole_escape(self) -> None:
        """The cut is shown, and no escape is left half."""
        self.assertEqual("abcde...", one_line("abcdefghi", 8))
        self.assertEqual(r"a\n\n...", one_line("a\n\n\n\n", 8))
        self.assertEqual("abcdefgh", one_line("abcdefgh", 8))

    @given(st.text(alphabet=st.characters(), max_size=600))
    def test_any_text_is_one_printable_line(self, text: str) -> None:
        """Whatever comes is printable, on one line, within the limit."""
        line = one_line(text)
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line), MAX_FIELD)
        self.assertLessEqual(len(line.splitlines()), 1)

    @given(st.text(alphabet=st.characters(codec="utf-8"), max_size=20))
    def test_nothing_is_lost(self, text: str) -> None:
        """Below the limit the text can be read back from its line."""
        line = one_line(text)
        self.assertEqual(text, line.encode("latin-1", "backslashreplace").decode("unicode_escape"))

    def test_a_word_has_no_blanks(self) -> None:
        """Values of a summary line are one word; nothing is a dash."""
        self.assertEqual(r"<a\x20b>", one_word("<a b>"))
        self.assertEqual("-", one_word(""))


class ShortLineTests(SynchronousTestCase):
    """The cap on a whole line."""

    def test_a_line_is_counted_in_octets(self) -> None:
        """8 KiB are octets of UTF-8, and a character is never cut in two."""
        line = short_line("ü" * 5000)
        self.assertLessEqual(len(line.encode()), MAX_LINE)
        self.assertTrue(line.endswith("ü..."))

    def test_a_line_that_fits_is_unchanged(self) -> None:
        """Exactly 8 KiB pass."""
        self.assertEqual("x" * MAX_LINE, short_line("x" * MAX_LINE))
