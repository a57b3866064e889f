"""What a filter answers: verdicts, reply codes, modifications (milter-spec 1.4, 3.5, 4 and 8.1 row 63)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

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
    encode,
)
from twistedmilter.wire import letters
from twistedmilter.wire.flags import Action
from twistedmilter.wire.frames import MAX_PAYLOAD, encode_frame

MAX_REPLY_LINES: Final = 32  # as in libmilter's smfi_setmlreply
MAX_REPLY_LINE: Final = 980  # octets on the wire, as in libmilter
DEFAULT_REPLY_LINE: Final = 450  # octets: with codes and CRLF within the 512 of RFC 5321 section 4.5.3.1.5

_INDEX: Final = Struct(">I")
_STATUS: Final = re.compile(r"[45]\.\d{1,3}\.\d{1,3}")
_NOT_PRINTABLE: Final = re.compile(r"[^ -~]")
_LINE_BREAKS: Final = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")


@dataclass(frozen=True)
class Reply:
    """One answer, ready for the wire.

    @ivar frame: the whole frame.
    """

    frame: bytes

    @property
    def letter(self) -> int:
        """The command byte."""
        return self.frame[4]


CONTINUE: Final = Reply(encode_frame(letters.CONTINUE))
ACCEPT: Final = Reply(encode_frame(letters.ACCEPT))
REJECT: Final = Reply(encode_frame(letters.REJECT))
TEMPFAIL: Final = Reply(encode_frame(letters.TEMPFAIL))
DISCARD: Final = Reply(encode_frame(letters.DISCARD))
SKIP: Final = Reply(encode_frame(letters.SKIP))


def visible(text: str) -> str:
    r"""The text in printable US-ASCII: other characters as C{\xNN} of their UTF-8 octets."""
    if text.isascii() and text.isprintable():
        return text
    return _NOT_PRINTABLE.sub(
        lambda match: "".join(f"\\x{octet:02x}" for octet in match[0].encode("utf-8", "surrogateescape")), text
    )


def _wire_line(line: str) -> str:
    """One line of reply text as it goes on the wire.

    @raise ValueError: CR, LF or NUL inside, or longer than L{MAX_REPLY_LINE}.
    """
    line = line.rstrip("\r\n")
    if any(char in line for char in "\r\n\0"):
        raise ValueError(f"reply line {line!r} holds CR, LF or NUL")
    shown = visible(line).replace("%", "%%")  # sendmail drops the whole text at a single one
    if len(shown) > MAX_REPLY_LINE:
        raise ValueError(f"reply line of {len(shown)} octets, allowed {MAX_REPLY_LINE}")
    return shown


@dataclass(frozen=True)
class ReplyCode(Reply):
    r"""A refusal with a text of ours.

    @ivar code: reply code, 400..599.
    @ivar status: enhanced status code of the same class, e.g. C{5.7.1}.
    @ivar lines: 1..32 lines of at most 980 octets; what is not printable US-ASCII is shown as C{\xNN}.
    @raise ValueError: any of these does not hold, or a line holds CR, LF or NUL.
    @see: milter-spec 3.5
    """

    frame: bytes = field(init=False, repr=False)
    code: int
    status: str
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check everything and build the frame."""
        if not 400 <= self.code <= 599:
            raise ValueError(f"reply code {self.code} is not within 400..599")
        if _STATUS.fullmatch(self.status) is None or self.status[0] != str(self.code)[0]:
            raise ValueError(f"enhanced status code {self.status!r} does not fit reply code {self.code}")
        if not 1 <= len(self.lines) <= MAX_REPLY_LINES:
            raise ValueError(f"{len(self.lines)} reply lines, allowed 1..{MAX_REPLY_LINES}")
        shown = [_wire_line(line) for line in self.lines]
        text = "".join(f"{self.code}-{self.status} {line}\r\n" for line in shown[:-1])
        text += f"{self.code} {self.status} {shown[-1]}\0"
        object.__setattr__(self, "frame", encode_frame(letters.REPLY_CODE, text.encode("ascii")))

    def __str__(self) -> str:
        """The reply as an SMTP client sees it (RFC 5321 section 4.2.1), lines joined by LF."""
        *first, last = map(visible, self.lines)
        return "\n".join(
            [*(f"{self.code}-{self.status} {line}" for line in first), f"{self.code} {self.status} {last}"]
        )


def _wrap(line: str, limit: int) -> list[str]:
    """The line in pieces of at most limit octets, C{%} counted twice, cut at blanks where there are some."""
    pieces = []
    while len(line) + line.count("%") > limit:
        end = size = 0
        while size + 1 + (line[end] == "%") <= limit:
            size += 1 + (line[end] == "%")
            end += 1
        blank = line.rfind(" ", 1, end + 1)
        cut = blank if blank > 0 else end
        pieces.append(line[:cut].rstrip())
        line = line[cut:].lstrip()
    return [*pieces, line]


def reply_lines(text: str, limit: int = DEFAULT_REPLY_LINE) -> tuple[str, ...]:
    """Hostile text as legal lines for L{ReplyCode}: wrapped, made visible, at most 32.

    @param limit: longest line on the wire, without the codes, 2..980. [octets]
    """
    limit = min(max(limit, 2), MAX_REPLY_LINE)
    # enough for 32 full lines; the rest need not be looked at
    beginning = text[: MAX_REPLY_LINES * limit]
    lines = [
        piece
        for line in _LINE_BREAKS.split(beginning)
        if line.strip()
        for piece in _wrap(visible(line.strip()), limit)
        if piece
    ]
    return tuple(lines[:MAX_REPLY_LINES]) or ("",)


def _strings(*texts: str) -> bytes:
    return encode("\0".join(texts) + "\0")


def _field(name: str, value: str, leading_space: bool) -> bytes:
    return encode(f"{name}\0 {value}\0" if leading_space else f"{name}\0{value}\0")


def _add_header(change: AddHeader, leading_space: bool) -> list[bytes]:
    return [encode_frame(letters.ADD_HEADER, _field(change.name, change.value, leading_space))]


def _insert_header(change: InsertHeader, leading_space: bool) -> list[bytes]:
    field_octets = _field(change.name, change.value, leading_space)
    return [encode_frame(letters.INSERT_HEADER, _INDEX.pack(change.position) + field_octets)]


def _change_header(change: ChangeHeader, leading_space: bool) -> list[bytes]:
    field_octets = _field(change.name, change.value, leading_space)
    return [encode_frame(letters.CHANGE_HEADER, _INDEX.pack(change.occurrence) + field_octets)]


def _delete_header(change: DeleteHeader, _leading_space: bool) -> list[bytes]:
    return [encode_frame(letters.CHANGE_HEADER, _INDEX.pack(change.occurrence) + _strings(change.name, ""))]


def _replace_body(change: ReplaceBody, _leading_space: bool) -> list[bytes]:
    body = change.body
    return [
        encode_frame(letters.REPLACE_BODY, body[start : start + MAX_PAYLOAD])
        for start in range(0, len(body) or 1, MAX_PAYLOAD)
    ]


def _add_recipient(change: AddRecipient, _leading_space: bool) -> list[bytes]:
    if not change.arguments:
        return [encode_frame(letters.ADD_RECIPIENT, _strings(change.path))]
    payload = _strings(change.path, " ".join(change.arguments))
    return [encode_frame(letters.ADD_RECIPIENT_WITH_ARGUMENTS, payload)]


def _delete_recipient(change: DeleteRecipient, _leading_space: bool) -> list[bytes]:
    return [encode_frame(letters.DELETE_RECIPIENT, _strings(change.path))]


def _change_sender(change: ChangeSender, _leading_space: bool) -> list[bytes]:
    texts = [change.path, " ".join(change.arguments)] if change.arguments else [change.path]
    return [encode_frame(letters.CHANGE_SENDER, _strings(*texts))]


def _quarantine(change: Quarantine, _leading_space: bool) -> list[bytes]:
    return [encode_frame(letters.QUARANTINE, _strings(change.reason))]


_ENCODERS: Final[dict[type[Modification], Callable[[Any, bool], list[bytes]]]] = {
    AddHeader: _add_header,
    InsertHeader: _insert_header,
    ChangeHeader: _change_header,
    DeleteHeader: _delete_header,
    ReplaceBody: _replace_body,
    AddRecipient: _add_recipient,
    DeleteRecipient: _delete_recipient,
    ChangeSender: _change_sender,
    Quarantine: _quarantine,
}

ACTION_NEEDED: Final[dict[type[Modification], Action]] = {
    AddHeader: Action.ADDHDRS,
    InsertHeader: Action.ADDHDRS,
    ChangeHeader: Action.CHGHDRS,
    DeleteHeader: Action.CHGHDRS,
    ReplaceBody: Action.CHGBODY,
    AddRecipient: Action.ADDRCPT,
    DeleteRecipient: Action.DELRCPT,
    ChangeSender: Action.CHGFROM,
    Quarantine: Action.QUARANTINE,
}
"""The action bit of each kind of modification; L{action_needed} knows of arguments too."""


def action_needed(modification: Modification) -> Action:
    """The action bit that must have been granted for this modification."""
    if isinstance(modification, AddRecipient) and modification.arguments:
        return Action.ADDRCPT_PAR
    return ACTION_NEEDED[type(modification)]


def encode_modification(modification: Modification, *, leading_space: bool) -> list[bytes]:
    """The frames of one modification; several only for a body of more than 65,535 octets.

    @param leading_space: HDR_LEADSPC was negotiated: the MTA puts no blank after the colon, so we do.
    """
    return _ENCODERS[type(modification)](modification, leading_space)
