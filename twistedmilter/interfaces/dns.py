"""The world of names, as checks see it."""

from __future__ import annotations

from enum import StrEnum

import dns.rdata
import dns.rdatatype
from msgspec import Struct
from zope.interface import Interface

from twistedmilter.model.spf import Reading, SPFOutcome
from twistedmilter.model.spf_networks import SPFNetworks
from twistedmilter.model.transaction import IPAddress


class AnswerStatus(StrEnum):
    """Whether a name and a type exist (RFC 2308)."""

    FOUND = "found"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"


class Answer(Struct, frozen=True):
    """A positive or negative answer of the DNS.

    @ivar name: the name that was asked for, lower case, without the trailing dot.
    @ivar rdtype: the type that was asked for.
    @ivar records: the records of that type at the end of the CNAME chain; empty unless found.
    @ivar expires: reactor seconds after which the answer is stale.
    """

    name: str
    rdtype: dns.rdatatype.RdataType
    status: AnswerStatus
    records: tuple[dns.rdata.Rdata, ...]
    expires: float


class IResolver(Interface):
    """A stub resolver with a cache."""

    async def lookup(name: str, rdtype: dns.rdatatype.RdataType) -> Answer:
        """The answer, from the cache or from the name servers.

        @param name: a domain name; a trailing dot is optional, no search list is applied.
        @raise TemporaryFailure: no usable answer within the time of one lookup (SERVFAIL, timeout, refused).
        """

    def cached(name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
        """The answer that L{lookup} would give without asking anybody; None if it has to ask."""


class ISPFEvaluator(Interface):
    """check_host() of RFC 7208 section 4."""

    async def check_host(ip: IPAddress, mail_from: str, helo: str) -> SPFOutcome:
        """Evaluate one identity.

        @param mail_from: the reverse-path without brackets; empty judges the HELO identity
            (C{postmaster@helo}, RFC 7208 section 2.4).
        @param helo: the HELO or EHLO name.
        @return: always an outcome; trouble with the DNS is the result temperror.
        """


class ISPFReader(Interface):
    """What policy may ask of SPF records beyond RFC 7208; provided by an L{ISPFEvaluator} that can."""

    async def read(ip: IPAddress, mail_from: str, helo: str, reading: Reading) -> SPFOutcome:
        """As C{check_host}, with the record read otherwise.

        @return: for a lax reading, permerror if the record cannot be understood at all.
        """

    async def networks_of(domain: str) -> SPFNetworks:
        """The networks that the SPF record of a domain lets pass; kept until an answer they rest on gets stale."""
