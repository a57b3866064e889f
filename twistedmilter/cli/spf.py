"""C{twistedmilter spf}: one SPF evaluation, step by step, and what policy makes of it (seed-spec W09, E07, E10)."""

from __future__ import annotations

import json
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from twistedmilter.cli.options import config_option

if TYPE_CHECKING:
    from twistedmilter.cli.spf_view import Asked, SPFView
    from twistedmilter.configfile import Loaded
    from twistedmilter.spf_steps import ExplainedOutcome


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
@click.option("--name", default="", metavar="NAME", help="The client's host name; without it, it has none.")
@click.option("--json", "json_output", is_flag=True, help="One JSON object: outcome, steps, readings, policy.")
@config_option
def spf(  # noqa: PLR0917 - click hands over each option
    ip: Any, sender: str, helo: str, nameservers: tuple[str, ...], name: str, json_output: bool, config: str | None
) -> None:
    """Evaluate SPF for a client address, a sender and a HELO name, and show each step.

    SENDER is the envelope sender without brackets; '' judges the HELO name. Only the DNS is asked;
    nothing is stored.

    What the record would say if it were read past its mistakes, and what would be guessed where there is none, is
    shown as what it is: not official, and so is what the check spf of the configuration would do. The official
    result stands last.

    \b
    Exit code, by the official result
      0  none, neutral, pass or softfail
      1  fail or permerror
      2  temperror
      3  wrong usage or configuration

    \b
    Examples
      twistedmilter spf 192.0.2.1 bob@example.com mail.example.com
      twistedmilter spf 2001:db8::1 '' mail.example.com --json
    """
    from msgspec.structs import asdict

    from twistedmilter.cli.spf_view import Asked
    from twistedmilter.configfile import load_settings
    from twistedmilter.spf_query import shown

    loaded = load_settings(config)
    asked = Asked(ip, name, sender.removeprefix("<").removesuffix(">"), helo)
    explained, view = look(loaded, nameservers, asked)
    if json_output:
        told = {**asdict(explained.outcome), "steps": explained.steps, "policy": view.as_dict() if view else None}
        click.echo(json.dumps(told, indent=2))
    else:
        lines = [shown(line) for line in view.lines()] if view is not None else []
        end = next(number for number, line in enumerate(explained.steps) if line.startswith("result: "))
        click.echo("\n".join([*explained.steps[:end], *lines, *explained.steps[end:]]))
    sys.exit({"fail": 1, "permerror": 1, "temperror": 2}.get(explained.outcome.result, 0))


def look(loaded: Loaded, nameservers: tuple[str, ...], asked: Asked) -> tuple[ExplainedOutcome, SPFView | None]:
    """Evaluate on a reactor of our own: the steps, and everything else there is to see.

    @raise ConfigError: a name server is not an address, or the access map cannot be read.
    """
    from msgspec.structs import replace

    from twistedmilter.cli.policy import access_of
    from twistedmilter.cli.scan_in_process import PrivateReactor
    from twistedmilter.cli.spf_view import view_of
    from twistedmilter.composition import build_resolver
    from twistedmilter.spf_driver import SPFEvaluator
    from twistedmilter.spf_steps import explain_steps

    private = PrivateReactor()
    settings = loaded.settings
    if nameservers:
        settings = replace(settings, resolver=replace(settings.resolver, nameservers=list(nameservers)))
    resolver = build_resolver(settings, private.reactor)
    evaluator = SPFEvaluator(resolver, private.reactor.seconds)
    access = access_of(loaded)

    async def ask() -> tuple[ExplainedOutcome, SPFView | None]:
        explained = await explain_steps(evaluator, asked.ip, asked.sender, asked.helo)
        return explained, await view_of(loaded, access, evaluator, asked)

    found = private.run(ask())
    private.run(resolver.stop())
    return found
