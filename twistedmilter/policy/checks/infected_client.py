"""Machines of our own that send as somebody else's domain (seed-spec D08, D09, D13)."""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.check_settings import InfectedClientSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Connection, Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.networks import plain


@implementer(IMailCheck)
@dataclass(frozen=True, eq=False)
class InfectedClientCheck:
    """Refuses an internal client whose sender is in no domain of ours: malware, or a wrong setting.

    Exempt are trusted relays, our own host, users that authenticate, the null reverse-path and senders without a
    domain (D09, D13).  Without C{internal_domains} it has no opinion.  Reason code: C{infected-client}.
    """

    settings: InfectedClientSettings
    internal_domains: AddressSet
    name: str = "infected_client"
    local: bool = True

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender's domain."""
        mailbox = transaction.mail_from
        if not self.internal_domains or not mailbox.is_qualified or not _is_other_machine(transaction.connection):
            return None
        if self.internal_domains.match(mailbox) is not None:
            return None
        text = f"{transaction.connection.client.ip} may not send as {mailbox.canonical}: the domain is not ours"
        advice = "this machine is set up wrongly, or somebody else is using it; ask your administrator"
        return Refuse(Reason("infected-client", text, (advice,)))


def _is_other_machine(connection: Connection) -> bool:
    ip = connection.client.ip
    return connection.client_class is ClientClass.INTERNAL and ip is not None and not plain(ip).is_loopback
