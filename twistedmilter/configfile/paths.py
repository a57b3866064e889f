"""Relative paths begin at the configuration file, wherever the service is started."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from twistedmilter.model.dns_server_settings import PACKAGED, ZoneFileSettings
from twistedmilter.model.listen import UnixListen, parse_listen
from twistedmilter.model.settings import ListenSettings, Settings

STATE_DIR = "STATE_DIR/"  # stands for server.state_dir in control.listen


def with_absolute_paths(settings: Settings, base_dir: Path) -> Settings:
    """The same settings with state directory, unix sockets and log file as absolute paths.

    C{file:NAME} entries stay as they are: there NAME is a domain too.
    """
    server, log, control = settings.server, settings.log, settings.control
    if server.state_dir:
        server = replace(server, state_dir=absolute(base_dir, server.state_dir))
    if "/" in log.to:
        log = replace(log, to=absolute(base_dir, log.to))
    if control.listen != "off":
        control = replace(control, listen=absolute_spec(base_dir, control.listen))
    listen = [_absolute_entry(base_dir, entry) for entry in settings.milter.listen]
    milter = replace(settings.milter, listen=listen)
    zones = [replace(zone, files=[_zone_file(base_dir, entry) for entry in zone.files]) for zone in settings.dns.zones]
    dns = replace(settings.dns, zones=zones)
    return replace(settings, server=server, log=log, control=control, milter=milter, dns=dns)


def _zone_file(base_dir: Path, entry: str | ZoneFileSettings) -> str | ZoneFileSettings:
    if isinstance(entry, ZoneFileSettings):
        return replace(entry, path=absolute(base_dir, entry.path))
    return entry if entry.startswith(PACKAGED) else absolute(base_dir, entry)


def absolute(base_dir: Path, path: str) -> str:
    """The path as seen from C{base_dir}."""
    return os.path.normpath(base_dir / path)


def absolute_spec(base_dir: Path, text: str) -> str:
    """A listening spec whose unix socket, if it is one, is written C{unix:} and an absolute path.

    @raise ValueError: not a spec, or the path becomes too long for a socket.
    """
    spec = parse_listen(text)
    if not isinstance(spec, UnixListen):
        return text
    return str(spec if spec.path.startswith(STATE_DIR) else UnixListen(absolute(base_dir, spec.path)))


def _absolute_entry(base_dir: Path, entry: str | ListenSettings) -> str | ListenSettings:
    if isinstance(entry, str):
        return absolute_spec(base_dir, entry)
    return replace(entry, address=absolute_spec(base_dir, entry.address))
