"""Values that follow their files."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.threads import ThreadlessReactor
from twistedmilter.policy.followed_files import INTERVAL, FollowedFiles


class FollowedFilesTests(SynchronousTestCase):
    """L{FollowedFiles} of two files."""

    def setUp(self) -> None:
        """Both are there and followed."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.paths = [directory / name for name in "ab"]
        for path in self.paths:
            path.write_text("1")
        self.reactor = ThreadlessReactor()
        self.told: list[int | str] = []
        self.files = FollowedFiles(self.paths, self.read, changed=self.told.append, failed=self.told.append)
        self.files.start(self.reactor)
        self.addCleanup(self.files.stop)

    def read(self) -> int:
        """The sum of both."""
        try:
            return sum(int(path.read_text()) for path in self.paths)
        except OSError as error:
            raise ValueError(error.strerror) from error

    def test_a_change_of_either(self) -> None:
        """It is read in a thread, and once."""
        self.paths[1].write_text("20")
        self.assertEqual(self.files.current, 2)
        for _ in range(3):
            self.reactor.advance(INTERVAL)
        self.assertEqual((self.files.current, self.told, self.reactor.in_threads), (21, [21], 1))

    def test_trouble_is_told_once(self) -> None:
        """And again when it comes again, also if nothing was read in between; the value stays."""
        gone = self.paths[0].with_name("gone")
        for _ in range(2):
            self.paths[0].rename(gone)
            self.reactor.advance(INTERVAL)
            self.reactor.advance(INTERVAL)
            self.assertEqual((self.files.current, self.files.trouble), (2, "No such file or directory"))
            gone.rename(self.paths[0])
            self.reactor.advance(INTERVAL)
            self.assertEqual(self.files.trouble, "")
        self.assertEqual(self.told, ["No such file or directory"] * 2)

    def test_a_bug_is_logged(self) -> None:
        """It does not end the following."""
        self.paths[0].write_text("two")
        self.files._unreadable = OSError
        with capturedLogs() as told:
            self.reactor.advance(INTERVAL)
        self.flushLoggedErrors(ValueError)
        self.assertIn("could not be read", str(told))
        self.paths[0].write_text("7")
        self.reactor.advance(INTERVAL)
        self.assertEqual(self.files.current, 8)

    def test_nothing_to_follow(self) -> None:
        """No files, no timer."""
        reactor = ThreadlessReactor()
        files = FollowedFiles([], lambda: 1)
        files.start(reactor)
        self.assertEqual((files.current, reactor.getDelayedCalls()), (1, []))
        files.stop()
