"""What is odd about a zone that can be used: for whoever keeps its files, before somebody else finds out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from twistedmilter.blocklist.listing import Rule, Values
from twistedmilter.blocklist.loading import Loaded
from twistedmilter.blocklist.problems import ZoneProblem
from twistedmilter.blocklist.rules import RuleTable

MAX_LINTS: Final = 100
_ERROR_CODES: Final = b"\x7f\xff\xff"  # 127.255.255.0/24: what big lists answer with instead of an error
_LOOPBACK: Final = b"\x7f\0\0\1"


def lints(loaded: Loaded) -> Iterator[ZoneProblem]:
    """Odd codes, rules without a reason, rules that have ended, names that something wider lists in the same way."""
    rules = loaded.zone.rules
    told: set[tuple[str, Values]] = set()
    for number in range(len(rules)):
        if rules.is_exclusion(number):
            continue
        values = rules.values(number)
        rule = rules.rule(number)
        if not rules.holds(number):
            yield _problem(rule, "the rule has ended", "remove the line")
        if (rule.source, values) not in told:
            told.add((rule.source, values))
            yield from _odd_values(rule, values)
    yield from _redundant(loaded, rules)


def _odd_values(rule: Rule, values: Values) -> Iterator[ZoneProblem]:
    """What is odd about an answer; told at the first rule that gives it."""
    for code in values.codes:
        shown = ".".join(str(octet) for octet in code)
        if code == _LOOPBACK or code[:3] == _ERROR_CODES:
            yield _problem(rule, f"the code {shown} is what other lists answer errors with", "use 127.0.0.2 and above")
        elif code[0] != 127:
            yield _problem(rule, f"the code {shown} is not in 127.0.0.0/8: MTAs take it for a broken list")
    if values.template is None:
        yield _problem(rule, "the rule gives no reason", "add one, as in :127.0.0.2:reason")


def _redundant(loaded: Loaded, rules: RuleTable) -> Iterator[ZoneProblem]:
    """Names that a suffix lists in the same way."""
    names = loaded.listed.names
    if not names.depths:
        return
    for name in names.names():
        number, wider = names.exact_number(name), names.nearest_below(tuple(name.split(b".")))
        if number is None or wider is None or rules.values(number) != rules.values(wider):
            continue
        if not (rules.is_exclusion(number) or rules.is_exclusion(wider)):
            above = rules.rule(wider)
            yield _problem(
                rules.rule(number), f"{name.decode()} is listed by line {above.line} of {above.source} as well"
            )


def _problem(rule: Rule, wrong: str, allowed: str = "") -> ZoneProblem:
    return ZoneProblem(rule.source, rule.line, 0, wrong, allowed, is_fatal=False)
