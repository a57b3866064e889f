"""Tests of zones: which rule decides, and what could be below a name (spec 6.3 and 6.6, cases 38 to 40)."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import asked, labels, line_of, zone_of
from twistedmilter.blocklist.listing import Listing, RuleKind
from twistedmilter.blocklist.loading import Format, Limits
from twistedmilter.blocklist.zone import Zone, ZoneKind

EVERY_KIND = """\
!good.spam.example
ded304.com
.spam.example
*.below.example
serial:ded{300-399}.com
glob:cheap-*.biz
regex:dee\\d{3,4}\\.(com|net)
192.0.2.0/24
"""


class KindTests(SynchronousTestCase):
    """Each kind of rule lists what the table of 6.3 says."""

    def assertLines(self, text: str, expected: dict[str, int]) -> None:
        """Each name is listed by the line given; 0: by none."""
        zone = zone_of(text)
        self.assertEqual({name: line_of(zone, name) for name in expected}, expected)

    def test_exact(self) -> None:
        """A name alone is that name only."""
        self.assertLines("ded304.com", {"ded304.com": 1, "mail.ded304.com": 0, "xded304.com": 0, "com": 0})

    def test_subtree(self) -> None:
        """A dot in front: the name and everything below."""
        self.assertLines(".spam.example", {"spam.example": 1, "a.b.spam.example": 1, "xspam.example": 0})

    def test_wild(self) -> None:
        """A star and a dot in front: only what is below."""
        self.assertLines("*.spam.example", {"spam.example": 0, "a.spam.example": 1, "a.b.spam.example": 1})

    def test_exclusion(self) -> None:
        """An exclusion beats every other rule, wherever it stands."""
        text = "good.spam.example\n.spam.example\nglob:good.*.example\n!good.spam.example"
        self.assertLines(text, {"good.spam.example": 0, "a.good.spam.example": 2, "spam.example": 2})
        self.assertLines(".spam.example\n!.good.spam.example", {"a.good.spam.example": 0, "good.spam.example": 0})

    def test_exclusions_of_every_kind(self) -> None:
        """Patterns, families and networks exclude as well."""
        text = ".com\n!serial:ded{1-9}.com\n!glob:a?.com\n!regex:b\\d\\.com\n192.0.2.0/24\n!192.0.2.9"
        zone = zone_of(text.replace(".com\n", ".com [forced]\n", 1))
        found = [line_of(zone, name) for name in ("ded5.com", "ax.com", "b7.com", "c.com", "9.2.0.192", "8.2.0.192")]
        self.assertEqual(found, [0, 0, 0, 1, 0, 5])

    def test_serial(self) -> None:
        """The vectors of 6.3: must match, must not match."""
        text = "serial:ded{300-399}.com"
        self.assertLines(text, dict.fromkeys(("ded300.com", "ded304.com", "ded399.com"), 1))
        strangers = "ded30.com ded400.com ded0304.com xded304.com ded304.com.br mail.ded304.com ded304.net"
        self.assertLines(text, dict.fromkeys(strangers.split(), 0))

    def test_glob(self) -> None:
        """Neither a star nor a question mark crosses a dot."""
        text = "glob:cheap-*.biz\nglob:ded[0-9][0-9]?.com"
        self.assertLines(
            text, {"cheap-.biz": 1, "cheap-x-y.biz": 1, "cheap-a.b.biz": 0, "ded12x.com": 2, "ded1x2.com": 0}
        )

    def test_regex(self) -> None:
        """A regular expression is for the whole name."""
        text = "regex:ded\\d{3,4}\\.(com|net)"
        self.assertLines(
            text, {"ded304.com": 1, "ded3040.net": 1, "ded30.com": 0, "xded304.com": 0, "ded304.com.br": 0}
        )

    def test_precedence(self) -> None:
        """Exact, then the longest suffix, serial, glob, regex, whatever their order in the file (6.3)."""
        lines = ["regex:a1\\.x\\.com", "glob:a?.x.com", "serial:a{1-9}.x.com", "*.x.com", "*.com [forced]", "a1.x.com"]
        expected = [6, 4, 5, 3, 2, 1]
        for line in expected:
            self.assertEqual(line_of(zone_of("\n".join(lines)), "a1.x.com"), line)
            lines[line - 1] = "other.example"

    def test_first_of_a_kind(self) -> None:
        """Of patterns that match, the first in the file decides."""
        for kind in ("glob:abc*.com", "regex:abc?d?\\.com"):
            self.assertEqual(line_of(zone_of(f"{kind} :3\n{kind} :4"), "abc.com"), 1)

    def test_kinds_are_told(self) -> None:
        """A listing says what its rule is made of."""
        zone = zone_of(EVERY_KIND)
        names = ["ded304.com", "a.spam.example", "ded305.com", "cheap-1.biz", "dee304.net", "7.2.0.192"]
        found = [listing.rule.kind for name in names if (listing := asked(zone, name)) is not None]
        kinds = [RuleKind.EXACT, RuleKind.SUFFIX, RuleKind.SERIAL, RuleKind.GLOB, RuleKind.REGEX, RuleKind.NETWORK]
        self.assertEqual(found, kinds)


class HostileNameTests(SynchronousTestCase):
    """Names that must not be taken for others."""

    def test_dot_within_a_label(self) -> None:
        """Case 38: a label that contains a dot is not two labels."""
        zone = zone_of(EVERY_KIND)
        self.assertIsNotNone(zone.find((b"ded304", b"com")))
        self.assertIsNone(zone.find((b"ded304.com",)))
        self.assertIsNone(zone.find((b"x.spam", b"example")))
        self.assertIsNone(zone.find((b"cheap-1.biz",)))
        self.assertFalse(zone.exists_below((b"a.spam", b"example")))

    def test_odd_octets(self) -> None:
        """Anything but letters, digits, hyphen and underscore is not listed and has nothing below it (6.3)."""
        zone = zone_of("*.com [forced]\nregex:[^.]*\\.net [forced]")
        for octet in b"\0 \\=+*\x80\xff":
            self.assertIsNone(zone.find((bytes([octet]), b"com")))
            self.assertIsNone(zone.find((bytes([octet]), b"net")))
            self.assertFalse(zone.exists_below((bytes([octet]), b"com")))

    def test_lengths(self) -> None:
        """Labels have 1 to 63 octets, and all of it at most 190."""
        zone = zone_of("*.com [forced]")
        self.assertIsNotNone(zone.find((b"a" * 63, b"com")))
        self.assertIsNone(zone.find((b"a" * 64, b"com")))
        self.assertIsNone(zone.find((b"", b"com")))
        self.assertIsNone(zone.find((b"a" * 47,) * 4 + (b"com",)))
        self.assertIsNone(zone.find(()))

    @given(st.lists(st.binary(max_size=70), max_size=40))
    def test_nothing_breaks_it(self, name: list[bytes]) -> None:
        """Whatever the labels are, there is an answer."""
        zone = ZONE
        zone.find(tuple(name))
        zone.exists_below(tuple(name))

    def test_redos(self) -> None:
        """Case 43: what is exponential elsewhere is linear here."""
        zone = zone_of("regex:x(a+)+b\\.com\nregex:(y|yy)+z\\.com")
        self.assertIsNone(zone.find((b"x" + b"a" * 62, b"com")))
        self.assertIsNone(zone.find((b"y" * 63, b"com")))


ZONE = zone_of(EVERY_KIND)


class BelowTests(SynchronousTestCase):
    """NODATA or NXDOMAIN (6.6): an NXDOMAIN hides what is below from a resolver that minimises names (case 40)."""

    def test_vectors(self) -> None:
        """The samples of 6.6: com is above a pattern, gathman.org is not."""
        zone = zone_of("regex:ded\\d{3,4}\\.(com|net)")
        self.assertTrue(zone.exists_below(labels("com")))
        self.assertFalse(zone.exists_below(labels("gathman.org")))
        self.assertTrue(zone.exists_below(()))

    def test_above_names(self) -> None:
        """Everything above a listed name or suffix, and everything below a suffix."""
        zone = zone_of("a.b.c.example\n*.x.y.net", ZoneKind.RHSBL)
        for name in ("b.c.example", "c.example", "example", "x.y.net", "y.net", "net", "q.x.y.net"):
            self.assertTrue(zone.exists_below(labels(name)), name)
        for name in ("d.example", "com", "z.net", "z.c.example"):
            self.assertFalse(zone.exists_below(labels(name)), name)

    def test_above_patterns(self) -> None:
        """Above and beside the literal tail of a glob or a family, as deep as its names are."""
        zone = zone_of("glob:m?.shop-*.deep.biz\nserial:ded{1-9}.some.com", ZoneKind.RHSBL)
        for name in ("biz", "deep.biz", "shop-1.deep.biz", "com", "some.com"):
            self.assertTrue(zone.exists_below(labels(name)), name)
        for name in ("net", "x.biz", "x.com", "a.b.deep.biz", "ded1.some.com"):
            self.assertFalse(zone.exists_below(labels(name)), name)

    def test_any_depth(self) -> None:
        """A pattern whose dot may be anything can list something below every name."""
        zone = zone_of("regex:spam.*\\.com", ZoneKind.RHSBL)
        self.assertTrue(zone.exists_below(labels("a.b.c.d.e.com")))

    def test_above_addresses(self) -> None:
        """Octets and nibbles that some listed address ends with."""
        zone = zone_of("192.0.2.0/25\n2001:db8::/32", ZoneKind.IPBL)
        for name in ("192", "0.192", "2.0.192", "2", "1.0.0.2", "8.b.d.0.1.0.0.2"):
            self.assertTrue(zone.exists_below(labels(name)), name)
        for name in ("193", "1.192", "3.0.192", "9.b.d.0.1.0.0.2", "x", "256", "00", "200.2.0.192"):
            self.assertFalse(zone.exists_below(labels(name)), name)

    def test_a_hole_has_listed_names_below(self) -> None:
        """What is excluded itself may be above something that is not."""
        self.assertTrue(ZONE.exists_below(labels("good.spam.example")))


LABEL = st.text("ab1", min_size=1, max_size=3)
LAST = st.text("ab", min_size=1, max_size=2)
NAMES = st.tuples(st.lists(LABEL, max_size=3), LAST).map(lambda parts: ".".join([*parts[0], parts[1]]))
LISTED = st.tuples(st.lists(LABEL, min_size=1, max_size=2), LAST).map(lambda parts: ".".join([*parts[0], parts[1]]))
SUBJECTS = st.one_of(
    LISTED,
    LISTED.map(".{}".format),
    LISTED.map("*.{}".format),
    st.lists(st.text("ab1?*", min_size=1, max_size=3), min_size=2, max_size=3).map(lambda it: "glob:" + ".".join(it)),
    st.tuples(st.sampled_from(["", "a", "b.a"]), st.integers(0, 12), st.integers(0, 120)).map(
        lambda it: f"serial:{it[0]}{{{it[1]}-{it[1] + it[2]}}}.b"
    ),
    st.sampled_from([r"regex:a\d?\.(a|b)", r"regex:(a|b\.)?a1\.b", r"regex:ab.*", r"regex:a[^b]\.a\.b"]),
)
RULES = st.lists(st.tuples(st.booleans(), SUBJECTS), min_size=1, max_size=8)
ORDER = ("exact", "suffix", "serial", "glob", "regex")


def matches(subject: str, name: str) -> tuple[str, int] | None:
    """How a rule matches a name, without any index: its kind and how particular it is."""
    kind, colon, text = subject.partition(":")
    if not colon:
        bare = subject.removeprefix("*").removeprefix(".")
        if name == bare and not subject.startswith("*"):
            return "exact", 0
        return ("suffix", -len(bare.split("."))) if name.endswith("." + bare) and subject[0] in "*." else None
    if kind == "regex":
        return ("regex", 0) if re.fullmatch(text, name) else None
    if kind == "glob":
        pattern = re.escape(text).replace(r"\*", "[^.]*").replace(r"\?", "[^.]")
        return ("glob", 0) if re.fullmatch(pattern, name) else None
    return ("serial", 0) if in_family(text, name) else None


def in_family(text: str, name: str) -> bool:
    """Whether a name is one of a counted family: count them all."""
    stem, low, high, rest = re.fullmatch(r"(.*)\{(\d+)-(\d+)\}(.*)", text).groups()  # type: ignore[union-attr]
    return any(name == f"{stem}{number}{rest}" for number in range(int(low), int(high) + 1))


def first_match(rules: list[tuple[bool, str]], name: str) -> int:
    """The line that decides on a name, by the order of 6.3; 0: it is not listed."""
    if any(excluded and matches(subject, name) for excluded, subject in rules):
        return 0
    found = [
        (ORDER.index(match[0]), match[1], line)
        for line, (excluded, subject) in enumerate(rules, 1)
        if not excluded and (match := matches(subject, name)) is not None
    ]
    return min(found, default=(0, 0, 0))[2]


class OracleTests(SynchronousTestCase):
    """A zone says what one says who tries every rule on every name."""

    @given(RULES, st.lists(NAMES, max_size=30))
    def test_every_rule_on_every_name(self, rules: list[tuple[bool, str]], names: list[str]) -> None:
        """The rule that decides is the one that 6.3 names."""
        text = "\n".join(("!" if excluded else "") + subject for excluded, subject in rules)
        zone = zone_of(text, ZoneKind.RHSBL, limits=Limits(forced=True))
        for name in [*names, *(subject.partition(":")[2] or subject.lstrip("*.") for _, subject in rules)]:
            if re.fullmatch(r"[ab1.]+", name):
                self.assertEqual(line_of(zone, name), first_match(rules, name), name)
                self.assertShortWay(zone, name)

    def assertShortWay(self, zone: Zone, name: str) -> None:
        """The short way to an answer finds the same rule, and hides nothing that the long one shows."""
        found, listing = zone.look(name.encode()), asked(zone, name)
        if isinstance(found, Listing) or listing is not None:
            self.assertEqual(found, listing, name)
        elif zone.exists_below(labels(name)):
            self.assertTrue(found, name)

    @given(RULES, st.lists(NAMES, max_size=30))
    def test_nothing_listed_is_hidden(self, rules: list[tuple[bool, str]], names: list[str]) -> None:
        """Case 40: every name above a listed one is listed itself or exists."""
        text = "\n".join(("!" if excluded else "") + subject for excluded, subject in rules)
        zone = zone_of(text, ZoneKind.RHSBL, limits=Limits(forced=True))
        for name in names:
            parts = labels(name)
            if zone.find(parts) is not None:
                for at in range(1, len(parts)):
                    above = parts[at:]
                    self.assertTrue(zone.find(above) is not None or zone.exists_below(above), above)


class EndTests(SynchronousTestCase):
    """Rules that end, and what is counted."""

    def test_a_rule_ends(self) -> None:
        """After its end a rule lists nothing, and the next one decides; until then the TTL goes to its end."""
        text = "a.com [expires=2027-01-15:08:01 ttl=1h]\nb.com [expires=2027-01-15:07:59]\n*.com [forced] :9"
        zone = zone_of(text)
        listing = asked(zone, "a.com")
        assert listing is not None
        self.assertEqual((listing.rule.line, listing.ttl), (1, 60))
        self.assertEqual(line_of(zone, "b.com"), 3)

    def test_kinds_that_end(self) -> None:
        """Patterns, families, networks and exclusions end as well."""
        past = "[expires=2020-01-01]"
        text = f"glob:abc?.com {past}\nglob:abc*.com\nserial:b{{1-9}}.com {past}\nserial:b{{1-99}}.com\n"
        text += f"192.0.2.0/24\n192.0.2.7 {past}\nc.com\n!c.com {past}"
        zone = zone_of(text)
        found = [line_of(zone, name) for name in ("abcx.com", "b3.com", "7.2.0.192", "c.com")]
        self.assertEqual(found, [2, 4, 5, 7])

    def test_a_suffix_ends(self) -> None:
        """The next shorter suffix decides then, and an exclusion that has ended excludes nothing."""
        past = "[expires=2020-01-01]"
        zone = zone_of(f"*.b.a.example {past}\n*.a.example\n!*.a.example {past}\n!x.a.example {past}")
        self.assertEqual([line_of(zone, name) for name in ("c.b.a.example", "x.a.example")], [2, 2])

    def test_hits_are_counted(self) -> None:
        """Each rule counts what it has listed; loading itself counts nothing."""
        zone = zone_of(EVERY_KIND)
        self.assertEqual(list(zone.hits()), [])
        for name in ("ded304.com", "ded305.com", "ded306.com", "nobody.example"):
            asked(zone, name)
        self.assertEqual({rule.line: count for rule, count in zone.hits()}, {2: 1, 5: 2})

    def test_rbldnsd_holes_are_narrow(self) -> None:
        """In a dnset an exclusion holds for what is wider only, as with rbldnsd."""
        zone = zone_of(".a.com :4\n!.b.a.com\nc.b.a.com :3", ZoneKind.RHSBL, Format.DNSET)
        found = [line_of(zone, name) for name in ("x.a.com", "b.a.com", "x.b.a.com", "c.b.a.com")]
        self.assertEqual(found, [1, 0, 0, 3])

    def test_it_is_given_back_slowly(self) -> None:
        """A zone that was replaced lets its names go in many steps."""
        zone = zone_of(EVERY_KIND)
        self.assertGreater(sum(1 for _ in zone.clear_slowly()), 100)
        self.assertIsNone(asked(zone, "spam.example"))
