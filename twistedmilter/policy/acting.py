"""What a check does with the word that its policy has for a message (seed-spec 3.6)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from twistedmilter.model.address import Mailbox
from twistedmilter.model.section import CheckSettings
from twistedmilter.model.settings import Settings
from twistedmilter.model.spf import SPFResult
from twistedmilter.model.transaction import SenderInquiry, Transaction
from twistedmilter.model.verdict import Mark, Reason, Verdict
from twistedmilter.policy.keywords import Keyword, Word

BAN: Final = "ban"  # the name of the evidence that a BAN leaves
_HELO: Final = "helo"
_TEMPLATES: Final = {
    SPFResult.NONE: "strike3",
    SPFResult.PASS: "",  # nothing is to be told: the exchangers are only asked
}


class Means(Struct, frozen=True):
    """What is switched on for asking senders; without it C{CBV} and C{DSN} mark.

    @ivar callback: exchangers are asked. @ivar dsn: senders are told; else DSN is a plain CBV (as in G04).
    @ivar counts: the check is enforced; one that observes makes nobody a known sender, and bans nobody.
    """

    callback: bool = False
    dsn: bool = False
    counts: bool = True

    @classmethod
    def of(cls, settings: Settings, check: str = "") -> Means:
        """The means of a configuration: a section is there, not off, and its check is in the chain.

        @param check: whose policy it is.
        """
        callback, dsn = (_is_on(settings, name) for name in ("callback", "dsn"))
        return cls(callback, dsn, not check or getattr(settings, check).mode == "enforce")

    def possible(self, word: Word) -> Word:
        """What becomes of a word with these means."""
        if word is Word.DSN and not self.dsn:
            word = Word.CBV
        return Word.MARK if word is Word.CBV and not self.callback else word


def _is_on(settings: Settings, name: str) -> bool:
    section: CheckSettings | None = getattr(settings, name, None)
    return section is not None and section.mode != "off" and name in settings.policy.checks


class Case(Struct, frozen=True):
    """What a policy word is about.

    @ivar check: whose policy it is. @ivar template: the notification of this result; see L{template_of}.
    @ivar refuse_status: enhanced status code of REJECT and BAN (550). @ivar tempfail_status: of TEMPFAIL (451).
    """

    check: str
    reason: Reason
    template: str = ""
    refuse_status: str = "5.7.1"
    tempfail_status: str = "4.7.1"


def template_of(result: SPFResult, *, is_helo: bool = False) -> str:
    """The notification for an SPF result (seed-spec 3.6); empty if there is none."""
    return "heloerror" if is_helo else _TEMPLATES.get(result, result.value)


def act(keyword: Keyword, transaction: Transaction, case: Case, means: Means) -> Verdict | None:
    """Do what the word says.

    C{CBV} and C{DSN} leave an inquiry, C{WHITELIST} makes the sender a known one, C{BAN} leaves evidence for the
    demerits of the client; the rest is the verdict.  Where nobody can be asked, since the reverse-path is null or
    the means are off, a word that would ask marks.  Inquiries of a check that observes are dropped later, since a
    rule may enforce it (L{twistedmilter.policy.enforcement.Enforcement.counting_inquiries}).

    @return: the verdict; None if the message goes on, be it to be asked about later.
    """
    word = means.possible(keyword.word)
    if keyword.asks:
        return _inquire(keyword, word, transaction, case)
    if word is Word.WHITELIST and means.counts:
        transaction.known_sender = transaction.known_sender or f"WHITELIST by the policy of {case.check}"
    elif word is Word.BAN and means.counts:
        transaction.note(case.check, BAN, case.reason.code)
    return keyword.verdict(case.reason, refuse_status=case.refuse_status, tempfail_status=case.tempfail_status)


def _inquire(keyword: Keyword, word: Word, transaction: Transaction, case: Case) -> Verdict | None:
    sender = transaction.mail_from
    if word is Word.MARK or not sender.is_qualified:
        return Mark(case.reason)
    template = (keyword.template or case.template) if word is Word.DSN else ""
    mailbox = sender
    if template.startswith(_HELO):  # G24: whoever runs the host is to mend its name
        domain = transaction.connection.helo.strip().lower()
        mailbox = Mailbox(f"postmaster@{domain}", "postmaster", domain)
    transaction.inquiries.append(SenderInquiry(case.check, mailbox, case.reason, template))
    return None
