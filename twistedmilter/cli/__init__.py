"""The C{twistedmilter} command; each subcommand is imported when it is asked for, so that C{--help} is quick."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Never

import click

from twistedmilter import __version__
from twistedmilter.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, error_line, told_in_one_line


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is.

    @ivar location: C{module:name} below L{twistedmilter.cli}.
    @ivar summary: its line in C{twistedmilter --help}.
    """

    location: str
    summary: str

    def load(self) -> click.Command:
        """The command itself."""
        module, _, name = self.location.partition(":")
        command = getattr(importlib.import_module(f"twistedmilter.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


COMMANDS: Mapping[str, LazyCommand] = MappingProxyType(
    {
        "ban": LazyCommand("ban:ban", "Show, enter and lift the bans of clients."),
        "check-config": LazyCommand("check_config:check_config", "Tell everything that is wrong with a configuration."),
        "dsn": LazyCommand("dsn:dsn", "Show what a notification to a sender would look like."),
        "list": LazyCommand("lists:lists", "Show and change who is known, unwanted or banned."),
        "policy": LazyCommand("policy:policy", "Show which entry of a policy decides on a sender, and why."),
        "reputation": LazyCommand("reputation:reputation", "Show and change what is known of senders by their mail."),
        "scan": LazyCommand("scan:scan", "Put a message through the checks and tell the verdict and why."),
        "secret": LazyCommand("secret:secret", "Make the secrets that senders are signed with."),
        "show-config": LazyCommand("show_config:show_config", "Print the effective configuration with origins."),
        "spf": LazyCommand("spf:spf", "Evaluate SPF for an address and a sender, step by step."),
        "status": LazyCommand("status:status", "Ask the running service how it is."),
        "verify": LazyCommand("verify:verify", "Ask a sender's mail exchangers whether they know it, step by step."),
        "zone": LazyCommand("zone:zone", "Check zone files, ask them, write them for others, suggest rules."),
    }
)


class TwistedMilterGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now; None if there is none."""
        lazy = COMMANDS.get(cmd_name)
        return lazy.load() if lazy is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, written without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in sorted(COMMANDS.items())])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command and the arguments behind its name.

        @raise click.UsageError: there is no such command; it names the nearest one.
        """
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        with told_in_one_line():
            return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises is told in one line."""
        with told_in_one_line():
            return super().invoke(ctx)

    def main(  # type: ignore[override]  # it always exits
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "twistedmilter",
        complete_var: str | None = None,
        **extra: Any,
    ) -> Never:
        """Run and exit: 3 for wrong usage too, where click itself says 2, which is a tempfail to C{scan}."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, complete_var, **extra)
        except click.Abort:
            sys.exit(EXIT_INTERRUPTED)
        except click.ClickException as error:
            click.echo(error_line(error), err=True)
            sys.exit(EXIT_USAGE)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    name="twistedmilter",
    no_args_is_help=True,
    cls=TwistedMilterGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The service itself is started by: twistd -n twistedmilter [--config FILE].  Exit code 3 is wrong usage, "
    "an unusable configuration or an unreachable service, in every command.",
)
@click.version_option(__version__, prog_name="twistedmilter", message="%(prog)s %(version)s")
def main() -> None:
    """Look into and look after twistedmilter, the milter that judges mail and says why."""
