"""Tests of what is read from regular expressions, and of the sets that find names by them."""

from __future__ import annotations

import random
import re

import re2
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import NOW
from twistedmilter.blocklist.listing import RuleKind, Values
from twistedmilter.blocklist.patterns import MAX_PATTERN, PatternTable, glob_pattern
from twistedmilter.blocklist.reach import ANY_DEPTH
from twistedmilter.blocklist.regexes import regex_pattern
from twistedmilter.blocklist.rules import RuleTable
from twistedmilter.blocklist.zone import MAX_NAME

ATOMS = ["a", "b", "ab", r"\.", ".", r"\d", "[ab]", "[^a]", "[a.]", "[!-/]", r"\w", r"\D", "-", r"\-", "[^.]"]
QUANTIFIERS = ["", "", "", "?", "*", "+", "{2}", "{1,2}"]
PIECES = st.tuples(st.sampled_from(ATOMS), st.sampled_from(QUANTIFIERS)).map("".join)
REGEXES = st.recursive(
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, inner).map("".join),
        st.tuples(
            st.sampled_from(["(", "(?:", "(?i)(", "(?P<x>"]), inner, st.sampled_from([")", ")?", ")+", "){2}"])
        ).map("".join),
    ),
    max_leaves=4,
)


def examples(regex: str, draw: st.DataObject) -> list[str]:
    """Some texts that a regular expression matches."""
    try:
        strategy = st.from_regex(re.compile(regex, re.ASCII), fullmatch=True, alphabet="ab1.-")
        return [draw.draw(strategy) for _ in range(3)]
    except re.error:  # what RE2 takes and Python does not: one name for two groups, a flag in the midst
        return []


class ReadingTests(SynchronousTestCase):
    """What a regular expression tells about the names that it matches."""

    @given(REGEXES, st.data())
    def test_every_match_has_the_head_and_the_depth(self, regex: str, data: st.DataObject) -> None:
        """What is said about all matching names is true of each: otherwise it would not be found."""
        try:
            pattern = regex_pattern(regex.encode(), forced=True)
        except ValueError:
            return
        for name in examples(regex, data):
            if len(name) > MAX_NAME:  # nobody can ask for it
                continue
            self.assertTrue(name.encode().startswith(pattern.head), (regex, name))
            self.assertLessEqual(name.count(".") + 1, pattern.depth, (regex, name))

    def test_heads(self) -> None:
        """A literal beginning is known unless something may stand in its place."""
        heads = {
            r"ded\d+\.com": b"ded",
            r"^ded\d+\.com$": b"ded",
            r"DED\.x": b"ded.x",
            r"dedx?": b"ded",
            "ded|xyz": b"",
            "(ded|xyz)": b"",
            "(?i)ded": b"",
            r"a\-b": b"a-b",
        }
        self.assertEqual({text: regex_pattern(text.encode()).head for text in heads}, heads)

    def test_depths(self) -> None:
        """How many labels a matching name may have."""
        depths = {r"ded\d+\.(com|net)": 4 - 2, r"(a\.)?b\.c": 3, r"(a\.)+c": ANY_DEPTH, "a.*": ANY_DEPTH, "[^.]{3}": 1}
        self.assertEqual({text: regex_pattern(text.encode()).depth for text in depths}, depths)

    def test_what_re2_refuses(self) -> None:
        """D18: back-references, look-around, repetitions without measure, with the reason."""
        for text in (rb"(a)\1", rb"a(?=b)", rb"a(?!b)", rb"a{1001}", b"a++", b"(", b"[", b"a**", b"\xff["):
            with self.assertRaisesRegex(ValueError, "RE2 cannot read it: .+"):
                regex_pattern(text)

    def test_limits(self) -> None:
        """Too long, too large, empty, quoted, and what begins with anything."""
        for text in (
            b"a" * (MAX_PATTERN + 1),
            b"((a{30}){30}b{9}){9}",
            b"",
            b"^$",
            rb"\Qa\E",
            b".*a",
            b"(?:[a-z]+)-x",
            b"x(([a-z0-9_-]){30}){30}",
        ):
            with self.assertRaises(ValueError):
                regex_pattern(text)
        self.assertEqual(regex_pattern(b".*abc", forced=True).head, b"")

    def test_without_a_reason(self) -> None:
        """Should RE2 ever refuse what it can compile, the pattern is refused all the same."""
        self.patch(re2, "compile", lambda _regex, _options: None)
        with self.assertRaisesRegex(ValueError, "RE2 cannot read it"):
            regex_pattern(b"(")

    def test_exponential_elsewhere(self) -> None:
        """D19: what takes Python minutes is taken."""
        for text in (rb"x(a+)+", rb"x(a|aa)+", rb"x(.*a){20}", rb"x([a-z]+)*y", rb"x(a|a?)+"):
            self.assertIsNotNone(regex_pattern(text))

    @given(st.binary(max_size=40))
    def test_garbage_is_refused_in_words(self, text: bytes) -> None:
        """Anything is a pattern or a ValueError."""
        for read in (regex_pattern, glob_pattern):
            try:
                read(text)
            except ValueError as error:
                self.assertTrue(str(error))


class PatternTableTests(SynchronousTestCase):
    """Many patterns at once find what each finds alone."""

    @given(st.lists(REGEXES, min_size=1, max_size=6), st.lists(st.text("ab1.-", max_size=8), max_size=20))
    def test_as_one_by_one(self, texts: list[str], names: list[str]) -> None:
        """The first pattern that matches a name is found, wherever the table keeps it."""
        rules = RuleTable(lambda: NOW)
        table = PatternTable(rules)
        alone: list[tuple[int, PatternTable]] = []
        for line, text in enumerate(texts):
            try:
                pattern = regex_pattern(text.encode(), forced=True)
            except ValueError:
                continue
            number = rules.add(RuleKind.REGEX, Values(), "test", line)
            single = PatternTable(rules)
            for each in (table, single):
                each.add(pattern, number)
            alone.append((number, single))
        for each in (table, *(single for _, single in alone)):
            for _ in each.build():
                pass
        for name in names:
            key = name.encode()
            parts = tuple(key.split(b"."))
            expected = min((number for number, single in alone if single.find(parts, key) is not None), default=None)
            self.assertEqual(table.find(parts, key), expected)

    def test_many(self) -> None:
        """More patterns than one set holds, with and without a literal beginning or end."""
        rules = RuleTable(lambda: NOW)
        table = PatternTable(rules)
        for at in range(3_000):
            text = (f"p{at}q[0-9]\\.com", f"[xy]{at}z\\.com")[at % 2]
            table.add(regex_pattern(text.encode()), rules.add(RuleKind.REGEX, Values(), "test", at))
        steps = sum(1 for _ in table.build())
        self.assertGreater(steps, 6)
        for at in range(0, 3_000, 7):
            name = (f"p{at}q5.com", f"y{at}z.com")[at % 2].encode()
            self.assertEqual(table.find(tuple(name.split(b".")), name), at)


class HostileNameTests(SynchronousTestCase):
    """Patterns whose automata grow with every name: nothing is missed when their memory is used up (D19)."""

    def test_memory_that_is_used_up(self) -> None:
        """Sets near their largest weight find what each pattern finds alone."""
        chance = random.Random(4)
        words = ["".join(chance.choices("abcdefgh", k=3)) for _ in range(150)]
        texts = [f"(a|{word})?([a-z0-9-]{{1,7}}[a-f0-9]{{1,5}}){{1,9}}{word[0]}q\\.com" for word in words]
        rules = RuleTable(lambda: NOW)
        table = PatternTable(rules)
        alone = []
        for text in texts:
            pattern = regex_pattern(text.encode())
            table.add(pattern, rules.add(RuleKind.REGEX, Values(), "test", 1))
            alone.append(re2.compile(text.encode()))
        for _ in table.build():
            pass
        for _ in range(40):
            name = "".join(chance.choices("abcdef0123456789-", k=chance.randint(5, 55))).encode() + b"q.com"
            expected = next((at for at, each in enumerate(alone) if each.fullmatch(name)), None)
            self.assertEqual(table.find(tuple(name.split(b".")), name), expected, name)

    def test_weights(self) -> None:
        """Repetitions within each other multiply, those side by side add up."""
        self.assertEqual(regex_pattern(b"ab{3}").weight, len("abbb{3}"))
        self.assertLess(regex_pattern(b"[a-f]{3,20}x[a-z]{1,30}").weight, 300)
        self.assertGreater(regex_pattern(b"x([a-z]{20}){20}").weight, 2_000)


class GlobTests(SynchronousTestCase):
    """What a glob becomes."""

    def test_parts(self) -> None:
        """Beginning, end and depth are known."""
        pattern = glob_pattern(b"cheap-*.x?.shop.biz")
        self.assertEqual((pattern.head, pattern.tail, pattern.depth), (b"cheap-", b"shop.biz", 4))
        pattern = glob_pattern(b"a.b-?.com")
        self.assertEqual((pattern.head, pattern.tail, pattern.depth), (b"a.b-", b"com", 3))

    def test_what_is_none(self) -> None:
        """Braces, spaces, brackets that do not close, empty labels."""
        for text in (
            b"a{1,2}.com",
            b"a b",
            b"[ab.com",
            b"a..b",
            b"(a|b).com",
            b"[].com",
            b"[a.b].com",
            b"[z-a].com",
            b"a[--z]com",
            b"\xe4*.com",
        ):
            with self.assertRaises(ValueError):
                glob_pattern(text)
