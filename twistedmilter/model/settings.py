"""The configuration as frozen values, one class a section; the docstrings and descriptions are the manual.

L{twistedmilter.configfile} reads TOML into these.  Times are in seconds and sizes in octets unless the
description says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.check_settings import (
    HeloSettings,
    InfectedClientSettings,
    IprevSettings,
    OwnDomainSettings,
    SPFSettings,
    ThreeStrikesSettings,
    TrustedClientSettings,
)
from twistedmilter.model.conduct_settings import DemeritsSettings, OutgoingSettings, RecipientsSettings
from twistedmilter.model.dns_server_settings import DNSServerSettings
from twistedmilter.model.dnsbl_settings import DnsblSettings
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.gossip_settings import GossipSettings
from twistedmilter.model.known_sender_settings import GreylistSettings, KnownSenderSettings
from twistedmilter.model.reputation_settings import ReputationSettings
from twistedmilter.model.section import (
    Action,
    Addresses,
    Count,
    Mode,
    Networks,
    Octets,
    RoleWord,
    Seconds,
    Section,
)
from twistedmilter.model.sender_settings import BannedDomainSettings, InternalBounceSettings, SenderLoginSettings
from twistedmilter.model.signing_settings import (
    BATVSettings,
    BounceSettings,
    SESSettings,
    SocketmapSettings,
    SRSSettings,
)
from twistedmilter.model.store_settings import StoreSettings
from twistedmilter.model.throwaway_settings import ThrowawaySettings


class ServerSettings(Section, frozen=True, kw_only=True):
    """[server]: what the service is called and where it keeps its state."""

    authserv_id: Annotated[
        str, Meta(description="our name in Authentication-Results (RFC 8601); empty: the MTA's own name, macro {j}")
    ] = ""
    state_dir: Annotated[
        str, Meta(description="directory for state; empty: $STATE_DIRECTORY, else ~/.local/state/twistedmilter")
    ] = ""
    local_filters: Annotated[
        bool,
        Meta(
            description="true: another filter of this host runs before us and writes our authserv_id; "
            "its Authentication-Results are kept"
        ),
    ] = False


class ListenSettings(Section, frozen=True, kw_only=True):
    """One entry of [milter] listen, written as a table."""

    address: Annotated[
        str,
        Meta(
            description="sendmail's words (unix:/path, local:/path, inet:port@host, inet6:port@host), "
            "Postfix's (inet:host:port) or systemd:NAME"
        ),
    ]
    role: Annotated[RoleWord, Meta(description="what this listener is for")] = "inbound"
    allow: Annotated[
        Networks,
        Meta(
            description="addresses that may connect; must be given for TCP other than loopback, where it is the default"
        ),
    ] = field(default_factory=list)
    mode: Annotated[
        str, Meta(description="octal mode of a unix socket", pattern="^0?[0-7]{3}$", examples=["0660", "0666"])
    ] = "0660"
    group: Annotated[str, Meta(description="group of a unix socket; empty: our own")] = ""


class MilterSettings(Section, frozen=True, kw_only=True):
    """[milter]: where MTAs connect, and the limits on what they may send."""

    listen: Annotated[
        list[str | ListenSettings],
        Meta(description="addresses to listen on, each as text or as a table (see below); [] switches the face off"),
    ] = field(default_factory=lambda: ["inet:8890@127.0.0.1"])
    max_frame: Annotated[int, Meta(description="largest frame [octets]", ge=65_536, le=2**31 - 1)] = 65_536
    max_header_section: Annotated[Octets, Meta(description="header section, over it tempfail [octets]")] = 524_288
    max_header_fields: Annotated[Count, Meta(description="header fields of a message, over it tempfail")] = 10_000
    max_recipients: Annotated[Count, Meta(description="recipients of a message, over it 452 4.5.3")] = 1_000
    body_in_memory: Annotated[Octets, Meta(description="body kept in memory, the rest goes to disk [octets]")] = (
        1_048_576
    )
    max_body: Annotated[Octets, Meta(description="body kept at all; checks see no more [octets]")] = 52_428_800
    idle_timeout: Annotated[Seconds, Meta(description="silence of an MTA before it is closed [s]")] = 7_210.0
    frame_timeout: Annotated[Seconds, Meta(description="time for the first frame and for each started frame [s]")] = (
        30.0
    )
    max_connections: Annotated[Count, Meta(description="MTA connections at once; more are not accepted")] = 2_000
    grace: Annotated[Seconds, Meta(description="time for open sessions to finish at shutdown [s]")] = 25.0


class NetworksSettings(Section, frozen=True, kw_only=True):
    """[networks]: which clients are ours."""

    internal: Annotated[
        Networks,
        Meta(description="clients of our own: addresses, CIDR ranges, globs, or host names that resolve to the client"),
    ] = field(default_factory=lambda: ["127.0.0.0/8", "::1"])
    trusted_relays: Annotated[
        Networks, Meta(description="relays and cloud filters that we believe; the real client is found in Received")
    ] = field(default_factory=list)
    internal_domains: Annotated[
        Addresses, Meta(description="domains whose mail comes from inside only: name, .name for all below, file:NAME")
    ] = field(default_factory=list)


class ResolverSettings(Section, frozen=True, kw_only=True):
    """[resolver]: whom to ask for names."""

    nameservers: Annotated[
        list[str], Meta(description="address or address:port of each name server; []: those of /etc/resolv.conf")
    ] = field(default_factory=list)
    timeout: Annotated[Seconds, Meta(description="time for one lookup, all tries [s]")] = 5.0
    cache_entries: Annotated[Count, Meta(description="answers kept in memory")] = 50_000
    in_flight: Annotated[
        Count,
        Meta(description="questions outstanding at once; more wait; those over 0.2 s are counted apart, to twice this"),
    ] = 500


class PolicySettings(Section, frozen=True, kw_only=True):
    """[policy]: the chain and how it acts."""

    mode: Annotated[
        Literal["enforce", "observe"], Meta(description="observe: nothing is refused, everything is recorded")
    ] = "enforce"
    checks: Annotated[
        list[str],
        Meta(description="the chain, in order: names of checks, module:Class or entry points; [] judges nothing"),
    ] = field(
        default_factory=lambda: [
            *("trusted_client", "demerits", "iprev", "helo", "own_domain", "infected_client", "internal_bounce"),
            *("sender_login", "banned_domain", "spf", "known_sender", "throwaway", "dnsbl", "three_strikes"),
            *("reputation", "outgoing", "bounce", "recipients", "greylist", "dsn", "callback"),
        ]
    )
    access: Annotated[
        str,
        Meta(
            description="sendmail access map whose entries for spf-RESULT, helo-RESULT and smtp-auth decide where the "
            "tables of this file do not: a text file, a .db (hash) or a .cdb; read again when it changes; empty: none; "
            "see docs/access_map.md"
        ),
    ] = ""
    delay_refusals: Annotated[
        bool, Meta(description="give refusals of CONNECT, HELO and MAIL at RCPT, so that recipients are logged")
    ] = True
    on_bug: Annotated[
        Literal["skip", "tempfail"], Meta(description="when a check fails by its own fault: leave it out, or 451")
    ] = "skip"
    command_budget: Annotated[
        Seconds, Meta(description="an answer to a command takes no longer; the rest is awaited later [s]")
    ] = 8.0
    message_budget: Annotated[Seconds, Meta(description="checks may take this long at end of message [s]")] = 60.0
    progress_interval: Annotated[
        Seconds, Meta(description="progress to the MTA while it waits at end of message [s]")
    ] = 5.0


class RuleSettings(Section, frozen=True, kw_only=True):
    """[[rule]]: exempts from, or tightens, checks where all its conditions hold; the first that matches decides."""

    name: Annotated[str, Meta(description="shown in the record")]
    recipients: Annotated[
        Addresses, Meta(description="user@dom, user@ (any domain), @dom, .dom, file:NAME; ! negates")
    ] = field(default_factory=list)
    senders: Annotated[Addresses, Meta(description="like recipients; <> is the null reverse-path")] = field(
        default_factory=list
    )
    networks: Annotated[Networks, Meta(description="client addresses or CIDR ranges; ! negates")] = field(
        default_factory=list
    )
    roles: Annotated[list[RoleWord], Meta(description="listener roles")] = field(default_factory=list)
    checks: Annotated[list[str], Meta(description="the checks it is about; []: all")] = field(default_factory=list)
    mode: Annotated[Mode | None, Meta(description="mode of these checks here")] = None
    action: Annotated[Action | None, Meta(description="action of these checks here")] = None


def shipped_rules() -> list[RuleSettings]:
    """The rules that are there unless the configuration has its own [[rule]] tables of the same name."""
    return [RuleSettings(name="role-accounts", recipients=["postmaster@", "abuse@"], mode="observe")]


class LogSettings(Section, frozen=True, kw_only=True):
    """[log]: what is told, and where."""

    format: Annotated[
        Literal["classic", "json"], Meta(description="the ancestor's line format, or one JSON object a line")
    ] = "classic"
    to: Annotated[str, Meta(description="stderr, journal, syslog:FACILITY, or a path")] = "stderr"


class ControlSettings(Section, frozen=True, kw_only=True):
    """[control]: how commands reach the running service."""

    listen: Annotated[str, Meta(description="unix:PATH, unix:STATE_DIR/control by default; off switches it off")] = (
        "unix:STATE_DIR/control"
    )


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration; every section is optional."""

    server: ServerSettings = ServerSettings()
    milter: MilterSettings = MilterSettings()
    networks: NetworksSettings = NetworksSettings()
    resolver: ResolverSettings = ResolverSettings()
    policy: PolicySettings = PolicySettings()
    rule: Annotated[
        list[RuleSettings],
        Meta(description="tables [[rule]], in order; the shipped ones follow unless one of yours has their name"),
    ] = field(default_factory=list)
    trusted_client: TrustedClientSettings = TrustedClientSettings()
    iprev: IprevSettings = IprevSettings()
    helo: HeloSettings = HeloSettings()
    own_domain: OwnDomainSettings = OwnDomainSettings()
    infected_client: InfectedClientSettings = InfectedClientSettings()
    internal_bounce: InternalBounceSettings = InternalBounceSettings()
    sender_login: SenderLoginSettings = SenderLoginSettings()
    banned_domain: BannedDomainSettings = BannedDomainSettings()
    spf: SPFSettings = SPFSettings()
    known_sender: KnownSenderSettings = KnownSenderSettings()
    throwaway: ThrowawaySettings = ThrowawaySettings()
    dnsbl: DnsblSettings = DnsblSettings()
    three_strikes: ThreeStrikesSettings = ThreeStrikesSettings()
    reputation: ReputationSettings = ReputationSettings()
    greylist: GreylistSettings = GreylistSettings()
    callback: CallbackSettings = CallbackSettings()
    dsn: DsnSettings = DsnSettings()
    recipients: RecipientsSettings = RecipientsSettings()
    demerits: DemeritsSettings = DemeritsSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    check: Annotated[
        dict[str, dict[str, object]], Meta(description='settings of third-party checks: [check."module:Class"]')
    ] = field(default_factory=dict)
    bounce: BounceSettings = BounceSettings()
    srs: SRSSettings = SRSSettings()
    ses: SESSettings = SESSettings()
    batv: BATVSettings = BATVSettings()
    socketmap: SocketmapSettings = SocketmapSettings()
    dns: DNSServerSettings = DNSServerSettings()
    gossip: GossipSettings = GossipSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    control: ControlSettings = ControlSettings()
