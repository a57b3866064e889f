"""Tests of where state is kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter import state_dir
from twistedmilter.model.settings import ServerSettings, Settings
from twistedmilter.state_dir import StateDirectory, service_state_dir

BASE = Path("/etc/twistedmilter")


class ServiceStateDirTests(SynchronousTestCase):
    """Where a command looks for what the service keeps."""

    def setUp(self) -> None:
        """A directory as systemd makes it."""
        self.system = Path(self.mktemp())
        self.system.mkdir()

    def test_what_systemd_made(self) -> None:
        """It is taken where nothing is said, since a command has no STATE_DIRECTORY."""
        self.assertEqual(service_state_dir(Settings(), BASE, {}, self.system), self.system)

    def test_what_is_said(self) -> None:
        """The configuration and the environment come first."""
        told = Settings(server=ServerSettings(state_dir="state"))
        self.assertEqual(service_state_dir(told, BASE, {}, self.system), BASE / "state")
        environ = {"STATE_DIRECTORY": "/srv/state"}
        self.assertEqual(service_state_dir(Settings(), BASE, environ, self.system), Path("/srv/state"))

    def test_no_system(self) -> None:
        """Without it the state is where a service that was started by hand keeps it."""
        found = service_state_dir(Settings(), BASE, {}, self.system / "missing")
        self.assertEqual(found, Path("~/.local/state/twistedmilter").expanduser())


class StateDirectoryTests(SynchronousTestCase):
    """The lock of a service."""

    def setUp(self) -> None:
        """A directory of a service that was there before."""
        self.path = Path(self.mktemp())
        self.path.mkdir()

    def take(self) -> str:
        """What is told when it is taken; given back in the end."""
        directory = StateDirectory(self.path)
        self.addCleanup(directory.give_back)
        return directory.take()

    def fail_with(self, number: int) -> None:
        """Nothing can be written from now on."""
        real = os.open

        def fail(path: Any, flags: int, mode: int = 0o777) -> int:
            if flags & (os.O_RDWR | os.O_WRONLY):
                raise OSError(number, os.strerror(number))
            return real(path, flags, mode)

        self.patch(state_dir.os, "open", fail)  # type: ignore[attr-defined]

    def test_only_one(self) -> None:
        """The second is told that somebody has it."""
        self.assertEqual(self.take(), "")
        self.assertEqual((self.path / "lock").read_text(), f"{os.getpid()}\n")
        self.assertRaises(BlockingIOError, self.take)

    def test_who_has_it(self) -> None:
        """The lock names its holder, not an earlier one, nor one that was turned away."""
        lock = self.path / "lock"
        lock.write_text("12345678901\n")
        self.assertEqual(self.take(), "")
        self.assertEqual(lock.read_text(), f"{os.getpid()}\n")
        self.patch(state_dir.os, "getpid", lambda: 1)  # type: ignore[attr-defined]
        self.assertRaises(BlockingIOError, self.take)
        self.assertNotEqual(lock.read_text(), "1\n")

    def test_a_lock_that_leads_elsewhere(self) -> None:
        """What a symbolic link leads to is left as it is."""
        other = self.path / "other"
        other.write_text("not ours")
        (self.path / "lock").symlink_to("other")
        self.assertRaises(OSError, self.take)
        self.assertEqual(other.read_text(), "not ours")

    def test_a_directory_that_cannot_be_written(self) -> None:
        """Full, read-only, broken, not ours: that is told, the service goes on, and a second one is still kept out."""
        for number in (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES):
            self.fail_with(number)
            directory = StateDirectory(self.path)
            self.assertIn(os.strerror(number), directory.take())
            self.assertRaises(BlockingIOError, StateDirectory(self.path).take)
            directory.give_back()

    def test_the_lock_of_an_earlier_service(self) -> None:
        """It serves though it cannot be written."""
        (self.path / "lock").touch()
        self.fail_with(errno.EROFS)
        self.assertIn("Read-only", self.take())
        self.assertRaises(BlockingIOError, StateDirectory(self.path).take)

    def test_a_full_disk(self) -> None:
        """It takes the lock, but nothing in it."""

        def full(*_arguments: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(state_dir.os, "pwrite", full)  # type: ignore[attr-defined]
        self.assertIn("No space left", self.take())
        self.assertRaises(BlockingIOError, StateDirectory(self.path).take)

    def test_a_wrong_directory(self) -> None:
        """That is for a person to mend."""
        (self.path / "file").touch()
        self.assertRaises(NotADirectoryError, StateDirectory(self.path / "file" / "below").take)
