"""Bounces of our own notifications, told by the token that they bring back (seed-spec G21)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from twistedmilter.model.transaction import Transaction

MAX_SEARCHED: Final = 262_144  # octets of the body

_FIELDS: Final = ("Message-ID", "X-Mailer", "Sender", "References", "In-Reply-To")
_SUBJECT: Final = re.compile(
    r"undeliver|returned mail|mail delivery|delivery (status|failure|failed|error)|non-?delivery|failure notice",
    re.IGNORECASE,
)
_FAILED: Final = re.compile(r"^action:[ \t]*failed\b", re.IGNORECASE | re.MULTILINE)
_SOFT_BREAK: Final = re.compile(r"=\r?\n")  # quoted-printable


def bounced_sender(transaction: Transaction, own_name: str, find: Callable[[str], str | None]) -> str | None:
    """The sender whom a notification of ours did not reach, if that is what this message says.

    @param own_name: our host name; such a bounce goes to its postmaster.
    @param find: the address of the first valid token in a text.
    """
    if not transaction.mail_from.is_null or not _is_for_postmaster(transaction, own_name):
        return None
    body = _SOFT_BREAK.sub("", _text(transaction.body()))
    subjects = transaction.header_values("Subject")
    if not (_FAILED.search(body) or any(_SUBJECT.search(subject) for subject in subjects)):
        return None
    fields = (value for name in _FIELDS for value in transaction.header_values(name))
    return next(filter(None, (find(text) for text in chain(fields, [body]))), None)


def _is_for_postmaster(transaction: Transaction, own_name: str) -> bool:
    return any(
        each.mailbox.local_part.lower() == "postmaster" and each.mailbox.domain in {"", own_name}
        for each in transaction.recipients
    )


def _text(chunks: Iterable[bytes]) -> str:
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) >= MAX_SEARCHED:
            break
    return found[:MAX_SEARCHED].decode("utf-8", "replace")
