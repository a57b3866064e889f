"""Asking the mail exchangers of a sender whether they would take its bounces (callback verification, CBV)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct
from zope.interface import Interface

from twistedmilter.model.address import Mailbox

NULL_MX: Final = "it publishes a null MX"


class CallbackResult(StrEnum):
    """What a callback found out about a mailbox.

    C{unknown} says nothing about the mailbox, only that asking did not help; C{temporary} may change soon.
    """

    VALID = "valid"
    INVALID = "invalid"
    TEMPORARY = "temporary"
    UNKNOWN = "unknown"


class CallbackOutcome(Struct, frozen=True):
    """The end of a callback.

    @ivar stage: what the decisive reply answered (C{banner}, C{EHLO}, C{MAIL}, C{RCPT}), or one of C{address},
        C{dns}, C{route}, C{limit}, C{connection}; C{cache} if only the
        explanation was kept, then it is the C{text}.
    @ivar exchanger: name and address of whom we asked, C{mail.example.com [192.0.2.1]}; empty if nobody.
    @ivar text: the exchanger's own words if there is a C{code}, else ours; printable ASCII, at most 200 characters.
    @ivar code: the exchanger's reply code, 0 without one.
    """

    result: CallbackResult
    stage: str
    exchanger: str = ""
    text: str = ""
    code: int = 0
    from_cache: bool = False

    @property
    def is_null_mx(self) -> bool:
        """Whether the domain says that it takes no mail (RFC 7505)."""
        return not self.exchanger and self.text == NULL_MX

    @property
    def explanation(self) -> str:
        """One line for people; foreign words are attributed to the exchanger by name."""
        if self.code:
            return f"{self.exchanger} said to {self.stage}: {self.text}"
        return f"{self.exchanger}: {self.text}" if self.exchanger else self.text


class ICallbackVerifier(Interface):
    """Asks, with limits, and remembers."""

    async def verify(mailbox: Mailbox) -> CallbackOutcome:
        """Whether the mail exchangers of a mailbox would take a bounce for it.

        @return: always an outcome, within the seconds that the limits allow; may be cancelled.
        """

    async def known(mailbox: Mailbox) -> CallbackOutcome | None:
        """What is remembered of a mailbox; nobody is asked.

        @return: None if nothing is.
        """
