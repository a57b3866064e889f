"""The words of policy tables, as in a sendmail access map (seed-spec 3.6)."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from twistedmilter.model.verdict import RECIPIENT, Hold, Mark, Reason, Refuse, TempFail, Verdict


class Word(StrEnum):
    """What a policy may say.

    C{WHITELIST} is OK for a sender that is believed more than a stranger.  C{CBV} lets the sender's exchangers be
    asked, and C{DSN} lets the sender be told as well.  C{BAN} is REJECT, and counts against the client.
    """

    OK = "OK"
    WHITELIST = "WHITELIST"
    MARK = "MARK"
    HOLD = "HOLD"
    CBV = "CBV"
    DSN = "DSN"
    REJECT = "REJECT"
    BAN = "BAN"
    TEMPFAIL = "TEMPFAIL"
    ERROR = "ERROR"


_PLAIN = frozenset(Word) - {Word.ERROR}
_STRONG_REJECT = "REJECT!"
_TEMPLATE = re.compile(r"DSN:(?P<template>[a-z0-9][a-z0-9_-]{0,63})", re.IGNORECASE)
_QUOTED = re.compile(r'"(?P<code>[45]\d\d)(?: (?P<status>[45]\.\d{1,3}\.\d{1,3}))? (?P<text>[^"]+)"')
_SENDMAIL = re.compile(r'"?(?P<status>[45]\.\d{1,3}\.\d{1,3}):(?P<code>[45]\d\d) (?P<text>[^"]+)"?')
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
ALLOWED = (
    "allowed are OK, WHITELIST, MARK, HOLD, CBV, DSN, DSN:template, REJECT, REJECT!, BAN, TEMPFAIL "
    'and ERROR:"550 5.7.1 text"'
)


class Keyword(Struct, frozen=True):
    """One word of a policy table.

    @ivar code: reply code of C{ERROR}, else 0. @ivar status: its enhanced status code. @ivar text: its text, in which
        C{{recipient}} stands for the forward-path that is refused (E28).
    @ivar template: which notification C{DSN} sends, in lower case; empty: the one of the result.
    @ivar is_strong: it is C{REJECT!}, which no whitelist softens (F14).
    """

    word: Word
    code: int = 0
    status: str = ""
    text: str = ""
    template: str = ""
    is_strong: bool = False

    @property
    def asks(self) -> bool:
        """Whether the sender is to be asked or told before the message is accepted."""
        return self.word in {Word.CBV, Word.DSN}

    def verdict(
        self, reason: Reason, *, refuse_status: str = "5.7.1", tempfail_status: str = "4.7.1"
    ) -> Verdict | None:
        """The verdict for this reason, where nobody can be asked; None for OK and WHITELIST.

        L{twistedmilter.policy.acting.act} is for checks that let somebody be asked.

        @param refuse_status: enhanced status code of REJECT (550). @param tempfail_status: of TEMPFAIL (451).
        """
        match self.word:
            case Word.REJECT | Word.BAN:
                return Refuse(reason, 550, refuse_status)
            case Word.TEMPFAIL:
                return TempFail(reason, 451, tempfail_status)
            case Word.MARK | Word.CBV | Word.DSN:
                return Mark(reason)
            case Word.HOLD:
                return Hold(reason)
            case Word.ERROR:
                return self._given_reply(reason)
        return None

    def _given_reply(self, reason: Reason) -> Verdict:
        given = Reason(reason.code, self.text, names_recipient=RECIPIENT in self.text)
        return (Refuse if self.code >= 500 else TempFail)(given, self.code, self.status)

    def __str__(self) -> str:
        """The word as a table has it."""
        if self.word is Word.ERROR:
            return f'ERROR:"{self.code} {self.status} {self.text}"'
        return f"{self.word}{'!' if self.is_strong else ''}{':' if self.template else ''}{self.template}"


def parse_keyword(text: str) -> Keyword:
    """The keyword of a policy entry; capitals do not matter.

    C{ERROR:"550 5.7.1 text"} and sendmail's C{ERROR:5.7.1:550 text} give a reply of your own; without an enhanced
    status code it is 5.7.1 or 4.7.1.  C{DSN:strike3} names the notification.

    @raise ValueError: an unknown word; never taken for OK (LL-09).
    """
    stripped = text.strip()
    word = stripped.upper()
    if word in _PLAIN:
        return Keyword(Word(word))
    if word == _STRONG_REJECT:
        return Keyword(Word.REJECT, is_strong=True)
    if (named := _TEMPLATE.fullmatch(stripped)) is not None:
        return Keyword(Word.DSN, template=named["template"].lower())
    if word.startswith("ERROR:"):
        return _parse_error(stripped[len("ERROR:") :].strip())
    raise ValueError(f"{text!r:.80} is no policy word; {ALLOWED}")


def _parse_error(text: str) -> Keyword:
    match = _QUOTED.fullmatch(text) or _QUOTED.fullmatch(f'"{text}"') or _SENDMAIL.fullmatch(text)
    if match is None or not match["text"].isprintable():
        raise ValueError(f'{text!r:.80} is no reply; write ERROR:"550 5.7.1 text" or ERROR:5.7.1:550 text')
    code, status = match["code"], match["status"] or f"{match['code'][0]}.7.1"
    if code[0] != status[0]:
        raise ValueError(f"reply code {code} and enhanced status code {status} must begin with the same digit")
    for placeholder in _PLACEHOLDER.findall(match["text"]):
        if placeholder != RECIPIENT:
            raise ValueError(f"{placeholder} is no placeholder of ERROR; allowed is {RECIPIENT}")
    return Keyword(Word.ERROR, int(code), status, match["text"])
