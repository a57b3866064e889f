"""Sessions written as strings of command letters, for tests of their order."""

from __future__ import annotations

from struct import pack
from typing import Final

from tests.wire.vectors import VECTORS
from twistedmilter.wire.commands import Event
from twistedmilter.wire.flags import Action
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.negotiation import Wants
from twistedmilter.wire.replies import CONTINUE, Reply
from twistedmilter.wire.session import MilterSession

FRAMES: Final = {
    "O": VECTORS["V01"],
    "C": VECTORS["V09"],
    "H": VECTORS["V15"],
    "M": VECTORS["V16"],
    "R": VECTORS["V20"],
    "T": VECTORS["V22"],
    "L": VECTORS["V23"],
    "N": VECTORS["V28"],
    "B": VECTORS["V29"],
    "E": VECTORS["V32"],
    "A": VECTORS["V34"],
    "Q": VECTORS["V35"],
    "K": VECTORS["V36"],
    "U": VECTORS["V37"],
}
"""One legal frame of each command."""

ALL_ACTIONS_WANTED: Final = Wants(actions=Action(0xFF))


def offer(version: int = 6, actions: int = 0x1FF, protocol: int = 0x1FFFFF) -> bytes:
    """An OPTNEG frame of the MTA."""
    return encode_frame(ord("O"), pack(">III", version, actions, protocol))


def macros(letter: str, *strings: bytes) -> bytes:
    """A MACRO frame for a command: names and values in turn."""
    return encode_frame(ord("D"), letter.encode() + b"".join(string + b"\0" for string in strings))


def take_all(session: MilterSession, reply: Reply = CONTINUE) -> list[Event]:
    """All events that are there, each answered the same way where it owes an answer."""
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
        if session.owes:
            session.answer(reply)
    return events


def opened(codes: str = "O", wants: Wants = ALL_ACTIONS_WANTED, *, first: bytes = FRAMES["O"]) -> MilterSession:
    """A session after some commands, all answered by continue, nothing left to send.

    @param first: the frame for C{O}.
    """
    session = MilterSession(wants)
    for code in codes:
        session.receive_data(first if code == "O" else FRAMES[code])
        take_all(session)
    session.data_to_send()
    return session


def walk(codes: str, wants: Wants = ALL_ACTIONS_WANTED, *, first: bytes = FRAMES["O"]) -> str:
    """The letters of the events that a string of commands gives, answered by continue.

    @raise ProtocolViolation: where the order is not legal.
    """
    session = MilterSession(wants)
    session.receive_data(b"".join(first if code == "O" else FRAMES[code] for code in codes))
    return "".join(chr(event.letter) for event in take_all(session))


def letters_of(octets: bytes) -> str:
    """The command bytes of a run of frames."""
    found = ""
    while octets:
        length = int.from_bytes(octets[:4], "big")
        found += chr(octets[4])
        octets = octets[4 + length :]
    return found
