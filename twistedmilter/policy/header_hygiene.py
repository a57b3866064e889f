"""What is taken out of a header section because only we may say it, and what we say in its place.

Pure functions over the message as it arrived (RFC 8601 section 5; seed-spec E15; reliability M21).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from twistedmilter.model.authres import authentication_results
from twistedmilter.model.modification import ChangeHeader, DeleteHeader, InsertHeader, Modification
from twistedmilter.model.stage import ClientClass, Role
from twistedmilter.model.transaction import Connection, Transaction
from twistedmilter.model.verdict import Mark
from twistedmilter.policy.address_set import folded_domain

AUTHENTICATION_RESULTS = "Authentication-Results"
GOSSIP = "X-GOSSiP"
MARK = "X-Twistedmilter-Mark"
MAX_SENTENCE = 400  # characters of a mark; the line stays below 998 octets (RFC 5322 section 2.1.1)
MAX_COMMENTS = 2048  # characters before an authserv-id, without leading white space; to read more takes its time
MAX_ID = 1024  # characters of an authserv-id; what is longer names no host, and folding it would take its time

_OURS_TO_SAY = {name.lower().encode(): name for name in (AUTHENTICATION_RESULTS, GOSSIP, MARK)}
_RECEIVED = b"received"
# where the fields that the author wrote begin (RFC 5322 section 3.6)
_AUTHORS = frozenset(
    {b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version"}
)
_QUOTED = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_WORD = re.compile(r'[^\s;()"/]*')
_CONTROLS = bytes(octet for octet in (*range(32), 127) if octet not in b"\t\n\r")


def authserv_id_of(value: str) -> str | None:
    """The authserv-id of an Authentication-Results field, folded for comparison.

    Reads as leniently as a consumer might: comments and folds before it, a quoted-string, a version behind it,
    control characters within it (M21).

    @return: empty where there is none; None where comments of more than L{MAX_COMMENTS} characters hide it.
    """
    octets = value.encode("utf-8", "surrogateescape").translate(None, _CONTROLS)
    text = octets.decode("utf-8", "surrogateescape").lstrip()
    start = _skip_cfws(text[:MAX_COMMENTS])
    if start == MAX_COMMENTS:
        return None
    if text.startswith('"', start):
        quoted = _QUOTED.match(text[start + 1 :].lstrip()[:MAX_ID])
        return folded_domain(re.sub(r"\\(.)", r"\1", quoted[0]).strip()) if quoted is not None else ""
    word = _WORD.match(text[start : start + MAX_ID])
    return folded_domain(word[0]) if word is not None else ""


def _skip_cfws(text: str) -> int:
    """The index behind leading white space and comments (RFC 5322 section 3.2.2); comments may nest."""
    depth = index = 0
    while index < len(text):
        char = text[index]
        if depth and char == "\\":
            index += 1
        elif char == "(":
            depth += 1
        elif depth and char == ")":
            depth -= 1
        elif not depth and not char.isspace():
            break
        index += 1
    return min(index, len(text))


def hygiene(
    transaction: Transaction, authserv_id: str, *, local_filters: bool
) -> tuple[list[DeleteHeader], list[InsertHeader]]:
    """What to remove from the header section and what to insert at its top.

    Removed are Authentication-Results that claim to be ours or hide whose they are, and X-GOSSiP and marks unless a
    trusted relay wrote them.  Foreign Authentication-Results and Received-SPF are trace and stay.  Removals go
    from the last occurrence to the first, since Postfix renumbers and sendmail does not (milter-spec 4.3).

    @param authserv_id: our name in Authentication-Results.
    @param local_filters: keep ours above the first Received field or author's field: another filter of this host
        wrote them before us.  That filter must then remove forged ones itself.
    @return: removals, and our own field unless no method was evaluated.
    """
    forged = list(_forged(transaction, folded_domain(authserv_id), local_filters=local_filters))
    results = transaction.connection.auth_results + transaction.auth_results
    if not results:
        return forged[::-1], []
    return forged[::-1], [InsertHeader(0, AUTHENTICATION_RESULTS, authentication_results(authserv_id, results))]


def _forged(transaction: Transaction, own_id: str, *, local_filters: bool) -> Iterator[DeleteHeader]:
    connection = transaction.connection
    if _is_our_second_pass(connection):
        return
    from_relay = connection.client_class is ClientClass.TRUSTED_RELAY
    seen: dict[str, int] = {}
    on_top = local_filters
    for raw_name, raw_value in transaction.raw_headers:
        folded = raw_name.strip().lower()
        if on_top and (folded == _RECEIVED or folded in _AUTHORS):
            on_top = False
        name = _OURS_TO_SAY.get(folded)
        if name is None:
            continue
        seen[name] = seen.get(name, 0) + 1
        is_results = name == AUTHENTICATION_RESULTS
        is_forged = (not on_top and _may_be_ours(raw_value, own_id)) if is_results else not from_relay
        if is_forged:
            yield DeleteHeader(name, seen[name])


def _may_be_ours(raw_value: bytes, own_id: str) -> bool:
    """Whether a field has our name, or hides whose it has, as no honest one does."""
    return authserv_id_of(raw_value.decode("utf-8", "surrogateescape")) in {own_id, None}


def _is_our_second_pass(connection: Connection) -> bool:
    """Whether the message comes back from a content filter of ours, with what we wrote the first time."""
    return connection.role is Role.REINJECTION and connection.client_class is ClientClass.INTERNAL


def marking(transaction: Transaction, marks: Sequence[Mark]) -> list[Modification]:
    """One C{X-Twistedmilter-Mark: code; sentence} for each mark, the first on top, and the subject's tags."""
    fields: list[Modification] = [
        InsertHeader(0, MARK, f"{mark.reason.code}; {_sentence(mark.reason.text)}") for mark in reversed(marks)
    ]
    tags = list(dict.fromkeys(_sentence(mark.subject_tag) for mark in marks if mark.subject_tag))
    return [*fields, *_tagged_subject(transaction, " ".join(tags))] if tags else fields


def _tagged_subject(transaction: Transaction, tags: str) -> list[Modification]:
    subjects = transaction.header_values("Subject")
    if not subjects:
        return [InsertHeader(0, "Subject", tags)]
    subject = subjects[0].strip().replace("\0", "?")
    if subject.startswith(tags):
        return []
    try:
        return [ChangeHeader("Subject", 1, f"{tags} {subject}".rstrip())]
    except ValueError:  # a subject that fills a whole frame; the marks say it all the same
        return []


def _sentence(text: str) -> str:
    """Hostile text as one line of US-ASCII."""
    ascii_text = text[:MAX_SENTENCE].encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else "?" for char in ascii_text)[:MAX_SENTENCE].strip()
