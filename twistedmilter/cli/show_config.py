"""C{twistedmilter show-config}."""

from __future__ import annotations

import click

from twistedmilter.cli.options import config_option, one_path


@click.command(name="show-config")
@click.argument("file", required=False, metavar="[FILE]")
@config_option
@click.option("--json", "json_output", is_flag=True, help="One JSON object: source, settings, origins.")
def show_config(file: str | None, config: str | None, json_output: bool) -> None:
    """Print the effective configuration, each value with its origin: file or default.

    The output is a configuration itself.  Relative paths are shown as absolute ones, the shipped
    rules are included, and secrets are replaced by ***.

    \b
    Examples
      twistedmilter show-config
      twistedmilter show-config new.toml | grep '# file'
      twistedmilter show-config --json | jq .settings.milter.listen
    """
    from twistedmilter.configfile import load_settings
    from twistedmilter.configfile.rendering import as_json, as_toml

    loaded = load_settings(one_path(config, file))
    click.echo(as_json(loaded) if json_output else as_toml(loaded), nl=False)
