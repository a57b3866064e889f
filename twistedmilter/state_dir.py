"""The directory for what outlives the process: where it is, and that only one service has it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from twistedmilter.model.settings import Settings

SYSTEM: Final = Path("/var/lib/twistedmilter")  # what systemd makes of StateDirectory= in our unit


def state_dir_of(settings: Settings, base_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where state is kept: the setting, else $STATE_DIRECTORY, else ~/.local/state/twistedmilter."""
    if settings.server.state_dir:
        return base_dir / settings.server.state_dir
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else Path("~/.local/state/twistedmilter").expanduser()


def service_state_dir(settings: Settings, base_dir: Path, environ: Mapping[str, str], system: Path = SYSTEM) -> Path:
    """Where a command finds the state of the service.

    As the service does; but nobody tells a command the $STATE_DIRECTORY that systemd has told the service.

    @param system: that of our unit; taken if it is there and we may look into it, and nothing else is said.
    """
    is_told = settings.server.state_dir or environ.get("STATE_DIRECTORY")
    if not is_told and os.access(system, os.R_OK | os.X_OK):
        return system
    return state_dir_of(settings, base_dir, environ)


class StateDirectory:
    """The state directory of a service, locked while it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def take(self) -> None:
        """Make it ours alone, and keep a second instance out of it.

        @raise BlockingIOError: another service has it. @raise OSError: it cannot be used.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Let another instance have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def explain(self, error: OSError) -> tuple[str, str]:
        """What was wrong when it could not be taken, and what would be right."""
        if isinstance(error, BlockingIOError):
            return f"another twistedmilter runs with {self.path}", "give each its own state_dir"
        return f"{self.path} cannot be used: {error.strerror}", "a directory that we can write to"
