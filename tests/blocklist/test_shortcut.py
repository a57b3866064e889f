"""The short way says octet for octet what the long way says, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.blocklist.test_signature_zone import NOW
from tests.wire.test_dns_question import opt
from tests.wire.test_dns_response import APEX, authority
from twistedmilter.blocklist.answers import Asker, ServedList, answer
from twistedmilter.blocklist.loading import Source, load_at_once, load_zone
from twistedmilter.blocklist.shortcut import Shortcut, Tally
from twistedmilter.blocklist.zone import ZoneKind
from twistedmilter.wire.dns_question import FormatError, parse_query
from twistedmilter.wire.dns_response import encode_reply, udp_limit

TEXT = b"""
:127.0.0.4:because of $
ded304.com
.sub.example :5:$ is below
*.wild.example
!good.sub.example
glob:cheap-*.biz
serial:ded{300-399}.net
regex:spam\\d+\\.(org|info)
192.0.2.0/24
two.example :127.0.0.2:
two.example :127.0.0.3:
"""
TEXTS = [
    TEXT,
    b"ded304.com\ntwo.example\na.b.org\nx.example",
    b"two.example\n*.wild.example\nx.sub.example\nglob:cheap-*.biz\nregex:spam\\d+\\.(org|info)",
]
PIECES = [
    *(b"ded304 com sub example wild good cheap-x biz ded350 net spam7 org test invalid 2 0 127 192 two").split(),
    *(b"x" * size for size in (1, 44, 45, 48, 63)),
    *(b"spam.com", b"a\3com", b"a\0b", b"\xc3", b"A-Z", b"\5rhsbl\7example\3net\0"),
]
OPTS = [b"", opt(), opt(payload=4096, flags=0x8000), opt(payload=777), opt(version=1), opt(b"\0\x0a\0\x08cookie12")]


def shortcut(text: bytes) -> tuple[Shortcut, ServedList]:
    """The short way to a zone, and what the long way needs."""
    kind = ZoneKind.MIXED
    zone = load_at_once(load_zone(APEX, kind, [Source("a.zone", text.splitlines())], lambda: NOW)).zone
    served = ServedList(authority(), zone)
    return Shortcut(served, lambda zone, _kind: Tally(zone)), served


def by_the_long_way(octets: bytes, served: ServedList) -> bytes | None:
    """What the long way says; None if that is no answer from the zone."""
    try:
        query = parse_query(octets)
    except FormatError:
        return None
    if query is None or query.labels[-3:] != APEX:
        return None
    return encode_reply(query, answer(query, served, Asker()).reply, udp_limit(query))


class ShortcutTests(SynchronousTestCase):
    """Both ways, compared."""

    def setUp(self) -> None:
        """Zones with all kinds of rules, with names alone, and without exclusions."""
        self.ways = [shortcut(text) for text in TEXTS]
        self.taken = 0

    def compare(self, octets: bytes) -> None:
        """Nothing, or the same."""
        for shortcut, served in self.ways:
            found = shortcut.find(octets, octets.lower())
            if found is not None:
                self.taken += 1
                expected = by_the_long_way(octets, served)
                self.assertEqual(None if expected is None else expected[2:], found.tail, octets)

    def test_it_is_taken(self) -> None:
        """By what MTAs and resolvers ask."""
        for name in (b"\6ded304\3com", b"\4none\7example", b"\1a\4wild\7EXAMPLE", b"\3two\7example", b"\3com"):
            for rdtype in (1, 16, 28):
                for rest in OPTS[:3]:
                    head = b"\x12\x34\1\x20\0\1\0\0\0\0\0" + bytes([bool(rest)])
                    self.compare(head + name + b"\5rhsbl\7example\3net\0\0" + bytes([rdtype]) + b"\0\1" + rest)
        self.assertEqual(self.taken, 45 * len(TEXTS))

    @given(
        st.lists(st.sampled_from(PIECES), max_size=6),
        st.sampled_from([1, 1, 16, 28, 15, 255]),
        st.sampled_from(OPTS),
        st.sampled_from([b"\0\0", b"\1\0", b"\1\x10", b"\0\x20", b"\x81\0", b"\x28\0"]),
        st.booleans(),
    )
    def test_pieces(self, labels: list[bytes], rdtype: int, rest: bytes, flags: bytes, capitals: bool) -> None:
        """Names of odd labels, all kinds of flags and options."""
        name = b"".join(bytes([len(label)]) + label for label in labels)
        name = name.upper() if capitals else name
        counts = b"\0\1\0\0\0\0\0" + bytes([bool(rest)])
        end = b"\5rhsbl\7example\3net\0" + rdtype.to_bytes(2, "big") + b"\0\1" + rest
        self.compare(b"\x12\x34" + flags + counts + name + end)

    @given(st.integers(0, 60), st.integers(0, 255), st.integers(0, 60), st.integers(0, 255))
    def test_broken(self, first: int, one: int, second: int, other: int) -> None:
        """A good query with one or two octets changed."""
        octets = bytearray(b"\x12\x34\1\0\0\1\0\0\0\0\0\1\6ded304\3com\5rhsbl\7example\3net\0\0\1\0\1" + opt())
        octets[first % len(octets)] = one
        octets[second % len(octets)] = other
        self.compare(bytes(octets))

    def test_octets_of_a_length_within_a_label(self) -> None:
        """38: what looks like the beginning of a label within another is none."""
        end = b"\5rhsbl\7example\3net\0\0\1\0\1"
        for name in (b"\x0aded304\3com", b"\0\6ded304", b"\x30" + b"x" * 44 + b"\3com", b"\x0bded304.com\0"):
            self.assertIsNone(self.ways[0][0].find(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + end, b""))
            self.compare(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + end)
