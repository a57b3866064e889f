"""Asks a sender's exchangers whether they take its bounces, where the policy says CBV (seed-spec G01, G14, G22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zope.interface import implementer

from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.checks import ILastCheck
from twistedmilter.model.address import Mailbox
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.transaction import SenderInquiry, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet

# RFC 3463 section 3.2: the sender's address does not exist or is incapable of accepting return mail
BAD_SENDER: Final = "5.1.8"
NULL_MX: Final = "5.7.27"  # RFC 7505 section 4.2


@implementer(ILastCheck)
@dataclass(frozen=True, eq=False)
class CallbackCheck:
    """Acts on the inquiries that have no template, when nothing else decided.

    A sender that does not exist is refused with the exchanger's words; one that exists goes on.  A temporary answer
    marks, or is 450 where C{on_temporary_failure} says so; an unknown one marks.  A known sender is spared, and so is
    one whose exchangers are never to be called.  A test transaction is judged by what is remembered; nobody is called.

    Evidence: C{result} with what was found out, C{answer} with the exchanger's words, C{source}: C{exchanger} or
    C{cache}; or C{spared} or C{not_asked} with the reason.
    Reason codes: C{callback-invalid}, C{callback-temporary}, C{callback-unknown}, and those of the inquiries.

    @ivar verifier: None: nobody can be asked, as in a scan.
    @ivar never: whose exchangers are never called. @ivar own_domains: ours, of which the same is true (G22).
    """

    settings: CallbackSettings
    verifier: ICallbackVerifier | None
    never: AddressSet
    own_domains: AddressSet
    name: str = "callback"
    local: bool = False

    async def check_last(self, transaction: Transaction) -> Verdict | None:
        """Ask about each mailbox once; the first refusal decides."""
        wanted = {each.mailbox.key: each for each in transaction.inquiries if not each.template}
        if wanted and transaction.known_sender:
            transaction.note(self.name, "spared", transaction.known_sender)
            return None
        found: Verdict | None = None
        for inquiry in wanted.values():
            verdict = await self._judge(transaction, inquiry)
            if isinstance(verdict, Refuse | TempFail):
                return verdict
            found = found or verdict
        return found

    async def _judge(self, transaction: Transaction, inquiry: SenderInquiry) -> Verdict | None:
        why_not = self._objection(inquiry.mailbox)
        outcome = None if why_not else await self._ask(transaction, inquiry.mailbox)
        if outcome is None:
            transaction.note(self.name, "not_asked", f"{inquiry.mailbox}: {why_not or 'a test asks nobody'}")
            return Mark(inquiry.reason)
        transaction.note(self.name, "result", f"{inquiry.mailbox}: {outcome.result}")
        transaction.note(self.name, "answer", outcome.explanation)
        transaction.note(self.name, "source", "cache" if outcome.from_cache else "exchanger")
        return self._verdict(inquiry, outcome)

    def _objection(self, mailbox: Mailbox) -> str:
        """Why the exchangers of a mailbox are not called; empty if they are."""
        if self.own_domains.match(mailbox) is not None:
            return "the domain is our own"
        entry = self.never.match(mailbox)
        return f"never_probe has {entry}" if entry is not None else ""

    async def _ask(self, transaction: Transaction, mailbox: Mailbox) -> CallbackOutcome | None:
        if self.verifier is None:
            return None
        if transaction.connection.is_test:
            return await self.verifier.known(mailbox)
        return await self.verifier.verify(mailbox)

    def _verdict(self, inquiry: SenderInquiry, outcome: CallbackOutcome) -> Verdict | None:
        mailbox, why = inquiry.mailbox, (inquiry.reason.text,)
        if outcome.result is CallbackResult.VALID:
            return None
        if outcome.result is CallbackResult.INVALID:
            text = f"{mailbox} takes no bounces: {outcome.explanation}"
            status = NULL_MX if outcome.is_null_mx else BAD_SENDER
            return Refuse(Reason("callback-invalid", text, why), 550, status)
        text = f"{mailbox} could not be verified: {outcome.explanation}"
        if outcome.result is CallbackResult.UNKNOWN:
            return Mark(Reason("callback-unknown", text, why))
        reason = Reason("callback-temporary", text, why)
        if self.settings.on_temporary_failure == "tempfail":
            return TempFail(reason, 450, "4.2.0")  # G14
        return Mark(reason)
