"""Write docs/configuration.md from the classes of twistedmilter.model.settings, whose descriptions are the manual.

python tools/config_reference.py > docs/configuration.md
"""

from __future__ import annotations

import inspect as source
import json
import sys
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from twistedmilter.configfile.allowed import describe, fields_of, plain
from twistedmilter.model.settings import CheckSettings, Settings

INTRODUCTION = """\
# Configuration

TOML, in `/etc/twistedmilter/twistedmilter.toml` or wherever `--config` says. Every section and every key may be left
out. Unknown keys are errors. Relative paths start at the directory of the file. `twistedmilter check-config FILE` tells
all that is wrong with a file, `twistedmilter show-config FILE` every value and where it comes from.

This page is made by `make docs` from the classes that read the file.
"""


def default_text(field: inspect.Field) -> str:
    """The default as TOML writes it; empty for a key that must be given."""
    if field.default_factory is not msgspec.NODEFAULT:
        return _toml(field.default_factory())
    return "" if field.default in {msgspec.NODEFAULT, None} else _toml(field.default)


def _toml(value: object) -> str:
    return f"`{json.dumps(msgspec.to_builtins(value), ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def table(info: inspect.StructType, keys: set[str]) -> Iterator[str]:
    """One line of a table for each of a section's keys.

    @param keys: those to show.
    """
    yield "| key | allowed | default | what it does |"
    yield "|---|---|---|---|"
    for field, description in fields_of(info):
        if field.encode_name in keys:
            allowed = _cell(describe(field.type))
            yield f"| `{field.encode_name}` | {allowed} | {default_text(field)} | {_cell(description)} |"


def heading(info: inspect.StructType) -> list[str]:
    """A section's heading and its sentence, both from its docstring, C{[name]: sentence}."""
    name, _, sentence = (source.getdoc(info.cls) or "").partition(": ")
    if not sentence:
        return ["", f"### {name.removesuffix('.')}", ""]
    return ["", f"## {name}", "", sentence[:1].upper() + sentence[1:], ""]


def own_keys(info: inspect.StructType) -> set[str]:
    """A check's own keys, and those common ones whose default it changes."""
    if not issubclass(info.cls, CheckSettings):
        return {field.encode_name for field in info.fields}
    common = {field.encode_name: default_text(field) for field in _fields(CheckSettings)}
    return {field.encode_name for field in info.fields if common.get(field.encode_name) != default_text(field)}


def _fields(cls: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    return _struct(inspect.type_info(cls)).fields


def _struct(info: inspect.Type) -> inspect.StructType:
    bare = plain(info)
    assert isinstance(bare, inspect.StructType), bare
    return bare


def structs_in(info: inspect.Type) -> Iterator[inspect.StructType]:
    """The classes that a key's value may be made of."""
    match plain(info):
        case inspect.StructType() as struct:
            yield struct
        case inspect.ListType(item_type=item):
            yield from structs_in(item)
        case inspect.UnionType(types=types):
            for each in types:
                yield from structs_in(each)


def section(info: inspect.StructType) -> Iterator[str]:
    """A section with its keys, then the tables that it may hold."""
    yield from heading(info)
    keys = own_keys(info)
    if issubclass(info.cls, CheckSettings):
        yield "The keys of every check" + (", and:" if keys else ".")
        if keys:
            yield ""
    if keys:
        yield from table(info, keys)
    for field in info.fields:
        for inner in structs_in(field.type):
            yield from section(inner)


def reference() -> str:
    """The whole page."""
    lines = INTRODUCTION.splitlines()
    common = _struct(inspect.type_info(CheckSettings))
    lines += ["", "## The keys of every check", "", source.getdoc(CheckSettings) or "", ""]
    lines += table(common, {field.encode_name for field in common.fields})
    for field, description in fields_of(_struct(inspect.type_info(Settings))):
        structs = list(structs_in(field.type))
        for struct in structs:
            lines += section(struct)
        if not structs:
            lines += ["", f"## [{field.encode_name}]", "", description[:1].upper() + description[1:]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
