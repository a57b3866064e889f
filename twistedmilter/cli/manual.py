"""C{twistedmilter manual}: writes docs/configuration.md; hidden, for those who change the settings."""

from __future__ import annotations

import click


@click.command(name="manual", hidden=True)
def manual() -> None:
    """Print the reference of the configuration as Markdown.

    docs/configuration.md is this output, and a test says so.
    """
    from twistedmilter.configfile import manual as reference

    click.echo(reference.manual(), nl=False)
