"""Which messages may be answered by a notification, and to which recipients it speaks (seed-spec G19; RFC 3834)."""

from __future__ import annotations

import re
from typing import Final

from twistedmilter.dsn_report import ToldRecipient
from twistedmilter.model.address import Mailbox
from twistedmilter.model.spf import Identity, SPFResult
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.policy.address_set import folded_domain, parents

MAX_HOPS: Final = 50  # Received fields; a message with more goes in a circle (reliability C13)
QUARANTINE: Final = "quarantine"

_DEFAULT_NOTIFY: Final = frozenset({"FAILURE", "DELAY"})  # RFC 3461 section 4.1
_BULK: Final = frozenset({"bulk", "list", "junk", "auto_reply"})
_LIST_FIELDS: Final = frozenset(
    {"list-help", "list-id", "list-owner", "list-post", "list-subscribe", "list-unsubscribe", "mailing-list"}
)
_ROBOT: Final = re.compile(  # RFC 3834 section 2, and how list managers call themselves
    r"(mailer-daemon|listserv|majordomo|sympa|owner-.*|.*-(owner|request|bounces?|confirm)|bounces?([-+=].*)?"
    r"|(no|do-?not)[-_.]?reply.*|prvs=.*)",
    re.IGNORECASE,
)


def objection_to_answer(transaction: Transaction) -> str:
    """Why nobody may be told anything about this message; empty if somebody may.

    A null reverse-path, an answer of a machine, a list, a notification and a loop are never answered.
    """
    sender = transaction.mail_from
    if sender.is_null or not sender.is_qualified:
        return "the reverse-path is null or names no domain"
    if _ROBOT.fullmatch(sender.local_part):
        return "the sender is a machine or a list"
    hops = 0
    for name, value in transaction.headers:
        field = name.lower()
        hops += field == "received"
        if why := _objection_of_field(field, value.strip().lower()):
            return f"the message is {why}"
    return f"the message has more than {MAX_HOPS} Received fields" if hops > MAX_HOPS else ""


def _objection_of_field(field: str, value: str) -> str:
    if field == "auto-submitted" and re.match(r"no\b", value) is None:
        return f"auto-submitted ({value:.40})"
    if field in _LIST_FIELDS or (field == "precedence" and value in _BULK):
        return f"list mail ({field})"
    if field == "content-type" and value.startswith("multipart/report"):
        return "a report"
    if field in {"x-failed-recipients", "x-auto-response-suppress", "x-autoreply"}:
        return f"of a machine ({field})"
    return ""


def told_recipients(transaction: Transaction, template: str) -> list[ToldRecipient]:
    """The recipients that the notification speaks of: those whose NOTIFY parameter allows for it (G19).

    A warning is about a delay, and one about the quarantine is sent unless NEVER is asked for.
    """
    return [
        ToldRecipient(recipient.mailbox.canonical, parameter(recipient.arguments, "ORCPT"))
        for recipient in transaction.recipients
        if recipient.verdict is None and not recipient.refused_by_mta and _may_tell(recipient, template)
    ]


def _may_tell(recipient: Recipient, template: str) -> bool:
    given = parameter(recipient.arguments, "NOTIFY")
    wanted = frozenset(given.upper().split(",")) if given else _DEFAULT_NOTIFY
    return "NEVER" not in wanted if template == QUARANTINE else "DELAY" in wanted


def parameter(arguments: tuple[str, ...], keyword: str) -> str:
    """The value of one ESMTP parameter; empty without it."""
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name.upper() == keyword:
            return value
    return ""


def is_authenticated(transaction: Transaction, mailbox: Mailbox) -> bool:
    """Whether this domain, or one above it, passed SPF as the sender of this message.

    One above it matters to the postmaster of a HELO name, which is a host of the sender's domain.
    """
    outcome = transaction.spf.get(Identity.MAIL_FROM.value)
    if outcome is None or outcome.result is not SPFResult.PASS or outcome.identity is not Identity.MAIL_FROM:
        return False
    passed, domain = folded_domain(outcome.domain), folded_domain(mailbox.domain)
    return passed == domain or passed in parents(domain)
