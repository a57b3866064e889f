"""Telling the sender of a message something by mail."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import CancelledError
from zope.interface import Interface

from twistedmilter.interfaces.callbacks import CallbackOutcome
from twistedmilter.model.address import Mailbox


class NotSentError(CancelledError):
    """A delivery was cancelled before anything of the message was sent."""


class INotifier(Interface):
    """Delivers notifications, with limits on connections and time."""

    async def deliver(mailboxes: Sequence[Mailbox], content: bytes) -> CallbackOutcome:
        """Deliver a message to the exchangers of the first mailbox; the others are of the same domain.

        @param content: header section and body, ASCII, each line with CRLF.
        @return: C{valid} when it was taken, with C{stage} C{the message}; else what was learnt of the first mailbox.
            Always an outcome, within the seconds that the limits allow; may be cancelled.  Only a C{valid} one, and a
            C{temporary} or C{unknown} one at stage C{the message}, comes when the message was sent.
        @raise NotSentError: it was cancelled, and was certainly not sent.
        @raise CancelledError: it was cancelled, and may have been sent.
        """
