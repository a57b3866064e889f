"""C{twistedmilter check-config}."""

from __future__ import annotations

import click

from twistedmilter.cli.options import config_option, one_path

EXIT_PROBLEMS = 1


@click.command(name="check-config")
@click.argument("file", required=False, metavar="[FILE]")
@config_option
@click.pass_context
def check_config(ctx: click.Context, file: str | None, config: str | None) -> None:
    r"""Tell everything that is wrong with a configuration, one line a problem.

    Each line names the file, the key, what is wrong and what is allowed; for a key or a name
    that is not known, the nearest one that is.  Nothing is opened, started or changed.

    \b
    Exit codes
      0  the configuration can be used
      1  it has problems, all of which are printed
      3  FILE cannot be read, or wrong usage

    \b
    Examples
      twistedmilter check-config
      twistedmilter check-config /etc/twistedmilter/new.toml && systemctl reload twistedmilter
    """
    from twistedmilter.configfile import UnreadableConfigError, load_settings
    from twistedmilter.errors import ConfigError

    try:
        loaded = load_settings(one_path(config, file))
    except UnreadableConfigError:
        raise
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"{error.source}: {problem}")
        ctx.exit(EXIT_PROBLEMS)
    for warning in loaded.warnings:
        click.echo(f"{loaded.source}: warning: {warning}", err=True)
    click.echo(f"{loaded.source}: ok")
