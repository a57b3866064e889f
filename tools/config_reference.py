"""Write docs/configuration.md from the classes of twistedmilter.model.settings, whose descriptions are the manual.

python tools/config_reference.py > docs/configuration.md
"""

from __future__ import annotations

import inspect as python_inspect
import re
import sys
from collections.abc import Iterator

import msgspec
from msgspec import NODEFAULT, inspect

from twistedmilter.configfile.allowed import describe, fields_of, plain
from twistedmilter.configfile.conversion import SECTIONS
from twistedmilter.configfile.rendering import toml_value
from twistedmilter.model.section import Section
from twistedmilter.model.settings import ListenSettings, RuleSettings, shipped_rules
from twistedmilter.model.signing_settings import SocketmapListenSettings

INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from twistedmilter/model/settings.py; do not edit. -->

The service reads one [TOML](https://toml.io) file: the one named by `--config`, else
`/etc/twistedmilter/twistedmilter.toml`; where there is none, the defaults below are used as they are, which listen on
loopback. The log says which was taken.

- Every section and every key may be left out.
- An unknown section or key is an error; so is a value of another type. `twistedmilter check-config` tells all problems
  of a file at once, each with the key, what is wrong and what is allowed.
- `twistedmilter show-config` prints the configuration in effect, each value with its origin.
- Relative paths begin at the directory of the file, not where the service is started.
- Times are in seconds and sizes in octets unless a key says otherwise.
- The file is at most 1 MiB of UTF-8. One that every user of the host may write is warned about.
"""
THIRD_PARTY = """\
The settings of a check that is not ours, named in `policy.checks` as `module:Class` or by its entry point. It has the
keys `mode`, `action` and `on_temporary_failure` as every check, and its own, which it judges itself.

```toml
[policy]
checks = ["trusted_client", "spf", "example_checks:Greeting"]

[check."example_checks:Greeting"]
mode = "observe"
greeting = "hello"
```
"""
_SPEC_IDS = re.compile(r" \([A-Z][0-9]{2}[^()]*\)")  # of the specification: they tell a reader of the manual nothing
_MARKUP = re.compile(r"[LCIB]\{([^{}]*)\}")  # of epytext


def reference() -> str:
    """The whole page, ending with a line feed."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for name, info in SECTIONS.items():
        if isinstance(info, inspect.StructType) and issubclass(info.cls, Section):
            yield f"## [{name}]\n\n{_purpose(info.cls)}\n\n{_table(info.cls)}"
            yield from _tables_below(name, info)
        if name == "milter":
            yield f"### A listener as a table\n\n{_purpose(ListenSettings)}\n\n{_table(ListenSettings)}"
        if name == "socketmap":
            table = SocketmapListenSettings
            yield f"### A listener of [socketmap] as a table\n\n{_purpose(table)}\n\n{_table(table)}"
        if name == "rule":
            yield f"## [[rule]]\n\n{_purpose(RuleSettings)}\n\n{_table(RuleSettings)}\n{_shipped()}"
        if name == "check":
            yield f'## [check."NAME"]\n\n{THIRD_PARTY}'


def _tables_below(name: str, section: inspect.StructType) -> Iterator[str]:
    """The keys whose values are lists of tables, such as [[dnsbl.lists]]."""
    for each in section.fields:
        info = plain(each.type)
        item = plain(info.item_type) if isinstance(info, inspect.ListType) else None
        if isinstance(item, inspect.StructType) and issubclass(item.cls, Section):
            yield f"### [[{name}.{each.name}]]\n\n{_purpose(item.cls)}\n\n{_table(item.cls)}"


def _purpose(section: type[Section]) -> str:
    """What the section's docstring says behind its name."""
    text = python_inspect.cleandoc(section.__doc__ or "")
    text = _SPEC_IDS.sub("", text.split(": ", 1)[-1] if text.startswith("[") else text)
    text = _MARKUP.sub(r"`\1`", text)
    return text[0].upper() + text[1:]


def _table(section: type[Section]) -> str:
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{each.name}` | {_default(each)} | {_cell(describe(each.type))} | {_cell(meaning)} |"
        for each, meaning in fields_of(info)
    ]
    return "\n".join(rows) + "\n"


def _default(each: inspect.Field) -> str:
    if each.required:
        return "must be given"
    value = each.default if each.default_factory is NODEFAULT else each.default_factory()
    return "none" if value is None else f"`{toml_value(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")


def _shipped() -> str:
    """The rules that are there without being written, as they would be written."""
    lines = ["Shipped, unless the file has rules of the same names:", "", "```toml"]
    for rule in shipped_rules():
        lines.append("[[rule]]")
        for each in msgspec.structs.fields(rule):
            value = getattr(rule, each.name)
            if value not in (None, []):
                lines.append(f"{each.name} = {toml_value(value)}")
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    sys.stdout.write(reference())
