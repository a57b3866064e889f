"""The section of the check that asks a sender's mail exchangers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckSettings, Count, Mode, OnTemporaryFailure, Seconds


class CallbackSettings(CheckSettings, frozen=True, kw_only=True):
    """[callback]: asks the exchangers of a sender where the policy says CBV; see docs/callbacks.md."""

    mode: Annotated[
        Mode, Meta(description="enforce asks and acts; observe asks and records; off calls nobody, and CBV marks")
    ] = "off"
    on_temporary_failure: Annotated[
        OnTemporaryFailure,
        Meta(description="when an exchanger says 4xx, as greylisting does, or cannot be reached: go on marked, or 450"),
    ] = "skip"
    never_probe: Annotated[
        Addresses,
        Meta(
            description="domains and senders whose exchangers are never called, like recipients of [[rule]]; nor are "
            "those of networks.internal_domains"
        ),
    ] = field(default_factory=list)
    own_name: Annotated[
        str, Meta(description="our name in EHLO; empty: server.authserv_id if it is a host name, else this host's name")
    ] = ""
    own_names: Annotated[
        list[str], Meta(description="further names that exchangers must not have; helo.our_names are among them")
    ] = field(default_factory=list)
    own_addresses: Annotated[
        list[str],
        Meta(
            description="our own addresses, as the world sees them, besides those of this host's interfaces: an"
            " exchanger that has one is not called"
        ),
    ] = field(default_factory=list)
    port: Annotated[int, Meta(description="where exchangers listen; another one is for tests", ge=1, le=65_535)] = 25
    permit_private: Annotated[
        bool, Meta(description="also call loopback and private addresses: for tests, and for hosts behind NAT")
    ] = False
    total_timeout: Annotated[
        Seconds, Meta(description="everything for one sender [s]; less than policy.message_budget")
    ] = 30.0
    connect_timeout: Annotated[Seconds, Meta(description="connecting to one address [s]")] = 10.0
    reply_timeout: Annotated[Seconds, Meta(description="each reply [s]")] = 10.0
    connections: Annotated[Count, Meta(description="connections at once in all")] = 20
    per_domain: Annotated[Count, Meta(description="connections at once for one sender domain")] = 1
    per_address: Annotated[Count, Meta(description="connections at once to one address")] = 2
    per_connection: Annotated[Count, Meta(description="senders of one domain asked about on one connection")] = 10
    waiting: Annotated[Count, Meta(description="callbacks that wait for a connection; more are given up")] = 200
    probes_per_hour: Annotated[Count, Meta(description="senders of one domain asked about in an hour")] = 60
    breaker_failures: Annotated[
        Count,
        Meta(description="failures one after the other after which an exchanger's address is left alone for a while"),
    ] = 5
    breaker_minutes: Annotated[
        float,
        Meta(
            description="how long; then a callback probes it, and if that fails, twice as long, up to a day [minutes]",
            gt=0,
            le=1_440,
        ),
    ] = 15.0
    keep_valid: Annotated[float, Meta(description="a mailbox that exists is remembered [days]", gt=0, le=366)] = 7.0
    keep_invalid: Annotated[float, Meta(description="one that does not [hours]", gt=0, le=8_760)] = 3.0
    keep_others: Annotated[float, Meta(description="any other outcome [minutes]", gt=0, le=10_080)] = 15.0
    remembered: Annotated[Count, Meta(description="outcomes kept in memory, before the store")] = 100_000
