"""The keys and words of [spf.policy] (seed-spec 3.6)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from twistedmilter.configfile.allowed import key_path
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.spf import SPFResult

WORDS = ("OK", "MARK", "HOLD", "REJECT", "TEMPFAIL")
LATER_WORDS = {
    "CBV": "callback verification",
    "DSN": "callback verification",
    "WHITELIST": "lists",
    "BAN": "lists",
}
WORDS_ALLOWED = f'allowed: {", ".join(WORDS)} or ERROR:"550 5.7.1 text"'
KEYS_ALLOWED = (
    f"allowed: a result ({', '.join(SPFResult)}), helo-RESULT for the HELO identity, and either with :domain behind it"
)
_KEY = re.compile(rf"(helo-)?({'|'.join(SPFResult)})(:\.?(?=.{{1,253}}$)[a-z0-9_-]{{1,63}}(\.[a-z0-9_-]{{1,63}})*)?")
_CODE_FIRST = re.compile(r"([45])\d\d(?: +([0-9]+)\.\d{1,3}\.\d{1,3})?(?: +|$)(.*)")
_STATUS_FIRST = re.compile(r"([0-9]+)\.\d{1,3}\.\d{1,3}:([45])\d\d(?: +|$)(.*)")  # as sendmail's access map has it


def spf_policy_problems(policy: Mapping[str, str]) -> Iterator[ConfigProblem]:
    """What is wrong with the keys and words of [spf.policy]."""
    for key, word in policy.items():
        where = key_path("spf.policy", key)
        if _KEY.fullmatch(key) is None:
            close = difflib.get_close_matches(key.lower(), list(SPFResult), n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            yield ConfigProblem(where, "is no result of SPF", hint + KEYS_ALLOWED)
        problem = _word_problem(word)
        if problem:
            yield ConfigProblem(where, problem, WORDS_ALLOWED)


def _word_problem(word: str) -> str:
    """What is wrong with one word; empty if nothing is."""
    if word in WORDS:
        return ""
    if word in LATER_WORDS:
        return f"{word} needs {LATER_WORDS[word]}, which this version does not have yet"
    if word.startswith("ERROR:"):
        return _error_problem(word.removeprefix("ERROR:"))
    close = difflib.get_close_matches(word.upper(), WORDS, n=1)
    return f"{word!r:.60} is no word of a policy" + (f"; did you mean {close[0]}?" if close else "")


def _error_problem(text: str) -> str:
    """What is wrong with C{"ccc [x.y.z] text"} or C{x.y.z:ccc text}."""
    bare = text[1:-1] if len(text) > 1 and text.startswith('"') and text.endswith('"') else text
    if not bare.isprintable():
        return "the reply text holds control characters"
    if match := _CODE_FIRST.fullmatch(bare):
        code, status = match.group(1), match.group(2) or match.group(1)
    elif match := _STATUS_FIRST.fullmatch(bare):
        status, code = match.group(1), match.group(2)
    else:
        return 'ERROR: wants a reply code 4xx or 5xx and a text, as in ERROR:"550 5.7.1 no" or ERROR:5.7.1:550 no'
    if code != status:
        return f"reply code {code}xx and enhanced status code {status}.x.y disagree"
    return "" if match.group(3).strip() else "ERROR: wants a reply text"
