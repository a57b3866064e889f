"""Options that all commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_CONFIG = "/etc/twistedmilter/twistedmilter.toml"  # as twistedmilter.configfile has it, which is slow to import


def config_option(command: F) -> F:
    """C{--config FILE}, as the argument C{config}: a path, or None for the default file."""
    return click.option(
        "--config", metavar="FILE", help=f"The configuration; without it {DEFAULT_CONFIG}, else embedded defaults."
    )(command)


def one_path(config: str | None, file: str | None) -> str | None:
    """The path that was given as C{--config} or as the argument FILE.

    @raise click.UsageError: two different ones were given.
    """
    if config is not None and file is not None and config != file:
        raise click.UsageError(f"two configurations are given: {config} and {file}")
    return file if config is None else config
