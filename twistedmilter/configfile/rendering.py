"""Settings back to TOML, each value with its origin; what it prints can be loaded again."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch

import msgspec

from twistedmilter.configfile.allowed import key_path
from twistedmilter.configfile.loading import Loaded
from twistedmilter.configfile.origins import Origin
from twistedmilter.model.section import Section

REDACTED = "***"
_SECRET = re.compile(r"(secret|password|passwd|token|api_?key|private_?key)s?$", re.IGNORECASE)  # secret_file is none
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(loaded: Loaded) -> str:
    """The effective configuration as a TOML text, sections in the order of the manual."""
    lines = [f"# effective configuration; source: {_one_line(loaded.source)}"]
    for section in msgspec.structs.fields(loaded.settings):
        value = getattr(loaded.settings, section.name)
        if isinstance(value, Section):
            lines += _section(f"[{section.name}]", value, section.name, loaded.origins)
        elif isinstance(value, list):
            for index, table in enumerate(value):
                lines += _section(f"[[{section.name}]]", table, f"{section.name}[{index}]", loaded.origins)
        else:
            for name, table in value.items():
                lines += ["", f"[{key_path(section.name, name)}]", *_entries(table, lambda _key: "file")]
    return "\n".join(lines) + "\n"


def as_json(loaded: Loaded) -> str:
    """The same as one JSON object: C{source}, C{settings} and C{origins}."""
    settings = _redacted(msgspec.to_builtins(loaded.settings))
    value = {"source": loaded.source, "settings": settings, "origins": dict(loaded.origins)}
    return json.dumps(value, indent=2, default=str) + "\n"


def _section(header: str, section: Section, where: str, origins: Mapping[str, Origin]) -> Iterator[str]:
    values = {each.name: getattr(section, each.name) for each in msgspec.structs.fields(section)}
    yield from ("", header)
    plain = {key: value for key, value in values.items() if value is not None and not isinstance(value, dict)}
    yield from _entries(plain, lambda key: origins[key_path(where, key)])
    for key, table in values.items():
        if isinstance(table, dict) and table:
            yield from ("", f"[{key_path(where, key)}]", *_entries(table, lambda _key: "file"))


def _entries(table: Mapping[str, object], origin: Callable[[str], Origin]) -> Iterator[str]:
    for key, value in _redacted(table).items():
        yield f"{_key(key)} = {toml_value(value)}  # {origin(key)}"


def _redacted(table: Mapping[str, object]) -> dict[str, object]:
    """The table with every secret in it replaced."""
    return {key: REDACTED if _SECRET.search(key) and value else _inside(value) for key, value in table.items()}


def _inside(value: object) -> object:
    if isinstance(value, dict):
        return _redacted(value)
    return [_inside(item) for item in value] if isinstance(value, list) else value


@singledispatch
def toml_value(value: object) -> str:
    """One value as TOML writes it, on one line."""
    return str(value)


@toml_value.register
def _(value: bool) -> str:
    return "true" if value else "false"


@toml_value.register
def _(value: str) -> str:
    return _text(value)


@toml_value.register
def _(value: list) -> str:  # type: ignore[type-arg]  # singledispatch looks at the class
    return "[" + ", ".join(toml_value(item) for item in value) + "]"


@toml_value.register
def _(value: dict) -> str:  # type: ignore[type-arg]
    return "{" + ", ".join(f"{_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"


@toml_value.register
def _(value: Section) -> str:
    return toml_value({name: getattr(value, name) for name in value.__struct_fields__})


@toml_value.register
def _(value: dt.date | dt.time) -> str:
    return value.isoformat()


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
