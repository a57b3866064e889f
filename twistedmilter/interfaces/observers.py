"""Who is told of what happens: logs, history, metrics, the web."""

from __future__ import annotations

from zope.interface import Interface

from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction


class IObserver(Interface):
    """Told of each step after the MTA was answered; must be quick, and its faults change no verdict."""

    def connected(connection: Connection) -> None:
        """A session began; its client class is known as far as the address tells."""

    def greeted(connection: Connection) -> None:
        """HELO or EHLO arrived."""

    def mail_began(transaction: Transaction) -> None:
        """MAIL arrived; the authentication state is known."""

    def recipient_named(transaction: Transaction, recipient: Recipient) -> None:
        """RCPT arrived and was answered."""

    def ended(record: Record) -> None:
        """A transaction ended; this is its record."""

    def disconnected(connection: Connection) -> None:
        """The session ended."""

    def trouble(transaction_id: str, where: str, problem: str) -> None:
        """A fault of ours or a violation by a peer, one line."""


class ILog(IObserver):
    """An observer that writes lines for people or for their tools."""

    def started(version: str) -> None:
        """The service is about to listen."""

    def stopped() -> None:
        """The service has ended its last session."""

    def tell_suppressed() -> None:
        """Tell how many lines a flood cost, once its second is over; asked every second."""

    def lines_lost(count: int) -> None:
        """Lines can be written again; so many could not."""
