"""The two lifetimes of a session: the connection and the mail transaction (both append-only)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from twistedmilter.model.address import NULL_MAILBOX, Mailbox
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import Modification
from twistedmilter.model.spf import SPFOutcome
from twistedmilter.model.stage import ClientClass, Role, Stage
from twistedmilter.model.verdict import Reason, Verdict

IPAddress = IPv4Address | IPv6Address


class Client(Struct, frozen=True):
    """The SMTP client as the MTA describes it (milter-spec 5).

    @ivar name: PTR name, an address in brackets, C{localhost} or C{unknown}; hostile text.
    @ivar ip: None for a unix client and for an address that is not one (Postfix says C{unknown}).
    @ivar port: client port; 0 when there is none.
    @ivar address: the address text as it came.
    """

    name: str
    ip: IPAddress | None
    port: int = 0
    address: str = ""


class Evidence(Struct, frozen=True):
    """One fact that a check saw; it is recorded and decides nothing.  Encoded it has the shape of docs/log.md.

    @ivar check: who saw it. @ivar name: snake_case key. @ivar value: text; may be hostile.
    """

    check: str
    name: str
    value: str


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What one check said when it was asked once; without a verdict it is encoded in the shape of docs/log.md.

    @ivar verdict: None is "no opinion".
    @ivar mode: C{enforce}, C{observe} or C{recorded}: a verdict stood already when
        this one came, so it mattered only if that one is void for a recipient or after a new HELO.
    @ivar milliseconds: time from question to answer, to the microsecond.
    @ivar note: what else is to be known, e.g. why the check could not answer.
    @ivar recipient: the forward-path it is about, canonical; empty when it is about all.
    """

    check: str
    stage: Stage
    verdict: Verdict | None
    mode: str
    milliseconds: float
    note: str = ""
    recipient: str = ""


@dataclass(slots=True)
class Recipient:
    """One forward-path of a transaction and what became of it.

    @ivar refused_by_mta: the MTA itself refused it and only tells us (RCPT_REJ).
    @ivar verdict: what we answered; None is no objection.
    """

    mailbox: Mailbox
    arguments: tuple[str, ...] = ()
    refused_by_mta: bool = False
    verdict: Verdict | None = None


@dataclass(slots=True)
class Connection:
    """One SMTP connection; lives until QUIT, QUIT_NC or loss.

    @ivar number: process-wide counter from 1, the C{[n]} of classic logs (seed-spec A20).
    @ivar listener: the listening spec it came through; @ivar role: what that listener is for.
    @ivar role_reason: why it has this role, for the record.
    @ivar macro: looks up an MTA macro by name, braces optional for long names; None if not given.
    @ivar helo: empty until HELO or EHLO.
    @ivar own_name: the MTA's own host name (macro j), or empty.
    @ivar is_test: a marked test transaction of C{twistedmilter scan}; never stored, never learned from.
    @ivar local_submission: Postfix's non_smtpd_milters: must not be refused at RCPT (milter-spec 3.4).
    """

    number: int
    client: Client
    listener: str = ""
    role: Role = Role.INBOUND
    role_reason: str = ""
    macro: Callable[[str], str | None] = lambda _name: None
    helo: str = ""
    own_name: str = ""
    client_class: ClientClass = ClientClass.EXTERNAL
    class_reason: str = ""
    is_test: bool = False
    local_submission: bool = False
    evidence: list[Evidence] = field(default_factory=list)
    auth_results: list[AuthResult] = field(default_factory=list)

    @property
    def is_external(self) -> bool:
        """Whether the client is a stranger: neither internal, nor a trusted relay, nor authenticated."""
        return self.client_class is ClientClass.EXTERNAL

    def note(self, check: str, name: str, value: str) -> None:
        """Record one fact about the client."""
        self.evidence.append(Evidence(check, name, value))


class RealClient(Struct, frozen=True):
    """The client behind a trusted relay, as its Received field tells (seed-spec B04 and beyond).

    @ivar received_index: which Received field, counted from the top, 0 first.
    """

    ip: IPAddress
    name: str
    helo: str
    received_index: int


class SenderInquiry(Struct, frozen=True):
    """What a check wants asked of the sender's exchangers, or told to the sender, before the message is accepted.

    @ivar check: who wants it. @ivar mailbox: whom it is about. @ivar reason: why, as the sender may read it.
    @ivar template: which notification is to be sent; empty: the exchangers are only asked (CBV).
    """

    check: str
    mailbox: Mailbox
    reason: Reason
    template: str = ""


@dataclass(slots=True)
class Transaction:
    """One mail transaction: from MAIL to the end of message, or to its abort.

    @ivar id: our reference, in replies, logs and the record.
    @ivar body_size: octets of body seen. @ivar started: reactor seconds at MAIL.
    @ivar spf: outcomes by identity, for later checks; set by the SPF check only, which adds C{effective} where policy
        acts on another than the official one.
    @ivar proposals: modifications to be sent at end of message, in order.
    @ivar known_sender: why this sender is believed more than a stranger; empty if it is not.
    @ivar inquiries: what checks want asked of the sender, if nothing else decides.
    """

    id: str
    connection: Connection
    mail_from: Mailbox = NULL_MAILBOX
    mail_arguments: tuple[str, ...] = ()
    started: float = 0.0
    recipients: list[Recipient] = field(default_factory=list)
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    header_size: int = 0
    body_size: int = 0
    body: Callable[[], Iterator[bytes]] = lambda: iter(())
    real_client: RealClient | None = None
    spf: dict[str, SPFOutcome] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    auth_results: list[AuthResult] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    proposals: list[Modification] = field(default_factory=list)
    known_sender: str = ""
    inquiries: list[SenderInquiry] = field(default_factory=list)
    _headers: list[tuple[str, str]] | None = None

    def note(self, check: str, name: str, value: str) -> None:
        """Record one fact about this message."""
        self.evidence.append(Evidence(check, name, value))

    def propose(self, modification: Modification) -> None:
        """Ask for a change; it is sent at end of message if the message goes on."""
        self.proposals.append(modification)

    @property
    def queue_id(self) -> str:
        """The MTA's queue id; Postfix gives it late (milter-spec 6), then this is empty."""
        return self.connection.macro("i") or ""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header fields so far, names as written, values with LF folds; not-UTF-8 as surrogates."""
        if self._headers is None or len(self._headers) != len(self.raw_headers):
            self._headers = [
                (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
                for name, value in self.raw_headers
            ]
        return self._headers

    def header_values(self, name: str) -> list[str]:
        """All values of one field, in order; the name is matched without regard to case."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]
