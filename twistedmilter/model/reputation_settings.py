"""The section of the check that asks for the reputation of senders."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import CheckMode, CheckSettings


class ReputationSettings(CheckSettings, frozen=True, kw_only=True):
    """[reputation]: what is done with senders by what their mail was so far; see docs/reputation.md."""

    mode: CheckMode = "observe"
    refuse_reputation: Annotated[int, Meta(description="refuse below this reputation", ge=-100, le=0)] = -50
    refuse_confidence: Annotated[int, Meta(description="and above this confidence", ge=0, le=100)] = 3
    peer_only_action: Annotated[
        Literal["mark", "refuse", "none"],
        Meta(description="what becomes of it where our own observations alone would not do"),
    ] = "mark"
    good_reputation: Annotated[
        int, Meta(description="spare from greylisting above this reputation, if there is any confidence", ge=0, le=100)
    ] = 40
    header: Annotated[bool, Meta(description="write X-GOSSiP")] = True
    learn: Annotated[bool, Meta(description="let verdicts on messages become votes on their senders")] = True
    spam_codes: Annotated[
        list[str],
        Meta(description="reason codes of refusals that are votes against the sender; what goes on is one for it"),
    ] = field(
        default_factory=lambda: [
            *("callback-invalid", "dsn-refused", "notice-bounced", "banned-domain", "throwaway-name"),
            *("recipient-takes-no-mail", "recipient-unknown"),
        ]
    )
