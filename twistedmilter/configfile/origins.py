"""Which values come from the file, and which are defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from twistedmilter.configfile.allowed import key_path
from twistedmilter.model.section import Section
from twistedmilter.model.settings import Settings

Origin = Literal["file", "default"]


def origins_of(settings: Settings, tables: Mapping[str, object]) -> dict[str, Origin]:
    """The origin of each key, named as in L{ConfigProblem}, in the order of the settings."""
    return dict(_walk(settings, tables, ""))


def _walk(section: Section, table: object, where: str) -> Iterator[tuple[str, Origin]]:
    given = table if isinstance(table, dict) else {}
    for each in msgspec.structs.fields(section):
        value = getattr(section, each.name)
        place = key_path(where, each.name)
        if isinstance(value, Section):
            yield from _walk(value, given.get(each.name), place)
        elif isinstance(value, dict) and (value or not where):
            yield from _entries(value, given.get(each.name), place)
        elif isinstance(value, list) and value and all(isinstance(item, Section) for item in value) and not where:
            yield from _tables(value, given.get(each.name), place)
        else:
            yield place, "file" if each.name in given else "default"


def _tables(values: list[Section], tables: object, where: str) -> Iterator[tuple[str, Origin]]:
    """Tables of an array; those beyond the file's own are shipped ones."""
    given = tables if isinstance(tables, list) else []
    for index, value in enumerate(values):
        yield from _walk(value, given[index] if index < len(given) else {}, f"{where}[{index}]")


def _entries(value: dict[str, object], table: object, where: str) -> Iterator[tuple[str, Origin]]:
    """Free keys; few have defaults."""
    given = table if isinstance(table, dict) else {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _entries(inner, given.get(key), key_path(where, key))
        else:
            yield key_path(where, key), "file" if key in given else "default"
