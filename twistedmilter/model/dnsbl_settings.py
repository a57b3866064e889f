"""The section of the check that asks the DNS lists of others."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import CheckSettings, Section

ListKind = Literal["client", "sender", "helo"]


class DnsListSettings(Section, frozen=True, kw_only=True):
    """[[dnsbl.lists]]: one list that is asked, and what its answers mean."""

    zone: Annotated[str, Meta(description="the domain of the list, e.g. bl.example.net")]
    kind: Annotated[
        ListKind,
        Meta(description="what it lists: addresses of clients, domains of senders, or names that clients say in HELO"),
    ] = "client"
    codes: Annotated[
        dict[str, str],
        Meta(
            description="what to do by return code, in the words of spf.policy; a code is an address, a range or "
            "Postfix's form: 127.0.0.2, 127.0.0.4/30, 127.0.0.[2..5;9]; the first entry that matches decides, and a "
            "code that no entry names is recorded only"
        ),
    ] = field(default_factory=lambda: {"127.0.0.2": "REJECT"})
    probe: Annotated[
        str,
        Meta(description="what the list must list if it works; empty: 127.0.0.2, or test for names (RFC 5782)"),
    ] = ""


class DnsblSettings(CheckSettings, frozen=True, kw_only=True):
    """[dnsbl]: DNS lists of others, asked about strangers; see docs/mta-dns-lists.md."""

    lists: Annotated[
        list[DnsListSettings], Meta(description="tables [[dnsbl.lists]], in order; []: nobody is asked")
    ] = field(default_factory=list)
