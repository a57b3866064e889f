"""The records of the last test transactions, for C{twistedmilter scan}, which has them from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw
from zope.interface import implementer

from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.observe.json_log import encode
from twistedmilter.observe.record_dict import record_to_dict

KEPT = 64  # records; a scan asks as soon as its message is judged
LONGEST_TEST_ID = 64  # characters
TEST_ID = "twistedmilter_test_id"  # the macro by which a scan names its connection


@implementer(IObserver)
class ScannedRecords:
    """Keeps the last record of each test connection that has a name, in memory only, of the last L{KEPT} at most."""

    def __init__(self) -> None:
        """Begin with none."""
        self._names: dict[int, str] = {}  # of the connections that are open, by their number
        self._records: dict[str, Record] = {}

    def answer(self, arguments: Mapping[str, object]) -> object:
        """Serve the control command C{scan-record}.

        @param arguments: C{test_id}: the name that the scan gave to its connection.
        @return: the record as docs/log.md tells it; None if there is none, or none any more.
        """
        record = self._records.get(str(arguments.get("test_id", "")))
        return Raw(encode(record_to_dict(record)).encode()) if record is not None else None

    def connected(self, connection: Connection) -> None:
        """Keep the name of a test."""
        name = (connection.macro(TEST_ID) or "") if connection.is_test else ""
        if name and len(name) <= LONGEST_TEST_ID:
            self._names[connection.number] = name

    def greeted(self, connection: Connection) -> None:
        """The record tells it."""

    def mail_began(self, transaction: Transaction) -> None:
        """The record tells it."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """The record tells it."""

    def ended(self, record: Record) -> None:
        """Keep it if it is wanted, and the oldest no longer."""
        name = self._names.get(record.connection)
        if name is None:
            return
        self._records.pop(name, None)  # the newest stands last
        self._records[name] = record
        if len(self._records) > KEPT:
            del self._records[next(iter(self._records))]

    def disconnected(self, connection: Connection) -> None:
        """The name means nothing any more; the record stays."""
        self._names.pop(connection.number, None)

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """The log tells it."""
