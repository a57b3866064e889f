"""What each check of a running service said of a scanned message: the service is asked over its control socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twistedmilter import control

COMMAND = "scan-record"


class Evidence:
    """Asks for the record of one scanned message after the other.

    @param path: of the control socket.
    @param tell: takes one line for the user.
    """

    def __init__(self, path: str, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._is_there = True

    def of(self, label: str, test_id: str) -> Mapping[str, Any] | None:
        """The record with the keys of docs/log.md, or None: then the user has been told why.

        A socket that does not answer is told of once, and asked no more.

        @param label: of the message, for the user.
        @param test_id: the name that the scan gave to its connection.
        """
        if not self._is_there:
            return None
        try:
            record: Mapping[str, Any] | None = control.ask(self._path, COMMAND, test_id=test_id)
        except control.CommandError as error:
            self._is_there = False
            self._tell(f"what each check said is not known: {error}")
            return None
        if record is None:
            where = f"the service at {self._path} has no record of it"
            self._tell(f"{label}: {where}: it was refused before MAIL, or another service judged it")
        return record
