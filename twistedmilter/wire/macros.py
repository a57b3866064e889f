"""The MTA's macros and how long each holds (milter-spec 3.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire import letters

_SESSION: Final = frozenset({letters.CONNECT, letters.HELO})
_MESSAGE: Final = letters.ANSWERABLE - _SESSION
_NEWEST_FIRST: Final = b"EBNLTURM"


@lru_cache(maxsize=256)  # few names are asked for, again and again
def _spellings(name: str) -> tuple[bytes, bytes]:
    """The octets of a macro name, with braces and without."""
    bare = name.removeprefix("{").removesuffix("}").encode("utf-8", "surrogateescape")
    return b"{%b}" % bare, bare


class MacroSlots:
    """One slot for each command letter; a new list replaces its slot.

    Lists are kept as they came and taken apart when somebody asks: most never are.  Memory is bounded by
    ten frames.

    """

    __slots__ = ("_message", "_next_mail", "_session", "_warnings")

    def __init__(self, warnings: dict[str, bool]) -> None:
        """Start without any.

        @param warnings: gets a text for each kind of list that was ignored, with False: not told yet.
        """
        self._warnings = warnings
        self._session: dict[int, bytes | dict[bytes, bytes]] = {}
        self._message: dict[int, bytes | dict[bytes, bytes]] = {}
        self._next_mail: bytes | None = None

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
        elif letter in _SESSION:
            self._session[letter] = payload
        elif letter == letters.MAIL and in_transaction:
            self._next_mail = payload
        else:
            self._message[letter] = payload

    def end_transaction(self) -> None:
        """Forget what belongs to the message that is over."""
        self._message.clear()
        if self._next_mail is not None:
            self._message[letters.MAIL] = self._next_mail
            self._next_mail = None

    def end_connection(self) -> None:
        """Forget everything."""
        self._session.clear()
        self._message.clear()
        self._next_mail = None

    def get(self, name: str) -> str | None:
        """The value of a macro, from the newest slot that has it; None if there is none.

        @param name: with or without braces.
        @return: octets that are not UTF-8 as surrogate escapes.
        """
        braced, bare = _spellings(name)
        for slots, newest_first in ((self._message, _NEWEST_FIRST), (self._session, b"HC")):
            for letter in newest_first if slots else b"":
                held = slots.get(letter)
                if held is None:
                    continue
                if isinstance(held, bytes):
                    held = slots[letter] = self._take_apart(held)
                value = held.get(braced)
                if value is None:
                    value = held.get(bare)
                if value is not None:
                    return value.decode("utf-8", "surrogateescape")
        return None

    def _take_apart(self, payload: bytes) -> dict[bytes, bytes]:
        """The names, as they came, and values of one list; the last of equal names wins."""
        strings = payload[1:].split(b"\0")  # the last one is what follows the final NUL: nothing, with no partner
        parsed = dict(zip(strings[::2], strings[1::2], strict=False))
        if b"" in parsed or b"{}" in parsed:
            self._warnings.setdefault("MACRO list with an empty name was ignored", False)
            return {}
        return parsed
