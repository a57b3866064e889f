"""What a session does with each command in each state, worked out once for each offer that MTAs make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from twistedmilter.wire import letters, order
from twistedmilter.wire.commands import PARSERS, Event, Negotiated, parse_offer
from twistedmilter.wire.flags import NOT_ANSWERED, NOT_SENT, ProtocolFlag
from twistedmilter.wire.negotiation import Granted, Wants, negotiate

OFFER: Final = 12  # octets of OPTNEG that count

# kinds of step; all but the first take a slower path
DIRECT: Final = 0  # an event, which may owe an answer
AUTOMATIC: Final = 1  # an event that the filter does not answer although the MTA waits: we say continue
UNWANTED: Final = 2  # no event, and we say continue where the MTA waits
IGNORED: Final = 3  # nothing at all
NEGOTIATE: Final = 4
BODY: Final = 5
END: Final = 6
ABORT: Final = 7
ABORT_FIRST: Final = 8  # a command that ends a transaction by beginning something else
LEAVE: Final = 9
REFUSE: Final = 10  # not legal in this state
COLLECT: Final = 11  # one event for all of this kind that have come, since none of them is answered

Step = tuple[Callable[[bytes], Event], int, int, int]
"""Parser of the payload, next state, letter of the command that owes an answer or 0, kind."""

Table = tuple[Mapping[int, Step], ...]
"""By state, then by command letter; what is not there is not legal."""

ILLEGAL: Final[Step] = (parse_offer, 0, 0, REFUSE)

_ENDERS: Final = frozenset({letters.MAIL, letters.HELO, letters.QUIT, letters.QUIT_NEW_CONNECTION})
_KINDS: Final = {
    letters.OPTNEG: NEGOTIATE,
    letters.BODY: BODY,
    letters.END_OF_MESSAGE: END,
    letters.QUIT: LEAVE,
    letters.QUIT_NEW_CONNECTION: LEAVE,
}


@dataclass(frozen=True)
class Plan:
    """What was negotiated and what follows from it; shared by the sessions with the same offer.

    @ivar frame: the answer to the offer. @ivar event: what is told of it.
    """

    granted: Granted
    frame: bytes
    event: Negotiated
    table: Table


def _kind(wants: Wants, state: int, letter: int, owed: int) -> int:
    """How to treat a legal command; owed is 0 where the MTA reads no answer."""
    in_transaction = state in order.IN_TRANSACTION
    if letter == letters.ABORT:
        return ABORT if in_transaction else IGNORED
    if in_transaction and letter in _ENDERS:
        return ABORT_FIRST
    if letter in letters.ANSWERABLE and letter not in wants.needed:
        return UNWANTED
    if letter in _KINDS:
        return _KINDS[letter]
    if letter == letters.HEADER and not owed:
        return COLLECT
    return AUTOMATIC if owed and letter not in wants.answered else DIRECT


def _steps(wants: Wants, state: int, legal: Mapping[int, int], protocol: ProtocolFlag) -> dict[int, Step]:
    steps: dict[int, Step] = {}
    for letter, after in legal.items():
        waits = letter in letters.ANSWERABLE and not protocol & NOT_ANSWERED.get(letter, ProtocolFlag(0))
        owed = letter if waits else 0
        steps[letter] = (PARSERS[letter], after, owed, _kind(wants, state, letter, owed))
    return steps


def _table(wants: Wants, protocol: ProtocolFlag) -> Table:
    missing = frozenset(letter for letter, flag in NOT_SENT.items() if protocol & flag)
    return tuple(_steps(wants, state, legal, protocol) for state, legal in enumerate(order.legal_steps(missing)))


@lru_cache(maxsize=8)
def opening(wants: Wants) -> Table:
    """The table that holds until negotiation is over."""
    return _table(wants, ProtocolFlag(0))


@lru_cache(maxsize=64)
def plan(wants: Wants, offer: bytes) -> Plan:
    """The plan for one offer.

    @param offer: the first L{OFFER} octets of the payload of OPTNEG.
    @raise ProtocolViolation: fewer octets, or as L{negotiate}.
    """
    granted = negotiate(wants, *parse_offer(offer))
    event = Negotiated(granted.version, granted.actions, granted.protocol)
    return Plan(granted, granted.frame, event, _table(wants, granted.protocol))
