"""C{twistedmilter spf}: one SPF evaluation, step by step (seed-spec W09)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from twistedmilter.model.settings import ResolverSettings
    from twistedmilter.model.transaction import IPAddress
    from twistedmilter.spf_steps import ExplainedOutcome

RESOLV_CONF: Final = Path("/etc/resolv.conf")


class AddressType(click.ParamType[Any]):
    """An IPv4 or IPv6 address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The address itself."""
        try:
            return ip_address(value)
        except ValueError:
            self.fail(f"{value!r} is not an IPv4 or IPv6 address", param, ctx)


@click.command(name="spf")
@click.argument("ip", type=AddressType())
@click.argument("sender")
@click.argument("helo")
@click.option(
    "--nameserver", "nameservers", multiple=True, metavar="ADDR[:PORT]", help="Ask this one; may be given more often."
)
@click.option("--json", "json_output", is_flag=True, help="One JSON object: outcome and steps.")
@config_option
def spf(  # noqa: PLR0917 - click hands over each option
    ip: Any, sender: str, helo: str, nameservers: tuple[str, ...], json_output: bool, config: str | None
) -> None:
    r"""Evaluate SPF for a client address, a sender and a HELO name, and show each step.

    SENDER is the envelope sender without brackets; '' judges the HELO name. Only the DNS is asked;
    nothing is stored.

    \b
    Exit code
      0  none, neutral, pass or softfail
      1  fail or permerror
      2  temperror
      3  wrong usage or configuration

    \b
    Examples
      twistedmilter spf 192.0.2.1 bob@example.com mail.example.com
      twistedmilter spf 2001:db8::1 '' mail.example.com --json
    """
    from twistedmilter.configfile import load_settings

    settings = load_settings(config).settings.resolver
    explained = _run(settings, nameservers, ip, sender.removeprefix("<").removesuffix(">"), helo)
    if json_output:
        click.echo(json.dumps({**asdict(explained.outcome), "steps": explained.steps}, indent=2))
    else:
        click.echo("\n".join(explained.steps))
    sys.exit({"fail": 1, "permerror": 1, "temperror": 2}.get(explained.outcome.result, 0))


def _run(
    settings: ResolverSettings, nameservers: tuple[str, ...], ip: IPAddress, sender: str, helo: str
) -> ExplainedOutcome:
    """Evaluate on a reactor of our own until there is an outcome.

    @raise ConfigError: a name server is not an address.
    """
    import secrets
    from functools import partial

    import msgspec
    from twisted.internet import reactor as global_reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from twistedmilter.resolver import Resolver, nameservers_of
    from twistedmilter.spf_driver import SPFEvaluator
    from twistedmilter.spf_steps import explain_steps

    reactor: Any = global_reactor
    if nameservers:
        settings = msgspec.structs.replace(settings, nameservers=list(nameservers))
    servers = nameservers_of(settings, RESOLV_CONF.read_text("utf-8", "replace") if RESOLV_CONF.exists() else "")
    resolver = Resolver(reactor, settings, nameservers=servers, randomness=partial(secrets.randbits, 16))
    evaluator = SPFEvaluator(resolver, reactor.seconds)
    results: list[ExplainedOutcome | Failure] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(explain_steps(evaluator, ip, sender, helo))
        done.addBoth(results.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        raise click.Abort
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
