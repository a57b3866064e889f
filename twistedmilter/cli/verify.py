"""C{twistedmilter verify}: one callback, step by step (seed-spec G09 to G14)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from twistedmilter.callback import CallbackVerifier
    from twistedmilter.interfaces.callbacks import CallbackOutcome
    from twistedmilter.model.settings import Settings


@click.command(name="verify")
@click.argument("sender")
@click.option("--helo", metavar="NAME", help="Our name in EHLO; without it as in the configuration.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where exchangers listen; without it callback.port, 25.")
@click.option("--permit-private", is_flag=True, help="Call exchangers on loopback and private addresses, too.")
@click.option(
    "--nameserver", "nameservers", multiple=True, metavar="ADDR[:PORT]", help="Ask this one; may be given more often."
)
@click.option("--json", "json_output", is_flag=True, help="One JSON object: outcome and conversation.")
@config_option
def verify(  # noqa: PLR0917 - click hands over each option
    sender: str,
    helo: str | None,
    port: int | None,
    permit_private: bool,
    nameservers: tuple[str, ...],
    json_output: bool,
    config: str | None,
) -> None:
    """Ask the mail exchangers of a sender whether they take mail for it, and show the conversation.

    This connects to foreign hosts, as a callback does; no mail is sent, and nothing is stored.

    \b
    Exit code
      0  valid, or unknown: nothing against the sender
      1  invalid
      2  temporary
      3  wrong usage or configuration

    \b
    Examples
      twistedmilter verify bob@example.com
      twistedmilter verify bob@example.com --helo mx.example.org --json
    """
    from msgspec import to_builtins
    from msgspec.structs import replace

    from twistedmilter.configfile import load_settings

    if helo is not None and (not (helo.isascii() and helo.isprintable()) or not helo or " " in helo):
        raise click.BadParameter(f"{helo!r} is not a host name", param_hint="--helo")
    settings = load_settings(config).settings
    section = settings.callback
    section = replace(
        section,
        port=port or section.port,
        permit_private=permit_private or section.permit_private,
        own_name=helo or section.own_name,
    )
    lines: list[str] = []
    watch = lines.append if json_output else click.echo
    outcome = _run(replace(settings, callback=section), nameservers, sender, watch, helo)
    if json_output:
        click.echo(json.dumps({**to_builtins(outcome), "conversation": lines}, indent=2))
    else:
        click.echo(f"result: {outcome.result}, {outcome.explanation}")
    sys.exit({"invalid": 1, "temporary": 2}.get(outcome.result, 0))


def _run(
    settings: Settings, nameservers: tuple[str, ...], sender: str, watch: Callable[[str], None], helo: str | None
) -> CallbackOutcome:
    """Ask on a reactor of our own until there is an outcome.

    @raise ConfigError: a name server is not an address.
    """
    from twisted.internet import reactor as global_reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from twistedmilter.model.address import parse_path

    reactor: Any = global_reactor
    verifier = _verifier(reactor, settings, nameservers, watch, helo)
    results: list[CallbackOutcome | Failure] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(verifier.verify(parse_path(sender)))
        done.addBoth(results.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        raise click.Abort
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def _verifier(
    reactor: Any,
    settings: Settings,
    nameservers: tuple[str, ...],
    watch: Callable[[str], None],
    helo: str | None,
) -> CallbackVerifier:
    import secrets
    import socket

    from msgspec.structs import replace

    from twistedmilter.callback import make_verifier
    from twistedmilter.composition import build_resolver
    from twistedmilter.own_addresses import OwnAddresses

    if nameservers:
        resolver = replace(settings.resolver, nameservers=list(nameservers))
        settings = replace(settings, resolver=resolver)
    return make_verifier(
        settings,
        reactor,
        build_resolver(settings, reactor),
        helo or socket.gethostname(),
        chance=secrets.SystemRandom().random,
        own_addresses=OwnAddresses(reactor.seconds),
        watch=watch,
    )
