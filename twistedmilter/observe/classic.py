"""The ancestor's log: its line format and tags, so that its log tools keep working (seed-spec section 5).

A line is C{YYYYMonDD HH:MM:SS [ID] TAG REST}: local time, English month, ID the number of the connection.
What is ours and not the ancestor's is told under C{NOTE:}, a tag that its report tool skips.  Test
transactions of C{twistedmilter scan} write their C{NOTE:} only, so that they are in nobody's statistics.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from zope.interface import implementer

from twistedmilter.interfaces.observers import ILog
from twistedmilter.model.modification import AddHeader, InsertHeader
from twistedmilter.model.record import Record
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Client, Connection, Recipient, Transaction
from twistedmilter.observe.classic_evidence import evidence_lines
from twistedmilter.observe.classic_words import final_line
from twistedmilter.observe.flood import FloodGate
from twistedmilter.observe.header_text import decoded_words, unfolded
from twistedmilter.observe.sanitise import MAX_FIELD, one_line, one_word, short_line

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOGGED_HEADERS = {b"subject": "Subject:", b"x-mailer": "X-Mailer:", b"from": "From:"}
_TYPES = {
    ClientClass.EXTERNAL: "EXTERNAL",
    ClientClass.INTERNAL: "INTERNAL",
    ClientClass.TRUSTED_RELAY: "EXTERNAL TRUSTED",
    ClientClass.AUTHENTICATED: "INTERNAL",  # as the ancestor counted them, seed-spec D03
}


@implementer(ILog)
class ClassicLog:
    """Writes the classic lines.

    @param write: takes one line without its line end.
    @param wall: seconds since the epoch.
    @param is_dynamic: whether the MTA's name of a client is that of a lent address (seed-spec B05).
    """

    def __init__(
        self,
        write: Callable[[str], None],
        wall: Callable[[], float],
        is_dynamic: Callable[[Connection], bool] = lambda _connection: False,
    ) -> None:
        self._write = write
        self._is_dynamic = is_dynamic
        self._wall = wall
        self._gate = FloodGate(wall)
        self._second = -1
        self._stamp = ""
        self._open: dict[str, Transaction] = {}  # by id; a transaction that began also ends

    def started(self, version: str) -> None:  # noqa: ARG002 - the ancestor did not tell it
        """The line at which a report tool forgets all open records; it names the ancestor, as the tool does."""
        self._line("bms milter startup")

    def stopped(self) -> None:
        """The last line."""
        self.tell_suppressed(at_end=True)
        self._line("bms milter shutdown")

    def connected(self, connection: Connection) -> None:
        """C{connect from HOST at PEER TYPE} (seed-spec B09)."""
        if connection.is_test:
            return
        client = connection.client
        kind = _TYPES[connection.client_class] + (" DYN" if self._is_dynamic(connection) else "")
        self._tell(connection.number, f"connect from {one_line(client.name)} at {_peer(client)} {kind}")

    def greeted(self, connection: Connection) -> None:
        """C{hello from NAME}."""
        if not connection.is_test:
            self._tell(connection.number, f"hello from {one_line(connection.helo)}")

    def mail_began(self, transaction: Transaction) -> None:
        """C{mail from ADDR PARAMS}, then who authenticated (seed-spec D03, D04)."""
        connection = transaction.connection
        if connection.is_test:
            return
        self._open[transaction.id] = transaction
        path = one_line(transaction.mail_from.raw)
        self._tell(connection.number, f"mail from <{path}> {_tuple(transaction.mail_arguments)}")
        macro = connection.macro
        if user := macro("auth_authen"):
            method = one_line(macro("auth_type") or "None")
            bits, factor = one_line(macro("cipher_bits") or "None"), one_line(macro("auth_ssf") or "None")
            text = f"SMTP AUTH: {one_line(user)} {method} sslbits = {bits} ssf = {factor} INTERNAL"
            self._tell(connection.number, text)
        if verify := macro("verify"):
            subject = one_line(macro("cert_subject") or "None")
            self._tell(connection.number, f"SSL AUTH: {subject} verify = {one_line(verify)}")

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """C{rcpt to ADDR PARAMS}, whatever it was answered: a refusal is told once, at the end."""
        connection = transaction.connection
        if not connection.is_test:
            path = one_line(recipient.mailbox.raw)
            self._tell(connection.number, f"rcpt to <{path}> {_tuple(recipient.arguments)}")

    def ended(self, record: Record) -> None:
        """The headers worth telling, what was found out of the sender, the final tag, the summary of this message."""
        transaction = self._open.pop(record.id, None)
        number = record.connection
        if not record.is_test:
            for name, value in _told_headers(record, transaction):
                self._tell(number, f"{name} {one_line(value)}")
            for line in evidence_lines(record):
                self._tell(number, line)
            for recipient in record.recipients:
                if (
                    recipient.code
                    and recipient.word in {"refuse", "tempfail"}
                    and not _is_final(record, recipient.code)
                ):
                    text = f"NOTE: {recipient.word} rcpt={one_word(recipient.address)} reason={recipient.code}"
                    self._tell(number, text)
            self._tell(number, final_line(record))
        self._tell(number, summary(record))

    def disconnected(self, connection: Connection) -> None:
        """No line: the ancestor had none."""

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """A fault or a violation, without a connection in brackets: report tools skip it."""
        self.tell_suppressed()
        if self._gate.admits(where):
            self._line(f"TROUBLE: {one_word(transaction_id)} {one_line(where)}: {one_line(problem, 4 * MAX_FIELD)}")

    def lines_lost(self, count: int) -> None:
        """How long the gap is, a trouble as well."""
        self._line(f"TROUBLE: - log: {count} lines were lost")

    def tell_suppressed(self, *, at_end: bool = False) -> None:
        """One line for each place whose second is over.

        @param at_end: the running second counts as over.
        """
        for where, count in self._gate.suppressed(at_end=at_end):
            self._line(f"TROUBLE: - {one_line(where)}: suppressed {count} more")

    def _tell(self, number: int, text: str) -> None:
        self._line(f"[{number}] {text}")

    def _line(self, text: str) -> None:
        now = self._wall()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, _stamp(now)
        self._write(short_line(f"{self._stamp} {text}"))


def summary(record: Record) -> str:
    """The one line that joins our id, the MTA's queue id and the Message-ID; C{-} is "none"."""
    decision = record.decision
    words = [
        f"NOTE: id={record.id} queue={one_word(record.queue_id)} message-id={one_word(record.message_id)}",
        f"verdict={decision.word} check={one_word(decision.check)}",
        f"reason={decision.verdict.reason.code if decision.verdict is not None else '-'}",
        f"stage={decision.stage.value} ended={record.ended} ms={record.milliseconds:.0f}",
    ]
    if record.marks:
        words.append("marks=" + ",".join(mark.reason.code for mark in record.marks))
    if record.is_test:
        words.append("test=yes")
    return " ".join(words)


def _stamp(now: float) -> str:
    """Date and time without regard to the locale (seed-spec 5.1)."""
    year, month, day, hour, minute, second, *_ = time.localtime(now)
    return f"{year:04}{_MONTHS[month - 1]}{day:02} {hour:02}:{minute:02}:{second:02}"


def _peer(client: Client) -> str:
    """The peer in tuple notation; the empty string when there is no address (seed-spec B08)."""
    if client.ip is None:
        return repr(client.address[:MAX_FIELD])
    return f"('{client.ip}', {client.port})"


def _tuple(arguments: tuple[str, ...]) -> str:
    """ESMTP arguments in tuple notation; C{repr} escapes what is not printable."""
    return repr(tuple(argument[:MAX_FIELD] for argument in arguments)) if arguments else "()"


def _is_final(record: Record, code: str) -> bool:
    verdict = record.decision.verdict
    return verdict is not None and verdict.reason.code == code


def _told_headers(record: Record, transaction: Transaction | None) -> list[tuple[str, str]]:
    """Our Received-SPF, then the first Subject, X-Mailer and From of the message, decoded."""
    proposed = record.modifications or (tuple(transaction.proposals) if transaction is not None else ())
    told = [
        ("Received-SPF:", unfolded(change.value))
        for change in proposed
        if isinstance(change, (AddHeader, InsertHeader)) and change.name == "Received-SPF"
    ]
    first: dict[str, bytes] = {}
    for name, value in transaction.raw_headers if transaction is not None else ():
        if tag := _LOGGED_HEADERS.get(name.lower()):
            first.setdefault(tag, value)  # thousands of one name are one line
    return told + [(tag, decoded_words(value)) for tag, value in first.items()]
