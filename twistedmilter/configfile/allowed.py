"""What a key may hold, in words, read from its annotation; for problems and for the manual."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from functools import singledispatch
from math import isfinite
from typing import cast

from msgspec import inspect

MAX_DEPTH = 8  # of tables and lists in the settings of third-party checks
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (dict, "a table"),
    (list, "a list"),
    ((dt.date, dt.time), "a date or a time"),
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def plain(info: inspect.Type) -> inspect.Type:
    """The type without the description around it."""
    return plain(info.type) if isinstance(info, inspect.Metadata) else info


def what_is(value: object) -> str:
    """A value of a TOML file in words, shortened to fit a line: itself if it is short, else its kind."""
    if isinstance(value, str | bool | int | float):
        return f"{json.dumps(value, ensure_ascii=True):.60}"
    return next((words for types, words in _KINDS if isinstance(value, types)), type(value).__name__)


def key_path(where: str, key: str) -> str:
    """The key below C{where}, written as TOML does."""
    name = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=True)
    return f"{where}.{name}" if where else name


@singledispatch
def describe(_info: inspect.Type) -> str:
    """What is allowed, in words, e.g. C{a whole number from 1 to 1000}."""
    return "anything"


@describe.register
def _(info: inspect.Metadata) -> str:
    examples = (info.extra_json_schema or {}).get("examples")
    return f"text such as {_choices(examples)}" if examples else describe(info.type)


@describe.register
def _(_info: inspect.BoolType) -> str:
    return "true or false"


@describe.register
def _(_info: inspect.StrType) -> str:
    return "text"


@describe.register
def _(info: inspect.LiteralType) -> str:
    return _choices(info.values)


@describe.register
def _(info: inspect.ListType) -> str:
    return f"a list, each item {describe(info.item_type)}"


@describe.register
def _(info: inspect.DictType) -> str:
    return f"a table, each value {describe(info.value_type)}"


@describe.register
def _(_info: inspect.StructType) -> str:
    return "a table"


@describe.register
def _(info: inspect.UnionType) -> str:
    return " or ".join(describe(each) for each in info.types if not isinstance(each, inspect.NoneType))


@describe.register(inspect.IntType)
@describe.register(inspect.FloatType)
def _(info: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(info, inspect.IntType) else "a number"
    if info.ge is not None and info.le is not None:
        return f"{noun} from {info.ge:,} to {info.le:,}".replace(",", "_")
    bounds = [
        f"{word} {bound:,}".replace(",", "_")
        for word, bound in (("above", info.gt), ("at least", info.ge), ("below", info.lt), ("at most", info.le))
        if bound is not None
    ]
    return f"{noun} {' and '.join(bounds)}".rstrip()


def _choices(values: Sequence[object]) -> str:
    words = [json.dumps(value, ensure_ascii=False) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def fits(info: inspect.Type, value: object) -> bool:
    """Whether a value that is neither a section nor a list of known items is one that the type takes."""
    match info:
        case inspect.IntType() | inspect.FloatType():
            kinds = {int} if isinstance(info, inspect.IntType) else {int, float}
            return type(value) in kinds and _in_bounds(info, cast("float", value))
        case inspect.StrType(pattern=pattern):
            return isinstance(value, str) and (pattern is None or re.search(pattern, value) is not None)
        case inspect.LiteralType(values=values):
            return isinstance(value, str) and value in values
        case inspect.CustomType():  # object
            return _depth_is_bounded(value)
    return isinstance(info, inspect.BoolType) and isinstance(value, bool)


def _in_bounds(info: inspect.IntType | inspect.FloatType, value: float) -> bool:
    if isinstance(value, float) and not isfinite(value):
        return False
    return all(
        (
            info.gt is None or value > info.gt,
            info.ge is None or value >= info.ge,
            info.lt is None or value < info.lt,
            info.le is None or value <= info.le,
        )
    )


def _depth_is_bounded(value: object) -> bool:
    """Whether tables and lists are nested no deeper than L{MAX_DEPTH}."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def fields_of(info: inspect.StructType) -> Iterator[tuple[inspect.Field, str]]:
    """Each key of a section with its description, which is empty where there is none."""
    for each in info.fields:
        schema = each.type.extra_json_schema if isinstance(each.type, inspect.Metadata) else None
        yield each, (schema or {}).get("description", "")
