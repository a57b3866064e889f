"""C{twistedmilter ban}: the clients that are banned; short for C{twistedmilter list} with the list C{bans}."""

from __future__ import annotations

import click

from twistedmilter.cli.lists import Expiry, all_entries, asking, entry_lines
from twistedmilter.cli.options import config_option

BANS = "bans"


@click.group(name="ban", no_args_is_help=True)
@config_option
@click.pass_context
def ban(context: click.Context, config: str | None) -> None:
    """Show, enter and lift the bans of clients.

    A running service knows of a change within ten seconds.  Whether bans are acted on is [demerits] mode.

    \b
    Examples
      twistedmilter ban list
      twistedmilter ban add 192.0.2.1 --expires 4h --comment "dictionary attack"
      twistedmilter ban remove 192.0.2.1
    """
    context.obj = config


@ban.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@config_option
def list_bans(as_json: bool, config: str | None) -> None:
    """Show the bans that still hold: the client, the end, what for."""
    from twistedmilter.observe.json_log import encode

    with asking(config) as ask:
        entries = all_entries(ask, BANS)
    for line in [encode(entries)] if as_json else entry_lines(entries):
        click.echo(line)


@ban.command()
@click.argument("address")
@click.option("--comment", default="banned by hand", help="Why; the client is told.", show_default=True)
@click.option("--expires", type=Expiry(), help="When it ends: 30d, 4h, 90m, or a date; without it never.")
@config_option
def add(address: str, comment: str, expires: float | None, config: str | None) -> None:
    """Ban the client with this IP ADDRESS.

    A client of our own networks, a trusted relay or an authenticated one is not refused all the same.
    """
    with asking(config) as ask:
        entry = ask("list-add", list=BANS, name=address, comment=comment, expires=expires)
    click.echo("\n".join(entry_lines([entry])))


@ban.command()
@click.argument("address")
@config_option
def remove(address: str, config: str | None) -> None:
    """Lift the ban of ADDRESS, as "ban list" shows it.  Exit code 1: there was none."""
    with asking(config) as ask:
        was_there = ask("list-remove", list=BANS, name=address)
    if not was_there:
        click.echo(f"{address} is not banned", err=True)
        raise click.exceptions.Exit(1)
