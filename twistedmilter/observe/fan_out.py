"""One observer that stands for many; a fault in one is nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger
from zope.interface import implementer

from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction

Teller = tuple[Callable[..., None], IObserver]  # a method, and whose it is


@implementer(IObserver)
class Observers:
    """Tells every observer of every event.

    @ivar failures: how often an observer failed; each kind is logged the first time only.
    """

    _log = Logger()

    def __init__(self, observers: Iterable[IObserver]) -> None:
        """Keep the observers in their order."""
        self._reported: set[tuple[int, str]] = set()
        self.failures = 0
        self._tellers: dict[str, list[Teller]] = {event: [] for event in IObserver.names()}
        self.join(observers)

    def join(self, observers: Iterable[IObserver]) -> None:
        """Tell these too, from now on, after the others."""
        for observer in observers:
            for event, tellers in self._tellers.items():
                tellers.append((getattr(observer, event), observer))

    def connected(self, connection: Connection) -> None:
        """Pass on."""
        self._tell("connected", connection)

    def greeted(self, connection: Connection) -> None:
        """Pass on."""
        self._tell("greeted", connection)

    def mail_began(self, transaction: Transaction) -> None:
        """Pass on."""
        self._tell("mail_began", transaction)

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Pass on."""
        self._tell("recipient_named", transaction, recipient)

    def ended(self, record: Record) -> None:
        """Pass on."""
        self._tell("ended", record)

    def disconnected(self, connection: Connection) -> None:
        """Pass on."""
        self._tell("disconnected", connection)

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Pass on."""
        self._tell("trouble", transaction_id, where, problem)

    def _tell(self, event: str, *arguments: object) -> None:
        for tell, observer in self._tellers[event]:
            try:
                tell(*arguments)
            except Exception:  # noqa: BLE001 - whatever it is, the verdict has been given
                self._failed(observer, event)

    def _failed(self, observer: IObserver, event: str) -> None:
        self.failures += 1
        if (id(observer), event) not in self._reported:
            self._reported.add((id(observer), event))
            self._log.failure("observer {observer} failed at {event}; told once", observer=observer, event=event)
