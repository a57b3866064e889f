"""Tells senders what is wrong, where the policy says DSN (seed-spec G02 to G05, G19 to G21, G24, G26, E27)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace
from twisted.logger import Logger
from zope.interface import implementer

from twistedmilter.dsn_report import ToldRecipient, build_report
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.checks import IBodyCheck, ILastCheck
from twistedmilter.interfaces.notices import StoredNotice
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.interfaces.signing import IAddressSigner
from twistedmilter.interfaces.stores import ISenderList, SenderEntry
from twistedmilter.model.address import Mailbox
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.transaction import SenderInquiry, Transaction
from twistedmilter.model.verdict import Discard, Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.callback import BAD_SENDER, NULL_MX
from twistedmilter.policy.notice_bounce import bounced_sender
from twistedmilter.policy.notice_delivery import Fate, NoticeDelivery
from twistedmilter.policy.notice_limits import NoticeLimits
from twistedmilter.policy.notice_rules import is_authenticated, objection_to_answer, told_recipients
from twistedmilter.policy.notice_text import notice_of
from twistedmilter.templates import Template

PERMERROR: Final = "permerror"

_log = Logger()


@dataclass(frozen=True)
class NoticeMeans:
    """By what notifications go out.

    @ivar own_name: our host name: of their postmaster, and in EHLO.
    @ivar wall: seconds since the epoch. @ivar unique: text for a Message-ID that nobody can guess.
    """

    notifier: INotifier
    signer: IAddressSigner
    own_name: str
    wall: Callable[[], float]
    unique: Callable[[], str]


@implementer(ILastCheck, IBodyCheck)
@dataclass(eq=False)
class DsnCheck:
    """Sends the notifications that other checks have asked for, when nothing else decided (G01).

    What may not be sent, for whatever reason, becomes a plain callback: the inquiry is left to the callback check
    behind this one without its template, or marks when nobody calls.  What was sent is taken off the list.

    A known sender is spared.  What an exchanger does not take now waits in a queue, and the message goes on, marked;
    with C{on_temporary_failure = "tempfail"} the client is to come back instead.

    Evidence: C{told} and C{queued} with template and mailbox, C{not_told} with the reason, C{spared} with what
    is known, C{bounced}.
    Reason codes: C{dsn-refused}, C{dsn-temporary}, C{notice-bounced}, and those of the inquiries.

    @ivar means: None: nothing is ever sent, as in a scan.
    @ivar templates: the texts by name. @ivar limits: how many may go out.
    @ivar own_domains: nobody in them is told. @ivar never: whose exchangers are never called.
    @ivar is_observed: the configuration observes only.
    @ivar has_callback: whether a callback check stands behind this one.
    @ivar blacklist: where senders go whose notification bounced; None: nowhere.
    """

    settings: DsnSettings
    means: NoticeMeans | None
    templates: Mapping[str, Template]
    limits: NoticeLimits
    own_domains: AddressSet
    never: AddressSet
    is_observed: bool = False
    has_callback: bool = True
    blacklist: ISenderList | None = None
    name: str = "dsn"
    local: bool = False

    def body_chunk(self, transaction: Transaction, octets: bytes) -> None:
        """The body is read at end of message, if at all."""

    async def check_end_of_message(self, transaction: Transaction) -> Verdict | None:
        """Take in a bounce of our own: its sender is blacklisted, the message dropped (G21).

        @raise TemporaryFailure: the secret or the store cannot be used.
        """
        means = self.means
        if means is None or transaction.connection.is_test:
            return None
        now = means.wall()
        address = bounced_sender(transaction, means.own_name, lambda text: means.signer.find(text, now))
        if address is None:
            return None
        transaction.note(self.name, "bounced", address)
        if self.blacklist is not None:
            await self.blacklist.add(SenderEntry(address, f"our notification bounced ({transaction.id})", now))
        return Discard(Reason("notice-bounced", f"our notification to {address} came back"))

    async def check_last(self, transaction: Transaction) -> Verdict | None:
        """Tell whom the inquiries say; that of a permerror comes first (E27)."""
        wanted = [inquiry for inquiry in transaction.inquiries if inquiry.template]
        if wanted and transaction.known_sender:
            transaction.note(self.name, "spared", transaction.known_sender)
            return None
        told: set[str] = set()
        verdict: Verdict | None = None
        for inquiry in sorted(wanted, key=lambda each: each.template != PERMERROR):
            if inquiry.mailbox.key in told:
                self._done(transaction, inquiry)
                continue
            verdict = await self._handle(transaction, inquiry) or verdict
            if isinstance(verdict, Refuse | TempFail):
                return verdict
            if inquiry not in transaction.inquiries:
                told.add(inquiry.mailbox.key)
        return verdict

    async def _handle(self, transaction: Transaction, inquiry: SenderInquiry) -> Verdict | None:
        recipients = told_recipients(transaction, inquiry.template)
        why = self._objection(transaction, inquiry, recipients)
        reserved = why or await self._reserve(transaction, inquiry, recipients)
        if isinstance(reserved, StoredNotice):
            return await self._tell(transaction, inquiry, reserved)
        transaction.note(self.name, "not_told", f"{inquiry.template} {inquiry.mailbox}: {reserved}")
        return self._leave_to_callback(transaction, inquiry)

    async def _reserve(
        self, transaction: Transaction, inquiry: SenderInquiry, recipients: list[ToldRecipient]
    ) -> StoredNotice | str:
        """The notification, counted and reserved, or why it may not go out."""
        assert self.means is not None  # or there is an objection
        why = self.limits.objection(inquiry.mailbox, self.means.wall())
        if why:
            return why
        try:
            notice = self._notice(transaction, inquiry, recipients, self.means)
            return await self.limits.take(notice, inquiry.mailbox) or notice
        except TemporaryFailure as failure:
            return str(failure)

    def _objection(self, transaction: Transaction, inquiry: SenderInquiry, recipients: list[ToldRecipient]) -> str:
        """Why this notification is not sent, besides the caps; empty if it may be."""
        return (
            self._objection_of_ours(transaction, inquiry)
            or objection_to_answer(transaction)
            or self._objection_to_mailbox(transaction, inquiry.mailbox)
            or ("" if recipients else "no recipient's NOTIFY allows for it")
        )

    def _objection_of_ours(self, transaction: Transaction, inquiry: SenderInquiry) -> str:
        if self.means is None or transaction.connection.is_test:
            return "a test sends nothing"
        if self.settings.mode != "enforce" or self.is_observed:
            return "only observed"
        return "" if inquiry.template in self.templates else "there is no such text"

    def _objection_to_mailbox(self, transaction: Transaction, mailbox: Mailbox) -> str:
        if self.own_domains.match(mailbox) is not None:
            return "the domain is our own"
        if (entry := self.never.match(mailbox)) is not None:
            return f"callback.never_probe has {entry}"
        if not self.settings.unauthenticated and not is_authenticated(transaction, mailbox):
            return f"{mailbox.domain} did not pass SPF, so it may be forged"
        return ""

    async def _tell(self, transaction: Transaction, inquiry: SenderInquiry, notice: StoredNotice) -> Verdict | None:
        """Deliver what is reserved; a client that is to come back itself is not waited for."""
        assert self.means is not None and self.limits.store is not None  # or nothing is reserved
        delivery = NoticeDelivery(self.settings, self.limits.store, self.means.notifier, self.means.wall)
        may_wait = self.settings.on_temporary_failure == "skip"
        try:
            outcome, fate = await delivery.attempt(notice, self._addressees(inquiry), may_wait=may_wait)
        except NotSentError:
            self.limits.give_back(inquiry.mailbox, notice.stored)
            raise
        if fate is Fate.FORGOTTEN:
            self.limits.give_back(inquiry.mailbox, notice.stored)
        return self._judge(transaction, inquiry, outcome, fate)

    def _addressees(self, inquiry: SenderInquiry) -> list[Mailbox]:
        """Whom to tell: the postmaster, too, of a broken record or where the settings say so (G26, E27)."""
        domain = inquiry.mailbox.domain
        postmaster = Mailbox(f"postmaster@{domain}", "postmaster", domain)
        both = self.settings.copy_to_postmaster or inquiry.template == PERMERROR
        return [inquiry.mailbox, postmaster] if both and inquiry.mailbox.key != postmaster.key else [inquiry.mailbox]

    def _notice(
        self, transaction: Transaction, inquiry: SenderInquiry, recipients: list[ToldRecipient], means: NoticeMeans
    ) -> StoredNotice:
        """The notification, made but not reserved.

        @raise TemporaryFailure: the secret cannot be used.
        """
        now = means.wall()
        token = means.signer.sign(inquiry.mailbox.canonical, now)
        to = [mailbox.canonical for mailbox in self._addressees(inquiry)]
        text = self.templates[inquiry.template]
        notice = notice_of(transaction, inquiry, text, to=to, told=recipients, receiver=means.own_name, arrival=now)
        content = build_report(notice, date=now, message_id=f"{token}.{means.unique()}@{means.own_name}", token=token)
        return StoredNotice(
            inquiry.mailbox.key, inquiry.template, tuple(to), content, stored=now, expires=self.limits.expiry(now)
        )

    def _judge(
        self, transaction: Transaction, inquiry: SenderInquiry, outcome: CallbackOutcome, fate: Fate
    ) -> Verdict | None:
        what = f"{inquiry.template} {inquiry.mailbox}: {outcome.explanation}"
        if fate is Fate.SENT:
            transaction.note(self.name, "told", what)
            _log.info("DSN: {id} {what}", id=transaction.id, what=what)
            self._done(transaction, inquiry)
            return None
        transaction.note(self.name, "queued" if fate is Fate.WAITS else "not_told", what)
        if outcome.result is CallbackResult.UNKNOWN:
            return self._leave_to_callback(transaction, inquiry)
        self._done(transaction, inquiry)
        why = (inquiry.reason.text,)
        if outcome.result is CallbackResult.INVALID:
            text = f"{inquiry.mailbox} takes no mail: {outcome.explanation}"
            return Refuse(Reason("dsn-refused", text, why), 550, NULL_MX if outcome.is_null_mx else BAD_SENDER)
        reason = Reason("dsn-temporary", f"{inquiry.mailbox} cannot be told now: {outcome.explanation}", why)
        if self.settings.on_temporary_failure == "tempfail":
            return TempFail(reason, 450, "4.2.0")  # G14
        return Mark(reason)

    def _leave_to_callback(self, transaction: Transaction, inquiry: SenderInquiry) -> Verdict | None:
        """Let the exchangers be asked instead; where nobody asks, mark."""
        if not self.has_callback:
            self._done(transaction, inquiry)
            return Mark(inquiry.reason)
        position = transaction.inquiries.index(inquiry)
        transaction.inquiries[position] = replace(inquiry, template="")
        return None

    @staticmethod
    def _done(transaction: Transaction, inquiry: SenderInquiry) -> None:
        transaction.inquiries.remove(inquiry)
