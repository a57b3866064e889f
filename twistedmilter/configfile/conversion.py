"""From TOML tables to L{Settings}, key by key, so that every problem is found and not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import inspect

from twistedmilter.configfile.allowed import MAX_DEPTH, describe, fits, key_path, plain, what_is
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.settings import Settings

MAX_HOMES = 2  # of a misplaced key; more are no help
PLANNED_SECTIONS = frozenset({"callback", "dsn", "dns", "socketmap", "srs", "ses", "web", "store"})
SCHEMA = inspect.type_info(Settings)
assert isinstance(SCHEMA, inspect.StructType)
SECTIONS: Mapping[str, inspect.Type] = {each.name: plain(each.type) for each in SCHEMA.fields}


@dataclass(frozen=True, slots=True)
class Converted:
    """What could be read, and what could not.

    @ivar settings: complete; a key with a problem has its default, a list item a placeholder that keeps its place.
    """

    settings: Settings
    problems: tuple[ConfigProblem, ...]


def convert(tables: Mapping[str, object]) -> Converted:
    """All keys that are right as settings, and all that are wrong as problems; never fails."""
    reader = _Reader()
    assert isinstance(SCHEMA, inspect.StructType)
    kept = reader.struct(SCHEMA, tables, "")
    try:
        settings = msgspec.convert(kept, Settings)
    except (msgspec.ValidationError, RecursionError) as error:  # it knows better than we do
        reader.problems.append(ConfigProblem("file", str(error)))
        settings = Settings()
    return Converted(settings, tuple(reader.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """A question that names the known word most like this one; empty if none is like it."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


class _Wrong:
    """Stands for a value that was reported."""


_WRONG = _Wrong()


class _Reader:
    """Walks values along their types and collects the problems."""

    def __init__(self) -> None:
        self.problems: list[ConfigProblem] = []

    def problem(self, where: str, wrong: str, allowed: str = "") -> _Wrong:
        self.problems.append(ConfigProblem(where, wrong, allowed))
        return _WRONG

    def value(self, info: inspect.Type, value: object, where: str) -> object:
        """The value with what is wrong below it left out, or L{_WRONG}."""
        bare = _branch(info, value)
        if isinstance(value, dict) and isinstance(bare, inspect.StructType):
            return self.struct(bare, value, where)
        if isinstance(value, dict) and isinstance(bare, inspect.DictType):
            return self.entries(bare.value_type, value, where)
        if isinstance(value, list) and isinstance(bare, inspect.ListType):
            return self.items(bare.item_type, value, where)
        if fits(bare, value):
            return value
        if isinstance(bare, inspect.CustomType):
            return self.problem(where, "is nested too deeply", f"allowed: {MAX_DEPTH} levels")
        return self.problem(where, f"is {what_is(value)}", f"allowed: {_brackets(bare, where)}{describe(info)}")

    def struct(self, info: inspect.StructType, table: Mapping[str, object], where: str) -> dict[str, object]:
        """A section's known keys."""
        fields = {each.name: each for each in info.fields}
        kept: dict[str, object] = {}
        for key, value in table.items():
            place = key_path(where, key)
            if key not in fields:
                self.unknown(place, key, where, fields)
                continue
            read = self.value(fields[key].type, value, place)
            if read is not _WRONG:
                kept[key] = read
        for name, each in fields.items():
            if each.required and name not in kept:
                if name not in table:
                    self.problem(key_path(where, name), "is missing", f"allowed: {describe(each.type)}")
                kept[name] = ""  # keeps the place of the item in its list
        return kept

    def items(self, info: inspect.Type, values: list[object], where: str) -> list[object]:
        """A list's items; a wrong one leaves an empty text or table, so that the others keep their numbers."""
        read = [self.value(info, value, f"{where}[{index}]") for index, value in enumerate(values)]
        if not any(value is _WRONG for value in read):
            return read
        blank = _blank(info)
        return [blank if value is _WRONG else value for value in read if value is not _WRONG or blank is not _WRONG]

    def entries(self, info: inspect.Type, table: Mapping[str, object], where: str) -> dict[str, object]:
        """A table whose keys are free."""
        read = {key: self.value(info, value, key_path(where, key)) for key, value in table.items()}
        return {key: value for key, value in read.items() if value is not _WRONG}

    def unknown(self, place: str, key: str, where: str, fields: Mapping[str, object]) -> None:
        """Report a key that is not known, with the nearest one that is."""
        if not where and key in PLANNED_SECTIONS:
            self.problem(place, "this version does not have this section yet")
            return
        wrong = "unknown key" if where else "unknown section or key"
        self.problem(place, wrong, _elsewhere(key) or nearest(key, fields) or f"known: {', '.join(fields)}")


def _branch(info: inspect.Type, value: object) -> inspect.Type:
    """The type without its description; of alternatives the one that the value was meant for."""
    bare = plain(info)
    if not isinstance(bare, inspect.UnionType):
        return bare
    wants_table = isinstance(value, dict)
    branches = [plain(each) for each in bare.types if not isinstance(each, inspect.NoneType)]
    return next((each for each in branches if isinstance(each, inspect.StructType) == wants_table), branches[0])


def _blank(info: inspect.Type) -> object:
    """What stands for a wrong item of a list."""
    bare = plain(info)
    types = bare.types if isinstance(bare, inspect.UnionType) else (bare,)
    if any(isinstance(each, inspect.StrType) for each in types):
        return ""
    if isinstance(bare, inspect.StructType):
        return {each.name: "" for each in bare.fields if each.required}
    return _WRONG


def _brackets(info: inspect.Type, where: str) -> str:
    """How a section or a list of tables is written, for one that was written otherwise."""
    if isinstance(info, inspect.StructType):
        return f"[{where}], " if "[" not in where else ""
    if isinstance(info, inspect.ListType) and isinstance(plain(info.item_type), inspect.StructType):
        return f"[[{where}]], "
    return ""


def _elsewhere(key: str) -> str:
    """The sections that have this key, if they are few."""
    homes = [f"[{name}]" for name, info in SECTIONS.items() if isinstance(info, inspect.StructType) and _has(info, key)]
    return f"it is a key of {' and of '.join(homes)}" if 0 < len(homes) <= MAX_HOMES else ""


def _has(info: inspect.StructType, key: str) -> bool:
    return any(each.name == key for each in info.fields)
