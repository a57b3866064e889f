"""Telling the sender of a message something by mail."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Interface

from twistedmilter.interfaces.callbacks import CallbackOutcome
from twistedmilter.model.address import Mailbox


class INotifier(Interface):
    """Delivers notifications, with limits on connections and time."""

    async def deliver(mailboxes: Sequence[Mailbox], content: bytes) -> CallbackOutcome:
        """Deliver a message to the exchangers of the first mailbox; the others are of the same domain.

        @param content: header section and body, ASCII, each line with CRLF.
        @return: C{valid} when it was taken, with C{stage} C{the message}; else what was learnt of the first mailbox.
            Always an outcome, within the seconds that the limits allow; may be cancelled.
        """
