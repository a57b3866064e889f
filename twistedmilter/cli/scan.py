"""C{twistedmilter scan}."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from twistedmilter.cli.options import config_option
from twistedmilter.cli.spf import AddressType

if TYPE_CHECKING:
    from twistedmilter.cli.scan_message import Envelope, Given, Message
    from twistedmilter.cli.scan_result import ScanResult
    from twistedmilter.model.transaction import IPAddress

    Scan = Callable[[Message, Envelope], ScanResult]


@click.command(name="scan")
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE...")
@click.option("--client-ip", type=AddressType(), help="Address of the SMTP client.")
@click.option("--client-name", metavar="NAME", help="PTR name of the SMTP client.")
@click.option("--helo", metavar="NAME", help="What the client says at HELO.")
@click.option("--mail-from", metavar="ADDRESS", help="Reverse-path; <> is the null reverse-path.")
@click.option("--rcpt", "recipients", metavar="ADDRESS", multiple=True, help="A recipient; may be repeated.")
@click.option("--auth", metavar="USER", help="The client has authenticated as USER.")
@click.option(
    "--role",
    type=click.Choice(["inbound", "submission", "reinjection"]),
    default="inbound",
    show_default=True,
    help="Role of the listener; in process only.",
)
@click.option("--milter", metavar="SPEC", help="Ask the service that listens there: unix:/path, inet:port@host.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message, with the keys of docs/log.md.")
@config_option
@click.pass_context
def scan(  # noqa: PLR0917 - click hands over each option
    ctx: click.Context,
    messages: tuple[str, ...],
    client_ip: IPAddress | None,
    client_name: str | None,
    helo: str | None,
    mail_from: str | None,
    recipients: tuple[str, ...],
    auth: str | None,
    role: str,
    milter: str | None,
    as_json: bool,
    config: str | None,
) -> None:
    """Put messages through the checks and tell the verdict and why.

    MESSAGE is a file, an mbox, or - for the standard input.  What is not given of the envelope is
    taken from the message: the client from the first Received field with a public address (this
    field and all above it are then left out), the sender from Return-Path or From, the recipient
    from Delivered-To or To.  Without --milter the checks run here and ask nothing but the DNS.
    With it a running service judges; run as its user or root over a unix socket, the message is
    known there as a test and leaves no trace but one log line, and the service tells what each
    check said over [control] listen of the configuration.

    \b
    Exit codes, of several messages the highest
      0  delivered, marked or held
      1  refused or discarded
      2  tempfailed
      3  wrong usage, unusable configuration, unreachable service

    \b
    Examples
      twistedmilter scan --client-ip 192.0.2.9 --mail-from boss@example.com message.eml
      twistedmilter scan --milter unix:/run/twistedmilter/milter --json inbox.mbox | jq .decision
    """
    from twistedmilter.cli.scan_message import Given
    from twistedmilter.model.stage import Role

    given = Given(client_ip, client_name, helo, mail_from, recipients, auth, Role(role))
    tell = _json_line if as_json else _text
    with _scanner(config, milter) as judge:
        ctx.exit(max(_scan_all(messages, given, judge, tell), default=0))


@contextmanager
def _scanner(config: str | None, milter: str | None) -> Iterator[Scan]:
    """What judges one message after the other."""
    if milter is not None:
        from twistedmilter.cli.scan_milter import milter_scan
        from twistedmilter.cli.status import control_path

        with milter_scan(milter, partial(control_path, config), _warn) as judge:
            yield judge
        return
    with _in_process(config) as judge:
        yield judge


def _warn(line: str) -> None:
    """Tell on stderr, where no result is."""
    from twistedmilter.cli.errors import one_line

    click.echo(one_line(line), err=True)


@contextmanager
def _in_process(config: str | None) -> Iterator[Scan]:
    import time

    from twistedmilter.cli.scan_in_process import InProcessScan, PrivateReactor, RecordKeeper, silent_log
    from twistedmilter.composition import build_policy, build_resolver
    from twistedmilter.configfile import load_settings

    private = PrivateReactor()
    loaded = load_settings(config)
    keeper = RecordKeeper(_warn)
    resolver = build_resolver(loaded.settings, private.reactor)
    policy = build_policy(loaded, private.reactor, time.time, [keeper], resolver)
    scanning = InProcessScan(policy, keeper, socket.gethostname())
    with silent_log():
        yield lambda message, envelope: private.run(scanning.scan(message, envelope))
        private.run(resolver.stop())


def _scan_all(paths: Iterable[str], given: Given, judge: Scan, tell: Callable[[ScanResult], str]) -> Iterator[int]:
    """The exit code of each message, which is printed meanwhile."""
    from twistedmilter.cli.scan_message import derive, read_messages

    names = list(paths)
    with _progress(names) as advance:
        for message in read_messages(names):
            result = judge(*derive(message, given))
            click.echo(tell(result))
            advance(message.size)
            yield result.exit_code


@contextmanager
def _progress(paths: list[str]) -> Iterator[Callable[[int], None]]:
    """Progress on stderr for a terminal whose output goes elsewhere, by octets read."""
    size = 0 if "-" in paths else sum(Path(path).stat().st_size for path in paths if Path(path).is_file())
    if size == 0 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _octets: None
        return
    with click.progressbar(length=size, label="scanning", file=sys.stderr) as bar:
        yield bar.update


def _json_line(result: ScanResult) -> str:
    from twistedmilter.cli.scan_result import result_to_dict
    from twistedmilter.observe.json_log import encode

    return encode(result_to_dict(result))


def _text(result: ScanResult) -> str:
    from twistedmilter.cli.scan_text import result_lines

    return "\n".join(result_lines(result))
