"""What is wrong with [srs], [ses], [batv] and [socketmap], beyond their types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from twistedmilter.configfile.allowed import key_path
from twistedmilter.configfile.paths import absolute_spec
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.listen import LISTEN_FORMS, TCPListen, UnixListen, parse_listen
from twistedmilter.model.settings import Settings
from twistedmilter.model.signing_settings import (
    BATVSettings,
    SESSettings,
    SocketmapListenSettings,
    SocketmapSettings,
    SRSSettings,
)
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.signing.addresses import Unsignable, split_address

_DOMAIN: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
)
_MAX_FIXED: Final = 2**32 - 1


def signing_problems(settings: Settings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Domains and senders that are none, keys and servers without a number, and listeners that are not safe."""
    yield from _srs_problems(settings.srs, base_dir)
    yield from _ses_problems(settings.ses)
    yield from _batv_problems(settings.batv)
    yield from _twice_signed(settings)
    yield from _bounce_problems(settings)
    yield from _listener_problems(settings.socketmap, base_dir)


def _srs_problems(section: SRSSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    if section.forward_domain:
        yield from _domains("srs.forward_domain", [section.forward_domain])
    for key in ("sign_domains", "reverse_domains", "exempt_hosts"):
        yield from _domains(f"srs.{key}", getattr(section, key), listed=True)
    for index, entry in enumerate(section.local_domains):
        try:
            AddressSet.parse([entry], base_dir)
        except ValueError as error:
            yield ConfigProblem(f"srs.local_domains[{index}]", str(error))
    if 0 < section.hash_minimum < 4 or section.hash_minimum > section.hash_length:
        yield ConfigProblem("srs.hash_minimum", "is no length of a hash", "allowed: 0, or 4 to hash_length")
    if section.legacy_until and _day(section.legacy_until) is None:
        yield ConfigProblem("srs.legacy_until", f"{section.legacy_until!r} is no day", "allowed: as 2027-01-31")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _ses_problems(section: SESSettings) -> Iterator[ConfigProblem]:
    yield from _domains("ses.domains", section.domains, listed=True)
    if section.server >= section.servers:
        wrong = f"there is no server {section.server} among {section.servers}"
        yield ConfigProblem("ses.server", wrong, "allowed: 0 to one less than servers")
    seen: dict[int, str] = {}
    for sender, number in section.fixed.items():
        where = key_path("ses.fixed", sender)
        try:
            domain = split_address(sender).domain.lower()
        except Unsignable as reason:
            yield ConfigProblem(where, f"is no sender: {reason}", "allowed: user@domain")
            continue
        if domain not in section.domains:
            yield ConfigProblem(where, f"{domain} is not in ses.domains")
        if not 0 < number <= _MAX_FIXED:
            yield ConfigProblem(where, f"is {number}", f"allowed: 1 to {_MAX_FIXED}")
        if number in seen:
            yield ConfigProblem(where, f"{number} is the number of {seen[number]} too")
        seen.setdefault(number, sender)


def _batv_problems(section: BATVSettings) -> Iterator[ConfigProblem]:
    yield from _domains("batv.domains", section.domains, listed=True)
    for number in section.key_files:
        if re.fullmatch("[0-9]", number) is None:
            yield ConfigProblem(key_path("batv.key_files", number), "is no number of a key", "allowed: 0 to 9")
    if section.domains and str(section.signing_key) not in section.key_files:
        yield ConfigProblem("batv.signing_key", f"there is no key {section.signing_key} in batv.key_files")


def _twice_signed(settings: Settings) -> Iterator[ConfigProblem]:
    """A domain is signed in one way."""
    ways = (
        ("ses.domains", settings.ses.domains),
        ("srs.sign_domains", settings.srs.sign_domains),
        ("batv.domains", settings.batv.domains),
    )
    seen: dict[str, str] = {}
    for where, domains in ways:
        for index, domain in enumerate(domains):
            if domain in seen:
                yield ConfigProblem(f"{where}[{index}]", f"{domain} stands in {seen[domain]} too")
            seen.setdefault(domain, where)


def _bounce_problems(settings: Settings) -> Iterator[ConfigProblem]:
    section = settings.bounce
    for index, entry in enumerate(section.exempt):
        place = f"bounce.exempt[{index}]"
        try:
            names = NetworkSet.parse([entry]).names
        except ValueError as error:
            yield ConfigProblem(place, str(error))
            continue
        if names:
            yield ConfigProblem(place, f"{entry!r:.60} is a host name", "allowed: addresses and ranges")
    signed = settings.ses.domains or settings.srs.sign_domains or settings.batv.domains
    if section.mode != "off" and section.require_signature and not signed:
        wrong = "there is no domain whose senders are signed"
        yield ConfigProblem("bounce.require_signature", wrong, "ses.domains, srs.sign_domains or batv.domains has them")


def _domains(where: str, domains: Sequence[str], *, listed: bool = False) -> Iterator[ConfigProblem]:
    for index, domain in enumerate(domains):
        if _DOMAIN.fullmatch(domain) is None:
            place = f"{where}[{index}]" if listed else where
            yield ConfigProblem(
                place, f"{domain!r:.60} is no domain", "allowed: lower case, A-labels, no dot at the end"
            )


def _listener_problems(section: SocketmapSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    seen: dict[str, int] = {}
    for index, entry in enumerate(section.listen):
        where = f"socketmap.listen[{index}]"
        table = SocketmapListenSettings(address=entry) if isinstance(entry, str) else entry
        place = where if isinstance(entry, str) else f"{where}.address"
        try:
            canonical = str(parse_listen(absolute_spec(base_dir, table.address)))
        except ValueError as error:
            yield ConfigProblem(place, str(error), f"allowed: {LISTEN_FORMS}")
            continue
        yield from _safety_problems(where, place, table)
        if canonical in seen and not canonical.startswith("inet:0@"):
            yield ConfigProblem(place, f"{canonical} is socketmap.listen[{seen[canonical]}] too")
        seen.setdefault(canonical, index)


def _safety_problems(where: str, place: str, table: SocketmapListenSettings) -> Iterator[ConfigProblem]:
    spec = parse_listen(table.address)
    if isinstance(spec, UnixListen):
        return
    if table.users:
        yield ConfigProblem(f"{where}.users", "applies to unix sockets only")
    if isinstance(spec, TCPListen) and not spec.is_loopback and not table.anywhere:
        wrong = f"{spec} is open to other hosts, and whoever connects there gets any sender signed"
        yield ConfigProblem(place, wrong, "allowed: a unix socket, loopback, or anywhere = true")
