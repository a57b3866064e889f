"""Tests of loading: in slices, whole or not at all, and never the world (reliability D16, D18, D20, cases 46, 47)."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.zones import APEX, NOW, asked, line_of, problems_of, zone_of
from twistedmilter.blocklist import builder, loading
from twistedmilter.blocklist.listing import Values
from twistedmilter.blocklist.live import LiveList
from twistedmilter.blocklist.loading import (
    MAX_LINE,
    SLICE,
    Format,
    Limits,
    Loaded,
    Source,
    lines_of,
    load_at_once,
    load_zone,
)
from twistedmilter.blocklist.problems import ZoneError
from twistedmilter.blocklist.zone import ZoneKind


def load(*sources: Source, limits: Limits | None = None, kind: ZoneKind = ZoneKind.MIXED) -> Loaded:
    """The zone of some files, loaded at once."""
    return load_at_once(load_zone(APEX, kind, sources, lambda: NOW, limits=limits or Limits()))


class SliceTests(SynchronousTestCase):
    """Between two slices somebody else has a turn."""

    def test_slices(self) -> None:
        """There is a pause after every few lines, and after every set of patterns."""
        lines = [b"ded%d.example" % at for at in range(10 * SLICE)]
        self.assertGreaterEqual(sum(1 for _ in load_zone(APEX, ZoneKind.RHSBL, [Source("a", lines)], lambda: NOW)), 10)
        patterns = [b"regex:p%d[a-z]{3}\\.example" % at for at in range(2_000)]
        steps = sum(1 for _ in load_zone(APEX, ZoneKind.RHSBL, [Source("a", patterns)], lambda: NOW))
        self.assertGreater(steps, 2_000 // SLICE + 4)

    def test_lines_are_read_as_they_are_needed(self) -> None:
        """A file is not read before its lines are: nothing is done before the first step."""
        read = []

        def lines() -> object:
            for at in range(3 * SLICE):
                read.append(at)
                yield b"a%d.example" % at

        loading = load_zone(APEX, ZoneKind.RHSBL, [Source("a", lines())], lambda: NOW)  # type: ignore[arg-type]
        self.assertEqual(read, [])
        next(loading)
        self.assertLessEqual(len(read), SLICE + 1)

    def test_long_lines(self) -> None:
        """A line without end is no line, and is not held in memory."""
        stream = io.BytesIO(b"a.example\n" + b"x" * 10 * MAX_LINE + b"\nb.example\n")
        self.assertLessEqual(max(len(line) for line in lines_of(stream)), MAX_LINE + 2)
        stream.seek(0)
        with self.assertRaisesRegex(ZoneError, f"a:2:1: a line has at most {MAX_LINE} octets"):
            load(Source("a", lines_of(stream)))


class FileTests(SynchronousTestCase):
    """A zone of several files."""

    def test_each_has_its_own_defaults(self) -> None:
        """Defaults, variables and TTLs end with their file; listings name theirs."""
        loaded = load(
            Source("x/a", [b":4:from $1", b"$1 one", b"$TTL 60", b"a.example"]),
            Source("b", [b"b.example $1", b"c.example"]),
        )
        first, second = asked(loaded.zone, "a.example"), asked(loaded.zone, "b.example")
        assert first is not None and second is not None
        self.assertEqual((first.text(b""), first.ttl, first.rule.ident), (b"from one", 60, "a:4"))
        self.assertEqual((second.text(b""), second.ttl, second.rule.ident), (b"$1", 300, "b:1"))
        self.assertEqual(loaded.zone.counts, {"x/a": 1, "b": 2})

    def test_formats_mix(self) -> None:
        """Our own files and rbldnsd's make one zone."""
        loaded = load(
            Source("own", [b"glob:cheap-*.biz"]),
            Source("names", [b".spam.example"], Format.DNSET),
            Source("addresses", [b"192.0.2.0/24"], Format.IP4TRIE),
            Source("more", [b"2001:db8::/32"], Format.IP6TRIE),
        )
        for name in ("cheap-1.biz", "a.spam.example", "1.2.0.192", "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2"):
            self.assertIsNotNone(asked(loaded.zone, name), name)

    def test_wrong_kind(self) -> None:
        """Names of rbldnsd are no part of a list of addresses."""
        with self.assertRaisesRegex(ZoneError, "use kind rhsbl or mixed"):
            load(Source("names", [b"a.example"], Format.DNSET), kind=ZoneKind.IPBL)

    def test_head(self) -> None:
        """The first file that says who serves the zone is believed; it ends when the first of its files does."""
        head = load(
            Source("a", [b"a.example", b"$TIMESTAMP 2026-11-24 +7d"]),
            Source("b", [b"$SOA 1h ns.example.net host.example.net 7 1h 10m 1w 5m", b"$NS 1d -x ns.example.net"]),
            Source("c", [b"$SOA 1h other other 8 1h 10m 1w 5m", b"$TIMESTAMP 2026-11-24 2026-11-26:12"]),
        ).zone.head
        assert head.soa is not None
        self.assertEqual((head.soa.primary, head.soa.serial, head.soa.minimum), ((b"ns", b"example", b"net"), 7, 300))
        self.assertEqual((head.nameservers, head.nameserver_ttl), (((b"ns", b"example", b"net"),), 86_400))
        self.assertEqual((head.made, head.expires), (1_795_478_400.0, 1_795_694_400.0))

    def test_too_many_files(self) -> None:
        """As many files as can be told apart."""
        with self.assertRaisesRegex(ZoneError, "f256: a zone has at most 256 files"):
            load(*(Source(f"f{at}", [b"a%d.example" % at]) for at in range(257)))

    def test_the_same_file_twice(self) -> None:
        """Its rules are counted once more and change nothing."""
        zone = load(Source("z", [b"a.example"]), Source("z", [b"a.example"])).zone
        self.assertEqual(zone.counts, {"z": 2})

    def test_too_many_problems(self) -> None:
        """A file of nothing but errors is not read to its end; of warnings a hundred are kept."""
        read = []

        def lines() -> object:
            for at in range(1_000):
                read.append(at)
                yield b"("

        with self.assertRaises(ZoneError):
            load(Source("z", lines()))  # type: ignore[arg-type]
        self.assertLess(len(read), 200)
        found = problems_of("(\n" * 500 + "a.example", ZoneKind.RHSBL, Format.DNSET)
        self.assertEqual(len(found), 100)

    def test_too_many_lines(self) -> None:
        """A file has an end."""
        self.patch(loading, "MAX_LINES", 10)
        with self.assertRaisesRegex(ZoneError, "z:11:1: a file has at most 10 lines"):
            load(Source("z", [b"a.example"] * 20))

    def test_too_many_patterns(self) -> None:
        """Patterns have an end as well."""
        self.patch(builder, "MAX_PATTERNS", 3)
        with self.assertRaisesRegex(ZoneError, "z:4:1: a zone has at most 3 patterns"):
            load(Source("z", [b"glob:a?%d.example" % at for at in range(4)]))

    def test_many_different_answers(self) -> None:
        """What stands behind entries is not remembered without end, and is right all the same."""
        for written in (Format.NATIVE, Format.DNSET):
            lines = [b"a%d.example :2:reason %d" % (at, at) for at in range(10_100)]
            zone = load(Source("z", lines, written)).zone
            for at in (0, 9_999, 10_050):
                listing = asked(zone, f"a{at}.example")
                assert listing is not None
                self.assertEqual(listing.text(b""), b"reason %d" % at)

    def test_made_in_the_future(self) -> None:
        """A file that was made in the future is not loaded."""
        [problem] = problems_of("a.example\n$TIMESTAMP 2099-01-01")
        self.assertIn("future", problem)


class RefusalTests(SynchronousTestCase):
    """What would list too much is refused with its line and the reason, unless forced."""

    def assertRefused(self, text: str, line: int, reason: str, limits: Limits | None = None) -> None:
        """The line is refused with this reason, and taken if it or the whole zone is forced."""
        lines = text.encode().splitlines()
        with self.assertRaises(ZoneError) as caught:
            load(Source("z", lines), limits=limits)
        [problem] = [each for each in caught.exception.problems if each.is_fatal]
        self.assertEqual(problem.line, line)
        self.assertIn(reason, problem.wrong)
        load(Source("z", lines), limits=Limits(forced=True))
        lines[line - 1] = lines[line - 1] + b" [forced]"
        load(Source("z", lines), limits=limits)

    def test_whole_domains(self) -> None:
        """A rule for everything below a top-level domain, in each way to write one (case 46)."""
        for rule in ("*.com", ".com", "glob:*.biz", "regex:[a-z]{1,30}\\.(net|org)", "regex:[^.]+\\.de"):
            self.assertRefused(f"a.example\n{rule}", 2, "" if "regex" in rule else "whole top-level domain")
        self.assertRefused("a.example\n*.co.uk", 2, "lists the whole top-level domain co.uk")

    def test_providers(self) -> None:
        """A rule that lists a well-known provider, itself or by a pattern."""
        self.assertRefused("gmail.com", 1, "it lists gmail.com")
        self.assertRefused("a.example\n.web.de", 2, "it lists web.de")
        self.assertRefused("glob:hot*l.com", 1, "it lists hotmail.com")
        self.assertEqual(line_of(zone_of("glob:hot*l.com\n!hotmail.com"), "hotnail.com"), 1)

    def test_good_domains(self) -> None:
        """A rule that lists more than its share of domains that send good mail."""
        good = tuple(b"shop%d.example" % at for at in range(1_000))
        limits = Limits(good_domains=good)
        self.assertRefused("a.example\nglob:shop?.example", 2, "it lists 10 of 1000 domains", limits)
        load(Source("z", [b"shop7.example"]), limits=limits)
        load(Source("z", [b"glob:shop?.example"]), limits=Limits(good_domains=good, share=0.01))

    def test_addresses(self) -> None:
        """127.0.0.1 and more than a /8 are no part of any list (D16)."""
        self.assertRefused("127.0.0.0/24", 1, "127.0.0.1")
        self.assertRefused("192.0.2.1\n128.0.0.0/2", 2, "64 different octets")
        load(Source("z", [b"10.0.0.0/8"]))

    def test_empty(self) -> None:
        """Case 47: an empty load would take every listing away."""
        for lines in ([], [b"# nothing", b"", b":2:x"]):
            with self.assertRaisesRegex(ZoneError, "z: the zone would be empty"):
                load(Source("z", lines))
            self.assertEqual(len(load(Source("z", lines), limits=Limits(forced=True)).zone), 0)

    def test_shrunken(self) -> None:
        """A file with less than half of its rules is not believed."""
        before = load(Source("z", [b"a%d.example" % at for at in range(10)])).zone.counts
        limits = Limits(counts_before=before)
        load(Source("z", [b"a%d.example" % at for at in range(5)]), limits=limits)
        four = [b"a%d.example" % at for at in range(4)]
        with self.assertRaisesRegex(ZoneError, "z: it has shrunk from 10 rules to 4"):
            load(Source("z", four), Source("new", [b"b.example"]), limits=limits)
        load(Source("z", four), limits=Limits(forced=True, counts_before=before))


class LiveTests(SynchronousTestCase):
    """Entries that come and go while a zone is served (S02, S03, S05)."""

    def setUp(self) -> None:
        """A zone beside which there are live entries."""
        self.now = NOW
        self.live = LiveList(lambda: self.now)
        source = Source("z", [b"a.example :3", b"!good.example"])
        loading = load_zone(APEX, ZoneKind.MIXED, [source], lambda: self.now, live=self.live)
        self.zone = load_at_once(loading).zone

    def found(self, name: str) -> str:
        """Who lists a name."""
        listing = asked(self.zone, name)
        return "" if listing is None else listing.rule.source

    def test_domains(self) -> None:
        """A ban of a domain is that name; *.name is any depth below it."""
        self.live.put("bad.example", Values(), "bans")
        self.live.put("*.worse.example", Values(), "bans")
        names = ("bad.example", "x.bad.example", "worse.example", "x.worse.example", "y.x.worse.example", "a.example")
        self.assertEqual([self.found(name) for name in names], ["bans", "", "", "bans", "bans", "z"])
        self.assertTrue(self.zone.exists_below((b"worse", b"example")))
        self.assertTrue(self.live.remove("bad.example"))
        self.assertFalse(self.live.remove("bad.example"))
        self.assertEqual(self.found("bad.example"), "")

    def test_addresses(self) -> None:
        """A ban of a client is its address; networks stand for all in them."""
        for subject in ("192.0.2.7", "198.51.100.0/24", "203.0.113.128/30", "2001:db8::/33"):
            self.live.put(subject, Values(template=b"\0"), "bans")
        names = ["7.2.0.192", "8.2.0.192", "9.100.51.198", "131.113.0.203", "132.113.0.203"]
        self.assertEqual([self.found(name) for name in names], ["bans", "", "bans", "bans", ""])
        self.assertEqual(self.found("1" + ".0" * 23 + ".8.b.d.0.1.0.0.2"), "bans")
        self.assertTrue(self.zone.exists_below((b"2", b"0", b"192")))
        listing = asked(self.zone, "7.2.0.192")
        assert listing is not None
        self.assertEqual(listing.text(b"7.2.0.192"), b"192.0.2.7")

    def test_bans_are_no_fault_of_the_files(self) -> None:
        """A ban of a provider, or of all addresses, keeps no file from being read; it lists all the same."""
        for subject in ("gmail.com", "*.com", "0.0.0.0/1", "128.0.0.0/1"):
            self.live.put(subject, Values(), "bans")
        source = Source("z", [b"a.example :3"])
        self.zone = load_at_once(load_zone(APEX, ZoneKind.MIXED, [source], lambda: self.now, live=self.live)).zone
        self.assertEqual([self.found(name) for name in ("gmail.com", "b.com", "1.0.0.127")], ["bans"] * 3)

    def test_entering_twice_changes(self) -> None:
        """The second entry replaces the first, and one removal takes it out."""
        for code in (b"\x7f\0\0\3", b"\x7f\0\0\4"):
            self.live.put("x.bad.test1", Values((code,)), "bans")
        listing = asked(self.zone, "x.bad.test1")
        assert listing is not None
        self.assertEqual(listing.codes, (b"\x7f\0\0\4",))
        self.live.remove("x.bad.test1")
        self.assertFalse(self.zone.exists_below((b"bad", b"test1")))

    def test_they_end(self) -> None:
        """An entry that has ended lists nothing, and is forgotten when that is asked for."""
        self.live.put("bad.example", Values(expires=NOW + 60, ttl=300), "bans")
        listing = asked(self.zone, "bad.example")
        assert listing is not None
        self.assertEqual(listing.ttl, 60)
        self.now += 60
        self.assertEqual(self.found("bad.example"), "")
        self.live.forget_ended()
        self.assertEqual(len(self.live), 0)

    def test_exclusions_win(self) -> None:
        """What the files exclude is not listed by a ban either."""
        self.live.put("good.example", Values(), "bans")
        self.assertEqual(self.found("good.example"), "")

    def test_parents_go_with_the_last_entry(self) -> None:
        """What is above an entry exists as long as it does."""
        for subject in ("x.deep.test1", "y.deep.test1"):
            self.live.put(subject, Values(), "bans")
        self.live.remove("x.deep.test1")
        self.assertTrue(self.zone.exists_below((b"deep", b"test1")))
        self.live.remove("y.deep.test1")
        self.assertFalse(self.zone.exists_below((b"deep", b"test1")))

    def test_what_is_nothing(self) -> None:
        """Subjects that are neither domain nor address."""
        for subject in ("", "*.", "a..b", "192.0.2.256", "192.0.2.1/24", "::g"):
            with self.assertRaises(ValueError):
                self.live.put(subject, Values(), "bans")
