"""Writing a zone for others: a data file for rbldnsd, a zone file for BIND and the like, a response policy zone.

@see: rbldnsd(8), "combined Dataset"; RFC 1035 section 5; draft-vixie-dnsop-dns-rpz sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.listing import DEFAULT_TTL, NAME_MARK, RULE_MARK, Listing, Rule, RuleKind, Values
from twistedmilter.blocklist.loading import Loaded
from twistedmilter.blocklist.networks import Network
from twistedmilter.blocklist.written_rules import WrittenName, WrittenNetwork, written_names, written_networks
from twistedmilter.blocklist.zone import Labels, Soa, ZoneKind

_REFRESH, _RETRY, _EXPIRE, _MINIMUM = 3_600, 600, 604_800, 300  # seconds (6.6)


# RFC 5782 section 5: every list has these entries
_TEST_TEXT: Final = b"This is a test entry (RFC 5782 section 5)"
_TEST_RULE: Final = Rule(RuleKind.EXACT, "RFC 5782", 0)
_TEST_NIBBLES: Final = b".".join((b"2", *(b"0",) * 5, b"f", b"7", *(b"f",) * 4, *(b"0",) * 20))


class ExportFormat(Enum):
    """For whom a zone is written."""

    RBLDNSD = "rbldnsd"
    BIND = "bind"
    RPZ = "rpz"


class Origin(Struct, frozen=True):
    """What the zone file of another server needs that no list says.

    @ivar apex: labels of the zone's name. @ivar nameservers: names; used where the files name none.
    @ivar serial: of the SOA, where the files have none.
    """

    apex: Labels
    nameservers: tuple[Labels, ...]
    serial: int


def export(loaded: Loaded, written: ExportFormat, origin: Origin) -> Iterator[bytes]:
    """The lines of a file, without line ends."""
    if written is ExportFormat.RBLDNSD:
        return _rbldnsd(loaded, origin)
    return _bind(loaded, origin) if written is ExportFormat.BIND else _rpz(loaded, origin)


def _name(labels: Labels) -> bytes:
    return b".".join(labels)


# rbldnsd


def _rbldnsd(loaded: Loaded, origin: Origin) -> Iterator[bytes]:
    """A file of one type, or of type combined where the zone holds several kinds of things."""
    parts = {
        b"dnset": [line for each in written_names(loaded) for line in _dnset_lines(each)],
        b"ip4trie": [line for each in written_networks(loaded, 32) for line in _trie_lines(each)],
        b"ip6trie": [line for each in written_networks(loaded, 128) for line in _trie_lines(each)],
    }
    for kind, subject in ((b"dnset", b"test"), (b"ip4trie", b"127.0.0.2/32"), (b"ip6trie", b"::ffff:7f00:2/128")):
        if parts[kind]:
            parts[kind].insert(0, subject + b" :127.0.0.2:" + _TEST_TEXT)
    kinds = [kind for kind, lines in parts.items() if lines] or [b"dnset"]
    whole = kinds[0] if len(kinds) == 1 else b"combined"
    yield b"# rbldnsd type: " + whole
    yield from _rbldnsd_head(loaded, origin)
    for kind in kinds:
        if whole == b"combined":
            yield b"$DATASET " + kind + b" @"
        yield b"$TTL %d" % _ttl_of_most(loaded)
        yield from parts[kind]


def _rbldnsd_head(loaded: Loaded, origin: Origin) -> Iterator[bytes]:
    soa = _soa(loaded, origin)
    times = b"%d %d %d %d %d" % (soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    yield b"$SOA %d %b %b %b" % (soa.ttl, _name(soa.primary), _name(soa.mailbox), times)
    yield b"$NS %d %b" % (soa.ttl, b" ".join(map(_name, _nameservers(loaded, origin))))


def _ttl_of_most(loaded: Loaded) -> int:
    """The TTL of the first rule; rbldnsd has one for all."""
    rules = loaded.zone.rules
    return rules.values(0).ttl if len(rules) else DEFAULT_TTL


def _dnset_lines(written: WrittenName) -> Iterator[bytes]:
    subject = b"*." + written.name if written.below else written.name
    if written.values is None or written.rule is None:
        yield b"!" + subject
    else:
        yield from _answers(subject, written.values, written.rule)


def _trie_lines(written: WrittenNetwork) -> Iterator[bytes]:
    """One line: of several for one network the first would hold alone."""
    yield next(_answers(_network_text(written.network), written.values, written.rule))


def _answers(subject: bytes, values: Values, rule: Rule) -> Iterator[bytes]:
    for code in values.codes:
        yield b"%b :%b:%b" % (subject, _code(code), _template(values.template, rule))


def _template(template: bytes | None, rule: Rule) -> bytes:
    """A template as rbldnsd writes it."""
    if template is None:
        return b""
    text = template.replace(b"$", b"$$").replace(NAME_MARK, b"$")
    return text.replace(RULE_MARK, rule.ident.encode().replace(b"$", b"$$"))


def _code(code: bytes) -> bytes:
    return b".".join(b"%d" % octet for octet in code)


def _network_text(network: Network) -> bytes:
    address = str(ip_address(network.first) if network.bits == 32 else IPv6Address(network.first))
    return f"{address}/{network.length}".encode()


# zone files


def _soa(loaded: Loaded, origin: Origin) -> Soa:
    """What the files say, or else what is usual (6.6)."""
    soa = loaded.zone.head.soa
    if soa is not None:
        return soa if soa.serial else Soa(soa.primary, soa.mailbox, origin.serial, *_times(soa))
    primary = _nameservers(loaded, origin)[0]
    mailbox = (b"hostmaster", *origin.apex)
    return Soa(primary, mailbox, origin.serial, _REFRESH, _RETRY, _EXPIRE, _MINIMUM, DEFAULT_TTL)


def _times(soa: Soa) -> tuple[int, int, int, int, int]:
    return soa.refresh, soa.retry, soa.expire, soa.minimum, soa.ttl


def _nameservers(loaded: Loaded, origin: Origin) -> tuple[Labels, ...]:
    return loaded.zone.head.nameservers or origin.nameservers or ((b"localhost",),)


def _zone_head(loaded: Loaded, origin: Origin) -> Iterator[bytes]:
    soa = _soa(loaded, origin)
    yield b"$ORIGIN %b." % _name(origin.apex)
    yield b"$TTL %d" % _ttl_of_most(loaded)
    times = b"%d %d %d %d %d" % (soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    yield b"@ %d IN SOA %b. %b. ( %b )" % (soa.ttl, _name(soa.primary), _name(soa.mailbox), times)
    for name in _nameservers(loaded, origin):
        yield b"@ IN NS %b." % _name(name)


def _bind(loaded: Loaded, origin: Origin) -> Iterator[bytes]:
    yield from _zone_head(loaded, origin)
    for subject in _tests(loaded.zone.kind):
        yield from _records(subject, subject, Values(template=_TEST_TEXT), _TEST_RULE)
    for each in written_names(loaded):
        subject = b"*." + each.name if each.below else each.name
        if each.values is None or each.rule is None:
            yield b'%b IN TXT "not listed"' % subject  # a name that is there ends the wildcard above it
        else:
            yield from _records(subject, each.name, each.values, each.rule)
    for bits in (32, 128):
        for network in written_networks(loaded, bits):
            for subject in _reverse_names(network.network):
                yield from _records(subject, subject.removeprefix(b"*."), network.values, network.rule)


def _tests(kind: ZoneKind) -> tuple[bytes, ...]:
    names = () if kind is ZoneKind.IPBL else (b"test",)
    return names if kind is ZoneKind.RHSBL else (*names, b"2.0.0.127", _TEST_NIBBLES)


def _records(subject: bytes, name: bytes, values: Values, rule: Rule) -> Iterator[bytes]:
    """Address and text records; a text under a wildcard names what the wildcard is for."""
    for code in values.codes:
        yield b"%b %d IN A %b" % (subject, values.ttl, _code(code))
    text = Listing(values.codes, values.ttl, rule, values.template).text(name)
    if text is not None:
        yield b'%b %d IN TXT "%b"' % (subject, values.ttl, text)


def _reverse_names(network: Network) -> Iterator[bytes]:
    """Names of a network's addresses, or wildcards above them: as few as there are."""
    step = 8 if network.bits == 32 else 4
    whole = -(-network.length // step)
    for at in range(2 ** (whole * step - network.length)):
        first = network.first + (at << network.bits - whole * step)
        digits = first.to_bytes(network.bits // 8)
        parts = [str(octet) for octet in digits] if step == 8 else list(digits.hex())
        name = ".".join(reversed(parts[:whole])).encode()
        yield name if whole * step == network.bits else b"*." + name


def _rpz(loaded: Loaded, origin: Origin) -> Iterator[bytes]:
    """A policy that answers NXDOMAIN for what is listed and leaves alone what is not."""
    yield from _zone_head(loaded, origin)
    for each in written_names(loaded):
        subject = b"*." + each.name if each.below else each.name
        yield subject + (b" CNAME rpz-passthru." if each.values is None else b" CNAME .")
    for bits in (32, 128):
        for network in written_networks(loaded, bits):
            yield _rpz_address(network.network) + b" CNAME ."


def _rpz_address(network: Network) -> bytes:
    """C{24.0.2.0.192.rpz-ip}: the length, then the address in reverse; zz stands for the longest run of zeros."""
    if network.bits == 32:
        parts = str(ip_address(network.first)).split(".")
    else:
        parts = str(IPv6Address(network.first)).replace("::", ":zz:").strip(":").split(":")
    return f"{network.length}.{'.'.join(reversed(parts))}.rpz-ip".encode()
