"""What a check may say of a message, always with its reason."""

from __future__ import annotations

import re
from typing import ClassVar, Self

from msgspec import Struct
from msgspec.structs import replace

_REASON_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
RECIPIENT = "{recipient}"  # in a reply of the administrator's own (seed-spec E28)


class Reason(Struct, frozen=True):
    """Why: a stable code for machines and a sentence for people.

    @ivar code: lower-case words joined by C{-}, e.g. C{spf-fail}; log tools and rules rely on it.
    @ivar text: one sentence, may quote what the client said; sanitised where it leaves the process.
    @ivar details: further lines for the reply, such as a domain's own explanation.
    @ivar names_recipient: C{{recipient}} in the text stands for the forward-path that is refused.
    @raise ValueError: the code is not of that form.
    """

    code: str
    text: str
    details: tuple[str, ...] = ()
    names_recipient: bool = False

    def __post_init__(self) -> None:
        """Refuse a code that a log tool could not rely on."""
        if _REASON_CODE.fullmatch(self.code) is None:
            message = f"reason code {self.code!r} is not lower-case words joined by '-'"
            raise ValueError(message)


class Verdict(Struct, frozen=True):
    """The answer of a check that has an opinion; C{None} is "no opinion"."""

    reason: Reason
    word: ClassVar[str] = ""

    def about(self, recipient: str) -> Self:
        """The same verdict with the recipient in its text, where that names one.

        @param recipient: the forward-path without brackets; empty while there is none.
        """
        reason = self.reason
        if not reason.names_recipient:
            return self
        text = reason.text.replace(RECIPIENT, recipient or "your recipient")
        return replace(self, reason=replace(reason, text=text, names_recipient=False))


class Accept(Verdict, frozen=True):
    """Believe this message: the judging ends, the recording goes on."""

    word: ClassVar[str] = "accept"


class Mark(Verdict, frozen=True):
    """Deliver, with a header that a filter can sort by; marks add up and end nothing.

    @ivar subject_tag: put in front of the Subject when not empty, e.g. C{[FORGED?]}.
    """

    subject_tag: str = ""
    word: ClassVar[str] = "mark"


class Hold(Verdict, frozen=True):
    """Take the message and keep it in the MTA's quarantine."""

    word: ClassVar[str] = "hold"


class Discard(Verdict, frozen=True):
    """Take the message and drop it."""

    word: ClassVar[str] = "discard"


def _check_reply(code: int, status: str, first: int) -> None:
    if code // 100 != first or _STATUS.fullmatch(status) is None or int(status[0]) != first:
        message = f"reply code {code} and enhanced status code {status!r} must both begin with {first}"
        raise ValueError(message)


class Refuse(Verdict, frozen=True):
    """Refuse for good.

    @ivar code: reply code, 5xx (RFC 5321 section 4.2).
    @ivar status: enhanced status code, 5.x.y (RFC 3463, RFC 7372).
    @raise ValueError: a code or status of another class.
    """

    code: int = 550
    status: str = "5.7.1"
    word: ClassVar[str] = "refuse"

    def __post_init__(self) -> None:
        """Refuse a reply whose two codes disagree."""
        _check_reply(self.code, self.status, 5)


class TempFail(Verdict, frozen=True):
    """Refuse for now; the client will try again.

    @ivar code: reply code, 4xx.
    @ivar status: enhanced status code, 4.x.y.
    @raise ValueError: a code or status of another class.
    """

    code: int = 451
    status: str = "4.7.1"
    word: ClassVar[str] = "tempfail"

    def __post_init__(self) -> None:
        """Refuse a reply whose two codes disagree."""
        _check_reply(self.code, self.status, 4)
