"""Asking the server behind us whether a recipient exists (seed-spec G27).

It is a callback like any other, but for the route: whatever the domain, the same host is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dns.rdata import from_text
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from zope.interface import implementer

from twistedmilter.callback import CallbackVerifier, own_name_of
from twistedmilter.callback_limits import CallbackLimits
from twistedmilter.exchangers import Guard
from twistedmilter.interfaces.dns import Answer, AnswerStatus, IResolver
from twistedmilter.model.settings import Settings
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.user_lists import parse_server

AT_ONCE: Final = 20  # connections to the inner server
TOTAL: Final = 20.0  # seconds for one question
STEP: Final = 5.0  # seconds to connect, and for each reply
PER_HOUR: Final = 36_000  # questions about one domain


@implementer(IResolver)
@dataclass(frozen=True)
class OneHost:
    """A world of names in which every domain is this host, without MX."""

    ip: IPAddress

    async def lookup(self, name: str, rdtype: RdataType) -> Answer:
        """The host's address, for every name."""
        own_type = RdataType.AAAA if self.ip.version == 6 else RdataType.A
        if rdtype is not own_type:
            return Answer(name, rdtype, AnswerStatus.NODATA, (), 0.0)
        return Answer(name, rdtype, AnswerStatus.FOUND, (from_text(RdataClass.IN, rdtype, str(self.ip)),), 0.0)

    def cached(self, name: str, rdtype: RdataType) -> Answer | None:  # noqa: ARG002 - the interface's
        """Nothing is kept."""
        return None


def make_inner_verifier(settings: Settings, reactor: Any, host_name: str) -> CallbackVerifier | None:
    """What asks C{[recipients] ask}; None if nothing is to be asked.

    @param host_name: of this host, for EHLO where the configuration has no name for us.
    @raise ValueError: C{ask} is no server.
    """
    section = settings.recipients
    if not section.ask or section.mode == "off":
        return None
    ip, port = parse_server(section.ask)
    limits = CallbackLimits(
        port=port,
        total=TOTAL,
        connect=STEP,
        reply=STEP,
        connections=AT_ONCE,
        per_domain=AT_ONCE,
        per_address=AT_ONCE,
        probes_per_hour=PER_HOUR,
        keep_valid=section.ask_valid_hours * 3_600,
        keep_invalid=section.ask_invalid_minutes * 60,
        keep_others=5.0,  # it is our own server: ask again soon
        breaker_failures=0,  # and again
    )
    guard = Guard(permit_private=True)
    name = own_name_of(settings, host_name)
    return CallbackVerifier(reactor, OneHost(ip), name, limits=limits, guard=guard, chance=lambda: 0.0)
