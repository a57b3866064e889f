"""Senders that we know, and senders that we do not want (seed-spec I06 to I11, I16, E16, E21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from zope.interface import implementer

from twistedmilter.interfaces.checks import IEndOfMessageCheck, IMailCheck
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.interfaces.stores import ISenderList, IStores
from twistedmilter.model.address import Mailbox
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.spf import Identity, SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.sender_learning import LEARNS_FOR, NAME, is_user_of_ours, why_machine_made, writer_of
from twistedmilter.policy.spf_identity import judged, reverse_path

WHITELIST: Final = "whitelist"
BLACKLIST: Final = "blacklist"


class Listing(Struct, frozen=True):
    """That a sender is in a list.

    @ivar entry: what matched, as it stands there. @ivar comment: why it is there.
    @ivar is_address: it names one mailbox, not a domain or a pattern.
    @ivar is_permanent: a person entered it for good.
    """

    which: str
    entry: str
    comment: str
    is_address: bool
    is_permanent: bool

    def __str__(self) -> str:
        """The listing as evidence."""
        return f"{self.entry} is in the {self.which}" + (f": {self.comment}" if self.comment else "")


@dataclass(frozen=True)
class SenderLists:
    """Both lists, of the configuration and of the store.

    @ivar stores: None where nothing is remembered, as in a scan; the lists of the configuration count all the same.
    @ivar whitelist: of the configuration. @ivar blacklist: of the configuration.
    """

    stores: IStores | None
    whitelist: AddressSet = field(default_factory=lambda: AddressSet(()))
    blacklist: AddressSet = field(default_factory=lambda: AddressSet(()))

    async def find(self, which: str, mailbox: Mailbox, now: float, *, precise: bool = False) -> Listing | None:
        """The listing of a sender; the configuration is asked first, and holds for good.

        @param which: L{WHITELIST} or L{BLACKLIST}. @param now: seconds since the epoch.
        @param precise: only an entry that names this mailbox and no other counts (I09).
        @raise TemporaryFailure: the store cannot answer now.
        """
        entry = (self.whitelist if which == WHITELIST else self.blacklist).match(mailbox)
        is_address = entry is not None and "*" not in entry and all(entry.partition("@")[::2])
        if entry is not None and (is_address or not precise):
            return Listing(which, entry, "in the configuration", is_address, is_permanent=True)
        if self.stores is None:
            return None
        senders: ISenderList = self.stores.whitelist if which == WHITELIST else self.stores.blacklist
        found = await senders.find(reverse_path(mailbox), now)
        if found is None or (precise and "@" not in found.name):  # the address comes before its domain
            return None
        return Listing(which, found.name, found.comment, "@" in found.name, found.expires is None)


@implementer(IMailCheck)
@dataclass(eq=False)
class KnownSenderCheck:
    """Looks strangers up in two lists of senders.

    In the whitelist, and MAIL FROM passes SPF: C{transaction.known_sender} says so, and greylisting, callbacks and
    strikes are spared; nothing else is.  In the whitelist without a pass: on probation, recorded only (E21), for
    anybody may write that address.  In the blacklist: refused, whoever sends it (I11).  In both: refused, unless the
    whitelist has the full address for good, the blacklist only its domain, and SPF passes.

    Evidence: C{whitelist}, C{blacklist}, C{probation}, C{lists} where the store is not read.
    Reason code: C{sender-blacklisted}.

    @ivar evaluator: None: nobody is authenticated.
    @ivar wall: seconds since the epoch.
    """

    settings: KnownSenderSettings
    lists: SenderLists
    evaluator: ISPFEvaluator | None
    wall: Callable[[], float]
    name: str = NAME
    local: bool = False

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Look a stranger's sender up.

        @raise TemporaryFailure: the store cannot answer now.
        """
        if not transaction.connection.is_external or not transaction.mail_from.is_qualified:
            return None
        unwanted = await self._find(transaction, BLACKLIST)
        known = await self._find(transaction, WHITELIST)
        if self.lists.stores is None:
            transaction.note(self.name, "lists", "those of the store are not read here")
        is_believed = known is not None and await self._is_authenticated(transaction, known)
        if unwanted is not None and not (is_believed and _is_exception(known, unwanted)):
            return _refusal(transaction, unwanted)
        if is_believed and self.settings.mode == "enforce":
            transaction.known_sender = transaction.known_sender or str(known)
        return None

    async def _find(self, transaction: Transaction, which: str) -> Listing | None:
        precise = self.settings.precise_only and which == WHITELIST
        listing = await self.lists.find(which, transaction.mail_from, self.wall(), precise=precise)
        if listing is not None:
            transaction.note(self.name, which, str(listing))
        return listing

    async def _is_authenticated(self, transaction: Transaction, known: Listing) -> bool:
        outcome = await judged(transaction, Identity.MAIL_FROM, self.evaluator)
        if outcome is not None and outcome.result is SPFResult.PASS:
            return True
        result = outcome.result.value if outcome is not None else "not known"
        transaction.note(self.name, "probation", f"{known.entry} is known, but SPF is {result}")
        return False


def _refusal(transaction: Transaction, unwanted: Listing) -> Verdict:
    """The reply does not quote the comment: that is for our own people."""
    whole = transaction.mail_from.canonical if unwanted.is_address else transaction.mail_from.domain
    text = f"mail from {whole} is not wanted here; write to postmaster if that is a mistake"
    return Refuse(Reason("sender-blacklisted", text))


def _is_exception(known: Listing | None, unwanted: Listing) -> bool:
    """Whether a person has taken one mailbox out of a domain that is not wanted."""
    return known is not None and known.is_address and known.is_permanent and not unwanted.is_address


@implementer(IEndOfMessageCheck)
@dataclass(eq=False)
class LearningKnownSenderCheck(KnownSenderCheck):
    """Tells also, at the end of a message of ours, whether its recipients are to become known senders (I06, D10).

    Such a message is from one of the teachers, or its Subject has the word by which anybody of ours teaches (I15).

    It only records that, as C{learns_for} or C{not_learnt}: who becomes known is settled when the MTA has been told
    that the message is accepted, by L{twistedmilter.policy.sender_learning.SenderLearner} (invariant I6).

    @ivar teachers: users of ours whose mail is learnt from.
    """

    teachers: AddressSet = field(default_factory=lambda: AddressSet(()))

    async def check_end_of_message(self, transaction: Transaction) -> None:
        """Judge our own mail only; never with a verdict."""
        if transaction.connection.is_test or not is_user_of_ours(transaction.connection):
            return
        if transaction.mail_from.is_null or not self._teaches(transaction):
            return
        machine = why_machine_made(transaction)
        if machine:
            transaction.note(self.name, "not_learnt", machine)
        else:
            transaction.note(self.name, LEARNS_FOR, writer_of(transaction))

    def _teaches(self, transaction: Transaction) -> bool:
        if self.teachers.match(transaction.mail_from) is not None:
            return True
        word = self.settings.learn_subject.lower()
        return bool(word) and any(word in subject.lower() for subject in transaction.header_values("Subject"))
