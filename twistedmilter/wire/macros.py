"""The MTA's macros and how long each holds (milter-spec 3.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire import letters

_SESSION: Final = frozenset({letters.CONNECT, letters.HELO})
_MESSAGE: Final = letters.ANSWERABLE - _SESSION
_OLDEST_FIRST: Final = b"MRUTLNBE"


@lru_cache(maxsize=256)  # few names are asked for, again and again
def _spellings(name: str) -> tuple[bytes, bytes, bytes]:
    """A macro name by itself, and between NULs with braces and without."""
    bare = name.removeprefix("{").removesuffix("}").encode("utf-8", "surrogateescape")
    return bare, b"\0{%b}\0" % bare, b"\0%b\0" % bare


class MacroSlots:
    """One slot for each command letter; a new list replaces its slot.

    Lists are kept as they came, since most macros are never asked for.  Whoever asks is answered by a search through
    all lists that hold, one behind the other.  Memory is bounded by twice ten frames.
    """

    __slots__ = ("_holding", "_message", "_next_mail", "_session", "_warnings")

    def __init__(self, warnings: dict[str, bool]) -> None:
        """Start without any.

        @param warnings: gets a text for each kind of list that was ignored, with False: not told yet.
        """
        self._warnings = warnings
        self._session: dict[int, bytes] = {}
        self._message: dict[int, bytes] = {}
        self._next_mail: bytes | None = None
        self._holding = b""  # all that holds now, from the oldest to the newest; empty until somebody asks

    def keep(self, payload: bytes, in_transaction: bool) -> None:
        """Take the payload of a MACRO command: a command letter, then names and values.

        A list for MAIL inside a transaction belongs to the next one and waits for it.

        @raise ProtocolViolation: no command letter.
        """
        if not payload:
            raise ProtocolViolation("MACRO without command letter")
        letter = payload[0]
        if letter not in letters.ANSWERABLE:
            return
        if len(payload) > 1 and (payload[-1] or payload.count(0) & 1):
            self._warnings.setdefault("MACRO list with a name without value or no final NUL was ignored", False)
        elif (b"\0\0" in payload or b"{}" in payload or payload[1:2] == b"\0") and _has_empty_name(payload):
            self._warnings.setdefault("MACRO list with an empty name was ignored", False)
        elif letter == letters.MAIL and in_transaction:
            self._next_mail = payload[1:]
        else:
            slots = self._session if letter in _SESSION else self._message
            slots[letter] = payload[1:]
            self._holding = b""

    def end_transaction(self) -> None:
        """Forget what belongs to the message that is over."""
        self._message.clear()
        self._holding = b""
        if self._next_mail is not None:
            self._message[letters.MAIL] = self._next_mail
            self._next_mail = None

    def end_connection(self) -> None:
        """Forget everything."""
        self._session.clear()
        self._message.clear()
        self._next_mail = None
        self._holding = b""

    def get(self, name: str) -> str | None:
        """The value of a macro, from the newest slot that has it; None if there is none.

        @param name: with or without braces.
        @return: octets that are not UTF-8 as surrogate escapes.
        """
        holding = self._holding or self._join()
        text, braced, bare = _spellings(name)
        if text not in holding:  # as most are not
            return None
        first, second = _last_name(holding, braced), _last_name(holding, bare)
        if first == second:  # neither is there
            return None
        start = first + len(braced) if first > second else second + len(bare)
        return holding[start : holding.index(0, start)].decode("utf-8", "surrogateescape")

    def _join(self) -> bytes:
        session = [self._session[letter] for letter in b"CH" if letter in self._session]
        message = [self._message[letter] for letter in _OLDEST_FIRST if letter in self._message]
        self._holding = holding = b"\0" + b"".join(session + message)
        return holding


def _last_name(lists: bytes, wanted: bytes) -> int:
    """The index of the last name that is wanted, -1 if there is none; a value may look like it."""
    index = lists.rfind(wanted)
    while index >= 0 and lists.count(0, 0, index) & 1:  # names stand behind an even number of NULs, and one more
        index = lists.rfind(wanted, 0, index + len(wanted) - 1)
    return index


def _has_empty_name(payload: bytes) -> bool:
    names = payload[1:].split(b"\0")[:-1:2]
    return b"" in names or b"{}" in names
