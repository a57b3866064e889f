"""The legal order of commands, as one table (milter-spec 3.1, 3.2 and 8.1).

The table is wider than libmilter's where real MTAs need it.  What it does not allow is a violation: to ignore
a command without an answer, as libmilter does, would let the MTA hang until its timeout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twistedmilter.wire import letters

# states, named after the last command
START: Final = 0  # nothing negotiated
NEGOTIATED: Final = 1  # no client yet
READY: Final = 2  # a client, no transaction
MAIL: Final = 3
RCPT: Final = 4
DATA: Final = 5
HEADER: Final = 6
END_OF_HEADERS: Final = 7
BODY: Final = 8
END_OF_MESSAGE: Final = 9
FINISHED: Final = 10  # the whole session was accepted or refused
CLOSED: Final = 11  # after QUIT

STATE_NAMES: Final = (
    "start",
    "negotiation",
    "a finished step",
    "MAIL",
    "RCPT",
    "DATA",
    "HEADER",
    "END-OF-HEADERS",
    "BODY",
    "END-OF-MESSAGE",
    "the final answer",
    "QUIT",
)

IN_TRANSACTION: Final = frozenset({MAIL, RCPT, DATA, HEADER, END_OF_HEADERS, BODY, END_OF_MESSAGE})

_AFTER: Final = {
    letters.CONNECT: READY,
    letters.HELO: READY,
    letters.MAIL: MAIL,
    letters.RCPT: RCPT,
    letters.DATA: DATA,
    letters.HEADER: HEADER,
    letters.END_OF_HEADERS: END_OF_HEADERS,
    letters.BODY: BODY,
    letters.END_OF_MESSAGE: END_OF_MESSAGE,
}
"""The state after a step that was answered by continue."""

_STEPS: Final[dict[int, bytes]] = {
    NEGOTIATED: b"C",
    READY: b"HM",
    MAIL: b"R",
    RCPT: b"RTLNBE",
    DATA: b"LN",
    HEADER: b"LN",
    END_OF_HEADERS: b"BE",
    BODY: b"BE",
}
"""The steps that are legal in each state, as letters, when every step is sent."""

_GOES_ON: Final[dict[int, int]] = {}
_MESSAGE_ENDS: Final = dict.fromkeys(b"artdy", READY)

AFTER_ANSWER: Final[dict[int, dict[int, int]]] = {
    letters.CONNECT: dict.fromkeys(b"arty", FINISHED),
    letters.HELO: {letters.ACCEPT: FINISHED},  # after a refusal the client may try another name
    letters.UNKNOWN: _GOES_ON,
    letters.MAIL: _MESSAGE_ENDS,
    letters.RCPT: dict.fromkeys(b"ad", READY),  # a refusal is for that recipient only
    letters.DATA: _MESSAGE_ENDS,
    letters.HEADER: _MESSAGE_ENDS,
    letters.END_OF_HEADERS: _MESSAGE_ENDS,
    letters.BODY: _MESSAGE_ENDS,
    letters.END_OF_MESSAGE: dict.fromkeys(b"cartdy", READY),
}
"""Where the MTA goes after an answer: by command letter, then reply letter; else it goes on (milter-spec 3.4)."""

NOT_POSSIBLE: Final = {letters.CONNECT: b"d", letters.HELO: b"d", letters.UNKNOWN: b"ad"}
"""Reply letters that do harm at a command (milter-spec 3.4)."""

_UNKNOWN_ALLOWED: Final = frozenset({NEGOTIATED, READY, MAIL, RCPT, FINISHED})


def _with_missing_steps(state: int, missing: frozenset[int]) -> dict[int, int]:
    """The steps legal in a state when some are never sent: what follows a missing step may come in its place."""
    legal: dict[int, int] = {}
    todo = list(_STEPS.get(state, b""))
    while todo:
        letter = todo.pop()
        if letter in legal:
            continue
        legal[letter] = _AFTER[letter]
        if letter in missing:
            todo += _STEPS.get(_AFTER[letter], b"")
    return legal


def legal_steps(missing: frozenset[int]) -> tuple[Mapping[int, int], ...]:
    """For each state the legal command letters, and the state that each leads to.

    @param missing: letters of the commands that the MTA was asked not to send.
    """
    table: list[dict[int, int]] = [{} for _ in STATE_NAMES]
    table[START][letters.OPTNEG] = NEGOTIATED
    for state in range(NEGOTIATED, CLOSED):
        legal = table[state]
        legal.update(_with_missing_steps(state, missing))
        if state in IN_TRANSACTION:
            # both begin something new; the session puts an ABORT before them
            legal.setdefault(letters.MAIL, MAIL)
            legal.setdefault(letters.HELO, READY)
        if state in _UNKNOWN_ALLOWED:
            legal[letters.UNKNOWN] = state
        legal[letters.ABORT] = READY if state in IN_TRANSACTION else state
        legal[letters.QUIT] = CLOSED
        legal[letters.QUIT_NEW_CONNECTION] = NEGOTIATED
    table[START][letters.QUIT] = CLOSED
    return tuple(table)
