"""Bounces that have to prove themselves: they go to addresses that we have signed (seed-spec K03 to K10, D15)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from zope.interface import implementer

from twistedmilter.interfaces.checks import IHeaderCheck, IMailCheck, IRcptCheck, IRunningCheck
from twistedmilter.model.address import Mailbox
from twistedmilter.model.signing_settings import BounceSettings
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.signing.rewriting import Rewriter
from twistedmilter.signing.verification import Fault, InvalidSignature, Verified

HOSTS: Final = 1_000  # that refused bounces are counted of
SHOWN: Final = 10  # of them, in the status
_NO_CLAIM: Final = frozenset({Fault.UNSIGNED, Fault.FOREIGN})


@implementer(IMailCheck, IRcptCheck, IHeaderCheck, IRunningCheck)
@dataclass(eq=False)
class BounceCheck:
    """Refuses, from strangers, what claims one of our signatures and has none, and bounces to unsigned senders.

    A wrong signature is refused where it stands, so that callbacks of others learn that the address is none.  An
    unsigned recipient is refused at the end of the headers only: a callback that stops at RCPT asks whether the address
    exists, and it does (K06).  Why a signature is not believed is not told: that would help to guess one.

    Reason codes: C{signed-sender-forged} (D15), C{bounce-forged} (K05), C{signed-address-misused},
    C{bounce-unsigned} (K06, K09), C{bounce-recipients} (K08).

    @ivar rewriter: knows our signatures; None: nothing is signed, and this has no opinion.
    @ivar wall: seconds since the epoch.
    @ivar protected: the domains all of whose senders are signed, in lower case.
    @ivar exempt: clients whose unsigned bounces are taken (K10).
    """

    settings: BounceSettings
    rewriter: Rewriter | None
    wall: Callable[[], float]
    protected: AbstractSet[str] = frozenset()
    exempt: NetworkSet = field(default_factory=lambda: NetworkSet.parse([]))
    name: str = "bounce"
    local: bool = True
    _users: frozenset[str] = field(init=False)
    _hosts: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        """Fold the names of users once."""
        self._users = frozenset(user.lower() for user in self.settings.bounce_users)

    def start(self, reactor: Any) -> None:
        """Nothing to do between messages."""

    def stop(self) -> None:
        """Nothing to end."""

    def status(self) -> Mapping[str, object]:
        """By HELO name, who sent most of what was refused here, or would have been."""
        return {"refused_by_host": dict(self._hosts.most_common(SHOWN))} if self._hosts else {}

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge a sender that claims to be signed by us (D15)."""
        if not transaction.connection.is_external:
            return None
        sender = transaction.mail_from
        found = self._verify(sender)
        if isinstance(found, Verified):
            transaction.note(self.name, "signed_sender", found.address)
        elif found not in _NO_CLAIM:
            return self._refused(transaction, "signed-sender-forged", f"{sender.canonical} was not signed by us")
        return None

    async def check_rcpt(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        """Judge a recipient that claims to be signed by us (K04, K05)."""
        if not transaction.connection.is_external or recipient.refused_by_mta:
            return None
        address = recipient.mailbox.canonical
        found = self._verify(recipient.mailbox)
        if isinstance(found, Verified):
            transaction.note(self.name, "signed_recipient", found.address)
            if self.settings.bounces_only and not self._is_bounce(transaction):
                return self._refused(transaction, "signed-address-misused", f"{address} takes bounces only")
        elif found not in _NO_CLAIM:
            return self._refused(transaction, "bounce-forged", f"{address} is none of our addresses, or no longer")
        return None

    async def check_headers(self, transaction: Transaction) -> Verdict | None:
        """Judge a bounce as a whole (K06 to K10)."""
        connection = transaction.connection
        if self.rewriter is None or not connection.is_external or not self._is_bounce(transaction):
            return None
        if not transaction.mail_from.is_null and transaction.known_sender:  # K07
            return None
        taken = [each.mailbox for each in transaction.recipients if _is_taken(each)]
        if self.settings.single_recipient and len(taken) > 1:
            return self._refused(transaction, "bounce-recipients", f"a bounce has one recipient, this has {len(taken)}")
        unsigned = [each for each in taken if self._lacks_signature(each)]
        if not unsigned or self._is_exempt(transaction):
            return None
        text = f"mail from {unsigned[0].canonical} is signed, and this is not an answer to any"
        return self._refused(transaction, "bounce-unsigned", text)

    def _verify(self, mailbox: Mailbox) -> Verified | Fault:
        """What is behind a signature, or why it is none; of the address as it came, since its case may be signed."""
        if self.rewriter is None:
            return Fault.UNSIGNED
        try:
            return self.rewriter.step_back(mailbox.raw, self.wall())
        except InvalidSignature as invalid:
            return invalid.fault

    def _is_bounce(self, transaction: Transaction) -> bool:
        """D02: the null reverse-path, or a user of a machine."""
        sender = transaction.mail_from
        return sender.is_null or sender.local_part.lower() in self._users

    def _lacks_signature(self, mailbox: Mailbox) -> bool:
        """Whether a recipient of a domain that signs everything is not signed."""
        if not self.settings.require_signature or mailbox.domain not in self.protected:
            return False
        return not isinstance(self._verify(mailbox), Verified)

    def _is_exempt(self, transaction: Transaction) -> bool:
        return self.exempt.contains(transaction.connection.client.ip)

    def _refused(self, transaction: Transaction, code: str, text: str) -> Refuse:
        """A refusal, counted by who claims to be the client."""
        host = transaction.connection.helo.lower()[:255]
        if host in self._hosts or len(self._hosts) < HOSTS:
            self._hosts[host] += 1
        return Refuse(Reason(code, text))


def _is_taken(recipient: Recipient) -> bool:
    return not recipient.refused_by_mta and not isinstance(recipient.verdict, Refuse | TempFail)
