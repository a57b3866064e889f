"""The words of policy tables, as in a sendmail access map (seed-spec 3.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from twistedmilter.model.verdict import Hold, Mark, Reason, Refuse, TempFail, Verdict


class Word(StrEnum):
    """What a policy may say."""

    OK = "OK"
    MARK = "MARK"
    HOLD = "HOLD"
    REJECT = "REJECT"
    TEMPFAIL = "TEMPFAIL"
    ERROR = "ERROR"


_PLAIN = frozenset({Word.OK, Word.MARK, Word.HOLD, Word.REJECT, Word.TEMPFAIL})
_MISSING = {
    "CBV": "callback verification",
    "DSN": "notifications to the sender",
    "WHITELIST": "a content filter to skip",
    "BAN": "demerits",
}
_QUOTED = re.compile(r'"(?P<code>[45]\d\d)(?: (?P<status>[45]\.\d{1,3}\.\d{1,3}))? (?P<text>[^"]+)"')
_SENDMAIL = re.compile(r'"?(?P<status>[45]\.\d{1,3}\.\d{1,3}):(?P<code>[45]\d\d) (?P<text>[^"]+)"?')
ALLOWED = 'allowed are OK, MARK, HOLD, REJECT, TEMPFAIL and ERROR:"550 5.7.1 text"'


@dataclass(frozen=True, slots=True)
class Keyword:
    """One word of a policy table.

    @ivar code: reply code of C{ERROR}, else 0. @ivar status: its enhanced status code. @ivar text: its text.
    """

    word: Word
    code: int = 0
    status: str = ""
    text: str = ""

    def verdict(
        self, reason: Reason, *, refuse_status: str = "5.7.1", tempfail_status: str = "4.7.1"
    ) -> Verdict | None:
        """The verdict for this reason; None for OK.

        @param refuse_status: enhanced status code of REJECT (550). @param tempfail_status: of TEMPFAIL (451).
        """
        if self.word is Word.REJECT:
            return Refuse(reason, 550, refuse_status)
        if self.word is Word.TEMPFAIL:
            return TempFail(reason, 451, tempfail_status)
        if self.word is Word.MARK:
            return Mark(reason)
        if self.word is Word.HOLD:
            return Hold(reason)
        return self._given_reply(reason) if self.word is Word.ERROR else None

    def _given_reply(self, reason: Reason) -> Verdict:
        given = Reason(reason.code, self.text)
        return (Refuse if self.code >= 500 else TempFail)(given, self.code, self.status)


def parse_keyword(text: str) -> Keyword:
    """The keyword of a policy entry; capitals do not matter.

    C{ERROR:"550 5.7.1 text"} and sendmail's C{ERROR:5.7.1:550 text} give a reply of your own; without an enhanced
    status code it is 5.7.1 or 4.7.1.

    @raise ValueError: an unknown word, or one that needs what is not there yet; never taken for OK (LL-09).
    """
    stripped = text.strip()
    word = stripped.upper()
    if word in _PLAIN:
        return Keyword(Word(word))
    if word in _MISSING:
        raise ValueError(f"{word} needs {_MISSING[word]}, which this version does not have; {ALLOWED}")
    if word.startswith("ERROR:"):
        return _parse_error(stripped[len("ERROR:") :].strip())
    raise ValueError(f"{text!r} is no policy word; {ALLOWED}")


def _parse_error(text: str) -> Keyword:
    match = _QUOTED.fullmatch(text) or _QUOTED.fullmatch(f'"{text}"') or _SENDMAIL.fullmatch(text)
    if match is None or not match["text"].isprintable():
        raise ValueError(f'{text!r} is no reply; write ERROR:"550 5.7.1 text" or ERROR:5.7.1:550 text')
    code, status = match["code"], match["status"] or f"{match['code'][0]}.7.1"
    if code[0] != status[0]:
        raise ValueError(f"reply code {code} and enhanced status code {status} must begin with the same digit")
    return Keyword(Word.ERROR, int(code), status, match["text"])
