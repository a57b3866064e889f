"""Constant databases, read as a whole (the format of D. J. Bernstein's cdb, 32 bit).

A file begins with 256 pairs of numbers, position and length of each hash table; the records follow, and the tables
behind them.  Whoever wants every record needs no table but the first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

HEADER: Final = 2048  # octets
_PAIR = struct.Struct("<II")


def records(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every record in the order of the file, as key and data.

    @param octets: the whole file.
    @raise ValueError: it is no constant database, or it is cut short.
    """
    if len(octets) < HEADER:
        raise ValueError("no constant database: it is shorter than its header")
    end = min(position for position, _ in _PAIR.iter_unpack(octets[:HEADER]))
    if not HEADER <= end <= len(octets):
        raise ValueError("no constant database: its tables are outside of it")
    position = HEADER
    while position < end:
        if end - position < _PAIR.size:
            raise ValueError(f"cut short at octet {position}")
        key_length, data_length = _PAIR.unpack_from(octets, position)
        data = position + _PAIR.size + key_length
        if data + data_length > end:
            raise ValueError(f"a record at octet {position} goes beyond the records")
        yield octets[position + _PAIR.size : data], octets[data : data + data_length]
        position = data + data_length
