"""The section of the check that tells senders what is wrong with their mail."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from twistedmilter.model.section import CheckSettings, Count, Mode, OnTemporaryFailure


class DsnSettings(CheckSettings, frozen=True, kw_only=True):
    """[dsn]: notifications to senders where the policy says DSN (RFC 3464); see docs/dsn.md."""

    mode: Annotated[
        Mode, Meta(description="enforce sends; observe records what it would have sent; off sends nothing")
    ] = "off"
    on_temporary_failure: Annotated[
        OnTemporaryFailure,
        Meta(description="when an exchanger says 4xx, as greylisting does, or cannot be reached: go on marked, or 450"),
    ] = "skip"
    unauthenticated: Annotated[
        bool,
        Meta(description="also tell senders whose domain did not pass SPF: most of those are forged, and innocent"),
    ] = False
    templates: Annotated[
        str, Meta(description="directory of your own texts, NAME.txt or LANGUAGE/NAME.txt; empty: the packaged ones")
    ] = ""
    language: Annotated[str, Meta(description="which texts to prefer, as in de or pt-br; empty: none")] = ""
    copy_to_postmaster: Annotated[
        bool, Meta(description="tell the postmaster of the sender's domain too, on the same connection")
    ] = False
    sender_days: Annotated[float, Meta(description="one sender is told once in so long [days]", gt=0, le=366)] = 7.0
    retry_hours: Annotated[
        float,
        Meta(
            description="a notification that cannot be delivered now is tried again for so long, after 5 minutes, then"
            " twice as long each time, up to 4 hours [hours; 0: not again]",
            ge=0,
            le=240,
        ),
    ] = 48.0
    queue: Annotated[
        Count, Meta(description="notifications that wait to be tried again; over it, they are dropped")
    ] = 5_000
    per_domain: Annotated[Count, Meta(description="notifications to one domain in an hour; over it, a callback")] = 50
    per_hour: Annotated[Count, Meta(description="notifications in an hour in all; over it, a callback")] = 500
