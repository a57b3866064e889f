"""Tests of the reader of constant databases."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.wire.cdb import HEADER, records

PAIRS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20)


def make_cdb(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A whole constant database, with its hash tables, as the format's description has it."""
    body = b""
    slots: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    for key, data in pairs:
        hashed = 5381
        for octet in key:
            hashed = ((hashed << 5) + hashed ^ octet) & 0xFFFFFFFF
        slots[hashed % 256].append((hashed, HEADER + len(body)))
        body += struct.pack("<II", len(key), len(data)) + key + data
    header, tables = b"", b""
    for each in slots:
        header += struct.pack("<II", HEADER + len(body) + len(tables), 2 * len(each))
        table = [(0, 0)] * (2 * len(each))
        for hashed, position in each:
            slot = (hashed >> 8) % len(table)
            while table[slot][1]:
                slot = (slot + 1) % len(table)
            table[slot] = (hashed, position)
        tables += b"".join(struct.pack("<II", *slot) for slot in table)
    return header + body + tables


class RecordsTests(SynchronousTestCase):
    """What a file holds."""

    @given(PAIRS)
    def test_every_record_in_order(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """All records come back in their order, repeated keys too; an empty file has none."""
        self.assertEqual(list(records(make_cdb(pairs))), pairs)

    def test_cut_short(self) -> None:
        """A file that is cut anywhere before the end of its records is an error, not a shorter map."""
        whole = make_cdb([(b"key", b"data"), (b"other", b"more")])
        end = whole.index(b"more") + 4
        for length in (*range(0, HEADER, 100), *range(HEADER, end)):
            with self.assertRaises(ValueError, msg=str(length)):
                list(records(whole[:length]))

    def test_record_beyond_the_end(self) -> None:
        """A length that leads out of the records is told."""
        whole = bytearray(make_cdb([(b"key", b"data")]))
        struct.pack_into("<I", whole, HEADER + 4, 2**31)
        with self.assertRaisesRegex(ValueError, "goes beyond"):
            list(records(bytes(whole)))

    @given(st.binary(min_size=HEADER, max_size=HEADER + 100))
    def test_garbage(self, octets: bytes) -> None:
        """Any octets are records or a ValueError."""
        try:
            list(records(octets))
        except ValueError as problem:
            self.assertTrue(str(problem))
