"""Sender domains that we want nothing of (seed-spec D17)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.sender_settings import BannedDomainSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.keywords import Keyword, parse_keyword


def banned_senders(settings: BannedDomainSettings, base_dir: Path) -> AddressSet:
    """The senders of C{domains} and of all C{files}.

    @raise ValueError: an entry that is no sender, or a file that cannot be read.
    """
    return AddressSet.parse([*settings.domains, *_of_files(settings.files, base_dir)], base_dir)


def _of_files(names: Sequence[str], base_dir: Path) -> Iterator[str]:
    """The entries of files in the ancestor's form, as an address set has them.

    @raise ValueError: as L{banned_senders}.
    """
    for name in names:
        path = base_dir / name
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as failure:
            raise ValueError(f"{path} cannot be read: {failure}") from None
        for number, line in enumerate(lines, start=1):
            domain = line.partition("#")[0].strip()
            if not domain:
                continue
            entry = domain[1:] if domain.startswith("*.") else domain
            try:
                AddressSet.parse([entry])
            except ValueError as problem:
                raise ValueError(f"{path}:{number}: {problem}") from None
            yield entry


@implementer(IMailCheck)
@dataclass(eq=False)
class BannedDomainCheck:
    """Does what C{policy} says with a stranger's mail whose sender is banned.

    A trusted relay has accepted the message already: its refusal would be a bounce to a sender who may be forged, so
    it becomes a mark.  Clients of ours are exempt.  Reason code: C{banned-domain}.

    @ivar means: whether senders can be asked and told.
    @raise ValueError: C{policy} is no keyword.
    """

    settings: BannedDomainSettings
    banned: AddressSet
    means: Means = field(default_factory=Means)
    name: str = "banned_domain"
    local: bool = True
    _keyword: Keyword = field(init=False)

    def __post_init__(self) -> None:
        """Parse the policy once."""
        self._keyword = parse_keyword(self.settings.policy)

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender's domain."""
        client_class, mailbox = transaction.connection.client_class, transaction.mail_from
        is_relayed = client_class is ClientClass.TRUSTED_RELAY
        if not mailbox.is_qualified or not (is_relayed or transaction.connection.is_external):
            return None
        entry = self.banned.match(mailbox)
        if entry is None:
            return None
        transaction.note(self.name, "entry", entry)
        reason = Reason("banned-domain", f"mail from {mailbox.domain} is not wanted here")
        verdict = act(self._keyword, transaction, Case(self.name, reason), self.means)
        return Mark(reason) if is_relayed and isinstance(verdict, (Refuse, TempFail)) else verdict
