"""C{twistedmilter secret}: makes the secrets that senders are signed with (gossip-srs-dns-spec case 28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from pathlib import Path


@click.group(name="secret", no_args_is_help=True)
@config_option
@click.pass_context
def secret(ctx: click.Context, config: str | None) -> None:
    """Make the secrets that senders are signed with.

    \b
    Examples
      twistedmilter secret new
      twistedmilter secret new --group twistedmilter /etc/twistedmilter/srs.secret
      twistedmilter secret show
    """
    ctx.obj = config


@secret.command()
@click.argument("file", required=False)
@click.option("--group", metavar="GROUP", help="Let this group read it: that of the service, if you are root.")
@config_option
@click.pass_obj
def new(group_config: str | None, file: str | None, group: str | None, config: str | None) -> None:
    """Put a new secret into FILE, which without it is the one of [srs] secret_file.

    The new secret signs; those that were there before still verify what they signed.  A service that runs has to be
    restarted.  The file is made if it is not there, for its owner alone.
    """
    import secrets
    import time

    from twistedmilter.cli.errors import CommandError
    from twistedmilter.secret_files import SecretFileError, add_secret

    path = _path(file, config or group_config)
    if not path.parent.is_dir():
        raise CommandError(f"there is no directory {path.parent}")
    try:
        made = add_secret(path, secrets.token_bytes, time.time())
    except SecretFileError as error:
        raise CommandError(f"{path}: {error}") from error
    if group is not None:
        _hand_to(path, group)
    click.echo(f"{path}: secret {made.key_id} signs from the next start of the service on")


@secret.command()
@click.argument("file", required=False)
@config_option
@click.pass_obj
def show(group_config: str | None, file: str | None, config: str | None) -> None:
    """Tell which secrets are in FILE, by their ids; never the secrets themselves."""
    from datetime import UTC, datetime

    from twistedmilter.cli.errors import CommandError
    from twistedmilter.secret_files import SecretFileError, read_secrets

    path = _path(file, config or group_config)
    try:
        ring = read_secrets(path)
    except SecretFileError as error:
        raise CommandError(f"{path}: {error}") from error
    for number, each in enumerate(ring.secrets):
        since = "" if each.retired is None else f" since {datetime.fromtimestamp(each.retired, UTC).date()}"
        click.echo(f"{each.key_id} {'verifies' if number else 'signs'}{since}")


def _path(file: str | None, config: str | None) -> Path:
    """The file that is meant."""
    from pathlib import Path

    from twistedmilter.configfile import load_settings

    if file is not None:
        return Path(file)
    loaded = load_settings(config)
    return Path(loaded.base_dir) / loaded.settings.srs.secret_file


def _hand_to(path: Path, group: str) -> None:
    """Let a group read the file, too."""
    import grp
    import os

    from twistedmilter.cli.errors import CommandError

    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise CommandError(f"there is no group {group!r:.60}") from None
    os.chown(path, -1, gid)
    path.chmod(0o640)
