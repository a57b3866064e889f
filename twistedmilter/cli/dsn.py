"""C{twistedmilter dsn show}: what a notification would look like, what went out last, what waits (seed-spec G08)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from twistedmilter.cli.options import config_option, one_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twistedmilter.dsn_report import Notice
    from twistedmilter.model.dsn_settings import DsnSettings


@click.group(name="dsn", no_args_is_help=True)
@config_option
@click.pass_context
def dsn(ctx: click.Context, config: str | None) -> None:
    """Show what a notification to a sender would look like, what went out last, and what waits.

    \b
    Examples
      twistedmilter dsn show softfail
      twistedmilter dsn --config /etc/twistedmilter/twistedmilter.toml show strike3
    """
    ctx.obj = config


@dsn.command(name="show")
@click.argument("template", default="")
@click.option("--last", is_flag=True, help="What was sent last of TEMPLATE, instead of what would be.")
@click.option("--json", "as_json", is_flag=True, help="Without TEMPLATE, or with --last: one JSON object.")
@click.option("--sender", metavar="ADDR", default="sender@example.com", show_default=True, help="Who would get it.")
@click.option("--ip", metavar="ADDR", default="192.0.2.5", show_default=True, help="Where the message came from.")
@click.option("--helo", metavar="NAME", default="mail.example.com", show_default=True, help="What it said in HELO.")
@click.option("--recipient", "recipients", multiple=True, metavar="ADDR", help="May be given more often.")
@click.option("--subject", default="(none)", show_default=True, help="Of the message.")
@click.option("--result", default="", metavar="RESULT", help="The SPF result; by default that of the text.")
@click.option("--error", default="unknown mechanism 'ipv4'", show_default=True, help="What is wrong in an SPF record.")
@click.option("--receiver", metavar="NAME", default="mx.example.org", show_default=True, help="Our own name.")
@config_option
@click.pass_obj
def show(  # noqa: PLR0917 - click hands over each option
    group_config: str | None,
    template: str,
    last: bool,
    as_json: bool,
    sender: str,
    ip: str,
    helo: str,
    recipients: tuple[str, ...],
    subject: str,
    result: str,
    error: str,
    receiver: str,
    config: str | None,
) -> None:
    """Print the notification TEMPLATE as it would be sent; nothing is.

    TEMPLATE is softfail, fail, neutral, permerror, temperror, strike3, heloerror, quarantine, or pass if you have one.

    Without TEMPLATE: the notifications that wait to be tried again, and when the last of each text went out. A running
    service is asked over [control] listen; where none runs, its file in the state directory is read.

    \b
    Examples
      twistedmilter dsn show
      twistedmilter dsn show softfail --last
      twistedmilter dsn show softfail
      twistedmilter dsn show strike3 --sender bob@example.com --helo dyn-5.example.net
    """
    import time

    from twistedmilter.configfile import load_settings
    from twistedmilter.dsn_report import build_report

    path = one_path(group_config, config)
    if last or not template:
        _show_stored(path, template, is_last=last, as_json=as_json)
        return
    loaded = load_settings(path)
    told = recipients or (f"you@{receiver}",)
    spf = result or _RESULTS.get(template, template)
    values = {
        "rcpt": "\n\t".join(told),
        "subject": subject,
        "spf_result": f"{spf} (what Received-SPF says)\n\tclient-ip={ip}; envelope-from={sender}; helo={helo}",
        "sender": sender,
        "sender_domain": sender.rpartition("@")[2],
        "connectip": ip,
        "heloname": helo,
        "receiver": receiver,
        "result": spf,
        "perm_error": error,
    }
    now = time.time()
    notice = _notice(loaded.settings.dsn, loaded.base_dir, template, values, now)
    content = build_report(notice, date=now, message_id=f"token.unique@{receiver}", token="token")  # noqa: S106
    click.echo(content.decode("ascii").replace("\r\n", "\n"), nl=False)


def _show_stored(config: str | None, template: str, *, is_last: bool, as_json: bool) -> None:
    """What a service has stored: the last message of a text, or what waits.

    @raise click.UsageError: the last of what is wanted. @raise CommandError: there is none, or nobody to ask.
    """
    from twistedmilter.cli.lists import asking
    from twistedmilter.observe.json_log import encode

    if is_last and not template:
        raise click.UsageError("--last needs a TEMPLATE")
    with asking(config) as ask:
        found = ask("dsn-last", template=template) if is_last else ask("dsn-waiting")
    if as_json:
        click.echo(encode(found))
    elif is_last:
        click.echo(f"{_time(found['stored'])} to {', '.join(found['to'])}: {found['outcome']}\n")
        click.echo(found["content"].replace("\r\n", "\n"), nl=False)
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """What waits and what went out last, for people."""
    from twistedmilter.observe.sanitise import one_line

    yield f"{len(found['waiting'])} waiting"
    for each in found["waiting"]:
        when = f"try {each['tries'] + 1} at {_time(each['next_try'])}"
        yield one_line(f"  {each['template']} to {', '.join(each['to'])}, {when}: {each['outcome']}")
    yield "last sent:" if found["last"] else "none was sent yet"
    for each in found["last"]:
        yield one_line(f"  {each['template']} to {', '.join(each['to'])}, {_time(each['stored'])}: {each['outcome']}")


def _time(seconds: float) -> str:
    """A time for people, local."""
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


_RESULTS = {"strike3": "none", "heloerror": "fail", "quarantine": "none"}


def _notice(settings: DsnSettings, base_dir: Path, name: str, values: dict[str, str], arrival: float) -> Notice:
    """The notice with the text that the configuration has for this name.

    @raise click.ClickException: a text is wrong. @raise click.BadParameter: there is no such text.
    """
    from twistedmilter.dsn_report import Notice, ToldRecipient
    from twistedmilter.templates import load_templates

    directory = base_dir / settings.templates if settings.templates else None
    try:
        texts = load_templates(directory, settings.language)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if name not in texts:
        raise click.BadParameter(f"{name!r} is no text; there are {', '.join(sorted(texts))}", param_hint="TEMPLATE")
    filled = texts[name].filled(values)
    to = f"postmaster@{values['heloname']}" if name.startswith("helo") else values["sender"]
    return Notice(
        template=name,
        subject=filled.subject,
        text=filled.body,
        to=[to],
        receiver=values["receiver"],
        reason=f"SPF {values['result']} for MAIL FROM {values['sender']}",
        arrival=arrival,
        helo=values["heloname"],
        client_ip=values["connectip"],
        recipients=[ToldRecipient(each) for each in values["rcpt"].split("\n\t")],
        fields=filled.fields,
        headers=[(b"From", values["sender"].encode("utf-8")), (b"Subject", values["subject"].encode("utf-8"))],
    )
