"""Whose client this is: ours, a believed relay's, authenticated, or a stranger's (seed-spec B02 to B04, D03, D04)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IClientClassifier, IMailCheck
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.settings import NetworksSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Client, Connection, Transaction
from twistedmilter.policy.networks import NetworkSet

# what a record says of the session's protection (D03, D04); milter-spec 6 has who gives which
FACTS: Final = (
    ("auth_type", "{auth_type}"),
    ("auth_ssf", "{auth_ssf}"),
    ("tls_version", "{tls_version}"),
    ("tls_cipher", "{cipher}"),
    ("tls_bits", "{cipher_bits}"),
    ("certificate_verify", "{verify}"),
    ("certificate_subject", "{cert_subject}"),
    ("certificate_issuer", "{cert_issuer}"),
)


@implementer(IClientClassifier, IMailCheck)
@dataclass(eq=False)
class TrustedClientCheck:
    """Classes the client; it never has an opinion on the message.

    It gives no Accept: the checks behind it ask C{connection.client_class} instead, because some of them judge
    internal clients (infected_client) and all of them leave evidence.  A client certificate is evidence only.

    A client that is in both sets is a trusted relay.  AUTH counts for the transactions that come with its
    macro: without it the client is again what its address says.

    A name in the sets that cannot be looked up may be the client's: unless another entry matches, the failure is
    raised, since judging one of ours as a stranger could refuse its mail for good.

    @ivar resolver: for host names in the sets; None leaves them out.
    @raise ValueError: an entry of C{[networks]} is no network, or there are exceptions only, which would make
        the rest of the world ours.
    """

    networks: NetworksSettings
    resolver: IResolver | None = None
    name: str = "trusted_client"
    local: bool = True
    _internal: NetworkSet = field(init=False)
    _relays: NetworkSet = field(init=False)

    def __post_init__(self) -> None:
        """Parse the sets once."""
        self._internal = _ours("internal", self.networks.internal)
        self._relays = _ours("trusted_relays", self.networks.trusted_relays)

    async def check_connect(self, connection: Connection) -> None:
        """Set C{client_class} and C{class_reason} by the address."""
        await self._classify(connection)

    async def check_mail(self, transaction: Transaction) -> None:
        """Set the class of an authenticated client (D03) and record how the session is protected (D04)."""
        connection = transaction.connection
        user = connection.macro("{auth_authen}")
        if user:
            connection.client_class = ClientClass.AUTHENTICATED
            connection.class_reason = f"authenticated as {user}"
            transaction.note(self.name, "auth_user", user)
            transaction.auth_results.append(AuthResult("auth", "pass", (("smtp.auth", user),)))
        elif connection.client_class is ClientClass.AUTHENTICATED:
            await self._classify(connection)
        for fact, macro in FACTS:
            value = connection.macro(macro)
            if value:
                transaction.note(self.name, fact, value)

    async def _classify(self, connection: Connection) -> None:
        client = connection.client
        if connection.local_submission or _is_local(client):
            connection.client_class, connection.class_reason = ClientClass.INTERNAL, "local submission"
            return
        troubles: list[str] = []
        for client_class, key, networks in (
            (ClientClass.TRUSTED_RELAY, "trusted_relays", self._relays),
            (ClientClass.INTERNAL, "internal", self._internal),
        ):
            entry = await networks.matches(client.ip, self.resolver, troubles)
            if entry is not None:
                connection.client_class, connection.class_reason = client_class, f"{key}: {entry}"
                break
        else:
            connection.client_class = ClientClass.EXTERNAL
            connection.class_reason = "in no list" if client.ip is not None else "no address"
        for trouble in troubles:
            connection.note(self.name, "unresolved", trouble)
        if troubles and connection.client_class is ClientClass.EXTERNAL:
            raise TemporaryFailure(f"it is not known whether the client is ours: {'; '.join(troubles)}")


def _is_local(client: Client) -> bool:
    """Whether the MTA took this from a program of its own host: a unix client, or sendmail -bs (milter-spec 5)."""
    return client.ip is None and (client.address.startswith("/") or (client.name == "localhost" and not client.address))


def _ours(key: str, entries: Sequence[str]) -> NetworkSet:
    networks = NetworkSet.parse(entries)
    if networks.only_exceptions:
        raise ValueError(f"{key} holds exceptions only, so that everybody else would be ours")
    return networks
