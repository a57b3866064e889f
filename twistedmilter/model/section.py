"""What the sections of the configuration are made of.

Times are in seconds and sizes in octets unless the description says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Mode = Literal["enforce", "observe", "off"]
Action = Literal["refuse", "mark", "hold"]
OnTemporaryFailure = Literal["skip", "tempfail"]
RoleWord = Literal["inbound", "submission", "reinjection"]

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Octets = Annotated[int, Meta(ge=1, le=2**40)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]

Addresses = list[str]
Networks = list[str]


CheckMode = Annotated[Mode, Meta(description="enforce acts; observe records what it would have said; off does not ask")]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of all sections: frozen, and unknown keys are errors."""


class CheckSettings(Section, frozen=True, kw_only=True):
    """The keys that every check's section has."""

    mode: CheckMode = "enforce"
    action: Annotated[Action, Meta(description="what a refusal of this check becomes")] = "refuse"
    on_temporary_failure: Annotated[
        OnTemporaryFailure, Meta(description="when a lookup fails: go on without this check, or 451")
    ] = "skip"
