"""The reputation of senders (gossip spec 1.4, 1.12; seed-spec J02 to J06)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.interfaces.reputation import IReputation
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.reputation import Assessment, Identity, Opinion
from twistedmilter.model.reputation_settings import ReputationSettings
from twistedmilter.model.spf import Identity as SPFIdentity
from twistedmilter.model.spf import SPFResult
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, Verdict
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.header_hygiene import GOSSIP
from twistedmilter.policy.spf_identity import EFFECTIVE, judged, source_of

NAME: Final = "reputation"
UMIS: Final = "umis"
GOOD: Final = "good"


@implementer(IMailCheck)
@dataclass(eq=False)
class ReputationCheck:
    """Refuses strangers whose mail was mostly spam, by own observations; marks those whom only peers call bad.

    Who it is depends on what proves it: the domain with C{SPF} or C{GUESS}, the HELO name with C{HELO}, else the
    domain with the result of SPF, which anybody may have made.

    Evidence: C{umis}, by which a verdict is given back; C{opinion}, with the identity; C{own} and one C{peer} for each
    that answered, where peers did; C{new}, of whom nothing is known; C{good}, who is spared from greylisting.
    Reason codes: C{reputation-bad}, C{reputation-peers}.

    @ivar node: None where nothing is known or learnt, as in a scan: no opinion.
    @ivar evaluator: None: nobody is authenticated.
    """

    settings: ReputationSettings
    node: IReputation | None
    evaluator: ISPFEvaluator | None
    name: str = NAME
    local: bool = False

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Ask about a stranger's sender.

        @raise TemporaryFailure: the store cannot answer now.
        """
        connection = transaction.connection
        if not connection.is_external:
            return None
        if self.node is None or connection.is_test:
            transaction.note(self.name, "not_asked", "nothing is asked or learnt here")
            return None
        identity = await self._identity(transaction)
        if identity is None:
            return None
        answer = await self.node.ask(identity, self.node.new_umis())
        self._record(transaction, answer)
        return self._verdict(answer)

    async def _identity(self, transaction: Transaction) -> Identity | None:
        """Who is judged: the first that holds of the table in 1.4; None if there is no name."""
        outcome = await judged(transaction, SPFIdentity.MAIL_FROM, self.evaluator)
        effective = transaction.spf.get(EFFECTIVE, outcome)
        domain = folded_domain(transaction.mail_from.domain) if transaction.mail_from.domain else ""
        helo = await judged(transaction, SPFIdentity.HELO, self.evaluator)
        source = source_of(transaction)
        result = effective.result.value if effective is not None else SPFResult.NONE.value
        candidates = (
            (domain, "SPF", outcome is not None and outcome.result is SPFResult.PASS),
            (domain, "GUESS", effective is not None and effective.result is SPFResult.PASS),
            (source.helo if source is not None else "", "HELO", helo is not None and helo.result is SPFResult.PASS),
            (domain, result, True),
        )
        for name, qualifier, holds in candidates:
            if holds and name:
                try:
                    return Identity.of(name, qualifier)
                except ValueError:  # an address literal, or a name that is none
                    return None
        return None

    def _record(self, transaction: Transaction, answer: Assessment) -> None:
        transaction.note(self.name, UMIS, answer.umis)
        transaction.note(self.name, "opinion", f"{answer.identity} {answer.opinion}")
        if answer.peers:
            transaction.note(self.name, "own", str(answer.own))
        for peer in answer.peers:
            transaction.note(self.name, "peer", f"{peer.peer} says {peer.said}, which weighs {peer.weight:.2f}")
        if int(answer.opinion.confidence) == 0:
            transaction.note(self.name, "new", f"nothing is known of {answer.identity}")
        elif int(answer.opinion.reputation) > self.settings.good_reputation:
            transaction.note(self.name, GOOD, f"{answer.identity} is known as good")
        if self.settings.header:
            transaction.propose(InsertHeader(0, GOSSIP, answer.header))

    def _verdict(self, answer: Assessment) -> Verdict | None:
        if not self._is_beyond(answer.opinion):
            return None
        text = f"mail from {answer.identity.name} ({answer.identity.qualifier}) was mostly spam, score {answer.opinion}"
        if answer.own is not None and self._is_beyond(answer.own):
            return Refuse(Reason("reputation-bad", text))
        text = f"others say that {text}"
        if self.settings.peer_only_action == "none":
            return None
        reason = Reason("reputation-peers", text)
        return Refuse(reason) if self.settings.peer_only_action == "refuse" else Mark(reason)

    def _is_beyond(self, opinion: Opinion) -> bool:
        """By the integers that the header shows, so that everybody can check it (1.12)."""
        settings = self.settings
        is_bad = int(opinion.reputation) < settings.refuse_reputation
        return is_bad and int(opinion.confidence) > settings.refuse_confidence
