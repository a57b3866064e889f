"""C{twistedmilter reputation}: what is known of senders, in a running service or, where none runs, in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from twistedmilter.cli.lists import Ask, asking
from twistedmilter.cli.options import config_option

AT_ONCE = 20  # records in one request: each has less than 1,000 octets, a request 65,536
COLUMNS = (
    *("name", "qualifier", "ham", "spam", "null", "size"),
    *("reputation", "confidence", "first_seen", "last_seen", "is_bad"),
)


@click.group(name="reputation", no_args_is_help=True)
@config_option
@click.pass_context
def reputation(context: click.Context, config: str | None) -> None:
    """Show and change what is known of senders by their mail.

    A running service is asked over [control] listen; where none runs, its file in the state directory is opened.

    \b
    Examples
      twistedmilter reputation show example.com
      twistedmilter reputation spam hYFCubydN$h65iP35P9kcQ
      twistedmilter reputation reset example.com neutral
      twistedmilter reputation import /var/lib/milter/gossip4.db
    """
    context.obj = config


@reputation.command()
@click.argument("name")
@click.option("--peers", is_flag=True, help="Ask the peers too, and tell what each said and what that weighs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@config_option
def show(name: str, peers: bool, as_json: bool, config: str | None) -> None:
    """Show every qualifier of NAME: votes, reputation, confidence.  Exit code 1: nothing is known."""
    from twistedmilter.observe.json_log import encode

    with asking(config) as ask:
        rows = ask("reputation-show", name=name, peers=peers)
    for line in [encode(rows)] if as_json else [line for row in rows for line in lines_of(row)]:
        click.echo(line)
    if not rows and not as_json:
        click.echo(f"nothing is known of {name}", err=True)
    if not rows:
        raise click.exceptions.Exit(1)


@reputation.command(name="set")
@click.argument("name")
@click.argument("qualifier")
@click.option("--ham", type=click.IntRange(0, 1_024), default=0, show_default=True, help="Votes for it.")
@click.option("--spam", type=click.IntRange(0, 1_024), default=0, show_default=True, help="Votes against it.")
@click.option("--days", type=click.FloatRange(0, 36_600), default=30.0, show_default=True, help="Over so many days.")
@config_option
def put(name: str, qualifier: str, config: str | None, **votes: float) -> None:
    """Put votes in the place of all that is known of NAME with QUALIFIER."""
    with asking(config) as ask:
        row = ask("reputation-set", name=name, qualifier=qualifier, **votes)
    click.echo("\n".join(lines_of(row)))


@reputation.command()
@click.argument("name")
@click.argument("qualifier", default="")
@config_option
def reset(name: str, qualifier: str, config: str | None) -> None:
    """Forget NAME with QUALIFIER, or with all it has.  Exit code 1: nothing was known."""
    with asking(config) as ask:
        number = ask("reputation-reset", name=name, qualifier=qualifier)
    if not number:
        click.echo(f"nothing is known of {name}{' ' if qualifier else ''}{qualifier}", err=True)
        raise click.exceptions.Exit(1)


@reputation.command()
@click.argument("umis")
@config_option
def spam(umis: str, config: str | None) -> None:
    """The message with this UMIS (first in its X-GOSSiP) was spam.  Exit code 1: nobody asked about it."""
    _tell(umis, config, is_spam=True)


@reputation.command()
@click.argument("umis")
@config_option
def ham(umis: str, config: str | None) -> None:
    """The message with this UMIS (first in its X-GOSSiP) was no spam.  Exit code 1: nobody asked about it."""
    _tell(umis, config, is_spam=False)


def _tell(umis: str, config: str | None, *, is_spam: bool) -> None:
    with asking(config) as ask:
        is_known = ask("reputation-verdict", umis=umis, spam=is_spam)
    if not is_known:
        click.echo(f"nobody asked about {umis}, or that was too long ago", err=True)
        raise click.exceptions.Exit(1)


@reputation.command()
@config_option
def export(config: str | None) -> None:
    """Print everything that is known as CSV."""
    import csv
    import sys

    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    with asking(config) as ask:
        writer.writerows(all_rows(ask))


def all_rows(ask: Ask) -> Iterator[Mapping[str, Any]]:
    """Every record, in the order of names."""
    after: tuple[str, str] | None = None
    while rows := ask("reputation-page", after=after):
        yield from rows
        after = rows[-1]["name"], rows[-1]["qualifier"]


@reputation.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read it and tell what would be put in.")
@config_option
def import_file(file: Path, dry_run: bool, config: str | None) -> None:
    """Put in what pygossip knew: its gossip4.db.  Newer votes that are here stay."""
    from twistedmilter.cli.errors import CommandError
    from twistedmilter.reputation_commands import row_of
    from twistedmilter.store.ancestor_reputation import read_reputation

    try:
        found = read_reputation(file)
    except ValueError as error:
        raise CommandError(str(error)) from error
    rows = [row_of(identity, known) for identity, known in found.records]
    put_in = 0
    if not dry_run:
        with asking(config) as ask:
            for first in range(0, len(rows), AT_ONCE):
                put_in += ask("reputation-import", records=rows[first : first + AT_ONCE])
    for trouble in found.troubles:
        click.echo(trouble, err=True)
    click.echo(f"{len(rows)} records, {put_in} put in, {len(found.troubles)} not understood")


def lines_of(row: Mapping[str, Any]) -> Iterator[str]:
    """A record for people: one line, and one for each peer."""
    first, last = (
        f"{datetime.fromtimestamp(row[key]).astimezone():%Y-%m-%d %H:%M}" for key in ("first_seen", "last_seen")
    )
    yield (
        f"{row['name']}:{row['qualifier']}  {int(row['reputation'])},{int(row['confidence'])}"
        f"{' bad' if row['is_bad'] else ''}  {row['ham']} ham, {row['spam']} spam, {row['null']} null"
        f"  {first} to {last}"
    )
    for peer in row.get("peers", ()):
        said = f"{int(peer['reputation'])},{int(peer['confidence'])}"
        yield f"  {peer['peer']} says {said}, which weighs {peer['weight']:g}"
    together = row.get("with_peers")
    if together is not None:
        bad = " bad" if together["is_bad"] else ""
        yield f"  together {int(together['reputation'])},{int(together['confidence'])}{bad}"
