"""The texts of notifications to senders: found, read, checked and filled (seed-spec G02 to G07, 8.1).

A text is a file C{NAME.txt}: header fields up to the first empty line, then the body, with placeholders C{%(name)s}.
The older form, one field in the first line and all the rest the body, is read as well (G06).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from msgspec import Struct

NAMES: Final = ("fail", "heloerror", "neutral", "permerror", "quarantine", "softfail", "strike3", "temperror")
SITE_NAMES: Final = (*NAMES, "pass")  # of which only a site may have a text
PLACEHOLDERS: Final = frozenset(
    {
        "connectip",
        "heloname",
        "perm_error",
        "rcpt",
        "receiver",
        "result",
        "sender",
        "sender_domain",
        "spf_result",
        "subject",
    }
)
MAX_TEXT: Final = 65_536  # octets of a file

_OURS: Final = frozenset(
    {
        *("auto-submitted", "bcc", "cc", "content-transfer-encoding", "content-type", "date", "from", "message-id"),
        *("mime-version", "return-path", "sender", "to", "x-mailer"),
    }
)
_LANGUAGE: Final = re.compile(r"([a-z]{2,3}(-[a-z0-9]{1,8})*)?")
_FIELD: Final = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
_PLACEHOLDER: Final = re.compile(r"%(?:(%)|\(([^)\n]*)\)(s?))")


class Template(Struct, frozen=True):
    """One text.

    @ivar subject: of the notification; with placeholders.
    @ivar fields: further header fields that the file asks for; those that we write ourselves are left out.
    @ivar body: lines that end in LF; with placeholders.
    @ivar source: where it was read, for people.
    """

    name: str
    subject: str
    body: str
    source: str
    fields: tuple[tuple[str, str], ...] = ()

    def filled(self, values: Mapping[str, str]) -> Template:
        """The same with values in the place of placeholders; in a header field they are on one line."""
        flat = {name: " ".join(value.split()) for name, value in values.items()}
        return Template(
            self.name,
            _fill(self.subject, flat),
            _fill(self.body, values),
            self.source,
            tuple((name, _fill(value, flat)) for name, value in self.fields),
        )


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: "%" if match[1] else values[match[2]], text)


def parse_template(name: str, text: str, source: str) -> Template:
    """One text from the content of its file.

    @raise ValueError: it begins with no header field, has no Subject, or an unknown placeholder; names the file.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    fields, begin = _header(lines)
    if not fields:
        raise ValueError(f"{source}: the first line is no header field, such as Subject: text")
    body = "\n".join(lines[begin:]).rstrip("\n") + "\n"
    found = {key.lower(): value for key, value in fields}
    if not found.get("subject"):
        raise ValueError(f"{source}: there is no Subject field")
    for key, value in (*fields, ("the text", body)):
        _check_placeholders(value, f"{source}: {key}")
    others = tuple((key, value) for key, value in fields if key.lower() not in _OURS | {"subject"})
    return Template(name, found["subject"], body, source, others)


def _header(lines: list[str]) -> tuple[list[tuple[str, str]], int]:
    """The header fields, unfolded, and the index of the first line of the body."""
    end = lines.index("") if "" in lines else len(lines)
    fields = _fields(lines[:end])
    if fields:
        return fields, end + 1
    return _fields(lines[:1]), 1  # the older form


def _fields(lines: list[str]) -> list[tuple[str, str]]:
    """The fields of a header section; none when a line of it is not one."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}".strip())
        elif match := _FIELD.fullmatch(line):
            fields.append((match[1], match[2].strip()))
        else:
            return []
    return fields


def _check_placeholders(text: str, where: str) -> None:
    for match in _PLACEHOLDER.finditer(text):
        if not match[1] and (match[2] not in PLACEHOLDERS or not match[3]):
            allowed = ", ".join(f"%({name})s" for name in sorted(PLACEHOLDERS))
            raise ValueError(f"{where} has the placeholder {match[0]!r}, which is none; allowed are {allowed}")


def load_templates(directory: Path | None = None, language: str = "") -> dict[str, Template]:
    """All texts by name: of the directory for the language, of the directory, else the packaged one.

    An empty file in the directory means that there is no such text (G04).

    @param language: C{de} or C{de-at}, which is C{de} where there is no more special one.
    @raise ValueError: a text is wrong, or the directory or that of the language is not there; names the key.
    """
    places = _places(directory, language)
    found = {}
    for name in SITE_NAMES:
        path = next((place / f"{name}.txt" for place in places if (place / f"{name}.txt").is_file()), None)
        if path is not None:
            text, source = _read(path), f"dsn.templates: {path}"
        elif name in NAMES:
            source = f"{name}.txt"
            text = (files(__name__) / source).read_text("utf-8")
        else:
            continue
        if text.strip():
            found[name] = parse_template(name, text, source)
    return found


def _places(directory: Path | None, language: str) -> list[Path]:
    if directory is None:
        if language:
            raise ValueError("dsn.language: the packaged texts are in English; give dsn.templates a directory of yours")
        return []
    if not directory.is_dir():
        raise ValueError(f"dsn.templates: {directory} is no directory")
    if _LANGUAGE.fullmatch(language) is None:
        raise ValueError(f"dsn.language: {language!r} is no language; allowed is a tag in small letters: de, pt-br")
    parts = language.split("-") if language else []
    special = [directory / "-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    if special and not any(place.is_dir() for place in special):
        raise ValueError(f"dsn.language: {directory} has no directory {language}")
    return [*special, directory]


def _read(path: Path) -> str:
    try:
        octets = path.read_bytes()
        text = octets.decode("utf-8")
    except OSError as error:
        raise ValueError(f"dsn.templates: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = octets.decode("latin-1")  # old files
    if len(octets) > MAX_TEXT:
        raise ValueError(f"dsn.templates: {path} is longer than {MAX_TEXT} octets")
    return text
