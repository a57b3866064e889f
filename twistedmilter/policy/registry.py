"""From the names in C{[policy] checks} to a chain of checks.

Our own checks are made from their sections; a third party's check is named C{module:Class} or by an entry
point of the group C{twistedmilter.checks}, and made as C{Class(name=..., settings=..., world=...)}.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from msgspec import ValidationError, convert
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.interfaces import checks as stage_interfaces
from twistedmilter.interfaces.callbacks import ICallbackVerifier
from twistedmilter.interfaces.checks import ICheck
from twistedmilter.interfaces.dns import IResolver, ISPFEvaluator
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.section import CheckSettings
from twistedmilter.model.settings import NetworksSettings, Settings
from twistedmilter.model.stage import Role
from twistedmilter.policy.access import AccessMap, no_access
from twistedmilter.policy.acting import Means
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.ban_book import BanBook
from twistedmilter.policy.chain import ChainEntry
from twistedmilter.policy.checks.banned_domain import BannedDomainCheck, follow_banned_senders
from twistedmilter.policy.checks.bounce import BounceCheck
from twistedmilter.policy.checks.callback import CallbackCheck
from twistedmilter.policy.checks.demerits import DemeritsCheck
from twistedmilter.policy.checks.dnsbl import DnsblCheck
from twistedmilter.policy.checks.dsn import DsnCheck, NoticeMeans
from twistedmilter.policy.checks.greylist import GreylistCheck
from twistedmilter.policy.checks.helo import HeloCheck
from twistedmilter.policy.checks.infected_client import InfectedClientCheck
from twistedmilter.policy.checks.internal_bounce import InternalBounceCheck
from twistedmilter.policy.checks.iprev import IprevCheck
from twistedmilter.policy.checks.known_sender import KnownSenderCheck, LearningKnownSenderCheck, SenderLists
from twistedmilter.policy.checks.outgoing import OutgoingCheck, parse_users
from twistedmilter.policy.checks.own_domain import OwnDomainCheck
from twistedmilter.policy.checks.recipients import RecipientsCheck
from twistedmilter.policy.checks.reputation import ReputationCheck
from twistedmilter.policy.checks.sender_login import SenderLoginCheck
from twistedmilter.policy.checks.spf import RelayedSPFCheck, SPFCheck
from twistedmilter.policy.checks.three_strikes import ThreeStrikesCheck
from twistedmilter.policy.checks.throwaway import ThrowawayCheck
from twistedmilter.policy.checks.trusted_client import TrustedClientCheck
from twistedmilter.policy.dynamic_ptr import DynamicPatterns, load_patterns
from twistedmilter.policy.name_rules import follow_rules
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.notice_limits import NoticeLimits
from twistedmilter.policy.spf_policy import SPFPolicy
from twistedmilter.policy.user_lists import parse_user_lists
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.templates import load_templates

ENTRY_POINTS = "twistedmilter.checks"
_NOT_FOUND = (ValueError, ImportError, AttributeError)
_INBOUND = frozenset({Role.INBOUND})
_FROM_INSIDE_TOO = frozenset({Role.INBOUND, Role.SUBMISSION})
_STAGES = (
    stage_interfaces.IConnectCheck,
    stage_interfaces.IHeloCheck,
    stage_interfaces.IMailCheck,
    stage_interfaces.IRcptCheck,
    stage_interfaces.IHeaderCheck,
    stage_interfaces.IBodyCheck,
    stage_interfaces.IEndOfMessageCheck,
    stage_interfaces.ILastCheck,
)


@dataclass(frozen=True)
class World:
    """What a check may ask besides the message.

    @ivar clock: monotonic seconds. @ivar wall: seconds since the epoch.
    @ivar base_dir: where relative file names begin. @ivar source: of the configuration, for errors.
    @ivar reputation: knows senders by their mail; None where nothing may be asked or learnt, as in a scan.
    @ivar stores: what is remembered; None where nothing may be, as in a scan.
    @ivar inner: asks the server behind us about recipients; None: there is none.
    @ivar tell: tells the administrator of trouble: reference, where, one line.
    @ivar callbacks: asks the exchangers of senders; None where nobody may be asked, as in a scan.
    @ivar notices: by what senders are told; None where nobody may be, as in a scan.
    @ivar rewriter: knows what we have signed; None where there are no secrets.
    @ivar access: gives the access map of C{[policy] access} as it is now.
    """

    resolver: IResolver
    spf: ISPFEvaluator | None
    clock: Callable[[], float]
    wall: Callable[[], float]
    networks: NetworksSettings
    base_dir: Path
    source: str = "configuration"
    stores: IStores | None = None
    access: Callable[[], AccessMap] = no_access
    inner: ICallbackVerifier | None = None
    callbacks: ICallbackVerifier | None = None
    notices: NoticeMeans | None = None
    reputation: IReputation | None = None
    rewriter: Rewriter | None = None
    tell: Callable[[str, str, str], None] = lambda _reference, _where, _problem: None


@dataclass(frozen=True)
class BuiltIn:
    """A check of our own.

    @ivar make: makes it. @ivar roles: in which roles it is asked.
    @ivar is_idle: whether it has nothing to look for with this configuration; then it is not asked.
    """

    make: Callable[[Settings, World], ICheck]
    roles: frozenset[Role] = _INBOUND
    is_idle: Callable[[Settings], bool] = lambda _settings: False


def _own_domains(settings: Settings, world: World) -> AddressSet:
    return AddressSet.parse(settings.networks.internal_domains, world.base_dir)


def _has_no_own_domains(settings: Settings) -> bool:
    return not settings.networks.internal_domains


def _our_networks(networks: NetworksSettings) -> NetworkSet:
    """Whom the walk through Received passes on the way to the real client."""
    return NetworkSet.parse([*networks.internal, *networks.trusted_relays])


def _patterns(settings: Settings, world: World) -> DynamicPatterns:
    """Which names look dynamic."""
    extra = settings.three_strikes.patterns
    return load_patterns(world.base_dir / extra if extra else None)


def _spf(settings: Settings, world: World) -> SPFCheck:
    networks = settings.networks
    check = RelayedSPFCheck if networks.trusted_relays else SPFCheck
    policy = SPFPolicy.of(settings.spf, world.access, world.base_dir)
    section = settings.spf
    patterns = _patterns(settings, world) if section.best_guess or section.helo_best_guess or section.compat else None
    return check(
        settings.spf, world.spf, _our_networks(networks), world.clock, policy, Means.of(settings, "spf"), patterns
    )


def _sender_login(settings: Settings, world: World) -> SenderLoginCheck:
    return SenderLoginCheck(
        settings.sender_login, _own_domains(settings, world), world.access, Means.of(settings, "sender_login")
    )


def _banned_domain(settings: Settings, world: World) -> BannedDomainCheck:
    section = settings.banned_domain
    banned = follow_banned_senders(section, world.base_dir, partial(world.tell, "", "banned_domain"))
    return BannedDomainCheck(section, banned, Means.of(settings, "banned_domain"))


def _three_strikes(settings: Settings, world: World) -> ThreeStrikesCheck:
    section = settings.three_strikes
    patterns = _patterns(settings, world)
    table = SPFPolicy.of(settings.spf, world.access, world.base_dir).table
    return ThreeStrikesCheck(section, world.resolver, world.spf, patterns, table, Means.of(settings, "three_strikes"))


def _known_sender(settings: Settings, world: World) -> KnownSenderCheck:
    """Who learns needs the end of message; nobody else is to wait for it."""
    section = settings.known_sender
    lists = SenderLists(
        world.stores,
        AddressSet.parse(section.whitelist, world.base_dir),
        AddressSet.parse(section.blacklist, world.base_dir),
    )
    if not (section.learn_from or section.learn_subject):
        return KnownSenderCheck(section, lists, world.spf, world.wall)
    teachers = AddressSet.parse(section.learn_from, world.base_dir)
    return LearningKnownSenderCheck(section, lists, world.spf, world.wall, teachers=teachers)


def _recipients(settings: Settings, world: World) -> RecipientsCheck:
    section = settings.recipients
    tell = partial(world.tell, "", "recipients")
    users = parse_user_lists(section.users, section.delimiter, world.base_dir, tell)
    never, private, asked = (
        AddressSet.parse(each, world.base_dir) for each in (section.never, section.private, section.ask_domains)
    )
    return RecipientsCheck(section, users, never, private, asked, world.inner)


def _throwaway(settings: Settings, world: World) -> ThrowawayCheck:
    tell = partial(world.tell, "", "throwaway")
    rules = follow_rules(settings.throwaway.files, world.base_dir, world.wall, tell)
    return ThrowawayCheck(settings.throwaway, rules, Means.of(settings, "throwaway"))


def _dnsbl(settings: Settings, world: World) -> DnsblCheck:
    tell = partial(world.tell, "", "dnsbl")
    return DnsblCheck(settings.dnsbl, world.resolver, Means.of(settings, "dnsbl"), world.clock, tell)


def _notice_limits(section: DsnSettings, stores: IStores | None) -> NoticeLimits:
    return (
        NoticeLimits(section, None) if stores is None else NoticeLimits(section, stores.notices, lambda: stores.trouble)
    )


def _dsn(settings: Settings, world: World) -> DsnCheck:
    section, checks = settings.dsn, settings.policy.checks
    return DsnCheck(
        section,
        world.notices,
        load_templates(world.base_dir / section.templates if section.templates else None, section.language),
        _notice_limits(section, world.stores),
        _own_domains(settings, world),
        AddressSet.parse(settings.callback.never_probe, world.base_dir),
        is_observed=settings.policy.mode == "observe",
        has_callback=Means.of(settings).callback and "callback" in checks[checks.index("dsn") :],
        blacklist=world.stores.blacklist if world.stores is not None else None,
    )


def _callback(settings: Settings, world: World) -> CallbackCheck:
    section = settings.callback
    never = AddressSet.parse(section.never_probe, world.base_dir)
    return CallbackCheck(section, world.callbacks, never, _own_domains(settings, world))


def _bounce(settings: Settings, world: World) -> BounceCheck:
    section = settings.bounce
    protected = frozenset(_signed_domains(settings))
    return BounceCheck(section, world.rewriter, world.wall, protected, NetworkSet.parse(section.exempt))


def _signed_domains(settings: Settings) -> list[str]:
    return [*settings.ses.domains, *settings.srs.sign_domains, *settings.batv.domains]


def _demerits(settings: Settings, world: World) -> DemeritsCheck:
    section = settings.demerits
    return DemeritsCheck(section, BanBook(world.stores, world.wall, section.new_per_hour), world.tell)


def _outgoing(settings: Settings, world: World) -> OutgoingCheck:
    section = settings.outgoing
    return OutgoingCheck(section, parse_users(section.exempt, world.base_dir), world.clock, world.tell)


BUILT_IN: Mapping[str, BuiltIn] = {
    "trusted_client": BuiltIn(
        lambda settings, world: TrustedClientCheck(settings.networks, world.resolver), frozenset(Role)
    ),
    "iprev": BuiltIn(lambda settings, world: IprevCheck(settings.iprev, world.resolver, world.clock)),
    "helo": BuiltIn(lambda settings, _world: HeloCheck(settings.helo)),
    "own_domain": BuiltIn(
        lambda settings, world: OwnDomainCheck(settings.own_domain, _own_domains(settings, world), world.spf),
        is_idle=_has_no_own_domains,
    ),
    "infected_client": BuiltIn(
        lambda settings, world: InfectedClientCheck(settings.infected_client, _own_domains(settings, world)),
        _FROM_INSIDE_TOO,
        _has_no_own_domains,
    ),
    "internal_bounce": BuiltIn(
        lambda settings, world: InternalBounceCheck(settings.internal_bounce, world.resolver), _FROM_INSIDE_TOO
    ),
    "sender_login": BuiltIn(_sender_login, _FROM_INSIDE_TOO),
    "banned_domain": BuiltIn(
        _banned_domain,
        is_idle=lambda settings: not settings.banned_domain.domains and not settings.banned_domain.files,
    ),
    "spf": BuiltIn(_spf),
    "known_sender": BuiltIn(_known_sender, frozenset({Role.INBOUND, Role.SUBMISSION})),
    "throwaway": BuiltIn(_throwaway, is_idle=lambda settings: not settings.throwaway.files),
    "dnsbl": BuiltIn(_dnsbl, is_idle=lambda settings: not settings.dnsbl.lists),
    "three_strikes": BuiltIn(_three_strikes),
    "reputation": BuiltIn(
        lambda settings, world: ReputationCheck(settings.reputation, world.reputation, world.spf),
    ),
    "greylist": BuiltIn(lambda settings, world: GreylistCheck(settings.greylist, world.stores, world.spf, world.wall)),
    "recipients": BuiltIn(_recipients),
    "bounce": BuiltIn(
        _bounce,
        is_idle=lambda settings: not (_signed_domains(settings) or settings.srs.forward_domain),
    ),
    "demerits": BuiltIn(_demerits),
    "outgoing": BuiltIn(_outgoing, _FROM_INSIDE_TOO),
    "dsn": BuiltIn(_dsn),
    "callback": BuiltIn(_callback),
}


def known_checks() -> frozenset[str]:
    """The names that C{[policy] checks} may use besides C{module:Class}."""
    return frozenset(BUILT_IN) | {point.name for point in entry_points(group=ENTRY_POINTS)}


def build_entries(settings: Settings, world: World) -> tuple[ChainEntry, ...]:
    """The chain's entries in the order of the configuration.

    @raise ConfigError: every check that cannot be made, with the reason.
    """
    entries: list[ChainEntry] = []
    problems: list[ConfigProblem] = []
    for position, name in enumerate(settings.policy.checks):
        try:
            entries.append(
                _built_in(name, settings, world) if name in BUILT_IN else _third_party(name, settings, world)
            )
        except (*_NOT_FOUND, TypeError, ValidationError, Invalid) as error:
            problems.append(ConfigProblem(f"policy.checks[{position}]", f"{name} cannot be used: {error}"))
    if problems:
        raise ConfigError(world.source, problems)
    return tuple(entries)


def _built_in(name: str, settings: Settings, world: World) -> ChainEntry:
    section: CheckSettings = getattr(settings, name)
    built_in = BUILT_IN[name]
    entry = _entry(built_in.make(settings, world), name, section, built_in.roles)
    return replace(entry, mode="off") if built_in.is_idle(settings) else entry


def _third_party(name: str, settings: Settings, world: World) -> ChainEntry:
    keys = dict(settings.check.get(name, {}))
    common = {key: keys.pop(key) for key in CheckSettings.__struct_fields__ if key in keys}
    check = _find_class(name)(name=name, settings=keys, world=world)
    stages = [interface for interface in _STAGES if interface.providedBy(check)]
    if not stages:
        raise ValueError("it implements none of the stage interfaces of twistedmilter.interfaces.checks")
    for interface in stages:
        verifyObject(interface, check)
    return _entry(check, name, convert(common, CheckSettings), frozenset(Role))


def why_unusable(name: str) -> str:
    """Why the check of a third party is not to be found; the empty text if it is.  It is imported."""
    try:
        _find_class(name)
    except _NOT_FOUND as error:
        return str(error)
    return ""


def _find_class(name: str) -> Callable[..., ICheck]:
    for point in entry_points(group=ENTRY_POINTS, name=name):
        loaded: Callable[..., ICheck] = point.load()
        return loaded
    module, colon, class_name = name.partition(":")
    if not colon:
        raise ValueError(f"there is no such check; known are {', '.join(sorted(known_checks()))}, or module:Class")
    found: Callable[..., ICheck] = getattr(importlib.import_module(module), class_name)
    return found


def _entry(check: ICheck, name: str, section: CheckSettings, roles: frozenset[Role]) -> ChainEntry:
    return ChainEntry(
        check=check,
        name=name,
        mode=section.mode,
        action=section.action,
        on_temporary_failure=section.on_temporary_failure,
        roles=roles,
    )
