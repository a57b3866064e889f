"""The one place where what went wrong becomes one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from twistedmilter.errors import ConfigError, LocalProtocolError, ProtocolViolation, TemporaryFailure

EXIT_USAGE = 3  # usage, configuration, or the world: nothing was judged
EXIT_INTERRUPTED = 130  # as a shell counts SIGINT
EXIT_BROKEN_PIPE = 141  # as a shell counts SIGPIPE
TRACEBACK = "TWISTEDMILTER_TRACEBACK"  # set: a fault of ours shows its traceback


class CommandError(click.ClickException):
    """A command cannot go on; its text is the one line that is shown."""

    exit_code = EXIT_USAGE


def error_line(error: click.ClickException) -> str:
    """What is shown of an error: one line, which for wrong usage names the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    command, hint = "twistedmilter", ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        command = error.ctx.command_path
        hint = f" (see {command} --help)"
    return f"{command}: {one_line(error.format_message())}{hint}"


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Around a command: known troubles become L{CommandError}, a reader that went away ends it quietly."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_stdout()
        raise click.exceptions.Exit(EXIT_BROKEN_PIPE) from None
    except ConfigError as error:
        raise CommandError(_config_line(error)) from error
    except (TemporaryFailure, ProtocolViolation, LocalProtocolError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{name}{error.strerror or error}") from error
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        fault = f"fault of ours: {type(error).__name__}: {error} (set {TRACEBACK}=1 to see where)"
        raise CommandError(fault) from error


def quiet_stdout() -> None:
    """Let what is still buffered go nowhere: the interpreter flushes it once more at its end."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - devnull is a name, not a path of ours
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _config_line(error: ConfigError) -> str:
    first = f"{error.source}: {error.problems[0]}" if error.problems else str(error)
    more = len(error.problems) - 1
    return first if more < 1 else f"{first} (and {more} more: twistedmilter check-config {error.source})"
