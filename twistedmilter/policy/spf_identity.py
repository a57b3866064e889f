"""The SPF outcomes of a transaction: evaluated once, by whichever check asks first, and kept on it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from twistedmilter.interfaces.dns import ISPFEvaluator
from twistedmilter.model.address import Mailbox
from twistedmilter.model.spf import Identity, SPFOutcome
from twistedmilter.model.transaction import IPAddress, Transaction
from twistedmilter.policy.address_set import folded_domain

EFFECTIVE: Final = "effective"  # beside the identities in C{transaction.spf}: what policy acts on, if it is another


class Source(Struct, frozen=True):
    """The SMTP client that SPF is asked about: behind a trusted relay the real one."""

    ip: IPAddress
    helo: str


def source_of(transaction: Transaction) -> Source | None:
    """Whom to ask about; None when the address is not known (seed-spec B08, E01)."""
    real = transaction.real_client
    if real is not None:
        return Source(real.ip, real.helo)
    connection = transaction.connection
    return Source(connection.client.ip, connection.helo) if connection.client.ip is not None else None


def reverse_path(mailbox: Mailbox) -> str:
    """The reverse-path as SPF reads it: without brackets, its domain in A-labels (RFC 8616 section 4)."""
    if not mailbox.domain or mailbox.domain.isascii():
        return mailbox.canonical
    return Mailbox(mailbox.raw, mailbox.local_part, folded_domain(mailbox.domain)).canonical


def is_host_name(helo: str) -> bool:
    """Whether a HELO name can be judged on its own: a multi-label name (RFC 7208 section 2.3)."""
    return "." in helo.strip(".") and not helo.startswith("[")


async def judged(transaction: Transaction, identity: Identity, evaluator: ISPFEvaluator | None) -> SPFOutcome | None:
    """The outcome for one identity, kept in C{transaction.spf}.

    For the null reverse-path the MAIL FROM identity is the HELO identity (RFC 7208 section 2.4, seed-spec E03),
    and its outcome says so.

    @return: None without an evaluator (E23), an address, or a name to judge.
    """
    known = transaction.spf.get(str(identity))
    if known is not None:
        return known
    source = source_of(transaction)
    if evaluator is None or source is None:
        return None
    sender = reverse_path(transaction.mail_from) if identity is Identity.MAIL_FROM else ""
    if sender:
        outcome: SPFOutcome | None = await evaluator.check_host(source.ip, sender, source.helo)
    elif identity is Identity.MAIL_FROM:
        outcome = await judged(transaction, Identity.HELO, evaluator)
    else:
        outcome = await evaluator.check_host(source.ip, "", source.helo) if source.helo else None
    if outcome is not None:
        transaction.spf[str(identity)] = outcome
    return outcome
