"""Which authenticated user may use which sender (seed-spec D16, D19, with D08 behind it)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.sender_settings import SenderLoginSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.access import AccessMap, no_access
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.policy_table import PolicyTable

TAG: Final = "smtp-auth"
WHERE: Final = "[sender_login.policy]"
_EVERYTHING: Final = "*"


def login_table(policy: Mapping[str, str], access: Callable[[], AccessMap] = no_access) -> PolicyTable:
    """The table of C{[sender_login.policy]}, in front of the access map.

    @raise ValueError: a key that is neither C{user@domain}, nor a domain, nor C{*}, or a word that is none.
    """
    keys = {TAG if key.strip() == _EVERYTHING else f"{TAG}:{key}": word for key, word in policy.items()}
    return PolicyTable.parse(keys, where=WHERE, tags=(TAG,), access=access)


@implementer(IMailCheck)
@dataclass(eq=False)
class SenderLoginCheck:
    """Looks up C{user@domain} for a user who has authenticated: its name, and the domain of the sender.

    It has an opinion as soon as one entry for C{smtp-auth} is there.  Then a user whom no entry is about may use the
    domains of C{internal_domains} only, if there are any (D08).  Senders without a domain are no matter of it (D13).

    Reason codes: C{sender-login} when an entry decides, C{sender-not-ours} when none does.

    @ivar access: gives the access map. @ivar means: whether senders can be asked and told.
    @raise ValueError: C{policy} has a key or a word that cannot be read.
    """

    settings: SenderLoginSettings
    internal_domains: AddressSet
    access: Callable[[], AccessMap] = no_access
    means: Means = field(default_factory=Means)
    name: str = "sender_login"
    local: bool = True
    _table: PolicyTable = field(init=False)

    def __post_init__(self) -> None:
        """Parse the policy once."""
        self._table = login_table(self.settings.policy, self.access)

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender of a user who has authenticated."""
        connection, mailbox = transaction.connection, transaction.mail_from
        if connection.client_class is not ClientClass.AUTHENTICATED or not mailbox.is_qualified:
            return None
        if not self._table.has(TAG):
            return None
        user = connection.macro("{auth_authen}") or ""
        entry = self._table.find(TAG, f"{user}@{mailbox.domain}")
        if entry is None:
            return self._judge_domain(transaction, user)
        transaction.note(self.name, "policy", f"{entry.keyword.word}: {entry}")
        reason = Reason("sender-login", f"{user} may not send as {mailbox.canonical}")
        return act(entry.keyword, transaction, Case(self.name, reason), self.means)

    def _judge_domain(self, transaction: Transaction, user: str) -> Verdict | None:
        mailbox = transaction.mail_from
        if not self.internal_domains or self.internal_domains.match(mailbox) is not None:
            return None
        text = f"{user} may not send as {mailbox.canonical}: the domain is not ours"
        return Refuse(Reason("sender-not-ours", text))
