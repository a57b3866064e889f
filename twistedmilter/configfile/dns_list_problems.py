"""What may be wrong with C{[dnsbl]} and C{[throwaway]} beyond their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from twistedmilter.configfile.allowed import key_path
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.dnsbl_settings import DnsblSettings
from twistedmilter.model.throwaway_settings import ThrowawaySettings
from twistedmilter.policy.dns_lists import CodeFilter, DnsList
from twistedmilter.policy.keywords import parse_keyword
from twistedmilter.policy.name_rules import read_rules


def dns_list_problems(section: DnsblSettings) -> Iterator[ConfigProblem]:
    """Zones, codes, words and probes that cannot be, and lists that stand there twice."""
    seen: dict[tuple[str, str], int] = {}
    for index, table in enumerate(section.lists):
        where = f"dnsbl.lists[{index}]"
        problems = list(_code_problems(where, table.codes))
        yield from problems
        if problems:
            continue
        try:
            parsed = DnsList.parse(table)
        except ValueError as problem:
            yield ConfigProblem(where, str(problem))
            continue
        first = seen.setdefault((parsed.zone, parsed.kind), index)
        if first != index:
            yield ConfigProblem(f"{where}.zone", f"{parsed.zone} is asked by dnsbl.lists[{first}] already")


def throwaway_problems(section: ThrowawaySettings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Codes, words and lines of files that cannot be.

    @param base_dir: where relative names of files begin.
    """
    if not section.codes:
        yield ConfigProblem("throwaway.codes", "is empty: no rule would mean anything")
    yield from _code_problems("throwaway", section.codes)
    for index, name in enumerate(section.files):
        try:
            read_rules([name], base_dir, wall=lambda: 0.0)
        except ValueError as problem:
            yield from (ConfigProblem(f"throwaway.files[{index}]", line) for line in str(problem).splitlines())


def _code_problems(where: str, codes: Mapping[str, str]) -> Iterator[ConfigProblem]:
    for code, word in codes.items():
        for parse, text in ((CodeFilter.parse, code), (parse_keyword, word)):
            try:
                parse(text)
            except ValueError as problem:
                yield ConfigProblem(key_path(f"{where}.codes", code), str(problem))
