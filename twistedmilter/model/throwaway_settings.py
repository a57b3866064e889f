"""The section of the check that knows families of throwaway names."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import CheckSettings

JudgedName = Literal["sender", "helo", "ptr"]


class ThrowawaySettings(CheckSettings, frozen=True, kw_only=True):
    """[throwaway]: names that match a pattern of zone files, without the DNS; see docs/mta-dns-lists.md."""

    files: Annotated[
        list[str],
        Meta(description="zone files of names and patterns, read again when they change; []: the check is not asked"),
    ] = field(default_factory=list)
    names: Annotated[
        list[JudgedName],
        Meta(description="which names of a stranger: the sender's domain, the HELO name, the client's own name (PTR)"),
    ] = field(default_factory=lambda: ["sender"])
    codes: Annotated[
        dict[str, str],
        Meta(
            description="what to do by the return code of a rule, as in [[dnsbl.lists]]; the first that matches decides"
        ),
    ] = field(default_factory=lambda: {"127.0.0.0/8": "REJECT"})
