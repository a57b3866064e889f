"""Strangers with a strike have to come back (seed-spec M01 to M04)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from zope.interface import implementer

from twistedmilter.interfaces.checks import IRcptCheck
from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.interfaces.stores import GreylistTimes, IStores
from twistedmilter.model.durations import DAY, HOUR
from twistedmilter.model.known_sender_settings import GreylistSettings
from twistedmilter.model.spf import Identity, SPFResult
from twistedmilter.model.transaction import IPAddress, Recipient, Transaction
from twistedmilter.model.verdict import Reason, TempFail, Verdict
from twistedmilter.policy.networks import network_key
from twistedmilter.policy.spf_identity import judged, reverse_path


def domain_key(domain: str) -> str:
    """The key of a domain that passes SPF: whoever of it came back, came back for all, to whomever they write."""
    return f"domain {domain}"


def triplet_key(ip: IPAddress, sender: str, recipient: str) -> str:
    """The key of a sender that could be anybody: its network, its address and whom it writes to (M01)."""
    return f"{network_key(ip)} {sender} {recipient}"


@implementer(IRcptCheck)
@dataclass(eq=False)
class GreylistCheck:
    """Answers 451 to a stranger until it has come back after a delay (M02, M03).

    Never to the null reverse-path, to a known sender, to one of good reputation (J06), to clients of ours, trusted
    relays and AUTH (M04), to a domain that passes SPF and has come back before; and, with C{only_with_strike}, only to
    who has a strike.

    The contact is counted before the MTA is answered, since the answer depends on it; a test is not counted.

    Evidence: C{tries}, how often it tried and what became of it; C{spared}, what a sender that would have to wait is
    known for; C{not_asked}, where nothing is counted.
    Reason code: C{greylisted}.

    @ivar stores: None where nothing is remembered, as in a scan: no opinion.
    @ivar evaluator: None: every key is one of a network.
    @ivar wall: seconds since the epoch.
    """

    settings: GreylistSettings
    stores: IStores | None
    evaluator: ISPFEvaluator | None
    wall: Callable[[], float]
    name: str = "greylist"
    local: bool = False
    _times: GreylistTimes = field(init=False)

    def __post_init__(self) -> None:
        """Reckon the times once."""
        settings = self.settings
        self._times = GreylistTimes(settings.delay, settings.expire_hours * HOUR, settings.retain_days * DAY)

    async def check_rcpt(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        """Judge a stranger's attempt to reach one recipient.

        @raise TemporaryFailure: the store cannot answer now.
        """
        ip = transaction.connection.client.ip
        if ip is None or recipient.refused_by_mta or not self._concerns(transaction):
            return None
        if self.stores is None or transaction.connection.is_test:
            transaction.note(self.name, "not_asked", "nothing is counted here")
            return None
        key = await self._key(transaction, ip, recipient)
        now = self.wall()
        entry = await self.stores.greylist.contact(key, now, self._times)
        if entry.accepted:
            transaction.note(self.name, "tries", f"{entry.tries}, accepted {entry.accepted} times: {key}")
            return None
        wait = max(1, ceil(entry.first_seen + self.settings.delay - now))
        transaction.note(self.name, "tries", f"{entry.tries}, to come back in {wait} s: {key}")
        text = f"greylisted: come back in {wait} seconds, or later; attempt {entry.tries}"
        return TempFail(Reason("greylisted", text), 451, "4.7.1")

    def _concerns(self, transaction: Transaction) -> bool:
        if not transaction.connection.is_external or transaction.mail_from.is_null:
            return False
        if self.settings.only_with_strike and not strikes_of(transaction):
            return False
        if transaction.known_sender:
            transaction.note(self.name, "spared", transaction.known_sender)
            return False
        good = next(
            (fact.value for fact in transaction.evidence if (fact.check, fact.name) == ("reputation", "good")), ""
        )
        if good:
            transaction.note(self.name, "spared", good)
        return not good

    async def _key(self, transaction: Transaction, ip: IPAddress, recipient: Recipient) -> str:
        outcome = await judged(transaction, Identity.MAIL_FROM, self.evaluator)
        if outcome is not None and outcome.result is SPFResult.PASS:
            return domain_key(outcome.domain)
        return triplet_key(ip, reverse_path(transaction.mail_from), recipient.mailbox.canonical)


def strikes_of(transaction: Transaction) -> int:
    """How many strikes the check C{three_strikes} has counted; 0 if it was not asked."""
    for fact in transaction.evidence:
        if (fact.check, fact.name) == ("three_strikes", "strikes"):
            return int(fact.value.partition(" ")[0])
    return 0
