"""From a loaded configuration to the policy that sessions are judged by; commands use the same parts as the service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from twistedmilter.access_files import open_access
from twistedmilter.configfile import Loaded
from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.interfaces.callbacks import ICallbackVerifier
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.settings import Settings
from twistedmilter.observe.fan_out import Observers
from twistedmilter.policy.access import AccessMap, no_access
from twistedmilter.policy.chain import CheckChain
from twistedmilter.policy.checks.dsn import NoticeMeans
from twistedmilter.policy.enforcement import Enforcement
from twistedmilter.policy.judge import Policy
from twistedmilter.policy.reference import ReferenceIds
from twistedmilter.policy.registry import World, build_entries
from twistedmilter.policy.reputation_feedback import ReputationFeedback
from twistedmilter.policy.rules import Rules
from twistedmilter.policy.sender_learning import learner_of
from twistedmilter.resolver import Resolver, nameservers_of
from twistedmilter.signers import make_signers
from twistedmilter.signing.dns_verifier import DNSVerifier
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.spf_driver import SPFEvaluator

_log = Logger()


def build_resolver(settings: Settings, reactor: Any) -> Resolver:
    """The resolver of the configuration; of resolv.conf where it names none.

    @raise ConfigError: a name server that is none.
    """
    try:
        resolv_conf = Path("/etc/resolv.conf").read_text("utf-8", "replace")
    except OSError:
        resolv_conf = ""
    return Resolver(
        reactor,
        settings.resolver,
        nameservers=nameservers_of(settings.resolver, resolv_conf),
        randomness=partial(secrets.randbits, 16),
    )


def build_signature_verifier(loaded: Loaded, state_dir: Path) -> ISignatureVerifier | None:
    """What knows signed local parts, for zones of kind C{ses}; None if there is no such zone, or nothing is signed.

    @raise ConfigError: a file of secrets cannot be used.
    """
    settings = loaded.settings
    if all(zone.kind != "ses" for zone in settings.dns.zones):
        return None
    rewriter = make_signers(settings, Path(loaded.base_dir), state_dir, loaded.source).rewriter
    return None if rewriter is None else DNSVerifier(rewriter)


def _rewriter(loaded: Loaded, *, is_service: bool) -> Rewriter | None:
    """What knows our signatures, for the check of bounces; None if that is off, or there are no secrets.

    @param is_service: whether secrets that are missing are to be told, and wrong ones an error; a command may be run by
        somebody who cannot read them.
    @raise ConfigError: a file of secrets cannot be used.
    """
    settings, base_dir = loaded.settings, Path(loaded.base_dir)
    if settings.bounce.mode == "off":
        return None
    try:
        signers = make_signers(settings, base_dir, base_dir, loaded.source)  # nothing is signed, so no state is kept
    except ConfigError:
        if is_service:
            raise
        return None
    for missing in signers.missing if is_service else ():
        _log.warn("bounce: {missing}", missing=missing)
    return signers.rewriter


def build_policy(
    loaded: Loaded,
    reactor: Any,
    wall: Callable[[], float],
    observers: Iterable[IObserver],
    resolver: Resolver,
    *,
    stores: IStores | None = None,
    access: Callable[[], AccessMap] | None = None,
    callbacks: ICallbackVerifier | None = None,
    inner: ICallbackVerifier | None = None,
    notices: NoticeMeans | None = None,
    reputation: IReputation | None = None,
) -> Policy:
    """One snapshot of the policy; nothing stays open.

    @param access: gives the access map as it is now; None: it is read here, once.
    @param stores: what is remembered; None where nothing may be, as in a scan.
    @param notices: by what senders are told; None where nobody may be, as in a scan.
    @param callbacks: asks the exchangers of senders; None where nobody may be asked, as in a scan.
    @param reputation: knows senders by their mail; None where nothing may be asked or learnt, as in a scan.
    @param inner: asks the server behind us about recipients; None where nobody may, or there is none.
    @raise ConfigError: every check or rule that cannot be made.
    """
    settings, base_dir = loaded.settings, Path(loaded.base_dir)
    learner = None if stores is None else learner_of(settings, stores.whitelist, wall, base_dir)
    observer = Observers([*observers, learner] if learner is not None else observers)
    if access is None:
        file = open_access(settings.policy.access, base_dir, reactor, loaded.source)
        access = file.current if file is not None else no_access
    world = World(
        resolver=resolver,
        spf=SPFEvaluator(resolver, reactor.seconds),
        clock=reactor.seconds,
        wall=wall,
        networks=settings.networks,
        base_dir=base_dir,
        source=loaded.source,
        stores=stores,
        access=access,
        callbacks=callbacks,
        notices=notices,
        inner=inner,
        reputation=reputation,
        rewriter=_rewriter(loaded, is_service=stores is not None),
        tell=observer.trouble,
    )
    if reputation is not None and settings.reputation.learn and "reputation" in settings.policy.checks:
        observer.join([ReputationFeedback(reputation, settings.reputation.spam_codes)])

    chain = _build_chain(settings, world, observer)
    return Policy(
        settings=settings,
        chain=chain,
        enforcement=Enforcement(chain, _build_rules(loaded), observe=settings.policy.mode == "observe"),
        observer=observer,
        reactor=reactor,
        wall=wall,
        next_id=ReferenceIds(wall),
    )


def _build_chain(settings: Settings, world: World, observer: Observers) -> CheckChain:
    def report_bug(check: str, reference: str) -> None:
        _log.failure("check {check} failed on {reference}", check=check, reference=reference)
        observer.trouble(reference, check, "failed by its own fault; the traceback is in the log")

    chain = CheckChain(
        build_entries(settings, world), on_bug=settings.policy.on_bug, clock=world.clock, report=report_bug
    )
    observer.join(entry.check for entry in chain.entries if IObserver.providedBy(entry.check))
    return chain


def _build_rules(loaded: Loaded) -> Rules:
    try:
        return Rules.from_settings(loaded.settings.rule, Path(loaded.base_dir))
    except ValueError as error:
        raise ConfigError(loaded.source, [ConfigProblem("rule", str(error))]) from error
