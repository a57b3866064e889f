"""Sender domains that we want nothing of (seed-spec D17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.model.sender_settings import BannedDomainSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.followed_files import FollowedFiles
from twistedmilter.policy.keywords import Keyword, parse_keyword


def banned_senders(settings: BannedDomainSettings, base_dir: Path) -> AddressSet:
    """The senders of C{domains} and of all C{files}; this waits for the disk.

    @raise ValueError: an entry that is no sender, or a file that cannot be read.
    """
    paths = [base_dir / name for name in settings.files]
    try:
        entries = (line.entry for path in paths for line in _lines_of(path))
        return AddressSet.parse([*settings.domains, *entries], base_dir)
    except ValueError:
        for path in paths:  # once more, to say which line it is; to keep them all would take too much
            for line in _lines_of(path):
                _check(line)
        raise


class _Line(NamedTuple):
    path: Path
    number: int
    entry: str


def _lines_of(path: Path) -> Iterator[_Line]:
    """The entries of a file in the ancestor's form, as an address set has them.

    @raise ValueError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                domain = line.partition("#")[0].strip()
                if domain:
                    yield _Line(path, number, domain.removeprefix("*") if domain.startswith("*.") else domain)
    except (OSError, UnicodeDecodeError) as failure:
        raise ValueError(f"{path} cannot be read: {failure}") from None


def _check(line: _Line) -> None:
    """See which line it is that is wrong.

    @raise ValueError: this one; the text names it.
    """
    try:
        AddressSet.parse([line.entry])
    except ValueError as problem:
        raise ValueError(f"{line.path}:{line.number}: {problem}") from None


def follow_banned_senders(
    settings: BannedDomainSettings, base_dir: Path, tell: Callable[[str], None] = lambda _trouble: None
) -> FollowedFiles[AddressSet]:
    """The same, following the files.

    @param tell: told, once each, why a changed file is not used; those who were banned stay so.
    @raise ValueError: as L{banned_senders}.
    """
    return FollowedFiles(
        [base_dir / name for name in settings.files],
        partial(banned_senders, settings, base_dir),
        failed=lambda trouble: tell(f"{trouble}; those who were banned stay so"),
    )


@implementer(IMailCheck, IRunningCheck)
@dataclass(eq=False)
class BannedDomainCheck:
    """Does what C{policy} says with a stranger's mail whose sender is banned.

    A trusted relay has accepted the message already: its refusal would be a bounce to a sender who may be forged, so
    it becomes a mark.  Clients of ours are exempt.  Reason code: C{banned-domain}.

    @ivar means: whether senders can be asked and told.
    @raise ValueError: C{policy} is no keyword.
    """

    settings: BannedDomainSettings
    banned: FollowedFiles[AddressSet]
    means: Means = field(default_factory=Means)
    name: str = "banned_domain"
    local: bool = True
    _keyword: Keyword = field(init=False)

    def __post_init__(self) -> None:
        """Parse the policy once."""
        self._keyword = parse_keyword(self.settings.policy)

    def start(self, reactor: Any) -> None:
        """Follow the files."""
        self.banned.start(reactor)

    def stop(self) -> None:
        """Follow them no more."""
        self.banned.stop()

    def status(self) -> Mapping[str, object]:
        """How many senders are banned, and why a newer state of the files is not used."""
        return {"entries": len(self.banned.current.entries), "files": self.banned.trouble or "well"}

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender's domain."""
        client_class, mailbox = transaction.connection.client_class, transaction.mail_from
        is_relayed = client_class is ClientClass.TRUSTED_RELAY
        if not mailbox.is_qualified or not (is_relayed or transaction.connection.is_external):
            return None
        entry = self.banned.current.match(mailbox)
        if entry is None:
            return None
        transaction.note(self.name, "entry", entry)
        reason = Reason("banned-domain", f"mail from {mailbox.domain} is not wanted here")
        verdict = act(self._keyword, transaction, Case(self.name, reason), self.means)
        return Mark(reason) if is_relayed and isinstance(verdict, (Refuse, TempFail)) else verdict
