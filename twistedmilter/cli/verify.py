"""C{twistedmilter verify}: one callback, step by step (seed-spec G09 to G14)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from twistedmilter.cli.options import config_option
from twistedmilter.cli.spf import RESOLV_CONF

if TYPE_CHECKING:
    from twistedmilter.dsn import CallbackVerifier
    from twistedmilter.interfaces.callbacks import CallbackOutcome
    from twistedmilter.model.settings import ResolverSettings


@click.command(name="verify")
@click.argument("sender")
@click.option("--helo", metavar="NAME", help="Our name in EHLO; without it the name of this host.")
@click.option("--port", type=click.IntRange(1, 65535), default=25, show_default=True, help="Where exchangers listen.")
@click.option("--permit-private", is_flag=True, help="Call exchangers on loopback and private addresses, too.")
@click.option(
    "--nameserver", "nameservers", multiple=True, metavar="ADDR[:PORT]", help="Ask this one; may be given more often."
)
@click.option("--json", "json_output", is_flag=True, help="One JSON object: outcome and conversation.")
@config_option
def verify(  # noqa: PLR0917 - click hands over each option
    sender: str,
    helo: str | None,
    port: int,
    permit_private: bool,
    nameservers: tuple[str, ...],
    json_output: bool,
    config: str | None,
) -> None:
    r"""Ask the mail exchangers of a sender whether they take mail for it, and show the conversation.

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
    import socket

    from twistedmilter.callback_limits import CallbackLimits
    from twistedmilter.configfile import load_settings

    own_name = (helo or socket.gethostname()).lower()
    if not (own_name.isascii() and own_name.isprintable()) or " " in own_name:
        raise click.BadParameter(f"{helo!r} is not a host name", param_hint="--helo")
    lines: list[str] = []
    outcome = _run(
        load_settings(config).settings.resolver,
        nameservers,
        sender,
        own_name=own_name,
        limits=CallbackLimits(port=port),
        permit_private=permit_private,
        watch=lines.append if json_output else click.echo,
    )
    if json_output:
        click.echo(json.dumps({**asdict(outcome), "conversation": lines}, indent=2))
    else:
        click.echo(f"result: {outcome.result}, {outcome.explanation}")
    sys.exit({"invalid": 1, "temporary": 2}.get(outcome.result, 0))


def _run(settings: ResolverSettings, nameservers: tuple[str, ...], sender: str, **options: Any) -> CallbackOutcome:
    """Ask on a reactor of our own until there is an outcome.

    @raise ConfigError: a name server is not an address.
    """
    from twisted.internet import reactor as global_reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from twistedmilter.model.address import parse_path

    reactor: Any = global_reactor
    verifier = _verifier(reactor, settings, nameservers, **options)
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
    settings: ResolverSettings,
    nameservers: tuple[str, ...],
    *,
    own_name: str,
    permit_private: bool,
    **options: Any,
) -> CallbackVerifier:
    import secrets
    from functools import partial

    import msgspec

    from twistedmilter.dsn import CallbackVerifier
    from twistedmilter.exchangers import Guard
    from twistedmilter.resolver import Resolver, nameservers_of

    if nameservers:
        settings = msgspec.structs.replace(settings, nameservers=list(nameservers))
    servers = nameservers_of(settings, RESOLV_CONF.read_text("utf-8", "replace") if RESOLV_CONF.exists() else "")
    resolver = Resolver(reactor, settings, nameservers=servers, randomness=partial(secrets.randbits, 16))
    return CallbackVerifier(
        reactor,
        resolver,
        own_name,
        guard=Guard(frozenset({own_name}), permit_private=permit_private),
        chance=secrets.SystemRandom().random,
        **options,
    )
