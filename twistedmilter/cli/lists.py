"""C{twistedmilter list}: the lists of senders and clients, in a running service or, where none runs, in its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from twistedmilter.configfile import Loaded

LIST = click.Choice(["whitelist", "blacklist", "bans", "never_banned"])
KINDS = ("send_dsn", "auto_whitelist", "blacklist", "banned_ips", "banned_domains", "whitelist_ips", "greylist")
UNITS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
Ask = Callable[..., Any]


class Expiry(click.ParamType[float]):
    """C{30d}, C{4h} from now, or a date and time, local unless it says otherwise.

    The value is in seconds since the epoch.
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time itself."""
        now = datetime.now().astimezone()
        span = re.fullmatch(r"(\d{1,6})([mhdw])", value)
        try:
            ends = now + timedelta(seconds=int(span[1]) * UNITS[span[2]]) if span else datetime.fromisoformat(value)
            return ends.timestamp()
        except OverflowError:
            self.fail(f"{value!r} is later than any date; leave it out to enter something for good", param, ctx)
        except ValueError:
            self.fail(f"{value!r} is neither a time like 30d, 4h or 90m nor a date like {now:%Y-%m-%d}", param, ctx)


@click.group(name="list", no_args_is_help=True)
@config_option
@click.pass_context
def lists(context: click.Context, config: str | None) -> None:
    """Show and change who is known, unwanted or banned.

    A running service is asked over [control] listen; where none runs, its file in the state directory is opened.

    \b
    Lists
      whitelist     senders that are believed more than strangers
      blacklist     senders that are unwanted
      bans          clients that are banned, by IP address
      never_banned  clients that are not to be banned, by IP address

    \b
    Examples
      twistedmilter list add whitelist alice@example.com --comment "our tax adviser"
      twistedmilter list add blacklist '*.example.net' --expires 30d
      twistedmilter list show bans
      twistedmilter list import /var/log/milter/auto_whitelist.log
    """
    context.obj = config


@lists.command()
@click.argument("which", type=LIST, metavar="LIST")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@config_option
def show(which: str, as_json: bool, config: str | None) -> None:
    """Show the entries of a list that still hold, by name."""
    from twistedmilter.observe.json_log import encode

    with asking(config) as ask:
        entries = all_entries(ask, which)
    for line in [encode(entries)] if as_json else entry_lines(entries):
        click.echo(line)


@lists.command()
@click.argument("which", type=LIST, metavar="LIST")
@click.argument("name")
@click.option("--comment", default="", help="Why, for people.")
@click.option("--expires", type=Expiry(), help="When it ends: 30d, 4h, 90m, or a date; without it never.")
@config_option
def add(which: str, name: str, comment: str, expires: float | None, config: str | None) -> None:
    """Enter NAME in a list, or change its entry.

    It is an address, a domain for all addresses in it, or *.domain for all in those below; for clients an IP address.
    """
    with asking(config) as ask:
        entry = ask("list-add", list=which, name=name, comment=comment, expires=expires)
    click.echo("\n".join(entry_lines([entry])))


@lists.command()
@click.argument("which", type=LIST, metavar="LIST")
@click.argument("name")
@config_option
def remove(which: str, name: str, config: str | None) -> None:
    """Take NAME out.  Exit code 1: it was not there."""
    with asking(config) as ask:
        was_there = ask("list-remove", list=which, name=name)
    if not was_there:
        click.echo(f"{name} is not in the {which}", err=True)
        raise click.exceptions.Exit(1)


@lists.command(name="import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--kind", type=click.Choice(KINDS), help="What the files are, if their names do not say.")
@click.option("--dry-run", is_flag=True, help="Read them and tell what would be put in.")
@config_option
def import_files(files: tuple[str, ...], kind: str | None, dry_run: bool, config: str | None) -> None:
    """Put in what pymilter's bms kept.

    Files are told by their names, also when rotated or compressed: send_dsn.log, auto_whitelist.log, blacklist.log,
    banned_ips, banned_domains, whitelist_ips, and greylist as CSV or SQLite.  What is newer here stays, so it does
    no harm to import twice.  Exit code 1: a line was not understood; the others were put in.
    """
    import time

    from twistedmilter.cli.lists_import import read_files, requests_of, summary_of

    found = read_files(files, kind, time.time())
    if not dry_run:
        with asking(config) as ask:
            for arguments in requests_of(found):
                ask("list-import", **arguments)
    for trouble in found.troubles:
        click.echo(trouble, err=True)
    click.echo(summary_of(found))
    if found.troubles:
        raise click.exceptions.Exit(1)


def all_entries(ask: Ask, which: str) -> list[Mapping[str, Any]]:
    """The entries of a list, asked for in pages."""
    entries: list[Mapping[str, Any]] = []
    while page := ask("list-show", list=which, after=entries[-1]["name"] if entries else None):
        entries += page
    return entries


def entry_lines(entries: list[Mapping[str, Any]]) -> Iterator[str]:
    """Entries for people, one a line: name, end, comment."""
    from twistedmilter.observe.sanitise import one_line

    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        ends = entry["expires"]
        until = "for good" if ends is None else f"until {datetime.fromtimestamp(ends).astimezone():%Y-%m-%d %H:%M}"
        yield one_line(f"{entry['name']:<{width}}  {until:<22}  {entry['comment']}").rstrip()


@contextmanager
def asking(config: str | None) -> Iterator[Ask]:
    """Whom to ask: the service that holds the lock of the state directory, else its file, under that lock.

    @raise ConfigError: the configuration cannot be used.
    @raise CommandError: there is nobody to ask and no file of ours.
    """
    import os

    from twistedmilter.configfile import load_settings
    from twistedmilter.state_dir import service_state_dir

    config = config or click.get_current_context().obj
    loaded = load_settings(config)
    state_dir = service_state_dir(loaded.settings, Path(loaded.base_dir), os.environ)
    lock = _take_lock(state_dir)
    if lock is None:
        yield _ask_service(config)
        return
    with lock:
        _check_owner(loaded, state_dir)
        with _open_file(loaded, state_dir) as ask:
            yield ask


def _take_lock(state_dir: Path) -> IO[str] | None:
    """The lock of a state directory; None if somebody has it, or if it is not ours to take or cannot be written."""
    import fcntl

    try:
        lock = (state_dir / "lock").open("r+")
    except FileNotFoundError as error:
        raise CommandError(f"no service has been started with {state_dir} yet") from error
    except OSError:  # not ours, or read-only: the service may have it all the same
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _ask_service(config: str | None) -> Ask:
    from twistedmilter import control
    from twistedmilter.cli.status import control_path

    path = control_path(config)

    def ask(command: str, **arguments: Any) -> Any:
        try:
            return control.ask(path, command, **arguments)
        except control.CommandError as error:
            raise CommandError(str(error)) from error

    return ask


def _check_owner(loaded: Loaded, state_dir: Path) -> None:
    """A file that root makes would keep the service out of it."""
    import os

    if loaded.settings.store.url == "memory":
        raise CommandError("store.url is memory, and no service runs: nothing is kept")
    owner = state_dir.stat().st_uid
    if owner != os.geteuid():
        raise CommandError(f"no service runs, and {state_dir} belongs to user {owner}: run this as that user")


@contextmanager
def _open_file(loaded: Loaded, state_dir: Path) -> Iterator[Ask]:
    import time

    from twisted.internet.defer import Deferred

    from twistedmilter import control
    from twistedmilter.gossip_face import limits_of
    from twistedmilter.list_commands import ListCommands
    from twistedmilter.notice_commands import NoticeCommands
    from twistedmilter.reputation_commands import ReputationCommands
    from twistedmilter.store.opening import make_stores
    from twistedmilter.store.without_service import CallQueue

    calls = CallQueue()
    stores = make_stores(loaded.settings.store, state_dir, calls, time.time)
    commands: Mapping[str, Callable[..., Any]] = {
        **ListCommands(stores, time.time).commands,
        **NoticeCommands(stores.notices).commands,
        **ReputationCommands(stores.observations, time.time, limits_of(loaded.settings.gossip).thresholds).commands,
    }

    def ask(command: str, **arguments: object) -> Any:
        try:
            return calls.wait(Deferred.fromCoroutine(commands[command](arguments)))
        except control.CommandError as error:
            raise CommandError(str(error)) from error

    stores.open()
    try:
        yield ask
    finally:
        calls.wait(stores.close())
