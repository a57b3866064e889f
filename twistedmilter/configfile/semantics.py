"""What a configuration means beyond its types: names that exist, addresses that parse, listeners that are safe."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path

import msgspec
from msgspec import inspect

from twistedmilter.configfile.allowed import describe, fits, key_path, plain, what_is
from twistedmilter.configfile.callback_problems import callback_problems
from twistedmilter.configfile.conduct import outgoing_problems, recipients_problems
from twistedmilter.configfile.conversion import SECTIONS, nearest
from twistedmilter.configfile.dns_list_problems import dns_list_problems, throwaway_problems
from twistedmilter.configfile.dns_problems import dns_problems
from twistedmilter.configfile.gossip_problems import gossip_problems
from twistedmilter.configfile.listeners import control_problems, listener_problems
from twistedmilter.configfile.signing_problems import signing_problems
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.check_settings import SPFSettings, ThreeStrikesSettings
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.listen import MAX_PORT
from twistedmilter.model.section import CheckSettings
from twistedmilter.model.sender_settings import BannedDomainSettings
from twistedmilter.model.settings import RuleSettings, Settings
from twistedmilter.model.spf import SPFResult
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.banned_domain import banned_senders
from twistedmilter.policy.checks.sender_login import login_table
from twistedmilter.policy.dynamic_ptr import load_patterns
from twistedmilter.policy.keywords import parse_keyword
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.spf_policy import SPFPolicy

ENTRY_POINTS = "twistedmilter.checks"
BUILT_IN_CHECKS = frozenset(
    name
    for name, info in SECTIONS.items()
    if isinstance(info, inspect.StructType) and issubclass(info.cls, CheckSettings)
)
SYSLOG_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *(f"local{number}" for number in range(8)),
)
_SPF_RESULTS = tuple(result.value for result in SPFResult)
_MODULE_AND_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_NAMESERVER = re.compile(r"\[(?P<v6>[^\]]*)\](:(?P<port6>\d{1,5}))?|(?P<v4>[0-9.]+):(?P<port4>\d{1,5})|(?P<bare>.*)")
_AUTHSERV_ID = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]*")  # RFC 8601 section 2.2: a token serves every reader


def semantic_problems(settings: Settings, known_checks: Collection[str], base_dir: Path) -> list[ConfigProblem]:
    """All that is wrong with settings whose types are right.

    @param known_checks: names that may stand in C{policy.checks} beside entry points and C{module:Class}.
    @param base_dir: where relative paths begin.
    """
    return [
        *_server_problems(settings),
        *listener_problems(settings.milter, base_dir),
        *_network_problems(settings, base_dir),
        *_nameserver_problems(settings.resolver.nameservers),
        *_chain_problems(settings, known_checks),
        *_rule_problems(settings, known_checks, base_dir),
        *_spf_problems(settings.spf, base_dir),
        *_sender_problems(settings, base_dir),
        *_three_strikes_problems(settings.three_strikes, base_dir),
        *dns_list_problems(settings.dnsbl),
        *throwaway_problems(settings.throwaway, base_dir),
        *callback_problems(settings, base_dir),
        *_known_sender_problems(settings.known_sender, base_dir),
        *_greylist_problems(settings),
        *recipients_problems(settings.recipients, base_dir),
        *outgoing_problems(settings.outgoing, base_dir),
        *signing_problems(settings, base_dir),
        *dns_problems(settings.dns, base_dir),
        *gossip_problems(settings.gossip),
        *_log_problems(settings.log.to),
        *control_problems(settings.control.listen, base_dir),
    ]


def _server_problems(settings: Settings) -> Iterator[ConfigProblem]:
    if _AUTHSERV_ID.fullmatch(settings.server.authserv_id) is None:
        yield ConfigProblem(
            "server.authserv_id", "is not a name for Authentication-Results", "allowed: one word, such as a host name"
        )
    if not settings.server.state_dir.isprintable():
        yield ConfigProblem("server.state_dir", "holds control characters")


def _tried(where: str, parse: Callable[[], object]) -> Iterator[ConfigProblem]:
    """The problem of a parser that raises C{ValueError}; that names the entry."""
    try:
        parse()
    except ValueError as error:
        yield ConfigProblem(where, str(error))


def network_problems(where: str, entries: list[str], *, names: bool) -> Iterator[ConfigProblem]:
    """Entries that are no networks.

    @param names: whether host names can be asked for where this list is used.
    """
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        try:
            parsed = NetworkSet.parse([entry])
        except ValueError as error:
            yield ConfigProblem(place, str(error))
            continue
        if parsed.names and not names:
            yield ConfigProblem(place, f"{entry!r} is a host name", "allowed: addresses, ranges and globs")


def _network_problems(settings: Settings, base_dir: Path) -> Iterator[ConfigProblem]:
    networks = settings.networks
    for where, entries in (("internal", networks.internal), ("trusted_relays", networks.trusted_relays)):
        if entries and all(entry.strip().startswith("!") for entry in entries):
            wrong = "holds exceptions only, so that everybody else would be ours"
            yield ConfigProblem(f"networks.{where}", wrong, "allowed: ! beside other entries")
    yield from network_problems("networks.internal", networks.internal, names=True)
    yield from network_problems("networks.trusted_relays", networks.trusted_relays, names=True)
    yield from _address_problems("networks.internal_domains", networks.internal_domains, base_dir)


def _address_problems(where: str, entries: list[str], base_dir: Path) -> Iterator[ConfigProblem]:
    for index, entry in enumerate(entries):
        yield from _tried(f"{where}[{index}]", partial(AddressSet.parse, [entry], base_dir))


def _nameserver_problems(nameservers: list[str]) -> Iterator[ConfigProblem]:
    for index, text in enumerate(nameservers):
        match = _NAMESERVER.fullmatch(text)
        host, port = "", "53"
        if match is not None:
            host = match["v6"] or match["v4"] or match["bare"] or ""
            port = match["port6"] or match["port4"] or port
        if not _is_address(host) or not 0 < int(port) <= MAX_PORT:
            yield ConfigProblem(
                f"resolver.nameservers[{index}]",
                f"{text!r:.60} is no address of a name server",
                "allowed: an address, address:port or [IPv6 address]:port",
            )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _chain_problems(settings: Settings, known_checks: Collection[str]) -> Iterator[ConfigProblem]:
    seen: set[str] = set()
    for index, name in enumerate(settings.policy.checks):
        place = f"policy.checks[{index}]"
        yield from _check_name_problems(place, name, known_checks)
        if name in seen:
            yield ConfigProblem(place, f"{name!r:.60} stands in the chain twice")
        seen.add(name)
    for name, keys in settings.check.items():
        yield from _third_party_problems(settings, name, keys)


def _check_name_problems(place: str, name: str, known_checks: Collection[str]) -> Iterator[ConfigProblem]:
    if name in known_checks or _MODULE_AND_CLASS.fullmatch(name) or entry_points(group=ENTRY_POINTS, name=name):
        return
    allowed = f"known: {', '.join(sorted(known_checks))}, or module:Class"
    yield ConfigProblem(place, f"there is no check {name!r:.60}", nearest(name, known_checks) or allowed)


def _third_party_problems(settings: Settings, name: str, keys: dict[str, object]) -> Iterator[ConfigProblem]:
    place = key_path("check", name)
    if name in BUILT_IN_CHECKS:
        yield ConfigProblem(place, f"{name} has a section of its own", f"allowed: [{name}]")
    elif name not in settings.policy.checks:
        hint = nearest(name, settings.policy.checks) or "allowed: sections of checks that policy.checks names"
        yield ConfigProblem(place, "is not in the chain", hint)
    for each in msgspec.structs.fields(CheckSettings):
        info = inspect.type_info(each.type)
        if each.name in keys and not fits(plain(info), keys[each.name]):
            wrong = f"is {what_is(keys[each.name])}"
            yield ConfigProblem(key_path(place, each.name), wrong, f"allowed: {describe(info)}")


def _rule_problems(settings: Settings, known_checks: Collection[str], base_dir: Path) -> Iterator[ConfigProblem]:
    seen: dict[str, int] = {}
    known = {*known_checks, *settings.policy.checks}
    for index, rule in enumerate(settings.rule):
        where = f"rule[{index}]"
        if not rule.name.strip():
            yield ConfigProblem(f"{where}.name", "is empty", "allowed: a name for the record")
        elif rule.name in seen:
            yield ConfigProblem(f"{where}.name", f"{rule.name!r:.60} is the name of rule[{seen[rule.name]}] too")
        seen.setdefault(rule.name, index)
        if rule.mode is None and rule.action is None:
            yield ConfigProblem(where, "changes nothing", "allowed: a mode, an action, or both")
        for position, name in enumerate(rule.checks):
            if name not in known:
                yield from _check_name_problems(f"{where}.checks[{position}]", name, known_checks)
        yield from _condition_problems(where, rule, base_dir)


def _condition_problems(where: str, rule: RuleSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    yield from _address_problems(f"{where}.recipients", rule.recipients, base_dir)
    yield from _address_problems(f"{where}.senders", rule.senders, base_dir)
    yield from network_problems(f"{where}.networks", rule.networks, names=False)


def _spf_problems(section: SPFSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    for key, word in section.policy.items():
        where = key_path("spf.policy", key)
        result = key.partition(":")[0].strip().lower().removeprefix("spf-").removeprefix("helo-")
        if result not in _SPF_RESULTS:
            hint = (
                nearest(result, _SPF_RESULTS) or f"allowed: {', '.join(_SPF_RESULTS)}, each also with helo- before it"
            )
            yield ConfigProblem(where, "names no result of SPF", hint)
        else:
            yield from _tried(where, partial(SPFPolicy.parse, {key: word}))
    for name in ("accept_fail", "accept_softfail", "reject_neutral"):
        yield from _address_problems(f"spf.{name}", getattr(section, name), base_dir)


def _sender_problems(settings: Settings, base_dir: Path) -> Iterator[ConfigProblem]:
    """The sections that ask who may use which sender."""
    for key, word in settings.sender_login.policy.items():
        yield from _tried(key_path("sender_login.policy", key), partial(login_table, {key: word}))
    yield from network_problems("internal_bounce.internal_mta", settings.internal_bounce.internal_mta, names=True)
    banned = settings.banned_domain
    yield from _address_problems("banned_domain.domains", banned.domains, base_dir)
    for index, name in enumerate(banned.files):
        section = BannedDomainSettings(files=[name])
        yield from _tried(f"banned_domain.files[{index}]", partial(banned_senders, section, base_dir))
    yield from _tried("banned_domain.policy", partial(parse_keyword, banned.policy))


def _three_strikes_problems(section: ThreeStrikesSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    yield from _tried("three_strikes.policy", partial(parse_keyword, section.policy))
    if section.patterns:
        yield from _tried("three_strikes.patterns", partial(load_patterns, base_dir / section.patterns))


def _known_sender_problems(section: KnownSenderSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    for name in ("whitelist", "blacklist", "learn_from", "never_learn"):
        yield from _address_problems(f"known_sender.{name}", getattr(section, name), base_dir)


def _greylist_problems(settings: Settings) -> Iterator[ConfigProblem]:
    section, chain = settings.greylist, settings.policy.checks
    if not section.delay < section.expire_hours * 3_600.0 <= section.retain_days * 86_400.0:
        wrong = "nobody could come back in time"
        yield ConfigProblem("greylist", wrong, "allowed: delay < expire_hours <= retain_days")
    if section.mode == "off" or "greylist" not in chain or not section.only_with_strike:
        return
    if settings.three_strikes.mode == "off" or "three_strikes" not in chain[: chain.index("greylist")]:
        yield ConfigProblem(
            "greylist.only_with_strike",
            "finds no strikes",
            "allowed: false, or three_strikes before greylist in policy.checks, and its mode not off",
        )


def _log_problems(to: str) -> Iterator[ConfigProblem]:
    allowed = "allowed: stderr, journal, syslog:FACILITY, or a path with a slash in it"
    if to in {"stderr", "journal"}:
        return
    if to.startswith("syslog:"):
        facility = to.removeprefix("syslog:")
        if facility not in SYSLOG_FACILITIES:
            wrong = f"{facility!r:.60} is no facility of syslog"
            hint = nearest(facility, SYSLOG_FACILITIES) or f"allowed: {', '.join(SYSLOG_FACILITIES)}"
            yield ConfigProblem("log.to", wrong, hint)
    elif "/" not in to:
        yield ConfigProblem("log.to", f"{to!r:.60} is no destination", nearest(to, ["stderr", "journal"]) or allowed)
    elif not to.isprintable():
        yield ConfigProblem("log.to", "holds control characters", allowed)
