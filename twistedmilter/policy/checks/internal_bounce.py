"""Bounces from inside come from mail servers; other machines that send them are up to something (seed-spec D14)."""

from __future__ import annotations

from dataclasses import dataclass, field

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.sender_settings import InternalBounceSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.networks import NetworkSet, plain


@implementer(IMailCheck)
@dataclass(eq=False)
class InternalBounceCheck:
    """Refuses the null reverse-path from an internal client that is not in C{internal_mta}.

    Exempt are our own host, and users that authenticate: their programs send receipts with it (RFC 8098 section 3).
    Without C{internal_mta} it has no opinion.  Reason code: C{internal-bounce}.

    @ivar resolver: for host names in C{internal_mta}; None leaves them out.
    @raise ValueError: an entry is no network.
    """

    settings: InternalBounceSettings
    resolver: IResolver | None = None
    name: str = "internal_bounce"
    local: bool = False
    _mtas: NetworkSet = field(init=False)

    def __post_init__(self) -> None:
        """Parse the set once."""
        self._mtas = NetworkSet.parse(self.settings.internal_mta)

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge a bounce from inside.

        @raise TemporaryFailure: a name in C{internal_mta} that may be the client's cannot be looked up.
        """
        connection = transaction.connection
        ip = connection.client.ip
        if not self._mtas or not transaction.mail_from.is_null or connection.client_class is not ClientClass.INTERNAL:
            return None
        if ip is None or plain(ip).is_loopback:
            return None
        troubles: list[str] = []
        if await self._mtas.matches(ip, self.resolver, troubles) is not None:
            return None
        if troubles:
            raise TemporaryFailure(f"it is not known whether {ip} may send bounces: {'; '.join(troubles)}")
        advice = "if this is a mail server, ask your administrator to name it in internal_bounce.internal_mta"
        return Refuse(
            Reason("internal-bounce", f"{ip} may not send bounces: it is not known as a mail server", (advice,))
        )
