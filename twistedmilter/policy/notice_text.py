"""What a notification about one message says (seed-spec G05 and G07)."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from twistedmilter.dsn_report import Notice, ToldRecipient
from twistedmilter.model.spf import Identity, SPFOutcome, received_spf
from twistedmilter.model.transaction import SenderInquiry, Transaction
from twistedmilter.policy.notice_rules import parameter
from twistedmilter.policy.spf_identity import EFFECTIVE, Source, source_of
from twistedmilter.templates import Template

MAX_VALUE: Final = 300  # characters of one value
WIDTH: Final = 68  # characters of a line of a value, behind a tab
MAX_LISTED: Final = 20  # recipients in the text; the report names more

_HELO: Final = "helo"
_ERRORS: Final = frozenset({"permerror", "temperror"})


def printable(text: str, limit: int = MAX_VALUE) -> str:
    """Foreign text on one line; what cannot be shown is C{?}."""
    plain = " ".join("".join(char if char.isprintable() or char.isspace() else "?" for char in text).split())
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def folded(text: str) -> str:
    """A long value on several lines, as the texts indent them."""
    return "\n\t".join(wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)) or text


def values_of(
    transaction: Transaction, inquiry: SenderInquiry, told: Sequence[ToldRecipient], receiver: str
) -> dict[str, str]:
    """The values of all placeholders (G07).

    @param receiver: our own host name.
    """
    source = source_of(transaction)
    outcome = _outcome(transaction, inquiry.template)
    subjects = transaction.header_values("Subject")
    names = [printable(each.address) for each in told[:MAX_LISTED]]
    if len(told) > MAX_LISTED:
        names.append(f"and {len(told) - MAX_LISTED} more")
    return {
        "rcpt": "\n\t".join(names),
        "subject": printable(subjects[0]) if subjects and subjects[0].strip() else "(none)",
        "spf_result": folded(_spf_text(transaction, outcome, source, receiver)),
        "sender": printable(transaction.mail_from.canonical),
        "sender_domain": printable(transaction.mail_from.domain),
        "connectip": str(source.ip) if source is not None else "unknown",
        "heloname": printable(source.helo if source is not None else transaction.connection.helo),
        "receiver": receiver,
        "result": outcome.result.value if outcome is not None else "none",
        "perm_error": folded(printable(outcome.problem)) if outcome is not None and outcome.problem else "None",
    }


def _outcome(transaction: Transaction, template: str) -> SPFOutcome | None:
    """The outcome that a notification is about: that of HELO, the error itself, or what policy acts on."""
    if template.startswith(_HELO):
        return transaction.spf.get(Identity.HELO.value)
    official = transaction.spf.get(Identity.MAIL_FROM.value)
    return official if template in _ERRORS else transaction.spf.get(EFFECTIVE, official)


def _spf_text(transaction: Transaction, outcome: SPFOutcome | None, source: Source | None, receiver: str) -> str:
    if outcome is None or source is None:
        return "None"
    sender = transaction.mail_from.canonical
    return " ".join(received_spf(outcome, ip=source.ip, helo=source.helo, mail_from=sender, receiver=receiver).split())


def notice_of(
    transaction: Transaction,
    inquiry: SenderInquiry,
    template: Template,
    *,
    to: Sequence[str],
    told: Sequence[ToldRecipient],
    receiver: str,
    arrival: float,
) -> Notice:
    """The notification of one message with this text.

    @param to: whom it is for. @param arrival: when the message came. [seconds since the epoch]
    """
    values = values_of(transaction, inquiry, told, receiver)
    filled = template.filled(values)
    return Notice(
        template=template.name,
        subject=filled.subject,
        text=filled.body,
        to=to,
        receiver=receiver,
        reason=inquiry.reason.text,
        arrival=arrival,
        helo=values["heloname"],
        client_ip=values["connectip"],
        recipients=told,
        fields=filled.fields,
        envelope_id=parameter(transaction.mail_arguments, "ENVID"),
        headers=transaction.raw_headers,
    )
