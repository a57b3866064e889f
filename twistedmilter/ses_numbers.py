"""The numbers of SES signatures: each once in its quarter day, also after a restart (gossip-srs-dns-spec 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from twistedmilter.signing.ses import UNIT

BLOCK: Final = 256  # numbers that one write of the file is good for; so many are skipped by a restart


class SESNumbers:
    """Hands out numbers and keeps in a file which it may have handed out.

    @ivar path: of the file, in the state directory; it is made when the first number is asked for.
    """

    def __init__(self, path: Path, tell: Callable[[str], None], *, servers: int = 1, server: int = 0) -> None:
        """Ask nothing of the disk yet.

        @param tell: is given one sentence when the file cannot be written, once.
        @param servers: hosts that sign with the same secret. @param server: which of them we are, from 0.
        """
        self.path = path
        self._tell: Callable[[str], None] | None = tell
        self._servers = servers
        self._server = server
        self._quarter = -1
        self._last = 0
        self._reserved = 0

    def __call__(self, now: float) -> int:
        """An unused number for a signature that is made now.

        Without a disk numbers are given all the same: one that is given twice, after a restart, is on signatures of
        different senders or on one of the same sender that is counted twice; mail that waits would be worse.

        @param now: wall clock. [seconds] If it was set back, the numbers go on from where they were.
        """
        if self._quarter < 0:
            self._quarter, self._reserved = self._kept()
            self._last = self._reserved
        quarter = int(now // UNIT)
        is_new = quarter > self._quarter
        last = 1 if is_new else self._last + 1
        if is_new or last > self._reserved:
            self._keep(max(quarter, self._quarter), last + BLOCK - 1)
        self._last = last
        return last * self._servers + self._server

    def _kept(self) -> tuple[int, int]:
        """The quarter day and the highest number in the file; an unreadable one is as none."""
        try:
            quarter, reserved = self.path.read_text("ascii").split()
            return int(quarter), int(reserved)
        except (OSError, ValueError):
            return 0, 0

    def _keep(self, quarter: int, reserved: int) -> None:
        self._quarter, self._reserved = quarter, reserved
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            draft.write_text(f"{quarter} {reserved}\n", "ascii")
            draft.replace(self.path)
        except OSError as error:
            if self._tell is not None:
                self._tell(f"{self.path} cannot be written, so numbers of SES may come twice: {error.strerror}")
                self._tell = None
