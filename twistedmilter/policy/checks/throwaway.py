"""Families of throwaway names, such as ded304.com, ded305.com: the pattern set of a zone, without the DNS (V04)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from zope.interface import implementer

from twistedmilter.blocklist.zone import Zone
from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.throwaway_settings import JudgedName, ThrowawaySettings
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act
from twistedmilter.policy.dns_lists import CodeFilter, parse_codes
from twistedmilter.policy.followed_files import FollowedFiles
from twistedmilter.policy.keywords import Keyword
from twistedmilter.policy.name_rules import NameListing, find_name
from twistedmilter.policy.spf_identity import is_host_name

_WHAT: Mapping[JudgedName, str] = {"sender": "mail from", "helo": "HELO", "ptr": "a client named"}


@implementer(IMailCheck, IRunningCheck)
@dataclass(eq=False)
class ThrowawayCheck:
    """Does what C{codes} says with a stranger's mail whose sender, HELO name or own name a rule of the files lists.

    Behind a trusted relay the sender only is looked at, and a refusal becomes a mark, since it would be a bounce.
    Clients of ours are exempt.  A known sender is spared, unless the word is C{REJECT!}.

    Evidence: C{listed} with the name, the rule and its codes; C{spared} with what the sender is known for.
    Reason code: C{throwaway-name}; its text is that of the rule, if it has one.

    @ivar rules: of the files, as they are now. @ivar means: whether senders can be asked and told.
    @raise ValueError: C{codes} cannot be read.
    """

    settings: ThrowawaySettings
    rules: FollowedFiles[Zone]
    means: Means = field(default_factory=Means)
    name: str = "throwaway"
    local: bool = True
    _codes: tuple[tuple[CodeFilter, Keyword], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Parse the codes once."""
        self._codes = parse_codes(self.settings.codes)

    def start(self, reactor: Any) -> None:
        """Follow the files."""
        self.rules.start(reactor)

    def stop(self) -> None:
        """Follow them no more."""
        self.rules.stop()

    def status(self) -> Mapping[str, object]:
        """How many rules there are, and why a newer state of the files is not used."""
        return {"rules": len(self.rules.current), "files": self.rules.trouble or "well"}

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the names of a stranger."""
        for what, name in self._names(transaction):
            found = find_name(self.rules.current, name)
            keyword = self._keyword(found.codes) if found is not None else None
            if found is not None and keyword is not None:
                verdict = self._act(keyword, what, name, found, transaction)
                if verdict is not None:
                    return verdict
        return None

    def _names(self, transaction: Transaction) -> Iterator[tuple[JudgedName, str]]:
        connection = transaction.connection
        client_class = connection.client_class
        known: Mapping[JudgedName, str] = {
            "sender": transaction.mail_from.domain,
            "helo": connection.helo.strip(),
            "ptr": connection.client.name,
        }
        for what in self.settings.names:
            is_judged = connection.is_external or (what == "sender" and client_class is ClientClass.TRUSTED_RELAY)
            if is_judged and is_host_name(known[what]):
                yield what, known[what].lower().rstrip(".")

    def _keyword(self, codes: tuple[bytes, ...]) -> Keyword | None:
        addresses = [IPv4Address(code) for code in codes]
        return next((word for codes, word in self._codes if any(codes.matches(each) for each in addresses)), None)

    def _act(
        self, keyword: Keyword, what: JudgedName, name: str, found: NameListing, transaction: Transaction
    ) -> Verdict | None:
        codes = " ".join(str(IPv4Address(code)) for code in found.codes)
        transaction.note(self.name, "listed", f"{what} {name} by {found.rule}: {codes}, {keyword}")
        if transaction.known_sender and not keyword.is_strong:
            transaction.note(self.name, "spared", transaction.known_sender)
            return None
        reason = Reason("throwaway-name", found.text or f"{_WHAT[what]} {name} is not wanted here")
        verdict = act(keyword, transaction, Case(self.name, reason), self.means)
        is_relayed = not transaction.connection.is_external
        return Mark(reason) if is_relayed and isinstance(verdict, (Refuse, TempFail)) else verdict
