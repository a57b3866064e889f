"""What may be wrong with C{[dns]} beyond its types; whether zone files can be read shows when they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from twistedmilter.errors import ConfigProblem
from twistedmilter.model.dns_server_settings import (
    PACKAGED,
    DNSServerSettings,
    ZoneFileSettings,
    ZoneSettings,
    domain_of,
    parse_address,
)
from twistedmilter.policy.networks import NetworkSet

RESERVED: Final = ("localhost", "test", "invalid")  # resolvers answer these themselves (RFC 6761 section 6)
WIDEST: Final = {4: 8, 6: 19}  # prefix lengths of allow; whoever is in there is not limited
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,190}}\.?$){_LABEL}(\.{_LABEL})+\.?")
_MAILBOX: Final = re.compile(rf"[A-Za-z0-9_+-]+@({_LABEL}\.)+{_LABEL}")


def dns_problems(section: DNSServerSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Listeners, zones and their access lists.

    @param base_dir: where relative paths begin.
    """
    seen: dict[str, int] = {}
    for index, text in enumerate(section.listen):
        where = f"dns.listen[{index}]"
        try:
            spec = str(parse_address(text))
        except ValueError as error:
            wrong = f"{text!r:.60} {error}"
            yield ConfigProblem(where, wrong, "allowed: address:port or [IPv6 address]:port")
            continue
        if spec in seen and not spec.startswith("inet:0@"):
            yield ConfigProblem(where, f"is dns.listen[{seen[spec]}] too")
        seen.setdefault(spec, index)
    names: dict[str, int] = {}
    for index, zone in enumerate(section.zones):
        where = f"dns.zones[{index}]"
        if zone.kind == "ses" and section.processes:
            wrong = "is not served by processes of their own, which do not have the secrets"
            yield ConfigProblem(f"{where}.kind", f"'ses' {wrong}", "allowed: with dns.processes = 0")
        yield from _name_problems(where, zone)
        yield from _kind_problems(where, zone, needs_files=not section.publish_bans)
        yield from _file_problems(where, zone, base_dir)
        yield from _allow_problems(where, zone.allow)
        name = zone.name.lower().rstrip(".")
        if name in names:
            yield ConfigProblem(f"{where}.name", f"{zone.name!r:.80} is the name of dns.zones[{names[name]}] too")
        names.setdefault(name, index)


def _name_problems(where: str, zone: ZoneSettings) -> Iterator[ConfigProblem]:
    """Names of the zone, of its servers and of its administrator."""
    last = zone.name.lower().rstrip(".").rpartition(".")[2]
    if last in RESERVED:
        wrong = f"{zone.name!r:.80}: resolvers answer what is below {last} themselves, and never ask this server"
        right = "allowed: a name of your own, as in rhsbl.example.com, or one below home.arpa or internal"
        yield ConfigProblem(f"{where}.name", wrong, right)
    elif _NAME.fullmatch(zone.name) is None:
        wrong = f"{zone.name!r:.80} is no name for a zone"
        yield ConfigProblem(f"{where}.name", wrong, "allowed: two labels or more of letters, digits, - and _")
    for index, name in enumerate(zone.name_servers):
        if _NAME.fullmatch(name) is None:
            yield ConfigProblem(f"{where}.name_servers[{index}]", f"{name!r:.80} is no name of a host")
    if zone.contact and _MAILBOX.fullmatch(zone.contact) is None:
        wrong = f"{zone.contact!r:.80} is no plain mailbox"
        yield ConfigProblem(f"{where}.contact", wrong, "allowed: hostmaster@example.com")


def _kind_problems(where: str, zone: ZoneSettings, *, needs_files: bool) -> Iterator[ConfigProblem]:
    if zone.kind == "ses":
        if zone.files:
            yield ConfigProblem(f"{where}.files", "a zone of kind ses has no files")
        if _NAME.fullmatch(domain_of(zone)) is None or (not zone.domain and not zone.name.lower().startswith("_ses.")):
            wrong = "cannot be told from the name of the zone"
            yield ConfigProblem(
                f"{where}.domain", wrong, "allowed: a zone named _ses.example.com, or the domain itself"
            )
        return
    if zone.domain:
        yield ConfigProblem(f"{where}.domain", f"has no meaning for kind {zone.kind}", "allowed: with kind ses")
    if needs_files and not zone.files:
        allowed = "allowed: a zone file or more, or dns.publish_bans = true"
        yield ConfigProblem(f"{where}.files", "is empty: the zone would list nobody", allowed)


def _file_problems(where: str, zone: ZoneSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    for index, entry in enumerate(zone.files):
        path = entry.path if isinstance(entry, ZoneFileSettings) else entry
        place = f"{where}.files[{index}]"
        if path.startswith(PACKAGED):
            if not is_packaged(path.removeprefix(PACKAGED)):
                yield ConfigProblem(place, f"there is no {path!r:.80}", "allowed: packaged:throwaway.zone, or a path")
        elif not (base_dir / path).exists():
            yield ConfigProblem(place, f"there is no file {path!r:.200}")


def is_packaged(name: str) -> bool:
    """Whether a zone file of this name comes with the package."""
    return "/" not in name and name.endswith(".zone") and files("twistedmilter").joinpath("data", name).is_file()


def _allow_problems(where: str, entries: list[str]) -> Iterator[ConfigProblem]:
    for index, entry in enumerate(entries):
        place = f"{where}.allow[{index}]"
        try:
            if NetworkSet.parse([entry]).names:
                yield ConfigProblem(place, f"{entry!r:.80} is a host name", "allowed: addresses and ranges")
                continue
        except ValueError as error:
            yield ConfigProblem(place, str(error))
            continue
        if _is_too_wide(entry):
            wrong = f"{entry!r:.80} is wider than one's own networks are, and who is in allow is not limited"
            yield ConfigProblem(place, wrong, "allowed: public = true, which is limited by the rates of [dns]")


def _is_too_wide(entry: str) -> bool:
    try:
        network = ip_network(entry.strip().lstrip("!"), strict=False)
    except ValueError:
        return "*" in entry.partition(".")[0]
    return network.prefixlen < WIDEST[network.version]
