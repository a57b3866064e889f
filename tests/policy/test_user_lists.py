"""Tests of the lists of users (L02, L03)."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.threads import ThreadlessReactor
from twistedmilter.model.address import parse_path
from twistedmilter.policy.user_lists import LOOK_AGAIN, UserLists, parse_server, parse_user_lists, read_users


class ListTestCase(SynchronousTestCase):
    """Has a directory, a clock and ears."""

    def setUp(self) -> None:
        """Nothing was told yet."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.written = 0
        self.reactor = ThreadlessReactor()
        self.told: list[str] = []

    def write(self, text: str, name: str = "users") -> Path:
        """A file of users, which looks new."""
        path = self.directory / name
        path.write_text(text)
        self.written += 1
        os.utime(path, ns=(0, self.written))
        return path

    def lists(self, table: dict[str, list[str]], delimiter: str = "+") -> UserLists:
        """The lists of a table."""
        return parse_user_lists(table, delimiter, self.directory, self.told.append)

    def follow(self, table: dict[str, list[str]]) -> UserLists:
        """The same, whose files are followed."""
        lists = self.lists(table)
        for file in lists.files:
            file.start(self.reactor)
            self.addCleanup(file.stop)
        return lists


class UserListsTests(ListTestCase):
    """Who is unknown."""

    def test_a_domain_with_a_list(self) -> None:
        """L02: domain present and local part absent; L03: case does not matter."""
        lists = self.lists({"Example.com": ["anna", "Bob", "team-*"]})
        for path in ("<anna@example.com>", "<ANNA@EXAMPLE.com>", "<bob@example.com>", "<team-x@example.com>"):
            self.assertFalse(lists.is_unknown(parse_path(path)), path)
        self.assertTrue(lists.is_unknown(parse_path("<eve@example.com>")))

    def test_a_domain_without_a_list(self) -> None:
        """It is nobody's business here, nor is what lies below a domain."""
        lists = self.lists({"example.com": ["anna"]})
        self.assertFalse(lists.is_unknown(parse_path("<eve@example.org>")))
        self.assertFalse(lists.is_unknown(parse_path("<eve@sub.example.com>")))

    def test_postmaster_is_always_there(self) -> None:
        """RFC 5321 section 4.5.1: in any case."""
        self.assertFalse(self.lists({"example.com": ["anna"]}).is_unknown(parse_path("<PostMaster@example.com>")))

    def test_details(self) -> None:
        """user+detail is user; without a delimiter it is not, and an empty user is nobody."""
        table = {"example.com": ["anna"]}
        self.assertFalse(self.lists(table).is_unknown(parse_path("<anna+lists@example.com>")))
        self.assertTrue(self.lists(table).is_unknown(parse_path("<eve+lists@example.com>")))
        self.assertTrue(self.lists(table).is_unknown(parse_path("<+lists@example.com>")))
        self.assertTrue(self.lists(table, "").is_unknown(parse_path("<anna+lists@example.com>")))
        self.assertFalse(self.lists(table, "-").is_unknown(parse_path("<anna-lists@example.com>")))

    def test_wrong_tables(self) -> None:
        """Each is named: a wrong list would refuse everybody."""
        self.write("# nobody\n", "empty")
        for table, wrong in (
            ({"example.com": []}, "has no users"),
            ({"*.example.com": ["anna"]}, "is not a domain"),
            ({"": ["anna"]}, "''"),
            ({"example.com": ["anna@example.com"]}, "is not a local part"),
            ({"example.com": ["anna"], "EXAMPLE.com": ["bob"]}, "twice"),
            ({"example.com": ["file:missing"]}, "cannot be read"),
            ({"example.com": ["file:empty"]}, "names no user"),
        ):
            error = self.assertRaises(ValueError, self.lists, table)
            self.assertIn(wrong, str(error))


class UserFileTests(ListTestCase):
    """Users in a file."""

    def test_its_lines(self) -> None:
        """Local parts, the text form of a map, comments; other domains are left out."""
        text = "# users\n\nAnna\nbob@example.com  OK\neve@example.org OK\ncarl\tx # away\n"
        self.assertEqual(read_users(text.splitlines(), "example.com"), {"anna", "bob", "carl"})

    def test_it_is_read_again_when_it_changes(self) -> None:
        """After a while, and not before; in a thread, since 100,000 lines take a tenth of a second."""
        self.write("anna\n")
        lists = self.follow({"example.com": ["file:users"]})
        self.write("anna\nbob\n")
        self.reactor.advance(LOOK_AGAIN - 1)
        self.assertTrue(lists.is_unknown(parse_path("<bob@example.com>")))
        self.reactor.advance(1)
        self.assertFalse(lists.is_unknown(parse_path("<bob@example.com>")))
        self.assertEqual(self.reactor.in_threads, 1)

    def test_a_bad_change_changes_nothing(self) -> None:
        """An empty or a missing file refuses nobody; it is told once, and a good one is used again."""
        path = self.write("anna\n")
        lists = self.follow({"example.com": ["file:users"]})
        for spoil in (lambda: self.write(""), path.unlink):
            spoil()
            for _ in range(3):
                self.reactor.advance(LOOK_AGAIN)
                self.assertFalse(lists.is_unknown(parse_path("<anna@example.com>")))
        self.assertEqual(len(self.told), 2)
        self.assertIn("names no user of example.com; its users stay as they were", self.told[0])
        self.write("bob\n")
        self.reactor.advance(LOOK_AGAIN)
        self.assertTrue(lists.is_unknown(parse_path("<anna@example.com>")))


class ServerTests(SynchronousTestCase):
    """How the inner server is written."""

    def test_servers(self) -> None:
        """The port is 25 unless given."""
        for text, expected in (
            ("192.0.2.5", ("192.0.2.5", 25)),
            ("192.0.2.5:2525", ("192.0.2.5", 2525)),
            ("2001:db8::5", ("2001:db8::5", 25)),
            ("[2001:db8::5]:2525", ("2001:db8::5", 2525)),
        ):
            ip, port = parse_server(text)
            self.assertEqual((str(ip), port), expected)
        for text in ("", "mail.example.com", "192.0.2.5:0", "192.0.2.5:70000", "192.0.2.5:x", "192.0.2.300"):
            self.assertRaises(ValueError, parse_server, text)
