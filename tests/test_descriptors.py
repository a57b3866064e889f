"""Tests of L{twistedmilter.descriptors}."""

from __future__ import annotations

from resource import RLIM_INFINITY, RLIMIT_NOFILE

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.descriptors import make_room, needed
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.settings import Settings

NEED = needed(Settings())


class Limits:
    """The limits of a process.

    @ivar error: what setting them raises.
    """

    def __init__(self, soft: int, hard: int, error: Exception | None = None) -> None:
        self.now = (soft, hard)
        self.error = error

    def get(self, which: int) -> tuple[int, int]:
        """As C{getrlimit}."""
        assert which == RLIMIT_NOFILE
        return self.now

    def set(self, which: int, limits: tuple[int, int]) -> None:
        """As C{setrlimit}."""
        assert which == RLIMIT_NOFILE
        if self.error is not None:
            raise self.error
        self.now = limits


class MakeRoomTests(SynchronousTestCase):
    """max_connections is a promise only if there are descriptors for them."""

    def room(self, limits: Limits) -> str:
        """The warning for the default settings."""
        return make_room(Settings(), limits.get, limits.set)

    def test_callbacks(self) -> None:
        """Where exchangers are called, each connection to one counts."""
        for switched_on in (
            Settings(callback=CallbackSettings(mode="observe", connections=500)),
            Settings(dsn=DsnSettings(mode="enforce"), callback=CallbackSettings(connections=500)),
        ):
            self.assertEqual(needed(switched_on), NEED + 500)
        self.assertEqual(needed(Settings(callback=CallbackSettings(connections=500))), NEED)

    def test_enough(self) -> None:
        """A limit that suffices is left alone, so is none at all."""
        for soft in (NEED, RLIM_INFINITY):
            limits = Limits(soft, RLIM_INFINITY, OSError("not to be set"))
            self.assertEqual((self.room(limits), limits.now), ("", (soft, RLIM_INFINITY)))

    def test_raised(self) -> None:
        """The soft limit is raised to the need and no further."""
        for hard in (NEED, 65_536, RLIM_INFINITY):
            limits = Limits(1024, hard)
            self.assertEqual((self.room(limits), limits.now), ("", (NEED, hard)))

    def test_too_low(self) -> None:
        """As far as the hard limit goes; the warning names the key and the numbers."""
        limits = Limits(1024, 2000)
        warning = self.room(limits)
        self.assertEqual(limits.now, (2000, 2000))
        for word in ("milter.max_connections = 2000", f"needs {NEED} open files", "the limit is 2000"):
            self.assertIn(word, warning)

    def test_not_allowed(self) -> None:
        """A container that forbids it is a warning, not an end."""
        self.assertIn("the limit is 1024", self.room(Limits(1024, NEED, PermissionError("no"))))
