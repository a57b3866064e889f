"""Whether the listeners of [milter] and [control] can be opened, and are safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twistedmilter.configfile.paths import STATE_DIR, absolute_spec
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.listen import LISTEN_FORMS, TCPListen, UnixListen, parse_listen
from twistedmilter.model.settings import ListenSettings, MilterSettings
from twistedmilter.policy.networks import NetworkSet

_NOT_FOR_MTAS = re.compile(r"[\s,;{}\"']")  # either MTA splits its list of filters there


def listener_problems(milter: MilterSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    """What is wrong with each entry of C{milter.listen}, and with one in the light of those before it."""
    seen: dict[str, int] = {}
    for index, entry in enumerate(milter.listen):
        where = f"milter.listen[{index}]"
        table = ListenSettings(address=entry) if isinstance(entry, str) else entry
        place = where if isinstance(entry, str) else f"{where}.address"
        yield from _allow_problems(f"{where}.allow", table.allow)
        try:
            canonical = str(parse_listen(absolute_spec(base_dir, table.address)))
        except ValueError as error:
            yield ConfigProblem(place, str(error), f"allowed: {LISTEN_FORMS}")
            continue
        yield from _safety_problems(where, place, table)
        if canonical in seen and not canonical.startswith("inet:0@"):
            yield ConfigProblem(place, f"{canonical} is milter.listen[{seen[canonical]}] too")
        seen.setdefault(canonical, index)


def _allow_problems(where: str, entries: list[str]) -> Iterator[ConfigProblem]:
    for index, entry in enumerate(entries):
        try:
            names = NetworkSet.parse([entry]).names
        except ValueError as error:
            yield ConfigProblem(f"{where}[{index}]", str(error))
            continue
        if names:
            yield ConfigProblem(f"{where}[{index}]", f"{entry!r} is a host name", "allowed: addresses and ranges")


def _safety_problems(where: str, place: str, table: ListenSettings) -> Iterator[ConfigProblem]:
    spec = parse_listen(table.address)
    if isinstance(spec, UnixListen):
        if _NOT_FOR_MTAS.search(spec.path):
            yield ConfigProblem(place, "an MTA cannot name a socket with a blank, a comma, a quote or a brace in it")
        if table.allow:
            yield ConfigProblem(f"{where}.allow", "does not apply to a unix socket", "allowed: mode and group")
    elif isinstance(spec, TCPListen) and not spec.is_loopback and not any(map(str.strip, table.allow)):
        wrong = f"{spec} is open to other hosts, and whoever connects there can claim any client and any AUTH"
        right = f'{{address = "{spec}", allow = ["the MTA\'s address"]}}'
        yield ConfigProblem(place, wrong, f"allowed: {right}")


def control_problems(text: str, base_dir: Path) -> Iterator[ConfigProblem]:
    """What is wrong with C{control.listen}."""
    allowed = "allowed: unix:PATH, unix:STATE_DIR/NAME, or off"
    if text == "off":
        return
    try:
        spec = parse_listen(absolute_spec(base_dir, text))
    except ValueError as error:
        yield ConfigProblem("control.listen", str(error), allowed)
        return
    if not isinstance(spec, UnixListen):
        yield ConfigProblem("control.listen", f"{spec} is no unix socket", allowed)
    elif STATE_DIR in spec.path and not spec.path.startswith(STATE_DIR):
        yield ConfigProblem("control.listen", f"{STATE_DIR} stands elsewhere than at the beginning", allowed)
