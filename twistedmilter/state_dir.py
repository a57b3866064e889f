"""The directory for what outlives the process: where it is, and that only one service has it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from twistedmilter.model.settings import Settings

SYSTEM: Final = Path("/var/lib/twistedmilter")  # what systemd makes of StateDirectory= in our unit
_OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


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
        self._lock: int | None = None

    def take(self) -> str:
        """Make it ours alone, and keep a second instance out of it.

        A lock that is a symbolic link is refused: what it leads to is not ours to write.

        @return: why nothing can be written there now; empty when all is well.
        @raise BlockingIOError: another service has it. @raise OSError: it cannot be used.
        """
        problem = ""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(self.path / "lock", flags, 0o600)
        except OSError as error:
            if not self._will_pass(error):
                raise
            problem = self._told(error)
            self._lock = self._any_lock()
        if self._lock is None:
            return problem
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return problem or self._sign(self._lock)
        except OSError:
            self.give_back()
            raise

    def _sign(self, lock: int) -> str:
        """Write who has the lock, now that it is ours.

        @return: why that cannot be written now: a full disk takes a file, but nothing in it.
        @raise OSError: nor will it ever.
        """
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            if not self._will_pass(error):
                raise
            return self._told(error)
        return ""

    def _told(self, error: OSError) -> str:
        return f"{self.path} cannot be written: {error.strerror}"

    def _will_pass(self, error: OSError) -> bool:
        """Whether it is the disk, or the rights of a directory that is there."""
        return error.errno in _OF_THE_DISK or (error.errno in {errno.EACCES, errno.EPERM} and self.path.is_dir())

    def _any_lock(self) -> int | None:
        """What can be locked without writing: the file of an earlier service, else the directory."""
        for path in (self.path / "lock", self.path):
            with suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return None

    def give_back(self) -> None:
        """Let another instance have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def explain(self, error: OSError) -> tuple[str, str]:
        """What was wrong when it could not be taken, and what would be right."""
        if isinstance(error, BlockingIOError):
            return f"another twistedmilter runs with {self.path}", "give each its own state_dir"
        return f"{self.path} cannot be used: {error.strerror}", "a directory that we can write to"
