"""C{twistedmilter zone list|add|remove|reload|hits}, and C{why} without files: the lists as the service serves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.lists import Expiry, all_entries, asking, entry_lines
from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from twistedmilter.blocklist.suggestions import Ban

BLACKLIST, BANS = "blacklist", "bans"


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@config_option
def list_entries(as_json: bool, config: str | None) -> None:
    """Show the banned domains and clients that [dns] publish_bans puts into the lists."""
    from twistedmilter.observe.json_log import encode

    with asking(config) as ask:
        entries = [entry for which in (BLACKLIST, BANS) for entry in all_entries(ask, which) if _is_listed(entry)]
    _warn_if_unpublished(config)
    for line in [encode(entries)] if as_json else entry_lines(entries):
        click.echo(line)


@click.command()
@click.argument("name")
@click.option("--comment", default="", help="Why; it is the reason that senders and clients are told.")
@click.option("--expires", type=Expiry(), help="When it ends: 30d, 4h, 90m, or a date; without it never.")
@config_option
def add(name: str, comment: str, expires: float | None, config: str | None) -> None:
    """Ban NAME, and with [dns] publish_bans list it at once.

    It is a domain or *.domain, which goes to the blacklist, or an IP address, which goes to the bans.
    """
    which = _list_of(name)
    with asking(config) as ask:
        entry = ask("list-add", list=which, name=name, comment=comment, expires=expires)
    _warn_if_unpublished(config)
    click.echo("\n".join(entry_lines([entry])))


@click.command()
@click.argument("name")
@config_option
def remove(name: str, config: str | None) -> None:
    """Lift the ban of NAME.  Exit code 1: there was none; a rule of a zone file has to be removed there."""
    with asking(config) as ask:
        was_there = ask("list-remove", list=_list_of(name), name=name)
    if not was_there:
        click.echo(f"{name} is not banned", err=True)
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("zones", nargs=-1, metavar="[ZONE]...")
@click.option("--force", is_flag=True, help="Take files that have shrunk, and rules that list too much.")
@config_option
def reload(zones: tuple[str, ...], force: bool, config: str | None) -> None:
    """Let the running service read the files of its zones now: of these, or of all.

    Files that change are read by themselves; what cannot be read leaves a zone as it was, which "status" shows.
    """
    for name in zones or (None,):
        for each in _ask_service(config, "dns-reload", zone=name, forced=force):
            click.echo(f"reading {each}")


@click.command()
@click.option("-n", "number", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many rules.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@config_option
def hits(number: int, as_json: bool, config: str | None) -> None:
    """Show which rules of the running service's zones have listed most, since their zone was loaded."""
    from twistedmilter.observe.json_log import encode
    from twistedmilter.observe.sanitise import one_line

    found = _ask_service(config, "dns-hits", number=number)
    if as_json:
        click.echo(encode(found))
        return
    for each in found:
        line = f":{each['line']}" if each["line"] else ""
        click.echo(f"{each['hits']:>10}  {each['zone']}: {one_line(each['source'])}{line}: {each['kind']} rule")


def show_why(name: str, config: str | None) -> None:
    """Show what the running service's zones have on a name.

    @raise CommandError: no service answers, or none of its zones could list it.
    """
    found = _ask_service(config, "dns-why", name=name)
    for line in why_lines(name, found):
        click.echo(line)
    if not any(each["listed"] for each in found):
        raise click.exceptions.Exit(1)


def banned_domains(config: str | None) -> list[Ban]:
    """The domains of the blacklist, and when they were entered."""
    from twistedmilter.blocklist.suggestions import Ban

    with asking(config) as ask:
        entries = [entry for entry in all_entries(ask, BLACKLIST) if _is_listed(entry)]
    return [Ban(entry["name"].removeprefix("*."), entry["stored"]) for entry in entries]


def why_lines(name: str, found: list[Mapping[str, Any]]) -> Iterator[str]:
    """What the zones have, for people."""
    from twistedmilter.observe.sanitise import one_line

    for each in found:
        if not each["listed"]:
            yield f"{each['zone']}: {one_line(name)} is not listed"
            continue
        line = f":{each['line']}" if each["line"] else ""
        codes = " ".join(each["codes"])
        yield f"{each['zone']}: {one_line(each['source'])}{line}: {each['kind']} rule, {codes}, {each['ttl']} s"
        if each["text"]:
            yield f"  {one_line(each['text'])}"
        yield f"  dig {each['query']}"


def _ask_service(config: str | None, command: str, **arguments: Any) -> Any:
    """What the running service says to a command.

    @raise CommandError: it does not answer, or cannot do that.
    """
    from twistedmilter import control
    from twistedmilter.cli.status import control_path

    try:
        return control.ask(control_path(config or click.get_current_context().obj), command, **arguments)
    except control.CommandError as error:
        raise CommandError(str(error)) from error


def _list_of(name: str) -> str:
    """Which list of the stores has such names.

    @raise CommandError: a full address, which no DNS list can have.
    """
    from ipaddress import ip_network

    if "@" in name:
        raise CommandError(f"{name!r} is a full address: twistedmilter list add blacklist; DNS lists have domains")
    try:
        ip_network(name)
    except ValueError:
        return BLACKLIST
    return BANS


def _is_listed(entry: Mapping[str, Any]) -> bool:
    return "@" not in entry["name"]


def _warn_if_unpublished(config: str | None) -> None:
    from twistedmilter.configfile import load_settings

    if not load_settings(config or click.get_current_context().obj).settings.dns.publish_bans:
        click.echo("dns.publish_bans is false: this is in no zone", err=True)
