"""Proposed changes to a message; they are sent at end of message or not at all.

Every value is checked when it is made (milter-spec 4.2, 4.5 and row 63 of section 8), so that nothing
a check proposes can inject a header, a recipient or a second reply.  Text is C{str}; octets that are not
UTF-8 travel as surrogate escapes and reach the wire unchanged.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import force_setattr

_FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 section 3.6.8 ftext
_LINE_BREAKS = re.compile(r"\r\n|\r|\n")
_DOUBTFUL_FOLD = re.compile(r"\n(?![ \t]\S)")
MAX_HEADER_FIELD = 65_535 - 7  # octets of name and value: a frame also holds an index, two NULs, a negotiated blank
MAX_POSITION = 0x7FFFFFFF  # sendmail reads larger ones as negative
_SENDER_ARGUMENTS = frozenset({"RET", "ENVID", "BODY", "SMTPUTF8", "SIZE", "AUTH"})
_RECIPIENT_ARGUMENTS = frozenset({"NOTIFY", "ORCPT"})


def encode(text: str) -> bytes:
    """The octets of a text that came from the wire or from us."""
    return text.encode("utf-8", "surrogateescape")


def clean_field_name(name: str) -> str:
    """The name itself.

    @raise ValueError: not a field name of RFC 5322 (printable US-ASCII without colon).
    """
    if _FIELD_NAME.fullmatch(name) is None:
        message = f"{name!r} is not a header field name"
        raise ValueError(message)
    return name


def clean_field_value(name: str, value: str) -> str:
    """The value with LF folds, each continuation led by white space.

    @raise ValueError: a NUL, or more than L{MAX_HEADER_FIELD} octets with the name.
    """
    if len(name) + len(value) < MAX_HEADER_FIELD // 4 and _is_clean(value):
        return value
    if "\0" in value:
        message = f"the value of {name} holds a NUL"
        raise ValueError(message)
    if "\n" in value or "\r" in value:
        lines = [line for line in _LINE_BREAKS.split(value) if line.strip()] or [""]
        value = "\n".join([lines[0], *(line if line[0] in " \t" else "\t" + line for line in lines[1:])])
    if len(encode(name)) + len(encode(value)) > MAX_HEADER_FIELD:
        message = f"header field {name} is longer than {MAX_HEADER_FIELD} octets"
        raise ValueError(message)
    return value


def _is_clean(value: str) -> bool:
    """Whether a value needs no second look; most are ours and do not."""
    return "\0" not in value and "\r" not in value and not value[:1].isspace() and _DOUBTFUL_FOLD.search(value) is None


def _clean_path(path: str) -> str:
    inner = path.removeprefix("<").removesuffix(">")
    if any(ord(char) < 0x20 or char in "<>\x7f" for char in inner):
        message = f"{path!r} is not a path that can be sent"
        raise ValueError(message)
    return f"<{inner}>"


def _clean_arguments(arguments: tuple[str, ...], allowed: frozenset[str]) -> None:
    for argument in arguments:
        keyword = argument.partition("=")[0].upper()
        if keyword not in allowed or not argument.isprintable() or " " in argument:
            message = f"ESMTP argument {argument!r} is not one of {', '.join(sorted(allowed))}"
            raise ValueError(message)


class Modification(Struct, frozen=True):
    """The root of all proposed changes."""


class AddHeader(Modification, frozen=True):
    """Append a header field; sendmail puts it before an existing one of that name (milter-spec 4.3).

    @raise ValueError: see L{clean_field_name} and L{clean_field_value}; so for all header changes.
    """

    name: str
    value: str

    def __post_init__(self) -> None:
        """Check the name and fold the value."""
        clean_field_name(self.name)
        force_setattr(self, "value", clean_field_value(self.name, self.value))


class InsertHeader(Modification, frozen=True):
    """Insert a header field at a position.

    @ivar position: 0 is above everything the MTA added, 1 just below the MTA's own Received;
        larger ones differ between MTAs (milter-spec 4.3).
    """

    position: int
    name: str
    value: str

    def __post_init__(self) -> None:
        """Check the position and the name, fold the value."""
        if not 0 <= self.position <= MAX_POSITION:
            message = f"header position {self.position} is not within 0..{MAX_POSITION}"
            raise ValueError(message)
        clean_field_name(self.name)
        force_setattr(self, "value", clean_field_value(self.name, self.value))


class ChangeHeader(Modification, frozen=True):
    """Replace the value of one header field.

    @ivar occurrence: which field of that name, counted from 1.
    """

    name: str
    occurrence: int
    value: str

    def __post_init__(self) -> None:
        """Check the occurrence and the name, fold the value."""
        _check_occurrence(self.occurrence)
        clean_field_name(self.name)
        value = clean_field_value(self.name, self.value)
        if not value:
            message = f"an empty value would delete {self.name}; say DeleteHeader"
            raise ValueError(message)
        force_setattr(self, "value", value)


class DeleteHeader(Modification, frozen=True):
    """Remove one header field; to remove several of one name send the highest occurrence first."""

    name: str
    occurrence: int

    def __post_init__(self) -> None:
        """Check the occurrence and the name."""
        _check_occurrence(self.occurrence)
        clean_field_name(self.name)


def _check_occurrence(occurrence: int) -> None:
    if not 1 <= occurrence <= MAX_POSITION:
        message = f"header occurrence {occurrence} is not within 1..{MAX_POSITION}"
        raise ValueError(message)


class ReplaceBody(Modification, frozen=True):
    """Replace the whole body.

    @ivar body: octets with CRLF line ends, no dot-stuffing; empty makes the body empty.
    """

    body: bytes


class AddRecipient(Modification, frozen=True):
    """Add a forward-path; brackets are added where missing.

    @ivar arguments: NOTIFY= and ORCPT= only: others desynchronise sendmail (milter-spec 4.5).
    @raise ValueError: control characters, or another ESMTP argument; so for all envelope changes.
    """

    path: str
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bracket the path and check the arguments."""
        force_setattr(self, "path", _clean_path(self.path))
        if self.path == "<>":
            message = "an empty forward-path cannot be added"
            raise ValueError(message)
        _clean_arguments(self.arguments, _RECIPIENT_ARGUMENTS)


class DeleteRecipient(Modification, frozen=True):
    """Remove a forward-path, spelled as the MTA gave it."""

    path: str

    def __post_init__(self) -> None:
        """Bracket the path."""
        force_setattr(self, "path", _clean_path(self.path))


class ChangeSender(Modification, frozen=True):
    """Replace the reverse-path; C{<>} is the null reverse-path.

    @ivar arguments: RET, ENVID, BODY, SMTPUTF8, SIZE, AUTH only.
    """

    path: str
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bracket the path and check the arguments."""
        force_setattr(self, "path", _clean_path(self.path))
        _clean_arguments(self.arguments, _SENDER_ARGUMENTS)


class Quarantine(Modification, frozen=True):
    """Keep the message in the MTA's hold queue.

    @ivar reason: one line; Postfix drops it.
    @raise ValueError: empty, or with control characters.
    """

    reason: str

    def __post_init__(self) -> None:
        """Refuse what libmilter would refuse."""
        if not self.reason or any(ord(char) < 0x20 for char in self.reason):
            message = f"{self.reason!r} is not a one-line quarantine reason"
            raise ValueError(message)
