"""Command lines as a manual shows them, read by the commands themselves; none is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click

from twistedmilter.cli import main

_LINE = re.compile(r"^\s*(?:\S*/)?(twistedmilter (?![-=]).*)$", re.MULTILINE)
_ENDS = frozenset({"|", "&&", ";", ">", ">>", "<", "||"})


def shown_lines(text: str) -> list[str]:
    """The lines that begin with C{twistedmilter}, with or without a path; those that end in a backslash are joined."""
    return [match[1] for match in _LINE.finditer(text.replace("\\\n", " "))]


def parse_line(line: str) -> None:
    """Let the command of a line read it.

    @raise click.UsageError: it does not understand it.
    """
    parse(words_of(line)[1:])


def words_of(line: str) -> list[str]:
    """The words of the first command of a line of shell, without comments.

    Two spaces before a bracket begin a remark, as the help of a command has them.
    """
    words: list[str] = []
    for word in shlex.split(line.split("  (", maxsplit=1)[0], comments=True):
        if word in _ENDS:
            break
        words.append(word)
    return words


def parse(arguments: Sequence[str]) -> None:
    """Let a command read its arguments.

    @raise click.UsageError: it does not understand them.
    """
    command: click.Command = main
    context = main.make_context("twistedmilter", list(arguments))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            raise click.UsageError("a command is missing", context)
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)


def command_names(group: click.Group = main) -> Iterator[list[str]]:
    """The words of every command and of every group, but not of C{twistedmilter} itself."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield [name]
        if isinstance(command, click.Group):
            yield from ([name, *below] for below in command_names(command))
