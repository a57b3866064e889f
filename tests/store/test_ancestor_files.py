"""Tests of L{twistedmilter.store.ancestor_files}."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import GreylistEntry, SenderEntry
from twistedmilter.model.durations import DAY
from twistedmilter.store.ancestor_files import KINDS, Found, kind_of, read_lines, stamp_of, take_contact

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def read(kind: str, *lines: str, generation: int = 0) -> Found:
    """What is in a file of these lines."""
    found = Found()
    read_lines(found, kind, lines, source="file", generation=generation, now=NOW)
    return found


class NameTests(SynchronousTestCase):
    """What a file is by its name."""

    def test_names(self) -> None:
        """The live file, rotated generations and backups, compressed or not (I12, S04)."""
        for name, kind in (
            ("send_dsn.log", ("send_dsn", 0)),
            ("auto_whitelist.log.old", ("auto_whitelist", 0)),
            ("blacklist.log.3.gz", ("blacklist", 3)),
            ("banned_ips", ("banned_ips", 0)),
            ("banned_ips.7", ("banned_ips", 7)),
            ("banned_domains-20261101", ("banned_domains", 0)),
            ("whitelist_ips", ("whitelist_ips", 0)),
            ("greylist.db", ("greylist", 0)),
            ("greylist_mx1.csv", ("greylist", 0)),
        ):
            self.assertEqual(kind_of(name), kind)

    def test_others(self) -> None:
        """The error names what there is."""
        for name in ("milter.log", "my_blacklist.log", "", "blacklist.log.1.tar"):
            self.assertIn(", ".join(KINDS), str(self.assertRaises(ValueError, kind_of, name)))


class StampTests(SynchronousTestCase):
    """Times as C{YYYYMonDD HH:MM:SS TZ} (I01)."""

    def test_zones(self) -> None:
        """Those that are known, and Greenwich for those that are not."""
        noon = datetime(2005, 3, 28, 12, tzinfo=UTC).timestamp()
        for text in ("07:00:00 EST", "14:00:00 CEST", "12:00:00 UTC", "12:00:00 GMT", "12:00:00 NOWHERE"):
            self.assertEqual(stamp_of(f"2005Mar28 {text}"), noon)

    def test_what_is_none(self) -> None:
        """Words, days and hours that do not exist."""
        for text in ("yesterday", "2005Foo28 12:00:00 UTC", "2005Feb30 12:00:00 UTC", "2005Mar28 25:00:00 UTC", ""):
            self.assertRaises(ValueError, stamp_of, text)


class AddressFileTests(SynchronousTestCase):
    """The caches of addresses."""

    def test_callbacks(self) -> None:
        """Seven days from the time of the line; without a time it is new (I02, I04); older ones are counted only."""
        found = read(
            "send_dsn", "A@b.example 2026Nov20 07:00:00 EST", "c@d.example", "e@f.example 2026Nov01 00:00:00 Z"
        )
        told = [(each.address, each.result, (each.expires - NOW) / DAY) for each in found.answers]
        exists = CallbackResult.VALID
        self.assertEqual(told, [("a@b.example", exists, 3.0), ("c@d.example", exists, 7.0)])
        self.assertEqual((found.expired, found.troubles), (1, []))

    def test_whitelist_and_blacklist(self) -> None:
        """Sixty and thirty days; an entry without a time is permanent (I04, I10); domains are read like addresses."""
        for kind, which, days in (("auto_whitelist", "whitelist", 60), ("blacklist", "blacklist", 30)):
            found = read(kind, "a@b.example 2026Nov23 12:00:00 UTC", "", "# mine", "B.example")
            dated = SenderEntry("a@b.example", "file", NOW - DAY, NOW + (days - 1) * DAY)
            self.assertEqual(found.senders, {which: [dated, SenderEntry("b.example", "file", NOW, None)]})

    def test_lines_that_are_not_understood(self) -> None:
        """They are left out and told with their number, the others are read (I02)."""
        found = read("auto_whitelist", "a@b.example garbage", "c@d.example", "\0@e.example", "x" * 321)
        self.assertEqual([entry.name for entry in found.senders["whitelist"]], ["c@d.example"])
        self.assertEqual([line.partition(" ")[0] for line in found.troubles], ["file:1:", "file:3:", "file:4:"])

    def test_stray_words(self) -> None:
        """What cannot be an address or a domain is told, and not taken for a domain (I01, I09)."""
        words = (
            "word",
            "-----",
            "192.0.2.1",
            "a@b@",
            "@b.example",
            "a@word",
            "b..example",
            ".b.example",
            "*.b.example",
        )
        more = ("b.example,", "b-.example", "<a@b.example>:", "x" * 64 + ".example", "a.example" * 40, "b.example.123")
        for kind in ("send_dsn", "auto_whitelist", "blacklist"):
            found = read(kind, *words, *more)
            self.assertEqual((found.senders, found.answers), ({}, []))
            for number, word in enumerate((*words, *more), 1):
                told = f"file:{number}: {word[:320]!r} is neither an address nor a domain"
                self.assertEqual(found.troubles[number - 1], told)

    def test_odd_names_that_are_sound(self) -> None:
        """Spellings are made one; what mail may have is let in."""
        lines = ("SRS0=x=y=b.example=a@f.example", "a@M\u00fcnchen.example.", "a@[192.0.2.1]", "_x.b-c.example", "x.co")
        names = [entry.name for entry in read("blacklist", *lines).senders["blacklist"]]
        kept = ["srs0=x=y=b.example=a@f.example", "a@xn--mnchen-3ya.example", "a@[192.0.2.1]", "_x.b-c.example", "x.co"]
        self.assertEqual(names, kept)


class BanFileTests(SynchronousTestCase):
    """Addresses and domains that were banned, and those that were not to be."""

    def test_generations(self) -> None:
        """An older file ends sooner; none ends at once (S04)."""
        ends = []
        for generation in (0, 7, 30):
            [entry] = read("banned_ips", "192.0.2.1", generation=generation).senders["bans"]
            assert entry.expires is not None
            ends.append((entry.name, (entry.expires - NOW) / DAY))
        self.assertEqual(ends, [("192.0.2.1", 56.0), ("192.0.2.1", 7.0), ("192.0.2.1", 7.0)])

    def test_spellings(self) -> None:
        """One spelling for each address; words are told."""
        found = read("banned_ips", "2001:DB8::0:1 why", "::ffff:192.0.2.1", "mail.example")
        self.assertEqual([entry.name for entry in found.senders["bans"]], ["2001:db8::1", "192.0.2.1"])
        self.assertEqual(len(found.troubles), 1)

    def test_domains(self) -> None:
        """With their wildcards, into the blacklist (S02, S03)."""
        found = read("banned_domains", "B.example", "*.c.example", "a@d.example", "word", "*.word", "*")
        self.assertEqual([entry.name for entry in found.senders["blacklist"]], ["b.example", "*.c.example"])
        self.assertEqual(len(found.troubles), 4)

    def test_spared(self) -> None:
        """Addresses and networks, for good (S05)."""
        found = read("whitelist_ips", "192.0.2.1", "198.51.100.7/24")
        told = [(entry.name, entry.expires) for entry in found.senders["never_banned"]]
        self.assertEqual(told, [("192.0.2.1", None), ("198.51.100.0/24", None)])


class GreylistTests(SynchronousTestCase):
    """Contacts from CSV and from a database (M05)."""

    def test_csv(self) -> None:
        """Networks in each spelling under one key, domains where they were accepted, a line of names or none."""
        found = read(
            "greylist",
            "ip,sender,recipient,firstseen,lastseen,cnt,umis",
            "192.0.2.9,A@b.example,u@d.example,1000.5,2000,3,",
            "192.0.2,<a@b.example>,u@d.example,1000,2000,0,x",
            '2001:db8::1,"a@b.example",u@d.example,1000,2000,0',
            "B.example,a@b.example,u@d.example,1000,2000,2,",
            "c.example,a@c.example,u@d.example,1000,2000,0,",
        )
        self.assertEqual(
            found.greylist,
            [
                ("192.0.2.0/24 a@b.example u@d.example", GreylistEntry(1000.5, 2000, 4, 3)),
                ("192.0.2.0/24 a@b.example u@d.example", GreylistEntry(1000, 2000, 1, 0)),
                ("2001:db8::/64 a@b.example u@d.example", GreylistEntry(1000, 2000, 1, 0)),
                ("domain b.example", GreylistEntry(1000, 2000, 3, 2)),
            ],
        )
        self.assertEqual(found.troubles, [])

    def test_lines_that_are_not_understood(self) -> None:
        """Too few columns, no numbers, times in no order or out of all bounds, no network; counted with the heading."""
        columns = (
            "word,s,r,1,2,1",
            "a@b.example,s,r,1,2,1",
            "b.c,s,r",
            "b.c,s,r,x,2,0",
            "b.c,s,r,3,2,0",
            "b.c,s,r,1,inf,0",
            "b.c,s,r,1,2,-1",
        )
        told = [line.partition(" ")[0] for line in read("greylist", "ip,sender", *columns).troubles]
        self.assertEqual(told, [f"file:{number}:" for number in range(2, len(columns) + 2)])

    def test_percent_encoding(self) -> None:
        """As the ancestor wrote addresses in its hash file."""
        found = Found()
        take_contact(found, ("192.0.2.1", "a%2Fx@b.example", "%2eu@d.example"), (1.0, 2.0, 1))
        self.assertEqual(found.greylist[0][0], "192.0.2.0/24 a/x@b.example .u@d.example")
