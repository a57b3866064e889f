"""What a filter says, as values: the MTA's reading of it (milter-spec 1.4, 3.5 and 8.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NoReturn

from twistedmilter.errors import ProtocolViolation
from twistedmilter.model.modification import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Modification,
    Quarantine,
    ReplaceBody,
)
from twistedmilter.wire import letters
from twistedmilter.wire.flags import MacroStage
from twistedmilter.wire.negotiation import MAX_MACROS

VERDICTS: Final = frozenset(b"cartdsy")
MODIFICATIONS: Final = frozenset(b"himb+2-eq")

_WORDS: Final = Struct(">III")
_WORD: Final = Struct(">I")
_REPLY_LINE: Final = re.compile(rb"([45]\d\d)([ -])(?:([45]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)", re.DOTALL)
_LONE_PERCENT: Final = re.compile(rb"(?<!%)(?:%%)*%(?!%)")
_SEPARATORS: Final = re.compile(rb"[ ,\t\r\n]+")


@dataclass(frozen=True)
class ParsedReply:
    """One frame of the filter.

    @ivar letter: its command byte. @ivar answers: letter of the command that it belongs to.
    @ivar index: position or occurrence of a header change; 0 elsewhere.
    @ivar strings: the strings of a modification, as they came.
    @ivar code: reply code of a REPLY-CODE; 0 elsewhere. @ivar status: its enhanced status code or empty.
    @ivar lines: its text, without codes.
    @ivar modification: the change as a value; None for what is none, and for one we would never make.
    """

    letter: int
    answers: int = 0
    payload: bytes = b""
    index: int = 0
    strings: tuple[bytes, ...] = ()
    code: int = 0
    status: str = ""
    lines: tuple[str, ...] = ()
    modification: Modification | None = None

    @property
    def is_verdict(self) -> bool:
        """Whether this is the one answer that a command owes."""
        return self.letter in VERDICTS

    @property
    def name(self) -> str:
        """The name of the frame."""
        return letters.reply_name(self.letter)


@dataclass(frozen=True)
class Agreement:
    """The filter's answer to the offer.

    @ivar macros: the lists it wants, as names without braces, by stage.
    @ivar oddities: what one or the other MTA would refuse.
    """

    version: int
    actions: int
    protocol: int
    macros: dict[MacroStage, tuple[str, ...]] = field(default_factory=dict)
    oddities: tuple[str, ...] = ()


def _refuse(letter: int, wrong: str, payload: bytes) -> NoReturn:
    raise ProtocolViolation(f"{letters.reply_name(letter)} {wrong}", payload)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _split_strings(letter: int, octets: bytes, fewest: int, most: int) -> tuple[bytes, ...]:
    """NUL-terminated strings.

    @raise ProtocolViolation: no final NUL, or not so many strings.
    """
    *strings, rest = octets.split(b"\0", most + 1)
    if rest or not fewest <= len(strings) <= most:
        _refuse(letter, f"is not {most} NUL-terminated string{'s' if most > 1 else ''}", octets)
    return tuple(strings)


# letter: octets of index, fewest and most strings
_SHAPES: Final = {
    letters.ADD_HEADER: (0, 2, 2),
    letters.INSERT_HEADER: (4, 2, 2),
    letters.CHANGE_HEADER: (4, 2, 2),
    letters.ADD_RECIPIENT: (0, 1, 1),
    letters.ADD_RECIPIENT_WITH_ARGUMENTS: (0, 2, 2),
    letters.DELETE_RECIPIENT: (0, 1, 1),
    letters.CHANGE_SENDER: (0, 1, 2),
    letters.QUARANTINE: (0, 1, 1),
}


def _change(index: int, name: str, value: str) -> Modification:
    occurrence = index or 1  # both MTAs read 0 as 1
    return ChangeHeader(name, occurrence, value) if value else DeleteHeader(name, occurrence)


_BUILDERS: Final[dict[int, Callable[[int, list[str]], Modification]]] = {
    letters.ADD_HEADER: lambda _index, texts: AddHeader(texts[0], texts[1]),
    letters.INSERT_HEADER: lambda index, texts: InsertHeader(index, texts[0], texts[1]),
    letters.CHANGE_HEADER: lambda index, texts: _change(index, texts[0], texts[1]),
    letters.ADD_RECIPIENT: lambda _index, texts: AddRecipient(texts[0]),
    letters.ADD_RECIPIENT_WITH_ARGUMENTS: lambda _index, texts: AddRecipient(texts[0], tuple(texts[1].split())),
    letters.DELETE_RECIPIENT: lambda _index, texts: DeleteRecipient(texts[0]),
    letters.CHANGE_SENDER: lambda _index, texts: ChangeSender(texts[0], tuple(" ".join(texts[1:]).split())),
    letters.QUARANTINE: lambda _index, texts: Quarantine(texts[0]),
}
_HEADER_CHANGES: Final = frozenset({letters.ADD_HEADER, letters.INSERT_HEADER, letters.CHANGE_HEADER})


def parse_modification(letter: int, payload: bytes, *, leading_space: bool = False) -> ParsedReply:
    """One modification frame; a body chunk becomes a L{ReplaceBody} of that chunk.

    @param leading_space: HDR_LEADSPC was negotiated: one blank in front of a header value is not part of it.
    @raise ProtocolViolation: a missing NUL, index octets or string.
    """
    if letter == letters.REPLACE_BODY:
        return ParsedReply(letter, letters.END_OF_MESSAGE, payload, modification=ReplaceBody(payload))
    index_size, fewest, most = _SHAPES[letter]
    if len(payload) < index_size:
        _refuse(letter, f"with {len(payload)} of {index_size} index octets", payload)
    index = int.from_bytes(payload[:index_size], "big")
    strings = _split_strings(letter, payload[index_size:], fewest, most)
    texts = [_text(string) for string in strings]
    if leading_space and letter in _HEADER_CHANGES:
        texts[1] = texts[1].removeprefix(" ")
    try:
        modification = _BUILDERS[letter](index, texts)
    except ValueError:  # the MTAs take it, we would never send it
        modification = None
    return ParsedReply(letter, letters.END_OF_MESSAGE, payload, index, strings, modification=modification)


def parse_reply_code(payload: bytes) -> ParsedReply:
    """A refusal with a text; C{%%} becomes C{%}.

    @raise ProtocolViolation: no NUL, or a text that Postfix would call malformed.
    """
    letter = letters.REPLY_CODE
    (text,) = _split_strings(letter, payload, 1, 1)
    matches = [_REPLY_LINE.fullmatch(line) for line in text.split(b"\r\n")]
    found = [match for match in matches if match is not None]
    if len(found) < len(matches):
        _refuse(letter, "is malformed", payload)
    code, status = found[0][1], found[0][3] or b""
    codes_fit = all(match[1] == code and (match[3] or b"") == status for match in found)
    if not codes_fit or (status and status[:1] != code[:1]):
        _refuse(letter, "with codes that do not fit", payload)
    if [match[2] for match in found] != [b"-"] * (len(found) - 1) + [b" "]:
        _refuse(letter, "whose lines are not joined as one reply", payload)
    lines = tuple(_text(match[4].replace(b"%%", b"%")) for match in found)
    return ParsedReply(letter, 0, payload, 0, (text,), int(code), status.decode("ascii"), lines)


def has_lone_percent(reply: ParsedReply) -> bool:
    """Whether a reply text holds a single C{%}, for which sendmail drops the whole text."""
    return any(_LONE_PERCENT.search(string) for string in reply.strings)


def _parse_lists(octets: bytes) -> tuple[dict[MacroStage, tuple[str, ...]], tuple[str, ...]]:
    """Macro lists, and what is odd about them."""
    macros: dict[MacroStage, tuple[str, ...]] = {}
    oddities = []
    while octets:
        names, nul, rest = octets[_WORD.size :].partition(b"\0")
        if not nul:
            oddities.append("a macro list is cut short")
            break
        (stage,) = _WORD.unpack_from(octets)
        octets = rest
        if stage > max(MacroStage):
            oddities.append(f"a macro list is for stage {stage}")
            continue
        wanted = tuple(_text(name).strip("{}") for name in _SEPARATORS.split(names) if name)
        if len(wanted) > MAX_MACROS:
            oddities.append(f"a macro list has {len(wanted)} names, sendmail takes {MAX_MACROS}")
        macros[MacroStage(stage)] = wanted
    return macros, tuple(oddities)


def parse_agreement(payload: bytes) -> Agreement:
    """The payload of the filter's OPTNEG.

    @raise ProtocolViolation: fewer than 12 octets.
    """
    if len(payload) < _WORDS.size:
        _refuse(letters.OPTNEG, f"of {len(payload)} octets, at least {_WORDS.size} are needed", payload)
    macros, oddities = _parse_lists(payload[_WORDS.size :])
    version, actions, protocol = _WORDS.unpack_from(payload)
    return Agreement(version, actions, protocol, macros, oddities)
