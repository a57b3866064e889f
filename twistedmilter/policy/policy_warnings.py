"""What is odd about policies that can be used all the same, for the administrator."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from twistedmilter.model.settings import Settings
from twistedmilter.policy.access import AccessMap, Entry
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.sender_login import login_table
from twistedmilter.policy.keywords import Keyword, Word, parse_keyword
from twistedmilter.policy.spf_policy import SPFPolicy
from twistedmilter.templates import SITE_NAMES

_NEEDED: Final = {Word.CBV: "callback", Word.DSN: "dsn"}


def policy_warnings(settings: Settings, access: AccessMap) -> list[str]:
    """One sentence each; nothing of it keeps the configuration from being used.

    @param settings: without problems.
    """
    means = Means.of(settings)
    entries = chain(
        SPFPolicy.parse(settings.spf.policy).table.entries.values(),
        login_table(settings.sender_login.policy).entries.values(),
        access.entries.values(),
    )
    words = chain(
        ((str(entry), entry.keyword) for entry in _once(entries)),
        (("three_strikes.policy", parse_keyword(settings.three_strikes.policy)),),
        (("banned_domain.policy", parse_keyword(settings.banned_domain.policy)),),
        ((("spf.accept_fail", Keyword(Word.CBV)),) if settings.spf.accept_fail else ()),
    )
    return [
        *(f"access map {problem}" for problem in access.problems),
        *(warning for where, keyword in words for warning in _of_word(where, keyword, means)),
        *_of_lists(settings),
    ]


def _once(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Each entry once: a domain of a table stands for those below it, too."""
    return iter({(entry.source, entry.line, entry.spelling or entry.key): entry for entry in entries}.values())


def _of_word(where: str, keyword: Keyword, means: Means) -> Iterator[str]:
    possible = means.possible(keyword.word)
    if possible is Word.DSN and keyword.template not in {"", *SITE_NAMES}:
        yield f"{where} says {keyword}, which asks only, as CBV does: there is no such text; see docs/dsn.md"
    if possible is keyword.word:
        return
    missing = _NEEDED[keyword.word]
    does = "marks only" if possible is Word.MARK else "asks only, as CBV does"
    yield f"{where} says {keyword}, which {does}: [{missing}] is off, or {missing} is not in policy.checks"


def _of_lists(settings: Settings) -> Iterator[str]:
    """Lists that an entry for the bare result leaves without effect (F12)."""
    bare = {key.strip().lower().removeprefix("spf-") for key in settings.spf.policy}
    for name, results in (
        ("accept_fail", {"fail"}),
        ("accept_softfail", {"softfail"}),
        ("reject_neutral", {"neutral", "softfail"}),
    ):
        if getattr(settings.spf, name) and results <= bare:
            yield f"spf.{name} has no effect: spf.policy decides on {' and '.join(sorted(results))}"
