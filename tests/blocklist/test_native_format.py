"""Tests of our own zone files: what a line means, and what a newcomer is told about a typo."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import APEX, NOW, asked, line_of, problems_of, zone_of
from twistedmilter.blocklist.loading import Source, load_at_once, load_zone
from twistedmilter.blocklist.problems import ZoneError
from twistedmilter.blocklist.zone import ZoneKind


class AnswerTests(SynchronousTestCase):
    """Codes, reasons and TTLs."""

    def answer(self, text: str, name: str = "a.com") -> tuple[str, bytes | None, int]:
        """Codes, text and TTL of a name in a zone of this text."""
        listing = asked(zone_of(text), name)
        assert listing is not None
        codes = " ".join(".".join(map(str, code)) for code in listing.codes)
        return codes, listing.text(name.encode()), listing.ttl

    def test_nothing_said(self) -> None:
        """127.0.0.2, no reason, 300 s."""
        self.assertEqual(self.answer("a.com"), ("127.0.0.2", None, 300))

    def test_defaults(self) -> None:
        """A line that begins with a colon holds for the lines after it."""
        self.assertEqual(self.answer(":127.0.0.4:reason, $\na.com"), ("127.0.0.4", b"reason, a.com", 300))
        self.assertEqual(self.answer("a.com\n:4:reason"), ("127.0.0.2", None, 300))

    def test_own_answers(self) -> None:
        """Code and reason, code alone, reason alone; a second colon without a reason takes the reason away."""
        for text, expected in {
            "a.com :5:own": ("127.0.0.5", b"own", 300),
            "a.com :5": ("127.0.0.5", b"default", 300),
            "a.com :5:": ("127.0.0.5", None, 300),
            "a.com own reason": ("127.0.0.3", b"own reason", 300),
            "a.com # said elsewhere": ("127.0.0.3", b"default", 300),
        }.items():
            self.assertEqual(self.answer(f":3:default\n{text}"), expected)

    def test_words(self) -> None:
        """What stands in brackets is about that rule only; $TTL is about the file."""
        self.assertEqual(self.answer("a.com [ttl=1h30m] :3:x"), ("127.0.0.3", b"x", 5_400))
        self.assertEqual(self.answer("a.com\n$TTL 60"), ("127.0.0.2", None, 60))
        self.assertEqual(self.answer("a.com [ttl=30 added=2026-11-24]\n$TTL 60"), ("127.0.0.2", None, 30))

    def test_templates(self) -> None:
        """6.4: $ is the name, $$ a dollar sign, $r the rule; $1 a text of the file, also one that comes later."""
        text = "a.com :2:$ costs $$5, $1 ($r) $2\n$1 see http://x"
        self.assertEqual(self.answer(text)[1], b"a.com costs $5, see http://x (test.zone:1) $2")

    def test_texts_are_clean(self) -> None:
        """Case 49, 6.4: printable ASCII without quotation mark and backslash, at most 255 octets."""
        self.assertEqual(self.answer('a.com :2:"\\a\tb\x7f\u00e4')[1], b"a b")
        self.assertEqual(self.answer("a.com :2:" + "x" * 300)[1], b"x" * 255)

    def test_twice(self) -> None:
        """The same name twice has both codes and the first reason; three times with one code has it once."""
        self.assertEqual(self.answer("a.com :2:x\na.com :3:y\na.com :3:z"), ("127.0.0.2 127.0.0.3", b"x", 300))

    def test_a_suffix_keeps_its_own(self) -> None:
        """What is added to a name is not added to what is below it."""
        text = ".a.com :4\na.com :5\n!*.b.a.com"
        self.assertEqual(self.answer(text)[0], "127.0.0.4 127.0.0.5")
        self.assertEqual(self.answer(text, "x.a.com")[0], "127.0.0.4")

    def test_addresses(self) -> None:
        """A reason names an address as people write it."""
        text = "192.0.2.0-192.0.2.9 :2:$\n2001:db8::/32 :3:$\n::1 :4:$"
        self.assertEqual(self.answer(text, "7.2.0.192")[1], b"192.0.2.7")
        name = "7" + ".0" * 23 + ".8.b.d.0.1.0.0.2"
        self.assertEqual(self.answer(text, name)[1], b"2001:db8::7")
        self.assertEqual(self.answer(text, "1" + ".0" * 31)[:2], ("127.0.0.4", b"::1"))


class NameTests(SynchronousTestCase):
    """How names may be written."""

    def test_spellings(self) -> None:
        """Capitals, a dot at the end, spaces around, umlauts."""
        for text in ("DED304.Com", "ded304.com.", "  ded304.com  "):
            self.assertEqual(line_of(zone_of(text), "ded304.com"), 1)
        self.assertEqual(line_of(zone_of("*.b\u00fccher.example"), "a.xn--bcher-kva.example"), 1)

    def test_comments(self) -> None:
        """Lines that begin with # or ; and empty ones are nothing."""
        self.assertEqual(line_of(zone_of("# a.com\n; a.com\n\n  # a.com\nb.com"), "a.com"), 0)

    def test_serial_with_zeros(self) -> None:
        """Zeros in front count where both ends have as many digits."""
        zone = zone_of("serial:a{001-099}.com\nserial:b{8-12}x.com")
        found = [line_of(zone, name) for name in ("a007.com", "a7.com", "b8x.com", "b12x.com", "b08x.com", "b13x.com")]
        self.assertEqual(found, [1, 0, 2, 2, 0, 0])


class TypoTests(SynchronousTestCase):
    """Each typo is told with file, line, column and what would be right; the zone is refused (D18)."""

    def assertTold(self, text: str, place: str, *words: str) -> None:
        """One problem, at this place, with these words."""
        [problem] = problems_of(f"good.example\n{text}")
        line = 2 + text.count("\n")
        self.assertTrue(problem.startswith(f"test.zone:{line}:{place}: "), problem)
        for word in words:
            self.assertIn(word, problem)

    def test_names(self) -> None:
        """What is no name."""
        self.assertTold("joe@a.com", "1", "write a.com")
        self.assertTold("  ! *foo.com", "5", "write glob:*foo.com")
        self.assertTold("a..com", "1", "no domain name")
        self.assertTold("a.com/", "1", "neither a name nor a network")
        self.assertTold("a" * 64 + ".com", "1", "no domain name")
        self.assertTold("!", "1", "missing")
        self.assertTold("com", "1", "it is the top-level domain com")

    def test_kinds(self) -> None:
        """What is no kind of rule, or has nothing behind it."""
        self.assertTold("globs:a*.com", "1", "did you mean glob:?")
        self.assertTold("http://a.com", "1", "http: is no kind of rule")
        self.assertTold("regex:", "1", "right behind the colon")
        self.assertTold("glob:a{1,2}.com", "1", "a glob has")
        self.assertTold("serial:ded300-399.com", "1", "serial:ded{300-399}.com")
        self.assertTold("serial:ded1{00-99}.com", "1", "digit beside the braces")
        self.assertTold("serial:ded{399-300}.com", "1", "ends before it begins")
        self.assertTold("serial:ded{01-100}.com", "1", "zeros in front")
        self.assertTold("serial:d d{1-9}.com", "1", "one range in braces")
        self.assertTold("serial:d+{1-9}.com", "1", "around its braces")
        self.assertTold("serial:d{1-9999999999999999999}.com", "1", "at most 18 digits")
        self.assertTold("glob:" + "a" * 201, "1", "at most 200 octets")

    def test_patterns(self) -> None:
        """What RE2 refuses, and what begins with anything."""
        self.assertTold("regex:(a", "1", "missing )", "RE2's syntax")
        self.assertTold(r"regex:(a)\1", "1", "invalid escape")
        self.assertTold(r"regex:.*cheap\.com", "1", "begins with a repetition without end")
        self.assertTold("regex:" + "a" * 201, "1", "at most 200 octets")

    def test_answers(self) -> None:
        """Codes and words in brackets, with the column of what is wrong."""
        self.assertTold("a.com :999:x", "8", "'999' is no code")
        self.assertTold("a.com :8.8.8.8:x", "8", "not in 127.0.0.0/8")
        self.assertTold("a.com :127.0.0.2 reason", "18", "second colon")
        self.assertTold("a.com [tll=3] :2:x", "8", "'tll=3' is not known", "ttl=1h")
        self.assertTold("a.com [ttl=3x]", "8", "is no time")
        self.assertTold("a.com [expires=tomorrow]", "8", "is no date")
        self.assertTold("a.com [forced=1]", "8", "is not known")
        self.assertTold(":999:x", "2", "'999' is no code")

    def test_addresses(self) -> None:
        """What is no network."""
        self.assertTold("192.0.2.1/24", "1", "it would be 192.0.2.0/24")
        self.assertTold("192.0.2.256", "1", "no IPv4 address")
        self.assertTold("$MAXRANGE4 /24\n10.0.0.0/8", "1", "more than $MAXRANGE4 256")
        self.assertTold("192.0.2.9-192.0.2.1", "1", "ends before it begins")
        self.assertTold("*.b\u00fc\u2603..x", "1", "no domain name")
        self.assertTold("192.0.2.0/33", "1", "no length of a prefix")
        self.assertTold("192.0.2.9-3.0.0", "1", "different numbers of octets")
        self.assertTold("2001:db8::1/32", "1", "it would be 2001:db8::/32")
        self.assertTold("2001:dbx::", "1", "no IPv6 address")

    def test_specials(self) -> None:
        """Lines that begin with a dollar sign."""
        self.assertTold("$TTTL 3", "1", "$TTL")
        self.assertTold("$SOA 1h ns", "1", "write $SOA")
        self.assertTold("$NS 1h", "1", "write $NS")
        self.assertTold("$TTL soon", "1", "no time")
        self.assertTold("$TIMESTAMP yesterday", "1", "no date")
        self.assertTold("$MAXRANGE4 /33", "1", "write $MAXRANGE4")

    def test_kind_of_zone(self) -> None:
        """Names do not stand in a list of addresses, nor the other way round."""
        [problem] = problems_of("192.0.2.1", ZoneKind.RHSBL)
        self.assertIn("put them into one of kind ipbl or mixed", problem)
        for text in ("a.com", ".a.com", "glob:a*.com"):
            [problem] = problems_of(text, ZoneKind.IPBL)
            self.assertIn("put", problem)

    def test_every_problem_is_told(self) -> None:
        """All at once, in the order of the file."""
        found = problems_of("a..com\nb.com\nregex:(\n$X")
        self.assertEqual([problem.split(":")[1] for problem in found], ["1", "3", "4"])

    @given(st.lists(st.binary(max_size=60), max_size=10))
    def test_garbage(self, lines: list[bytes]) -> None:
        """Any octets are a zone or a ZoneError that names lines."""
        for prefix in (b"", b"regex:", b"glob:", b"serial:", b"$", b":", b"!", b"1.", b"a.com ["):
            source = Source("g", [prefix + line for line in lines])
            try:
                load_at_once(load_zone(APEX, ZoneKind.MIXED, [source], lambda: NOW))
            except ZoneError as error:
                self.assertTrue(str(error))
