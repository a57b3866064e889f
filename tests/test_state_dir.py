"""Tests of where state is kept."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.settings import ServerSettings, Settings
from twistedmilter.state_dir import service_state_dir

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
