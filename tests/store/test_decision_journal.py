"""Tests of L{twistedmilter.store.decision_journal}."""

from __future__ import annotations

from os import write
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import TemporaryFailure
from twistedmilter.store import decision_journal
from twistedmilter.store.decision_journal import DecisionJournal, Row


def row(number: int) -> Row:
    """A decision."""
    return (str(number), "4XyZ", '{"text": "line\\nbreak"}', 1.5)


class DecisionJournalTests(SynchronousTestCase):
    """Two files that take turns."""

    def setUp(self) -> None:
        """An empty directory and the journal of a database in it."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.journal, rows = self.open()
        self.assertEqual(rows, [])
        for turn in (0, 1):
            self.journal.done(turn)

    def open(self) -> tuple[DecisionJournal, list[Row]]:
        """A journal, as after a start, and what was left."""
        journal = DecisionJournal(self.directory / "state.db")
        rows = journal.open()
        self.addCleanup(journal.close)
        return journal, rows

    def sizes(self) -> list[int]:
        """How long the two files are."""
        return [(self.directory / f"state.db.decisions-{number}").stat().st_size for number in (0, 1)]

    def test_what_was_left_is_read_again(self) -> None:
        """In its order, each time until it is in the database; only we may read it."""
        for number in range(3):
            self.journal.write(row(number))
        for _ in range(2):
            self.assertEqual(self.open()[1], [row(number) for number in range(3)])
        modes = {path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_a_torn_line_is_left_out(self) -> None:
        """What was written before it, and after it, is read."""
        self.journal.write(row(1))
        path = self.directory / "state.db.decisions-0"
        path.write_bytes(path.read_bytes() + b'["2", "4X\xff\n' + path.read_bytes() + b'["3')
        self.assertEqual(self.open()[1], [row(1), row(1)])

    def test_a_line_that_a_full_disk_tore(self) -> None:
        """It takes the next one not with it."""
        with mock.patch("os.write", lambda descriptor, octets: write(descriptor, octets[:9])):
            self.journal.write(row(1))
        self.journal.write(row(2))
        self.journal.write(row(3))
        self.assertEqual(self.open()[1], [row(2), row(3)])

    def test_nothing_is_left_when_all_is_done(self) -> None:
        """A service that stops leaves empty files."""
        self.journal.done(self.journal.write(row(1)))
        self.journal.close()
        self.journal.close()
        self.assertEqual(self.sizes(), [0, 0])

    def test_what_is_awaited_stays(self) -> None:
        """A service that stops while the database fails leaves it for the next one."""
        self.journal.write(row(1))
        self.journal.close()
        self.assertEqual(self.open()[1], [row(1)])

    def test_files_take_turns(self) -> None:
        """A full one is left alone until its rows are in the database, and then emptied (B8)."""
        self.patch(decision_journal, "FULL", 80)
        turns = [self.journal.write(row(number)) for number in range(6)]
        self.assertEqual(turns, [0, 0, 1, 1, 1, 1])
        for turn in turns[:2]:
            self.journal.done(turn)
        before = self.sizes()
        self.assertEqual(self.journal.write(row(6)), 0)
        self.assertLess(self.sizes()[0], before[0])
        self.assertEqual(self.sizes()[1], before[1])

    def test_a_full_disk(self) -> None:
        """A line that cannot be written is not told: the database is what counts (B6)."""
        for number in (0, 1):
            (self.directory / f"full.decisions-{number}").symlink_to("/dev/full")
        self.patch(Path, "read_bytes", lambda _: b"")
        full = DecisionJournal(self.directory / "full")
        full.open()
        self.assertEqual(full.write(row(1)), 0)
        full.close()

    def test_no_directory(self) -> None:
        """It cannot be begun, and the error names the file."""
        nowhere = DecisionJournal(self.directory / "nowhere" / "state.db")
        self.assertIn("state.db.decisions-0", str(self.assertRaises(TemporaryFailure, nowhere.open)))
