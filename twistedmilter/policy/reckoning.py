"""What a transaction comes to: its modifications, and its record."""

from __future__ import annotations

from collections.abc import Sequence

from twistedmilter.model.modification import Modification, Quarantine
from twistedmilter.model.record import NO_OBJECTION, Decision, RecipientRecord, Record
from twistedmilter.model.settings import ServerSettings
from twistedmilter.model.transaction import Outcome, Recipient, Transaction
from twistedmilter.model.verdict import Discard, Hold, Mark
from twistedmilter.policy.header_hygiene import hygiene, marking


def modifications_of(
    server: ServerSettings, transaction: Transaction, decision: Decision, marks: Sequence[Mark]
) -> tuple[Modification, ...]:
    """Everything to be changed on a message that goes on, in the order to be sent.

    Removals come first, since their occurrences count the message as it arrived; what is inserted last at
    position 0 stands on top.
    """
    if isinstance(decision.verdict, Discard):
        return ()
    authserv_id = server.authserv_id or transaction.connection.own_name or "localhost"
    removals, insertions = hygiene(transaction, authserv_id, local_filters=server.local_filters)
    held = [Quarantine(_one_line(decision.verdict.reason.text))] if isinstance(decision.verdict, Hold) else []
    return (*removals, *transaction.proposals, *marking(transaction, marks), *insertions, *held)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:200] or "held"


def make_record(
    transaction: Transaction,
    *,
    outcomes: tuple[Outcome, ...],
    marks: tuple[Mark, ...],
    decision: Decision | None,
    modifications: tuple[Modification, ...],
    ended: str,
    time: float,
    milliseconds: float,
    waited: float,
    reply: str,
) -> Record:
    """The record of a transaction that ended; the fields are explained at L{Record}."""
    connection = transaction.connection
    client = connection.client
    return Record(
        id=transaction.id,
        time=time,
        connection=connection.number,
        listener=connection.listener,
        role=str(connection.role),
        role_reason=connection.role_reason,
        client_ip=str(client.ip) if client.ip is not None else client.address,
        client_name=client.name,
        client_port=client.port,
        client_class=str(connection.client_class),
        class_reason=connection.class_reason,
        helo=connection.helo,
        mail_from=transaction.mail_from.canonical,
        recipients=tuple(_recipient_record(each) for each in transaction.recipients),
        queue_id=transaction.queue_id,
        message_id=_message_id(transaction),
        decision=decision or NO_OBJECTION,
        marks=marks,
        outcomes=outcomes,
        evidence=(*connection.evidence, *transaction.evidence),
        auth_results=(*connection.auth_results, *transaction.auth_results),
        modifications=modifications,
        ended=ended,
        milliseconds=milliseconds,
        waited=waited,
        header_count=len(transaction.raw_headers),
        body_size=transaction.body_size,
        is_test=connection.is_test,
        reply=reply,
    )


def _recipient_record(recipient: Recipient) -> RecipientRecord:
    if recipient.verdict is None:
        word = "refused-by-mta" if recipient.refused_by_mta else "continue"
        return RecipientRecord(recipient.mailbox.canonical, word)
    return RecipientRecord(recipient.mailbox.canonical, recipient.verdict.word, recipient.verdict.reason.code)


def _message_id(transaction: Transaction) -> str:
    for name, value in transaction.raw_headers:
        if len(name) == 10 and name.lower() == b"message-id":
            return value.decode("utf-8", "surrogateescape").strip()
    return transaction.connection.macro("msg_id") or ""
