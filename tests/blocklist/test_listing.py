"""Tests of listings: codes, texts, and where they come from (spec 6.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import NOW
from twistedmilter.blocklist.answer_text import Default, expand, parse_answer
from twistedmilter.blocklist.listing import (
    DEFAULT_CODE,
    MAX_TEXT,
    Listing,
    Rule,
    RuleKind,
    Values,
    address_text,
    template_of,
)
from twistedmilter.blocklist.problems import LineError, ZoneProblem
from twistedmilter.blocklist.rules import RuleTable

RULE = Rule(RuleKind.EXACT, "/etc/lists/own.zone", 7)


def text_of(template: bytes | None, name: bytes = b"a.com", rule: Rule = RULE) -> bytes | None:
    """The text of a listing about a name."""
    return Listing((DEFAULT_CODE,), 300, rule, template).text(name)


class TextTests(SynchronousTestCase):
    """TXT strings."""

    def test_marks(self) -> None:
        """$ is the name, $r the rule without its directories, $$ a dollar sign."""
        self.assertEqual(text_of(template_of(b"$ costs $$5: $r $$r")), b"a.com costs $5: own.zone:7 $r")
        self.assertIsNone(text_of(None))
        self.assertEqual(text_of(template_of(b"$r"), rule=Rule(RuleKind.EXACT, "bans", 0)), b"bans")

    def test_addresses_are_turned_round(self) -> None:
        """A rule about addresses names them as people write them."""
        rule = Rule(RuleKind.NETWORK, "z", 1)
        self.assertEqual(text_of(template_of(b"$"), b"4.3.2.1", rule), b"1.2.3.4")
        self.assertEqual(text_of(template_of(b"$"), b"4.3.2.1"), b"4.3.2.1")
        self.assertEqual(address_text(b"2" + b".0" * 23 + b".8.b.d.0.1.0.0.2"), b"2001:db8::2")
        self.assertEqual(address_text(b"2.0.192"), b"192.0.2")

    @given(st.binary(max_size=400), st.binary(max_size=300), st.text(max_size=40))
    def test_texts_are_always_clean(self, text: bytes, name: bytes, source: str) -> None:
        """Whatever the template, the name and the file are, the text may stand in an SMTP reply."""
        rule = Rule(RuleKind.EXACT, source, 1)
        for template in (template_of(text), expand(text, {b"1": b"x", b"=": b"$= ($)"}, is_native=True)):
            found = text_of(template_of(template), name, rule)
            assert found is not None
            self.assertLessEqual(len(found), MAX_TEXT)
            self.assertTrue(all(0x20 <= octet <= 0x7E and octet not in b'"\\' for octet in found), found)


class AnswerTextTests(SynchronousTestCase):
    """What stands behind an entry."""

    def test_in_files_of_rbldnsd(self) -> None:
        """There a code may be any address."""
        default = Default(b"\x7f\0\0\7", b"default")
        self.assertEqual(parse_answer(b":8.8.8.8:x", default, is_native=False), Default(b"\x08" * 4, b"x"))
        with self.assertRaises(LineError):
            parse_answer(b":8.8.8.8:x", default, is_native=True)

    @given(st.binary(max_size=60), st.booleans())
    def test_garbage(self, text: bytes, is_native: bool) -> None:
        """Anything is an answer or a LineError."""
        try:
            self.assertEqual(len(parse_answer(text, Default(), is_native=is_native).code), 4)
        except LineError as error:
            self.assertTrue(str(error))


class RuleTableTests(SynchronousTestCase):
    """Rules by number."""

    def test_hits_do_not_overflow(self) -> None:
        """A counter that is full stays full."""
        rules = RuleTable(lambda: NOW)
        number = rules.add(RuleKind.EXACT, Values(), "z", 1)
        rules._hits[number] = 2**32 - 1
        rules.listing(number)
        self.assertEqual([count for _, count in rules.hits()], [2**32 - 1])

    def test_unite(self) -> None:
        """Two rules for one thing: the codes of both, the later end, the first reason that there is."""
        rules = RuleTable(lambda: NOW)
        first = rules.add(RuleKind.EXACT, Values(expires=NOW + 5), "z", 1)
        second = rules.add(RuleKind.EXACT, Values((b"\x7f\0\0\3",), b"text", expires=NOW + 9), "z", 2)
        united = rules.values(rules.unite(first, second))
        self.assertEqual(united, Values((DEFAULT_CODE, b"\x7f\0\0\3"), b"text", expires=NOW + 9))
        self.assertEqual(rules.rule(rules.unite(first, second)).line, 1)

    def test_too_many_sources(self) -> None:
        """As many files as an octet can number."""
        rules = RuleTable(lambda: NOW)
        for at in range(256):
            rules.add(RuleKind.EXACT, Values(), f"z{at}", 1)
        with self.assertRaises(ValueError):
            rules.add(RuleKind.EXACT, Values(), "more", 1)


class ProblemTests(SynchronousTestCase):
    """How problems are written."""

    def test_places(self) -> None:
        """File, line and column as editors read them; what is not known is left out."""
        self.assertEqual(str(ZoneProblem("z", 3, 9, "wrong", "right")), "z:3:9: wrong; right")
        self.assertEqual(str(ZoneProblem("z", 3, 0, "odd", is_fatal=False)), "z:3: warning: odd")
        self.assertEqual(str(ZoneProblem("z", 0, 0, "empty")), "z: empty")
