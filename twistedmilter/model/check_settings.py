"""The sections of our own checks: the keys that all have, and what each adds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckMode, CheckSettings, OnTemporaryFailure


class TrustedClientSettings(CheckSettings, frozen=True, kw_only=True):
    """[trusted_client]: tells internal, trusted relay and authenticated clients from strangers."""

    on_temporary_failure: Annotated[
        OnTemporaryFailure,
        Meta(description="when a name of [networks] cannot be looked up and may be the client's: a stranger, or 451"),
    ] = "tempfail"


class IprevSettings(CheckSettings, frozen=True, kw_only=True):
    """[iprev]: reverse DNS as evidence (RFC 8601 section 3); refuses impossible names only (B06, B07)."""


class HeloSettings(CheckSettings, frozen=True, kw_only=True):
    """[helo]: a HELO name that is missing, a bare address, or one of our own (C01 to C05)."""

    our_names: Annotated[
        list[str], Meta(description="names only we may say; a leading dot takes all names below; our own is included")
    ] = field(default_factory=list)
    require: Annotated[bool, Meta(description="refuse a transaction without HELO")] = True
    refuse_numeric: Annotated[bool, Meta(description="refuse a bare address as HELO name from outside")] = True


class OwnDomainSettings(CheckSettings, frozen=True, kw_only=True):
    """[own_domain]: strangers that use our own domains as sender and do not pass SPF (D07)."""

    mode: CheckMode = "observe"


class InfectedClientSettings(CheckSettings, frozen=True, kw_only=True):
    """[infected_client]: internal machines that send as domains which are not ours (D01, D08, D09, D13)."""

    mode: CheckMode = "observe"


class SPFSettings(CheckSettings, frozen=True, kw_only=True):
    """[spf]: SPF of the MAIL FROM and HELO identities (RFC 7208)."""

    on_temporary_failure: Annotated[
        OnTemporaryFailure, Meta(description="when the evaluation cannot finish in time; see also spf.policy.temperror")
    ] = "tempfail"
    policy: Annotated[
        dict[str, str],
        Meta(
            description="what to do by result, result:domain or result:user@domain: OK, WHITELIST, MARK, HOLD, CBV, "
            'DSN, REJECT, REJECT!, BAN, TEMPFAIL, ERROR:"550 5.7.1 text"; results: pass neutral none softfail fail '
            "permerror temperror, and helo-RESULT for the HELO identity; a domain stands for those below it too; "
            "not named here, nor in policy.access: fail and helo-fail REJECT, permerror MARK, temperror TEMPFAIL, all "
            "others OK; see docs/access_map.md"
        ),
    ] = field(default_factory=dict)
    accept_fail: Annotated[
        Addresses, Meta(description="senders whose fail is CBV where no entry of policy decides (F09)")
    ] = field(default_factory=list)
    accept_softfail: Annotated[
        Addresses, Meta(description="senders whose softfail is OK where no entry of policy decides (F10)")
    ] = field(default_factory=list)
    reject_neutral: Annotated[
        Addresses, Meta(description="senders whose neutral and softfail are REJECT where no entry decides (F11)")
    ] = field(default_factory=list)
    temperror_hours: Annotated[
        float,
        Meta(description="after so long of temperror for one domain and network, go on marked [h]", ge=0, le=8_760),
    ] = 4.0
    lax: Annotated[
        bool, Meta(description="permerror: act on what the record says when it is read past its mistakes (E07)")
    ] = False
    delegate: Annotated[
        str, Meta(description="none: act on the record at domain._spf.DELEGATE, if there is one (E14); empty: do not")
    ] = ""
    best_guess: Annotated[
        bool, Meta(description="none: act as on pass if 'v=spf1 a/24 mx/24 ptr' passes; a guess only ever helps (E10)")
    ] = False
    helo_best_guess: Annotated[
        bool, Meta(description="HELO none: take 'v=spf1 a mx' for its record, where HELO vouches for its domain (E09)")
    ] = False
    helo_vouches: Annotated[
        bool, Meta(description="none: act as on pass if HELO passes and is the sender's domain or below it (E12)")
    ] = False
    trusted_forwarders: Annotated[
        list[str],
        Meta(description="domains that forward to us: from the hosts their SPF records name, all act as on pass (E05)"),
    ] = field(default_factory=list)
    defer_only_passes: Annotated[
        bool, Meta(description="temperror: act on the best the record can still give, if that is no pass (E25)")
    ] = False
    cbv_needs_helo_pass: Annotated[
        bool, Meta(description="CBV and DSN refuse where HELO does not pass, as the ancestor's did")
    ] = False
    compat: Annotated[
        Literal["", "seed"],
        Meta(description="seed: decide as the ancestor of 2005 did, three strikes included; see docs/spf.md"),
    ] = ""
    reject_noptr: Annotated[bool, Meta(description="compat seed: refuse on three strikes unless policy says")] = False
    explain: Annotated[bool, Meta(description="quote the domain's own explanation (exp=) in the reply")] = True
    received_spf: Annotated[bool, Meta(description="write Received-SPF")] = True


class ThreeStrikesSettings(CheckSettings, frozen=True, kw_only=True):
    """[three_strikes]: strangers with no SPF record, no valid HELO name and no real PTR name (E13)."""

    policy: Annotated[
        str,
        Meta(
            description="what to do when all three are missing, in the words of spf.policy; an entry for spf-none and "
            "this sender comes first"
        ),
    ] = "REJECT"
    patterns: Annotated[
        str,
        Meta(description="file of patterns and exceptions for dynamic names, added to the packaged ones; empty: none"),
    ] = ""
