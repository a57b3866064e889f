"""Tests of L{twistedmilter.cli.lists_import}."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.cli.test_lists import ListsTestCase
from twistedmilter.cli.lists_import import BERKELEY_DB, GREYLIST


class ImportTests(ListsTestCase):
    """Files of the ancestor, into the file of a service that does not run."""

    def file(self, name: str, content: bytes) -> str:
        """A file of that name."""
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def shown(self, which: str) -> list[str]:
        """The names in a list."""
        return [entry["name"] for entry in json.loads(self.run_list("show", which, "--json").output)]

    def test_every_kind(self) -> None:
        """Each goes where it belongs; a second time changes nothing."""
        stamp = time.strftime("%Y%b%d %H:%M:%S UTC", time.gmtime())
        grey = f"192.0.2.1,a@b.example,u@c.example,{time.time() - 60},{time.time()},1,\n"
        files = [
            self.file("send_dsn.log", f"a@b.example {stamp}\n".encode()),
            self.file("auto_whitelist.log", b"".join(b"u%d@b.example\n" % number for number in range(45))),
            self.file("blacklist.log.1.gz", gzip.compress(b"Spam.example\n")),
            self.file("banned_ips.2", b"192.0.2.1\n"),
            self.file("banned_domains", b"*.bad.example\n"),
            self.file("whitelist_ips", b"192.0.2.2\n"),
            self.file("greylist.csv", grey.encode()),
        ]
        told = "1 callback answers, 45 whitelist, 2 blacklist, 1 bans, 1 never_banned, 1 greylist"
        told += "; 0 expired, 0 not understood\n"
        dry = self.run_list("import", "--dry-run", *files)
        self.assertEqual((dry.exit_code, dry.output), (0, told))
        self.assertEqual(self.shown("whitelist"), [])
        for _ in range(2):
            result = self.run_list("import", *files)
            self.assertEqual((result.exit_code, result.output), (0, told))
            self.assertEqual(len(self.shown("whitelist")), 45)
            self.assertEqual(self.shown("blacklist"), ["*.bad.example", "spam.example"])
            self.assertEqual((self.shown("bans"), self.shown("never_banned")), (["192.0.2.1"], ["192.0.2.2"]))
        with closing(sqlite3.connect(self.directory / "state.db")) as connection:
            [(address, key)] = connection.execute("SELECT address, key FROM callback, greylist").fetchall()
        self.assertEqual((address, key), ("a@b.example", "192.0.2.0/24 a@b.example u@c.example"))

    def test_a_greylist_database(self) -> None:
        """The ancestor's table in SQLite is read, and not changed (M05)."""
        path = self.directory / "greylist.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE greylist ({GREYLIST[7:].partition(' FROM')[0]}, umis)")
            now = time.time()
            row = ("b.example", "a@b.example", "u@c.example", now - 60, now)
            for cnt in (2, None, "x"):
                connection.execute("INSERT INTO greylist VALUES (?, ?, ?, ?, ?, ?, NULL)", (*row, cnt))
        before = path.read_bytes()
        result = self.run_list("import", str(path))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("1 greylist; 0 expired, 1 not understood", result.output)
        self.assertEqual(path.read_bytes(), before)

    def test_what_is_not_understood(self) -> None:
        """The line is told, the others are put in, and the exit code says so."""
        result = self.run_list("import", self.file("blacklist.log", b"a@b.example when?\n\xff@c.example\nd.example\n"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("blacklist.log:1: 'when?' is not a time", result.output)
        self.assertIn("d.example", self.shown("blacklist"))

    def test_troubles(self) -> None:
        """Names that say nothing, hash files, other databases, files that are not there."""
        unnamed = self.file("mine.txt", b"a@b.example\n")
        self.assertIn("say which with --kind", self.trouble("import", unnamed))
        self.assertEqual(self.run_list("import", "--kind", "blacklist", unnamed).exit_code, 0)
        pickles = self.file("greylist.dat", b"\0" * 12 + BERKELEY_DB[1] + b"\0" * 100)
        self.assertIn("export it as CSV", self.trouble("import", "--kind", "greylist", pickles))
        other = self.directory / "greylist.db"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE t (x)")
        self.assertIn("not a greylist", self.trouble("import", str(other)))
        self.assertIn("No such file", self.trouble("import", str(Path(self.directory, "blacklist.log.9"))))
