"""What the end of an SMTP session says about a mailbox, if anything (seed-spec G10 to G14)."""

from __future__ import annotations

import re
from typing import Final

from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.wire.smtp_client import Finished, SMTPStage
from twistedmilter.wire.smtp_replies import Reply

SMTPEnd = Finished | str  # how a session ended, or why there was none

_ABOUT_US: Final = "5.7."
_BLOCKLIST: Final = re.compile(
    r"block ?list|black ?list|\b(dns|r)bls?\b|spamhaus|spamcop|sorbs|barracuda|uceprotect|reputation|"
    r"blocked|banned|\blisted (in|by|at|on)\b",
    re.IGNORECASE,
)
# what servers have against a client, where they give no status code
_CLIENT: Final = re.compile(
    r"client host|your (ip|host|server|domain|dns)\b|reverse (dns|lookup|hostname)|\b(r?dns|ptr) record|\bspf\b|"
    r"sender verif|administrative prohibition",
    re.IGNORECASE,
)


def judge(stage: SMTPStage, reply: Reply) -> CallbackResult:
    """What one reply says about the mailbox.

    Only a reply to RCPT says that a mailbox exists or does not.  A refusal of the session, of the null reverse-path
    or of our address is about us, and so are replies about syntax and authentication (50x, 53x), and those about
    security and policy (x.7.z of RFC 3463, or words for want of a code): many servers put off to RCPT what they
    have against the client.
    A full mailbox (552, x.2.2) exists, and will be emptied.  A message that is taken proves it, too; one that is
    refused says nothing.
    """
    kind = reply.code // 100
    if kind == 4:
        return CallbackResult.TEMPORARY
    if kind == 3 or stage not in {SMTPStage.RCPT, SMTPStage.CONTENT}:
        return CallbackResult.UNKNOWN
    if kind == 2:
        return CallbackResult.VALID
    if stage is SMTPStage.CONTENT or _is_about_us(reply):
        return CallbackResult.UNKNOWN
    if reply.code == 552 or reply.status == "5.2.2":
        return CallbackResult.TEMPORARY
    return CallbackResult.INVALID if reply.code // 10 == 55 else CallbackResult.UNKNOWN


def _is_about_us(reply: Reply) -> bool:
    words = " ".join(reply.lines)
    is_of_client = not reply.status and _CLIENT.search(words)
    return bool(reply.status.startswith(_ABOUT_US) or is_of_client or _BLOCKLIST.search(words))


def rcpt_outcome(exchanger: str, reply: Reply) -> CallbackOutcome:
    """The outcome for a mailbox from the reply to its RCPT.

    @param exchanger: name and address of whom we asked.
    """
    return CallbackOutcome(judge(SMTPStage.RCPT, reply), str(SMTPStage.RCPT), exchanger, reply.quoted, reply.code)


def trouble_of(end: SMTPEnd) -> str:
    """Why a server is of no use to anybody who asks, whomever about; empty if it is.

    It is not reached, says nothing we understand, or turns us away at the door, as one does that blocks us.
    """
    if isinstance(end, str):
        return end
    turned_away = end.stage in {SMTPStage.BANNER, SMTPStage.EHLO, SMTPStage.HELO} and not end.is_ourselves
    return end.last.quoted if turned_away else ""


def probed(exchanger: str, end: SMTPEnd) -> tuple[CallbackOutcome, bool]:
    """The outcome of asking one address, and whether it decides.

    What happens before MAIL is about this one server, so the next one is asked (G13).

    @param exchanger: name and address of whom we asked.
    """
    if isinstance(end, str):
        return CallbackOutcome(CallbackResult.TEMPORARY, "connection", exchanger, end), False
    if end.is_ourselves:
        text = "it calls itself by our own name"
        return CallbackOutcome(CallbackResult.UNKNOWN, "route", exchanger, text), False
    outcome = CallbackOutcome(judge(end.stage, end.last), str(end.stage), exchanger, end.last.quoted, end.last.code)
    return outcome, end.stage in {SMTPStage.MAIL, SMTPStage.RCPT, SMTPStage.DATA, SMTPStage.CONTENT}
