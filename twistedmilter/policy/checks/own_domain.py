"""Strangers that use our own domains as sender (seed-spec D06, in the form of D07)."""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.model.check_settings import OwnDomainSettings
from twistedmilter.model.spf import Identity, SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.spf_identity import judged


@implementer(IMailCheck)
@dataclass(frozen=True, eq=False)
class OwnDomainCheck:
    """Refuses a sender of ours from a client that is none of ours and does not pass SPF.

    The ancestor refused every such sender (D06), which loses the mail of users at a provider that our SPF record
    allows.  Clients of ours, trusted relays and AUTH are exempt.  Reason code: C{own-domain-forged}.
    """

    settings: OwnDomainSettings
    internal_domains: AddressSet
    evaluator: ISPFEvaluator | None
    name: str = "own_domain"
    local: bool = False

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender's domain.

        @raise TemporaryFailure: SPF of our own domain cannot be evaluated now; that is no proof of forgery.
        """
        mailbox = transaction.mail_from
        if not transaction.connection.is_external or not mailbox.is_qualified:
            return None
        if self.internal_domains.match(mailbox) is None:
            return None
        outcome = await judged(transaction, Identity.MAIL_FROM, self.evaluator)
        if outcome is None or outcome.result is SPFResult.PASS:
            return None
        if outcome.result is SPFResult.TEMPERROR:
            raise TemporaryFailure(f"SPF of {mailbox.domain}: {outcome.problem or 'no answer'}")
        text = (
            f"{transaction.connection.client.ip} may not send as {mailbox.canonical}:"
            f" {mailbox.domain} is ours, and SPF says {outcome.result.value}; users of ours authenticate"
        )
        return Refuse(Reason("own-domain-forged", text))
