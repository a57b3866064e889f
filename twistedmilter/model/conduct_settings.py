"""The sections of the checks that look at conduct: whom a client writes to, how it behaves, how much it sends."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckMode, CheckSettings, Count


class RecipientsSettings(CheckSettings, frozen=True, kw_only=True):
    """[recipients]: refuses recipients that do not exist (L01, L02, L09, L10, G27); see docs/recipients.md."""

    mode: CheckMode = "off"
    users: Annotated[
        dict[str, list[str]],
        Meta(
            description="by domain its users: local parts, in which * stands for anything, and file:PATH, a file of "
            "them, one a line, read again when it changes; every other local part of the domain is unknown"
        ),
    ] = field(default_factory=dict)
    delimiter: Annotated[
        str,
        Meta(description="what ends the user in user+detail; empty: nothing does", pattern="^[!#$%&'*+/=?^_`{|}~-]?$"),
    ] = "+"
    never: Annotated[Addresses, Meta(description="addresses that take no mail (L01)")] = field(
        default_factory=lambda: ["mailer-daemon@"]
    )
    private: Annotated[
        Addresses, Meta(description="recipients that take mail from our own clients only, never from strangers (L09)")
    ] = field(default_factory=list)
    ask: Annotated[
        str,
        Meta(description="the inner server that knows the users of ask_domains: ADDRESS or ADDRESS:PORT; empty: none"),
    ] = ""
    ask_domains: Annotated[Addresses, Meta(description="recipients about whom the inner server is asked (G27)")] = (
        field(default_factory=list)
    )
    ask_valid_hours: Annotated[float, Meta(description="an answer that a user exists holds [h]", gt=0, le=8_760)] = 24.0
    ask_invalid_minutes: Annotated[
        float, Meta(description="an answer that a user does not exist holds [min]", gt=0, le=10_080)
    ] = 10.0


class DemeritsSettings(CheckSettings, frozen=True, kw_only=True):
    """[demerits]: bans strangers that behave badly, for a while (S01, B10, C07, C08); see docs/demerits.md."""

    mode: CheckMode = "observe"
    limit: Annotated[Count, Meta(description="demerits of one connection; over it the client's address is banned")] = 8
    mta_refusals: Annotated[
        bool, Meta(description="have the MTA tell of recipients that it refuses: those it does not know count too")
    ] = False
    ban_hours: Annotated[float, Meta(description="a ban lasts [h]", gt=0, le=8_760)] = 4.0
    new_per_hour: Annotated[Count, Meta(description="new bans in an hour; at it, an alarm and no more")] = 1_000
    spared_days: Annotated[
        float, Meta(description="an address with accepted mail in so many days is not banned [days]", ge=0, le=366)
    ] = 30.0


class OutgoingSettings(CheckSettings, frozen=True, kw_only=True):
    """[outgoing]: how many recipients an authenticated user may write to in an hour; see docs/outgoing.md."""

    mode: CheckMode = "off"
    per_user: Annotated[Count, Meta(description="recipients of one authenticated user in an hour")] = 200
    per_domain: Annotated[
        Count, Meta(description="recipients of all authenticated users of a sender domain in an hour")
    ] = 2_000
    over_limit: Annotated[
        Literal["hold", "tempfail"], Meta(description="over a limit: keep the message in quarantine, or 451 at RCPT")
    ] = "tempfail"
    exempt: Annotated[
        Addresses, Meta(description="users without limits, as they authenticate: user, user@domain, @domain")
    ] = field(default_factory=list)
