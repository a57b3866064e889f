"""The sections of the checks that ask who may use which sender."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckSettings, Networks


class SenderLoginSettings(CheckSettings, frozen=True, kw_only=True):
    """[sender_login]: which authenticated user may use which sender (D16, D19); see docs/access_map.md."""

    policy: Annotated[
        dict[str, str],
        Meta(
            description="by user@domain, user being the authenticated name and domain that of the sender: OK, "
            "WHITELIST, MARK, HOLD, REJECT, BAN, TEMPFAIL, ERROR; a domain alone is for all users, * for everything "
            "else; entries for smtp-auth of policy.access count too; with any entry, a user whom none is about may use "
            "networks.internal_domains only (D08)"
        ),
    ] = field(default_factory=dict)


class InternalBounceSettings(CheckSettings, frozen=True, kw_only=True):
    """[internal_bounce]: bounces from inside, which come from mail servers only (D14)."""

    internal_mta: Annotated[
        Networks,
        Meta(description="clients of our own that send bounces: as networks.internal; empty: all of them may"),
    ] = field(default_factory=list)


class BannedDomainSettings(CheckSettings, frozen=True, kw_only=True):
    """[banned_domain]: sender domains that we want nothing of (D17)."""

    domains: Annotated[
        Addresses, Meta(description="senders: domain, .domain for all below it, user@domain; ! makes an exception")
    ] = field(default_factory=list)
    files: Annotated[
        list[str],
        Meta(
            description=(
                "files of domains, one a line: domain, or *.domain for all below it; # comments;"
                " read again when they change"
            )
        ),
    ] = field(default_factory=list)
    policy: Annotated[
        str, Meta(description="what to do, in the words of spf.policy; ERROR gives a reply of your own")
    ] = "REJECT"
