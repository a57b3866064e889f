"""C{twistedmilter status}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.options import config_option


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def status(as_json: bool, config: str | None) -> None:
    """Ask the running service how it is: version, uptime, listeners, sessions, counts.

    It is asked over [control] listen, as its own user or as root.

    \b
    Exit codes
      0  it answered
      3  it does not run, or wrong usage

    \b
    Examples
      twistedmilter status
      twistedmilter status --json | jq .counters.verdicts
    """
    from twistedmilter import control
    from twistedmilter.observe.json_log import encode

    try:
        answer = control.ask(control_path(config), "status")
    except control.CommandError as error:
        raise CommandError(str(error)) from error
    click.echo(encode(answer) if as_json else "\n".join(status_lines(answer)))


def control_path(config: str | None) -> str:
    """The path of the control socket of a configuration.

    @raise ConfigError: its sections C{server} and C{control} cannot be used.
    @raise CommandError: it has no control socket.
    """
    import os
    from pathlib import Path

    from twistedmilter.configfile import load_sections
    from twistedmilter.state_dir import service_state_dir

    loaded = load_sections(config, "server", "control")
    listen = loaded.settings.control.listen
    if listen == "off":
        raise CommandError("control.listen is off: the service cannot be asked")
    base_dir = Path(loaded.base_dir)
    state_dir = service_state_dir(loaded.settings, base_dir, os.environ)
    return str(base_dir / listen.removeprefix("unix:").replace("STATE_DIR", str(state_dir), 1))


def status_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer of the service for people: one fact a line, counts below their name."""
    from twistedmilter.observe.sanitise import one_line

    for name, value in answer.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{label}:"
            yield from (f"  {line}" for line in status_lines(value))
        elif isinstance(value, list):
            yield f"{label}: {', '.join(one_line(str(each)) for each in value) or 'none'}"
        else:
            yield f"{label}: {one_line(str(value))}"
