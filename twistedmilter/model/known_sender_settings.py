"""The sections of the checks that remember senders: who is known, who is unwanted, who has to come back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckMode, CheckSettings, Count, Mode, Seconds

Days = Annotated[float, Meta(gt=0, le=3_660)]


class KnownSenderSettings(CheckSettings, frozen=True, kw_only=True):
    """[known_sender]: people we write to are believed more, unwanted senders refused; see docs/known_senders.md."""

    mode: Annotated[
        Mode,
        Meta(description="enforce acts; observe records and learns, but spares and refuses nobody; off does not ask"),
    ] = "enforce"
    whitelist: Annotated[
        Addresses, Meta(description="senders that are known for good, beside those of the store; like a rule's senders")
    ] = field(default_factory=list)
    precise_only: Annotated[
        bool, Meta(description="only whole addresses make a known sender, domains and patterns do not (I09)")
    ] = False
    blacklist: Annotated[
        Addresses, Meta(description="senders that are refused, beside those of the store; like a rule's senders")
    ] = field(default_factory=list)
    learn_from: Annotated[
        Addresses, Meta(description="users of ours whose recipients become known senders; []: nobody's (D10)")
    ] = field(default_factory=list)
    learn_subject: Annotated[
        str,
        Meta(
            description="a word in the Subject by which any user of ours, not only those of learn_from, makes the"
            ' recipients of one message known; case does not matter, "" is none (I15)'
        ),
    ] = ""
    forget_for: Annotated[
        list[Annotated[str, Meta(pattern="^([a-z0-9]+(-[a-z0-9]+)*)?$", examples=["spf-fail", "attachment-banned"])]],
        Meta(
            description="codes of reasons: a sender that was learnt, and sends a message that is refused, held, marked"
            " or discarded for one of them, may be in other hands, and is not known any more (I14)"
        ),
    ] = field(default_factory=list)
    never_learn: Annotated[
        Addresses, Meta(description="recipients that are machines or roles, and never become known (I16)")
    ] = field(
        default_factory=lambda: [
            *("mailer-daemon@", "postmaster@", "abuse@", "noreply@", "no-reply@", "donotreply@", "do-not-reply@"),
            *("*-bounces@", "*-request@", "*-unsubscribe@"),
        ]
    )
    learn_days: Annotated[Days, Meta(description="how long a learnt sender stays known [days]")] = 60.0
    learn_limit: Annotated[Count, Meta(description="new addresses that are learnt from one user in a day")] = 100


class GreylistSettings(CheckSettings, frozen=True, kw_only=True):
    """[greylist]: strangers with a strike have to come back (M01 to M04); see docs/greylisting.md."""

    mode: CheckMode = "off"
    only_with_strike: Annotated[
        bool, Meta(description="only senders with at least one strike of [three_strikes], which must not be off then")
    ] = True
    delay: Annotated[Seconds, Meta(description="who comes back sooner is refused again [s]")] = 120.0
    expire_hours: Annotated[
        float, Meta(description="who was never accepted starts over after that [h]", gt=0, le=8_760)
    ] = 6.0
    retain_days: Annotated[Days, Meta(description="who was not seen for so long starts over [days]")] = 36.0
