"""Small real implementations of our interfaces, for tests of what stands on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from dns.rdata import GenericRdata
from dns.rdatatype import RdataType
from twisted.internet.defer import Deferred
from zope.interface import implementer

from tests.zonetext import Fault, Zone, canonical
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer, AnswerStatus, IResolver, ISPFEvaluator
from twistedmilter.model.address import parse_path
from twistedmilter.model.spf import Identity, SPFOutcome, SPFResult
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Client, Connection, IPAddress, Transaction


@implementer(IResolver)
@dataclass
class FakeResolver:
    """Answers from zone text (see L{tests.zonetext}); every L{Fault} is a L{TemporaryFailure}.

    @ivar asked: every question that L{lookup} was asked, as C{"TYPE name"}.
    @ivar holding: while true, answers wait for L{release}: the answer that comes later, or never.
    """

    zone_text: str = ""
    holding: bool = False
    asked: list[str] = field(default_factory=list)
    zone: Zone = field(init=False)
    _held: list[Deferred[None]] = field(default_factory=list)
    _known: dict[tuple[str, RdataType], Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the zone."""
        self.zone = Zone.parse(self.zone_text)

    async def lookup(self, name: str, rdtype: RdataType) -> Answer:
        """The answer of the zone, at once or when released."""
        self.asked.append(f"{rdtype.name} {canonical(name)}")
        if self.holding:
            gate: Deferred[None] = Deferred()
            self._held.append(gate)
            await gate
        found = self.zone.find(name, rdtype)
        if found.fault:
            message = f"{found.fault} for {rdtype.name} {canonical(name)}"
            raise TemporaryFailure(message)
        if len(found.chain) > 8:
            message = f"CNAME loop at {canonical(name)}"
            raise TemporaryFailure(message)
        records = tuple(record for record in found.records if not isinstance(record, GenericRdata))  # no rdata at all
        answer = Answer(canonical(name), rdtype, _status(found.exists, bool(records)), records, 3600.0)
        self._known[answer.name, rdtype] = answer
        return answer

    def cached(self, name: str, rdtype: RdataType) -> Answer | None:
        """What L{lookup} answered before."""
        return self._known.get((canonical(name), rdtype))

    @property
    def waiting(self) -> int:
        """How many lookups wait for L{release}."""
        return sum(not gate.called for gate in self._held)

    def release(self) -> None:
        """Let everything held so far be answered; cancelled ones are gone."""
        held, self._held = self._held, []
        for gate in held:
            if not gate.called:
                gate.callback(None)


def _status(exists: bool, found: bool) -> AnswerStatus:
    if found:
        return AnswerStatus.FOUND
    return AnswerStatus.NODATA if exists else AnswerStatus.NXDOMAIN


@implementer(ISPFEvaluator)
@dataclass
class FakeSPFEvaluator:
    """Answers by domain.

    @ivar results: what is said of a domain: a result word, or the fields of an L{SPFOutcome}; others are C{none}.
    @ivar asked: every evaluation, as C{(ip, mail_from, helo)}.
    @ivar holding: while true, outcomes wait for L{release}.
    """

    results: dict[str, str | dict[str, str]] = field(default_factory=dict)
    holding: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    _held: list[Deferred[None]] = field(default_factory=list)

    async def check_host(self, ip: IPAddress, mail_from: str, helo: str) -> SPFOutcome:
        """The outcome for the domain of the reverse-path, or of HELO when that is null."""
        self.asked.append((str(ip), mail_from, helo))
        if self.holding:
            gate: Deferred[None] = Deferred()
            self._held.append(gate)
            await gate
        sender = mail_from or f"postmaster@{helo}"
        domain = sender.rpartition("@")[2].lower()
        said = self.results.get(domain, "none")
        fields = {"result": said} if isinstance(said, str) else dict(said)
        return SPFOutcome(
            SPFResult(fields.pop("result")),
            Identity.MAIL_FROM if mail_from else Identity.HELO,
            sender,
            domain,
            **fields,  # type: ignore[arg-type] # the fields that are left are texts
        )

    def release(self) -> None:
        """Let everything held so far be answered."""
        held, self._held = self._held, []
        for gate in held:
            if not gate.called:
                gate.callback(None)


def make_connection(
    ip: str | None = "192.0.2.9",
    *,
    name: str = "mail.example.net",
    helo: str = "mail.example.net",
    client_class: ClientClass = ClientClass.EXTERNAL,
    macros: dict[str, str] | None = None,
    address: str | None = None,
) -> Connection:
    """A session of a stranger with our host mx.example.org, unless told otherwise.

    @param ip: None for a client without an address. @param address: its text; the address itself by default.
    @param macros: the MTA's macros; a test may change them later.
    """
    known = macros if macros is not None else {}
    return Connection(
        1,
        Client(name, ip_address(ip) if ip is not None else None, 25025, address if address is not None else ip or ""),
        macro=known.get,
        helo=helo,
        own_name="mx.example.org",
        client_class=client_class,
    )


def make_transaction(
    mail_from: str = "<bob@example.com>",
    connection: Connection | None = None,
    headers: list[tuple[str, str]] | None = None,
) -> Transaction:
    """A transaction just after MAIL, or after the header section when there are headers."""
    return Transaction(
        "T1",
        connection if connection is not None else make_connection(),
        parse_path(mail_from),
        raw_headers=[(key.encode(), value.encode("utf-8", "surrogateescape")) for key, value in headers or []],
    )


__all__ = ["FakeResolver", "FakeSPFEvaluator", "Fault", "make_connection", "make_transaction"]
