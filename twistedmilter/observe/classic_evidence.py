"""The ancestor's tags for what was found out about a sender on the way to the verdict (seed-spec 5.2, 5.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Evidence
from twistedmilter.observe.sanitise import one_line

# what the checks note: "3, accepted 1 times: KEY"; "<bob@example.com>: valid"; "pass (best guess)"
_TRIES: Final = re.compile(r"\d+, accepted (\d+) times: ")
_RESULT: Final = re.compile(r"(?P<who>.*): \w+")
_EFFECTIVE: Final = re.compile(r"(?P<result>\w+) \(")

Teller = Callable[[Record, Evidence], str]


def _sender(record: Record) -> str:
    return one_line(record.mail_from.strip("<>"))


def _whitelist(record: Record, _fact: Evidence) -> str:
    """Known and believed; on probation it is another tag (E16, E21)."""
    on_probation = any((each.check, each.name) == ("known_sender", "probation") for each in record.evidence)
    return "" if on_probation else f"WHITELIST {_sender(record)}"


def _greylisted(_record: Record, fact: Evidence) -> str:
    """How often it was accepted, this time included (M03); nothing for one that has to come back."""
    found = _TRIES.match(fact.value)
    return f"GREYLISTED: {found[1]}" if found is not None else ""


def _callback(record: Record, fact: Evidence) -> str:
    """Whom the exchangers were asked about, and whether that was remembered (G15)."""
    found = _RESULT.fullmatch(fact.value)
    source = next((e.value for e in record.evidence if (e.check, e.name) == ("callback", "source")), "")
    who = one_line(found["who"] if found is not None else fact.value).strip("<>")
    return f"CBV: {who} (cached)" if source == "cache" else f"CBV: {who}"


def _guessed(_record: Record, fact: Evidence) -> str:
    """What policy acts on, where that is not the official result (E11)."""
    found = _EFFECTIVE.match(fact.value)
    return f"X-Guessed-SPF: {found['result']}" if found is not None else ""


_TELLERS: Final[Mapping[tuple[str, str], Teller]] = MappingProxyType(
    {
        ("spf", "forwarder"): lambda _record, fact: f"TRUSTED_FORWARDER: {one_line(fact.value)}",
        ("spf", "effective"): _guessed,
        ("known_sender", "whitelist"): _whitelist,
        ("known_sender", "probation"): lambda record, _fact: f"PROBATION {_sender(record)}",
        ("known_sender", "blacklist"): lambda record, _fact: f"BLACKLIST {_sender(record)}",
        ("known_sender", "not_learnt"): lambda _record, _fact: "AUTOREPLY: not whitelisted",
        ("greylist", "tries"): _greylisted,
        ("callback", "result"): _callback,
    }
)


def evidence_lines(record: Record) -> Iterator[str]:
    """The lines of one message, each once, in the order in which things were found out.

    A recipient that was greylisted has a line of its own: others of the same message may not have been.
    """
    told: dict[str, None] = {}
    for fact in record.evidence:
        teller = _TELLERS.get((fact.check, fact.name))
        if teller is not None and (line := teller(record, fact)):
            told[line] = None
    for recipient in record.recipients:
        if recipient.code == "greylisted":
            told[f"GREYLIST: {_sender(record)} {one_line(recipient.address)}"] = None
    yield from told
