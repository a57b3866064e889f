"""The section of the stores."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from twistedmilter.model.section import Count, Section


class StoreSettings(Section, frozen=True, kw_only=True):
    """[store]: where answers of exchangers, lists of senders, greylisting and decisions are kept (docs/stores.md)."""

    url: Annotated[
        Literal["sqlite", "memory"],
        Meta(description="sqlite: the file state.db in the state directory; memory: lost when the service stops"),
    ] = "sqlite"
    callbacks: Annotated[Count, Meta(description="answers of exchangers that are kept; then the oldest goes")] = 100_000
    senders: Annotated[
        Count, Meta(description="entries of lists that expire, of all lists together; permanent ones are not counted")
    ] = 100_000
    greylist: Annotated[Count, Meta(description="greylisted senders that are remembered")] = 1_000_000
    decisions: Annotated[Count, Meta(description="decisions that are kept; in memory at most 10,000")] = 1_000_000
    observations: Annotated[
        Count, Meta(description="identities whose reputation is kept; then those known least go; peers stay")
    ] = 1_000_000
    observation_days: Annotated[
        float, Meta(description="and for how long after the last message [days]", gt=0, le=3_660)
    ] = 90.0
    decision_days: Annotated[float, Meta(description="and for how long [days]; 0: none is kept", ge=0, le=3_660)] = 30.0
    min_free: Annotated[
        int,
        Meta(
            description=(
                "free space of the disk, below it only lists and bans are written, no decisions, answers or greylisting"
                " [octets; 0: whatever is free]"
            ),
            ge=0,
            le=2**40,
        ),
    ] = 67_108_864
