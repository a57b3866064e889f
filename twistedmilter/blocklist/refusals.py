"""Rules that would list what nobody wants listed: whole top-level domains, providers, domains that send good mail.

What a rule lists is found by asking the finished zone, so exclusions count.

@see: gossip-srs-dns-spec case 46, RFC 5782 section 5 (never list the world).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Final

from twistedmilter.blocklist.listing import Rule
from twistedmilter.blocklist.problems import ZoneProblem
from twistedmilter.blocklist.zone import Zone, ZoneKind

# Where very many people have their mailboxes; a rule that lists one of them is more often an error than not.
PROVIDERS: Final = tuple(
    b"""126.com 163.com aol.com att.net bigpond.com bluewin.ch comcast.net fastmail.com free.fr gmail.com gmx.at gmx.ch
    gmx.de gmx.net googlemail.com hotmail.co.uk hotmail.com hotmail.fr icloud.com laposte.net libero.it live.com
    mac.com mail.com mail.ru me.com msn.com naver.com orange.fr outlook.com pm.me posteo.de proton.me protonmail.com
    qq.com rambler.ru rediffmail.com sbcglobal.net sfr.fr t-online.de tiscali.it verizon.net virgilio.it wanadoo.fr
    web.de wp.pl yahoo.co.jp yahoo.co.uk yahoo.com yandex.ru ymail.com zoho.com""".split()
)
# Domains below which anybody can register, and that most rules are about.
TOP_LEVEL: Final = tuple(
    b"""at au be biz br ca ch cn co com de dk es eu fi fr gr hu in info io it jp me mobi mx net nl no nz org pl pt ru se
    shop site store top tr uk us xyz za co.uk org.uk com.au com.br co.jp co.nz co.za com.cn com.mx com.tr""".split()
)
# Names that nobody has: whatever lists all of them below one top-level domain lists that whole domain.
_NOBODY: Final = (b"qzxwv", b"wqkzjxvt", b"zvxqkwjyptgh")
_LOOPBACK: Final = (b"1", b"0", b"0", b"127")  # RFC 5782 section 5: never listed
_SPREAD4: Final = tuple(range(1, 224))  # first octets of addresses that hosts have
_STEP: Final = 256  # names that are asked for at each step


Refuse = Callable[[Rule, str], None]


def too_wide(
    zone: Zone, forced: Collection[tuple[str, int]], good_domains: Collection[bytes], share: float
) -> Generator[None, None, list[ZoneProblem]]:
    """What is wrong with the rules of a zone that list too much, found a little at each step.

    @param forced: source and line of the rules that are wanted all the same.
    @param good_domains: names that have lately sent good mail. @param share: of them that one rule may list, 0 to 1.
    """
    problems: dict[tuple[str, int], ZoneProblem] = {}

    def refuse(rule: Rule, wrong: str) -> None:
        if (rule.source, rule.line) not in forced:
            problem = ZoneProblem(rule.source, rule.line, 0, wrong, "add [forced] or force the zone if that is meant")
            problems.setdefault((rule.source, rule.line), problem)

    if zone.kind is not ZoneKind.RHSBL:
        _check_addresses(zone, refuse)
    yield
    if zone.kind is not ZoneKind.IPBL:
        for rule, domain in _whole_domains(zone):
            refuse(rule, f"it lists the whole top-level domain {domain.decode()}")
        yield
        for provider in PROVIDERS:
            found = _rule_of(zone, provider)
            if found is not None:
                refuse(found, f"it lists {provider.decode()}, where very many people have their mailboxes")
        yield from _check_good(zone, good_domains, share, refuse)
    return list(problems.values())


def _rule_of(zone: Zone, name: bytes) -> Rule | None:
    listing = zone.find(tuple(name.split(b".")))
    return None if listing is None else listing.rule


def _whole_domains(zone: Zone) -> Iterator[tuple[Rule, bytes]]:
    """Rules that list everything right below a top-level domain, and which."""
    for domain in TOP_LEVEL:
        rules = {_rule_of(zone, name + b"." + domain) for name in _NOBODY}
        if None not in rules:
            yield from ((rule, domain) for rule in rules if rule is not None)


def _check_addresses(zone: Zone, refuse: Refuse) -> None:
    listing = zone.find(_LOOPBACK)
    if listing is not None:
        refuse(listing.rule, "it lists 127.0.0.1, which no list may list (RFC 5782 section 5)")
    octets: Counter[Rule] = Counter()
    for octet in _SPREAD4:
        listing = zone.find((b"77", b"201", b"113", str(octet).encode()))
        if listing is not None:
            octets[listing.rule] += 1
    for rule, count in octets.items():
        if count > 1:
            refuse(rule, f"it lists more than a /8: addresses that begin with {count} different octets")


def _check_good(zone: Zone, domains: Collection[bytes], share: float, refuse: Refuse) -> Iterator[None]:
    hits: Counter[Rule] = Counter()
    examples: dict[Rule, bytes] = {}
    for at, domain in enumerate(domains):
        rule = _rule_of(zone, domain.lower())
        if rule is not None:
            hits[rule] += 1
            examples.setdefault(rule, domain)
        if not at % _STEP:
            yield
    for rule, count in hits.items():
        if count > share * len(domains):
            example = examples[rule].decode("ascii", "replace")
            refuse(rule, f"it lists {count} of {len(domains)} domains that have lately sent good mail, as {example}")
