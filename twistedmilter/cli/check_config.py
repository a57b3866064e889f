"""C{twistedmilter check-config}."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from twistedmilter.cli.options import config_option, one_path

if TYPE_CHECKING:
    from twistedmilter.configfile import Loaded

EXIT_PROBLEMS = 1


@click.command(name="check-config")
@click.argument("file", required=False, metavar="[FILE]")
@config_option
@click.pass_context
def check_config(ctx: click.Context, file: str | None, config: str | None) -> None:
    """Tell everything that is wrong with a configuration, one line a problem.

    Each line names the file, the key, what is wrong and what is allowed; for a key or a name
    that is not known, the nearest one that is.  Checks are made, those of third
    parties too, and zone files are read; nothing is opened, started or changed.

    \b
    Exit codes
      0  the configuration can be used
      1  it has problems, all of which are printed
      3  FILE cannot be read, or wrong usage

    \b
    Examples
      twistedmilter check-config
      twistedmilter check-config /etc/twistedmilter/new.toml && systemctl restart twistedmilter
    """
    from twistedmilter.configfile import UnreadableConfigError, load_settings
    from twistedmilter.errors import ConfigError
    from twistedmilter.policy.registry import why_unusable

    source = ""
    try:
        loaded = load_settings(one_path(config, file), unusable=why_unusable)
        source = loaded.source
        warnings = [*loaded.warnings, *_build(loaded)]
    except UnreadableConfigError:
        raise
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"{source or error.source}: {problem}")
        ctx.exit(EXIT_PROBLEMS)
    for warning in warnings:
        click.echo(f"{source}: warning: {warning}", err=True)
    click.echo(f"{source}: ok")


def _build(loaded: Loaded) -> list[str]:
    """Make every check and rule and forget them: a check of a third party judges its own settings when it is made.

    @return: what is odd about policies.
    @raise ConfigError: what cannot be made.
    """
    from twisted.internet.task import Clock

    from twistedmilter.access_files import open_access
    from twistedmilter.composition import build_policy, build_resolver
    from twistedmilter.policy.access import no_access
    from twistedmilter.policy.policy_warnings import policy_warnings

    clock = Clock()  # nothing is started, so no time passes
    settings = loaded.settings
    file = open_access(settings.policy.access, loaded.base_dir, clock, loaded.source)
    access = file.current if file is not None else no_access
    build_policy(loaded, clock, clock.seconds, [], build_resolver(settings, clock), access=access)
    return [*policy_warnings(settings, access()), *_read_zones(loaded)]


def _read_zones(loaded: Loaded) -> list[str]:
    """Read the zone files of the name server.

    @return: what is odd about them.
    @raise ConfigError: what makes one unusable.
    """
    import time

    from twistedmilter.dns_zones import zone_problems
    from twistedmilter.errors import ConfigError, ConfigProblem

    found = [
        (f"dns.zones[{index}].files", problem)
        for index, zone in enumerate(loaded.settings.dns.zones)
        if zone.files
        for problem in zone_problems(zone, time.time)
    ]
    fatal = [ConfigProblem(where, str(problem)) for where, problem in found if problem.is_fatal]
    if fatal:
        raise ConfigError(loaded.source, fatal)
    return [f"{where}: {problem}" for where, problem in found]
