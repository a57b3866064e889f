"""People we write to become known senders (seed-spec I06, I07, D10).

The check C{known_sender} says in the record that a message teaches; when that record is complete, the MTA has been
told, and L{SenderLearner} enters the recipients (invariant I6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.model.address import parse_path
from twistedmilter.model.durations import DAY
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.modification import ReplaceBody
from twistedmilter.model.record import Record
from twistedmilter.model.settings import Settings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.spf_identity import reverse_path

NAME: Final = "known_sender"
LEARNS_FOR: Final = "learns_for"  # the name of the evidence that a message teaches
MAX_USERS = 10_000  # whose new addresses are counted in one day; more teach nothing until the next

_AUTO_SUBJECTS = ("autoreply:", "return receipt")  # anywhere; I07
_AUTO_SUBJECT_BEGINNINGS = ("read:", "auto:", "automatic reply:", "out of office")


def _is_auto_submitted(value: str) -> bool:
    return value.partition(";")[0].partition("(")[0].strip() != "no"  # RFC 3834 section 5


def _is_auto_subject(value: str) -> bool:
    return value.startswith(_AUTO_SUBJECT_BEGINNINGS) or any(word in value for word in _AUTO_SUBJECTS)


# fields, and which of their values, in lower case, a machine writes
_MACHINE_SIGNS: tuple[tuple[tuple[str, ...], Callable[[str], bool]], ...] = (
    (("Auto-Submitted",), _is_auto_submitted),
    (("Precedence",), frozenset({"bulk", "junk", "list", "auto_reply"}).__contains__),
    (("List-Id", "X-Autoreply", "X-Autorespond"), lambda _value: True),
    (("Content-Type",), lambda value: value.startswith("multipart/report")),  # DSN and MDN, RFC 6522
    (("User-Agent", "X-Mailer"), lambda value: value.startswith("vacation")),
    (("Subject",), _is_auto_subject),
)


def is_user_of_ours(connection: Connection) -> bool:
    """Whether this client sends our own mail."""
    return connection.client_class in {ClientClass.INTERNAL, ClientClass.AUTHENTICATED}


def writer_of(transaction: Transaction) -> str:
    """Whom a message of ours is counted for: the authenticated user, else its sender."""
    return transaction.connection.macro("{auth_authen}") or transaction.mail_from.key


def why_machine_made(transaction: Transaction) -> str:
    """The field that shows that no person wrote this to its recipients (I07, RFC 3834); empty if there is none."""
    for names, is_sign in _MACHINE_SIGNS:
        for name in names:
            for value in transaction.header_values(name):
                text = value.strip().lower()
                if is_sign(text):
                    return f"{name}: {text[:80]}"
    return ""


@implementer(IObserver)
@dataclass(eq=False)
class SenderLearner:
    """Enters the recipients of accepted messages that teach, and forgets a learnt sender that turns bad.

    Not entered are recipients of our own domains (I06), those that are machines (I16), those known for good, and, from
    one user, more new ones than the limit in a day (UTC).  Held and discarded messages teach nothing, nor does one
    whose body was replaced (I06: something bad was in it).

    @ivar own: our own domains. @ivar machines: recipients that never become known.
    @ivar wall: seconds since the epoch.
    @ivar lost: how many messages taught nothing because the store failed.
    """

    settings: KnownSenderSettings
    whitelist: ISenderList
    own: AddressSet
    machines: AddressSet
    wall: Callable[[], float]
    lost: int = 0
    _day: int = -1
    _counts: dict[str, int] = field(default_factory=dict)
    _is_failing: bool = False
    _log = Logger()

    def connected(self, connection: Connection) -> None:
        """Nothing to learn."""

    def greeted(self, connection: Connection) -> None:
        """Nothing to learn."""

    def mail_began(self, transaction: Transaction) -> None:
        """Nothing to learn."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Nothing to learn yet: the message may still be refused."""

    def ended(self, record: Record) -> None:
        """Learn from an accepted message; what the store does takes its own time."""
        user = _taught_by(record)
        if user:
            learning = Deferred.fromCoroutine(self._learn(user, record))
            learning.addCallbacks(self._learnt, self._failed)
        elif reason := self._why_forget(record):
            forgetting = Deferred.fromCoroutine(self._forget(record.mail_from, reason))
            forgetting.addCallbacks(self._learnt, self._failed)

    def _why_forget(self, record: Record) -> str:
        """The reason for which a known sender is not to be known any more; empty if there is none (I14).

        Only one that was believed: anybody can write the address of somebody on probation.
        """
        noted = {fact.name for fact in record.evidence if fact.check == NAME}
        if record.is_test or "whitelist" not in noted or "probation" in noted:
            return ""
        verdicts = (record.decision.verdict, *record.marks)
        codes = (verdict.reason.code for verdict in verdicts if verdict is not None)
        return next((code for code in codes if code in self.settings.forget_for), "")

    async def _forget(self, sender: str, reason: str) -> None:
        """Take out what was learnt; what a person entered for good stays, and so does a domain."""
        address = reverse_path(parse_path(sender)).lower()
        entry = await self.whitelist.find(address, self.wall())
        if entry is not None and entry.name == address and entry.expires is not None:
            await self.whitelist.remove(address)
            text = "Auto-Whitelist: {address} is not known any more: it sent a message that was {reason}"
            self._log.warn(text, address=address, reason=reason)

    def disconnected(self, connection: Connection) -> None:
        """Nothing to learn."""

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Nothing to learn."""

    async def _learn(self, user: str, record: Record) -> None:
        now = self.wall()
        comment = f"{record.mail_from} wrote to it on {datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        for address in self._worth_learning(record):
            old = await self.whitelist.find(address, now)
            is_there = old is not None and old.name == address
            if old is not None and (old.expires is None or (is_there and now - old.stored < DAY)):
                continue
            if is_there or self._may_learn(user, now):
                await self.whitelist.add(SenderEntry(address, comment, now, now + self.settings.learn_days * DAY))
                self._log.info("Auto-Whitelist: {address} ({comment})", address=address, comment=comment)

    def _worth_learning(self, record: Record) -> Iterator[str]:
        for each in record.recipients:
            mailbox = parse_path(each.address)
            if each.word != "continue" or not mailbox.is_qualified:
                continue
            if self.own.match(mailbox) is None and self.machines.match(mailbox) is None:
                yield reverse_path(mailbox).lower()

    def _may_learn(self, user: str, now: float) -> bool:
        """Count one new address; that the limit is reached is told once a day and user."""
        day = int(now // DAY)
        if day != self._day:
            self._day, self._counts = day, {}
        if user not in self._counts and len(self._counts) >= MAX_USERS:
            return False
        count = self._counts[user] = self._counts.get(user, 0) + 1
        limit = self.settings.learn_limit
        if count == limit + 1:
            self._log.warn("{user} wrote to more than {limit} new addresses today; no more", user=user, limit=limit)
        return count <= limit

    def _learnt(self, _: None) -> None:
        self._is_failing = False

    def _failed(self, failure: Failure) -> None:
        """That the store fails is told once, until it works again; a fault of ours each time."""
        self.lost += 1
        if failure.check(TemporaryFailure) is None:
            self._log.failure("recipients were not learnt", failure=failure)
        elif not self._is_failing:
            self._is_failing = True
            self._log.error("recipients are not learnt: {reason}", reason=failure.getErrorMessage())


def _taught_by(record: Record) -> str:
    """The user whose recipients are to become known; empty if nobody's are."""
    if record.is_test or record.ended != "end-of-message" or record.decision.word not in {"continue", "accept"}:
        return ""
    if any(isinstance(each, ReplaceBody) for each in record.modifications):
        return ""
    return next((fact.value for fact in record.evidence if (fact.check, fact.name) == (NAME, LEARNS_FOR)), "")


def learner_of(
    settings: Settings, whitelist: ISenderList, wall: Callable[[], float], base_dir: Path
) -> SenderLearner | None:
    """The learner of a configuration; None if nobody's mail teaches, and nobody is to be forgotten.

    @raise ValueError: an entry of C{never_learn} or C{internal_domains} is no address or domain.
    """
    section = settings.known_sender
    has_work = section.learn_from or section.learn_subject or section.forget_for
    if section.mode == "off" or NAME not in settings.policy.checks or not has_work:
        return None
    own = AddressSet.parse(settings.networks.internal_domains, base_dir)
    return SenderLearner(section, whitelist, own, AddressSet.parse(section.never_learn, base_dir), wall)
