"""Clients that behaved badly (seed-spec B10, S01, C07, C08)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IConnectCheck, IMailCheck
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.conduct_settings import DemeritsSettings
from twistedmilter.model.durations import DAY, HOUR
from twistedmilter.model.record import Record
from twistedmilter.model.stage import ClientClass, Role
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.ban_book import Alarm, BanBook
from twistedmilter.policy.demerit_points import BANNED, UNKNOWN_RECIPIENT, Account

_ACCEPTED = frozenset({"continue", "accept", "mark"})
_CLASSIFIER = "trusted_client"
_UNKNOWN_STATUS = "5.1.1"  # RFC 3463


@implementer(IConnectCheck, IMailCheck, IObserver)
@dataclass(eq=False)
class DemeritsCheck:
    """Refuses a banned client, and bans those who collect too many demerits on one connection.

    Strangers at inbound listeners alone: never a client of ours, a trusted relay or a test, nor a client of which it
    is not known whether it is ours.  It learns from what happened, as an observer, after the MTA was answered.

    Reason code: C{client-banned} (550 5.7.1).

    @ivar tell: tells the administrator of trouble: reference, where, one line.
    """

    settings: DemeritsSettings
    book: BanBook
    tell: Callable[[str, str, str], None]
    name: str = "demerits"
    local: bool = True
    _accounts: dict[int, Account] = field(default_factory=dict)
    _alarmed: float | None = None
    _is_failing: bool = False
    _log = Logger()

    @property
    def sees_mta_refusals(self) -> bool:
        """Whether the MTA is to tell of recipients that it refuses itself."""
        return self.settings.mta_refusals

    async def check_connect(self, connection: Connection) -> Verdict | None:
        """Refuse a banned client."""
        return await self._judge(connection)

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Refuse a client that was banned since it connected."""
        account = self._accounts.get(transaction.connection.number)
        return await self._judge(transaction.connection) if account is not None and account.is_closed else None

    async def _judge(self, connection: Connection) -> Verdict | None:
        ip = connection.client.ip
        if ip is None or not connection.is_external:
            return None
        ban = await self.book.find(ip)
        if ban is None:
            return None
        if ban.expires is None:
            until = "until it is taken off the list"
        else:
            until = f"for {max(1, round((ban.expires - self.book.wall()) / 60))} more minutes"
        return Refuse(Reason(BANNED, f"{ip} is banned {until}", (ban.comment,)))

    # what happened

    def connected(self, connection: Connection) -> None:
        """Nothing bad about that."""

    def greeted(self, connection: Connection) -> None:
        """Count another name after MAIL (C07)."""
        account = self._accounts.get(connection.number)
        if account is not None and _may_be_counted(connection):
            account.greeted(connection.helo)

    def mail_began(self, transaction: Transaction) -> None:
        """Open the account."""
        connection = transaction.connection
        ip = connection.client.ip
        if ip is not None and _may_be_counted(connection):
            account = self._accounts.get(connection.number)
            if account is None:
                account = self._accounts[connection.number] = Account(ip)
            account.mail_began(connection.helo)

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Count a recipient that the MTA does not know; it says so in C{{rcpt_host}} (milter-spec 3.4)."""
        account = self._accounts.get(transaction.connection.number)
        if account is None or not recipient.refused_by_mta or not _may_be_counted(transaction.connection):
            return
        if transaction.connection.macro("{rcpt_host}") == _UNKNOWN_STATUS:
            account.add(UNKNOWN_RECIPIENT, 1)

    def ended(self, record: Record) -> None:
        """Count a transaction; ban, or spare, its client."""
        if not _is_of_a_stranger(record):
            return
        account = self._accounts.get(record.connection) or self._account_of(record)
        if account is None:
            return
        account.count(record)
        spared = self.settings.spared_days * DAY
        if _is_accepted(record) and not self.book.was_noted(account.ip, spared):
            self._later(self.book.accepted(account.ip, spared))
        if account.points > self.settings.limit and not account.is_closed:
            account.is_closed = True
            self._later(self._ban(record, account))

    def _account_of(self, record: Record) -> Account | None:
        """The account of a connection that never came to MAIL; None for a client without address."""
        try:
            account = self._accounts[record.connection] = Account(ip_address(record.client_ip))
        except ValueError:
            return None
        return account

    def disconnected(self, connection: Connection) -> None:
        """Close the account."""
        self._accounts.pop(connection.number, None)

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Nobody's conduct."""

    async def _ban(self, record: Record, account: Account) -> None:
        comment = str(account)
        try:
            ban = await self.book.add(account.ip, comment, self.settings.ban_hours * HOUR)
        except Alarm as alarm:
            now = self.book.wall()
            if self._alarmed is None or not 0 <= now - self._alarmed < HOUR:
                self._alarmed = now
                self.tell(record.id, self.name, str(alarm))
            return
        if ban is not None:
            self._log.info("banned: {client} ({comment})", client=ban.name, comment=comment)

    def _later(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(work).addCallbacks(self._done, self._failed)

    def _done(self, _: None) -> None:
        self._is_failing = False

    def _failed(self, failure: Failure) -> None:
        """That the store fails is told once, until it works again; a fault of ours each time."""
        if failure.check(TemporaryFailure) is None:
            self._log.failure("conduct was not noted", failure=failure)
        elif not self._is_failing:
            self._is_failing = True
            self.tell("", self.name, f"conduct is not noted: {failure.getErrorMessage()}")


def _may_be_counted(connection: Connection) -> bool:
    return connection.is_external and not connection.is_test and connection.role is Role.INBOUND


def _is_accepted(record: Record) -> bool:
    is_taken = record.ended == "end-of-message" and record.decision.word in _ACCEPTED
    return is_taken and any(each.word == "continue" for each in record.recipients)


def _is_of_a_stranger(record: Record) -> bool:
    """Whether a record is about the conduct of a client that is surely none of ours."""
    if record.is_test or record.role != Role.INBOUND or record.client_class != ClientClass.EXTERNAL:
        return False
    return not any(each.note and each.check == _CLASSIFIER for each in record.outcomes)
