"""From a file to the tables of its TOML, within limits."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from twistedmilter.errors import ConfigError, ConfigProblem

MAX_CONFIG = 1_048_576  # octets
MAX_DOTS = 40  # outside quotes, in one line; the parser's memory grows with the square of a dotted key's parts
_QUOTED_OR_COMMENT = re.compile(r"""("[^"\\]*(?:\\.[^"\\]*)*"|'[^']*')|#.*""")
_PLACE = re.compile(r" \(at (line \d+, column \d+|end of document)\)$")


class UnreadableConfigError(ConfigError):
    """The file is not there, or its permissions or its disk are in the way."""


@dataclass(frozen=True, slots=True)
class RawConfig:
    """A configuration as its tables.

    @ivar source: the absolute path of the file.
    @ivar warnings: what is odd about the file, one sentence each.
    """

    source: str
    tables: dict[str, object]
    warnings: tuple[str, ...] = ()


def read_config(path: Path) -> RawConfig:
    """The tables of a file.

    @raise UnreadableConfigError: the file cannot be read.
    @raise ConfigError: it is longer than L{MAX_CONFIG}, not UTF-8 or not TOML.
    """
    source = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links, and relative paths start at the link
    try:
        with Path(source).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(MAX_CONFIG + 1)
    except OSError as error:
        problem = ConfigProblem("cannot be read", error.strerror or str(error))
        raise UnreadableConfigError(source, [problem]) from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableConfigError(source, [ConfigProblem("cannot be read", str(error))]) from error
    return RawConfig(source, parse_config(source, octets), _warnings(mode))


def _warnings(mode: int) -> tuple[str, ...]:
    """What is said of a file that others could have written (reliability O8)."""
    if mode & stat.S_IWOTH and stat.S_ISREG(mode):
        return ("every user of this host may write this file; chmod o-w it",)
    return ()


def parse_config(source: str, octets: bytes) -> dict[str, object]:
    """The tables of a TOML text.

    @raise ConfigError: longer than L{MAX_CONFIG}, not UTF-8 or not TOML; it names the line.
    """
    if len(octets) > MAX_CONFIG:
        raise _error(source, "file", f"longer than {MAX_CONFIG} octets")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = octets.count(b"\n", 0, error.start)
        raise _error(source, f"line {before + 1}", "not UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS and _QUOTED_OR_COMMENT.sub("", line).count(".") > MAX_DOTS:
            raise _error(source, f"line {number}", f"a key of more than {MAX_DOTS} parts")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = str(error) if isinstance(error, ValueError) else "too deeply nested"
        place = _PLACE.search(message)
        where = place.group(1) if place else "file"
        raise _error(source, where, _PLACE.sub("", message)) from error
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise _error(source, "file", str(error)) from error


def _error(source: str, where: str, wrong: str, allowed: str = "") -> ConfigError:
    return ConfigError(source, [ConfigProblem(where, wrong, allowed)])
