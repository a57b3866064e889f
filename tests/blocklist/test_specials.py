"""Tests of the lines of a zone file that begin with a dollar sign."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.blocklist.answer_text import Default
from twistedmilter.blocklist.problems import LineError
from twistedmilter.blocklist.specials import MAX_TTL, Scope, parse_span, parse_stamp


def scope_of(*lines: str) -> Scope:
    """What a file with these lines says about itself."""
    scope = Scope(Default())
    for line in lines:
        scope.read(line.encode())
    return scope


class SpecialTests(SynchronousTestCase):
    """What each of them says."""

    def test_first_ones_hold(self) -> None:
        """The first SOA, the first NS line and the first text of a number, as with rbldnsd."""
        scope = scope_of(
            "$SOA 1h a.example b.example 7 1h 10m 1w 5m",
            "$SOA 2h c.example d.example 8 1h 10m 1w 5m",
            "$NS 1h a.example -b.example",
            "$NS 2h c.example",
            "$1 one",
            "$1 two",
        )
        head = scope.head()
        assert head.soa is not None
        self.assertEqual((head.soa.ttl, head.soa.mailbox, head.soa.expire), (3_600, (b"b", b"example"), 604_800))
        self.assertEqual((head.nameservers, head.nameserver_ttl), (((b"a", b"example"),), 3_600))
        self.assertEqual(scope.variables, {b"1": b"one"})

    def test_ttl(self) -> None:
        """At most a week."""
        self.assertEqual(scope_of("$TTL 1h").ttl, 3_600)
        self.assertEqual(scope_of("$ttl 999999999").ttl, MAX_TTL)

    def test_timestamps(self) -> None:
        """When the data were made and until when they hold; nothing is said by 0 and -."""
        scope = scope_of("$TIMESTAMP 2026:11:24:10:30:05 +1h")
        self.assertEqual((scope.made, scope.expires), (1_795_516_205.0, 1_795_519_805.0))
        self.assertEqual(scope_of("$TIMESTAMP 20261124").made, 1_795_478_400.0)
        scope = scope_of("$TIMESTAMP 0 -")
        self.assertEqual((scope.made, scope.expires), (0.0, 0.0))

    def test_what_is_wrong(self) -> None:
        """Too few words, too many, no numbers."""
        for line in (
            "$SOA 1h a b x 1h 1h 1h 1h", "$NS", "$TTL", "$TTL 1h 2h", "$TTL 1y", "$TIMESTAMP", "$TIMESTAMP 2026-13-01",
            "$TIMESTAMP 2026-01-01 2026-01-02 x", "$TIMESTAMP 2026-01-01 +x", "$MAXRANGE4", "$MAXRANGE4 wide",
            "$MAXRANGE4 /33", "$", "$$", "$10 x", "$DATASET x",
        ):  # fmt: skip
            with self.assertRaises(LineError):
                scope_of(line)

    def test_spans(self) -> None:
        """Numbers with units, several added up."""
        spans = {"0": 0, "300": 300, "5m": 300, "1H30m": 5_400, "1w2d": 777_600, "10s": 10}
        self.assertEqual({text: parse_span(text.encode()) for text in spans}, spans)

    @given(st.binary(max_size=40))
    def test_garbage(self, text: bytes) -> None:
        """Anything is taken or a LineError."""
        for begin in (b"$", b"$SOA ", b"$NS ", b"$TTL ", b"$TIMESTAMP ", b"$MAXRANGE4 "):
            try:
                Scope(Default()).read(begin + text)
            except LineError as error:
                self.assertTrue(str(error))
        for parse in (parse_span, parse_stamp):
            try:
                parse(text)
            except LineError as error:
                self.assertTrue(str(error))
