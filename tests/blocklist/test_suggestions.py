"""Tests of what is suggested from bans, and of what is odd about a zone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import APEX, NOW
from twistedmilter.blocklist.lints import lints
from twistedmilter.blocklist.loading import Format, Limits, Source, load_at_once, load_zone
from twistedmilter.blocklist.suggestions import WINDOW, Ban, Suggestion, suggest
from twistedmilter.blocklist.zone import ZoneKind


class SuggestionTests(SynchronousTestCase):
    """Three or more bans of one shape are proposed as one rule (6.3)."""

    def suggested(self, names: str, good: str = "") -> list[Suggestion]:
        """What follows from bans of these names."""
        return suggest([Ban(name) for name in names.split()], good.split(), NOW)

    def lines(self, names: str, good: str = "") -> list[str]:
        """The rules alone."""
        return [each.line for each in self.suggested(names, good)]

    def test_counted(self) -> None:
        """ded304, ded305, ded306: the next one is listed before it is seen."""
        [found] = self.suggested("ded304.com ded305.com ded306.com other.com ded301.com")
        self.assertEqual(found.line, "serial:ded{300-399}.com")
        self.assertEqual(found.evidence, ("ded301.com", "ded304.com", "ded305.com", "ded306.com"))
        self.assertEqual((found.caught, found.good_count), (4, 0))

    def test_ranges(self) -> None:
        """Numbers of different hundreds take the whole width; single digits take ten."""
        self.assertEqual(self.lines("a104.com a305.com a999.com"), ["serial:a{000-999}.com"])
        self.assertEqual(self.lines("mx1.a.com mx2.a.com mx5.a.com"), ["serial:mx{0-9}.a.com"])

    def test_two_are_no_family(self) -> None:
        """Two bans may be chance."""
        self.assertEqual(self.lines("ded304.com ded305.com"), [])
        self.assertEqual(self.lines("ded304.com ded304.com DED305.com."), [])

    def test_several_numbers(self) -> None:
        """Several numbers, or a number below several top-level domains."""
        self.assertEqual(self.lines("a1-22.com a2-33.com a3-44.com"), [r"regex:a[0-9]{1}-[0-9]{2}\.com"])
        self.assertEqual(self.lines("ded30.com ded31.net ded32.org"), [r"regex:ded[0-9]{2}\.(com|net|org)"])

    def test_top_level_sets(self) -> None:
        """One name below several top-level domains."""
        self.assertEqual(self.lines("cheap.com cheap.net cheap.xyz"), [r"regex:cheap\.(com|net|xyz)"])

    def test_word_pairs(self) -> None:
        """Two words of which one is the same."""
        self.assertEqual(self.lines("cheap-pills.biz cheap-loans.biz cheap-watches.biz"), ["glob:cheap-*.biz"])
        self.assertEqual(self.lines("best-loans.biz easy-loans.biz fast-loans.biz"), ["glob:*-loans.biz"])

    def test_consonants(self) -> None:
        """Strings of consonants of one length."""
        self.assertEqual(self.lines("xkvbq.com zrtwp.com kkptr.com"), [r"regex:[bcdfghjklmnpqrstvwxz]{5}\.com"])

    def test_good_domains_are_counted(self) -> None:
        """Whom a rule would have hit is told, and what hits nobody comes first."""
        names = "cheap-pills.biz cheap-loans.biz cheap-watches.biz ded304.com ded305.com ded306.com"
        first, second = self.suggested(names, "cheap-flights.biz CHEAP-hotels.biz example.org")
        self.assertEqual((first.line, first.good_count), ("serial:ded{300-399}.com", 0))
        self.assertEqual((second.good_count, second.good), (2, ("CHEAP-hotels.biz", "cheap-flights.biz")))

    def test_old_bans_are_no_evidence(self) -> None:
        """Bans of more than thirty days ago suggest nothing, but are counted as caught."""
        old = [Ban(f"ded31{at}.com", NOW - WINDOW - 1) for at in range(5)]
        self.assertEqual(suggest(old, [], NOW), [])
        [found] = suggest([*old, *(Ban(f"ded30{at}.com", NOW) for at in range(3))], [], NOW)
        self.assertEqual((len(found.evidence), found.caught), (3, 8))

    def test_what_is_listed_needs_no_rule(self) -> None:
        """Bans that a rule covers already are no evidence for another."""
        bans = [Ban(f"ded30{at}.com") for at in range(5)]
        self.assertEqual(suggest(bans, [], NOW, listed=lambda name: name.startswith("ded")), [])

    def test_every_suggestion_lists_its_evidence(self) -> None:
        """Whatever is suggested would have caught at least what led to it."""
        names = "a1.com a2.com a3.net a10.com a11.com a12.org abc-def.com abc-ghi.com abc-xyz.com 1a.com 2a.com 3a.com"
        found = self.suggested(names)
        self.assertTrue(found)
        for each in found:
            self.assertGreaterEqual(each.caught, len(each.evidence), each.line)

    def test_the_narrower_of_two(self) -> None:
        """Of two rules from the same bans the narrower one is proposed: one number, not two."""
        self.assertEqual(self.lines("a1-b1.com a1-b2.com a1-b3.com"), ["serial:a1-b{0-9}.com"])

    def test_too_long_for_a_rule(self) -> None:
        """What nobody could enter is not proposed."""
        long = "a" * 63 + "." + "b" * 63 + "." + "c" * 50
        self.assertEqual(self.lines(" ".join(f"{long}.{tail}" for tail in ("comcomcom", "netnetnet", "orgorgorg"))), [])

    def test_odd_names(self) -> None:
        """What is no domain is passed over."""
        self.assertEqual(
            self.lines("a b\u00fcc1.com b\u00fcc2.com b\u00fcc3.com .com 1.com 2.com 3.com x@y.com"),
            ["serial:{0-9}.com"],
        )


class LintTests(SynchronousTestCase):
    """What can be used and is odd all the same."""

    def test_oddities(self) -> None:
        """Codes of errors, no reason, rules that have ended, names that something wider lists."""
        lines = [
            b".a.example :2:x",
            b"b.a.example :2:x",
            b"c.a.example :3:y",
            b"d.example :127.255.255.1:z",
            b"e.example :2:",
            b"f.example [expires=2020-01-01] :2:x",
            b"!g.a.example",
        ]
        foreign = Source(
            "f",
            [b"h.example :8.8.8.8:x", b".i.example :2:x", b"!j.i.example", b".k.example", b"!l.k.example"],
            Format.DNSET,
        )
        loading = load_zone(
            APEX, ZoneKind.RHSBL, [Source("z", lines), foreign], lambda: NOW, limits=Limits(forced=True)
        )
        found = {(each.source, each.line, each.wrong.split(" ", 2)[1]) for each in lints(load_at_once(loading))}
        self.assertEqual(
            found,
            {("z", 2, "is"), ("z", 4, "code"), ("z", 5, "rule"), ("z", 6, "rule"), ("f", 1, "code"), ("f", 4, "rule")},
        )
