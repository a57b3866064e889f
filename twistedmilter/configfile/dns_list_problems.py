"""What may be wrong with C{[dnsbl]} beyond its types."""

from __future__ import annotations

from collections.abc import Iterator

from twistedmilter.configfile.allowed import key_path
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.dnsbl_settings import DnsblSettings, DnsListSettings
from twistedmilter.policy.dns_lists import CodeFilter, DnsList
from twistedmilter.policy.keywords import parse_keyword


def dns_list_problems(section: DnsblSettings) -> Iterator[ConfigProblem]:
    """Zones, codes, words and probes that cannot be, and lists that stand there twice."""
    seen: dict[tuple[str, str], int] = {}
    for index, table in enumerate(section.lists):
        where = f"dnsbl.lists[{index}]"
        problems = list(_code_problems(where, table))
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


def _code_problems(where: str, table: DnsListSettings) -> Iterator[ConfigProblem]:
    for code, word in table.codes.items():
        for parse, text in ((CodeFilter.parse, code), (parse_keyword, word)):
            try:
                parse(text)
            except ValueError as problem:
                yield ConfigProblem(key_path(f"{where}.codes", code), str(problem))
