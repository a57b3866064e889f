"""Rules that somebody could write, read from what was banned lately: counted names, word pairs, strings of consonants.

Nothing of this is active before somebody has entered it (spec 6.3).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.loading import Limits, Source, load_at_once, load_zone
from twistedmilter.blocklist.problems import ZoneError
from twistedmilter.blocklist.zone import Zone, ZoneKind

FEWEST: Final = 3  # bans that make a family
WINDOW: Final = 30 * 86_400.0  # seconds that bans count as evidence
_MOST_EXAMPLES: Final = 5
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_DIGITS: Final = re.compile(r"[0-9]+")
_PAIR: Final = re.compile(r"([a-z]{3,})(-)([a-z]{3,})(\..+)")
_CONSONANTS: Final = re.compile(r"([bcdfghjklmnpqrstvwxz]{5,})(\..+)")


class Ban(Struct, frozen=True):
    """A domain that was banned.

    @ivar when: seconds since the epoch; 0: it is not known, and counts as lately.
    """

    name: str
    when: float = 0


class Suggestion(Struct, frozen=True):
    """One rule that somebody could write.

    @ivar line: as it would stand in a zone file. @ivar shape: what the names have in common, in words.
    @ivar evidence: the bans that led to it. @ivar caught: of all bans, with those long ago.
    @ivar good: domains that have sent good mail and would be listed; @ivar good_count: how many they are in all.
    """

    line: str
    shape: str
    evidence: tuple[str, ...]
    caught: int
    good: tuple[str, ...]
    good_count: int


def suggest(
    bans: Iterable[Ban], good_domains: Collection[str], now: float, *, listed: Callable[[str], bool] = lambda _: False
) -> list[Suggestion]:
    """Rules that three or more bans of the last thirty days have in common; what catches most comes first.

    @param good_domains: domains that have lately sent good mail. @param now: seconds since the epoch.
    @param listed: whether a name is listed already; such bans need no rule.
    """
    known = {ban.name.lower().rstrip("."): ban.when for ban in bans}
    every = [name for name in known if _NAME.fullmatch(name)]
    lately = [name for name in every if (not known[name] or known[name] > now - WINDOW) and not listed(name)]
    found: dict[str, Suggestion] = {}
    for shape in _SHAPES:
        for line, words, evidence in shape(lately):
            suggestion = _weighed(line, words, evidence, every, good_domains)
            if suggestion is not None:
                found.setdefault(line, suggestion)
    return sorted(_without_lesser(list(found.values())), key=lambda each: (each.good_count, -each.caught, each.line))


_Proposal = tuple[str, str, list[str]]


def _weighed(
    line: str, shape: str, evidence: list[str], bans: list[str], good_domains: Collection[str]
) -> Suggestion | None:
    """What a rule would have caught, and whom it would have hit; None: nobody could enter it."""
    source = Source("suggestion", [line.encode()])
    try:
        zone = load_at_once(load_zone((), ZoneKind.RHSBL, [source], lambda: 0.0, limits=Limits(forced=True))).zone
    except ZoneError:
        return None
    caught = sum(_lists(zone, name) for name in bans)
    good = sorted(name for name in good_domains if _lists(zone, name.lower()))
    return Suggestion(line, shape, tuple(sorted(evidence)), caught, tuple(good[:_MOST_EXAMPLES]), len(good))


def _lists(zone: Zone, name: str) -> bool:
    return zone.find(tuple(name.encode("ascii", "replace").split(b"."))) is not None


def _without_lesser(suggestions: list[Suggestion]) -> Iterator[Suggestion]:
    """Of those with the same evidence the first: shapes are tried from the narrowest to the widest."""
    best: dict[tuple[str, ...], Suggestion] = {}
    for one in suggestions:
        best.setdefault(one.evidence, one)
    return iter(best.values())


def _families(groups: dict[tuple[str, ...], set[str]]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    return ((key, sorted(names)) for key, names in groups.items() if len(names) >= FEWEST)


def _counted(names: list[str]) -> Iterator[_Proposal]:
    """Names that differ in one number, as ded304.com, ded305.com, ded306.com."""
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name in names:
        for match in _one_number(name):
            stem, digits, rest = match
            groups[stem, str(len(digits)), rest].add(name)
    for (stem, width, rest), family in _families(groups):
        numbers = [name[len(stem) : len(name) - len(rest)] for name in family]
        low, high = _rounded(numbers, int(width))
        yield f"serial:{stem}{{{low}-{high}}}{rest}", f"{stem} and a number", family


def _one_number(name: str) -> Iterator[tuple[str, str, str]]:
    """Each number in a name with what is before and after it; the last label is none."""
    last = name.rindex(".")
    for match in _DIGITS.finditer(name, 0, last):
        yield name[: match.start()], match[0], name[match.end() :]


def _rounded(numbers: list[str], width: int) -> tuple[str, str]:
    """A range that holds the numbers and those to come: all with the same first digit, or all of that width."""
    first = {number[0] for number in numbers}
    if width == 1:
        return "0", "9"
    if len(first) == 1:
        digit = first.pop()
        return digit + "0" * (width - 1), digit + "9" * (width - 1)
    return "0" * width, "9" * width


def _many_numbers(names: list[str]) -> Iterator[_Proposal]:
    """Names that differ in several numbers or in a number and the top-level domain, as ded304.com, ded305.net."""
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name in names:
        head = name.rpartition(".")[0]
        shape = _DIGITS.sub(lambda match: f"\0{len(match[0])}\0", head)
        if shape != head and head[0].isalpha():
            groups[(shape,)].add(name)
    for (shape,), family in _families(groups):
        tails = sorted({name.rpartition(".")[2] for name in family})
        heads = {name.rpartition(".")[0] for name in family}
        if len(heads) > 1 and (len(tails) > 1 or shape.count("\0") > 2):
            pattern = re.sub("\0([0-9]+)\0", r"[0-9]{\1}", _escaped(shape))
            yield f"regex:{pattern}\\.{_choice(tails)}", "the same words and numbers", family


def _top_level_sets(names: list[str]) -> Iterator[_Proposal]:
    """One name below several top-level domains."""
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name in names:
        groups[(name.rpartition(".")[0],)].add(name)
    for (head,), family in _families(groups):
        tails = sorted(name.rpartition(".")[2] for name in family)
        yield f"regex:{_escaped(head)}\\.{_choice(tails)}", f"{head} below several top-level domains", family


def _word_pairs(names: list[str]) -> Iterator[_Proposal]:
    """Names of two words of which one is the same, as cheap-pills.biz, cheap-loans.biz."""
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name in names:
        match = _PAIR.fullmatch(name)
        if match is not None:
            groups[match[1] + "-*" + match[4], match[1]].add(name)
            groups["*-" + match[3] + match[4], match[3]].add(name)
    for (pattern, word), family in _families(groups):
        yield f"glob:{pattern}", f"two words, one of them {word}", family


def _consonant_strings(names: list[str]) -> Iterator[_Proposal]:
    """Names of as many consonants and nothing else, as xkvbq.com."""
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name in names:
        match = _CONSONANTS.fullmatch(name)
        if match is not None:
            groups[str(len(match[1])), match[2]].add(name)
    for (length, tail), family in _families(groups):
        line = f"regex:[bcdfghjklmnpqrstvwxz]{{{length}}}{_escaped(tail)}"
        yield line, f"{length} consonants and nothing else", family


def _escaped(text: str) -> str:
    return text.replace(".", r"\.")


def _choice(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"({'|'.join(words)})"


_SHAPES: Final[tuple[Callable[[list[str]], Iterator[_Proposal]], ...]] = (
    _counted,
    _many_numbers,
    _top_level_sets,
    _word_pairs,
    _consonant_strings,
)
