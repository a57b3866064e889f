"""Reading the reputation of pygossip: C{gossip4.db}, a shelf of pickles (gossip spec 1.10, case 17, reliability P9).

A pickle can call anything that can be imported, so nothing is: what the file names besides the one class that is
expected is refused, and that class is a stand-in of ours that takes what it is given and does nothing.
"""

from __future__ import annotations

import dbm
import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twistedmilter.model.reputation import PEER, Identity, Observations
from twistedmilter.reputation.ring import MAX_SIZE, repaired

MAX_PICKLE: Final = 65_536  # octets; a full ring of the default size has less than 400
_FIELDS: Final = ("bptr", "bcnt", "hcnt", "ncnt", "maxobs", "firstseen", "lastseen", "obs", "null")
_SIZE: Final = 1_024  # of an older record, which does not say
_LAST_SECOND: Final = 253_402_300_800.0  # the year 10000


@dataclass
class FoundReputation:
    """What was in a file.

    @ivar troubles: records that could not be read, each with its key.
    """

    records: list[tuple[Identity, Observations]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class _Record:
    """Stands for the ancestor's class; it keeps the state and does nothing."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _rebuilt(_class: object, _base: object, _state: object) -> _Record:
    """What copy_reg._reconstructor makes of an object with nothing in it."""
    return _Record()


class _Restricted(pickle.Unpickler):
    """Finds the ancestor's class, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "Observations" and (module.partition(".")[0] == "gossip" or module == "__main__"):
            return _Record
        if (module, name) in {("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")}:
            return _rebuilt
        if (module, name) in {("__builtin__", "object"), ("builtins", "object")}:
            return object
        raise pickle.UnpicklingError(f"it names {module[:40]}.{name[:40]}")


def observations_of(octets: bytes) -> Observations:
    """One record of the ancestor's.

    @raise ValueError: it is none.
    """
    if len(octets) > MAX_PICKLE:
        raise ValueError(f"it has more than {MAX_PICKLE} octets")
    try:
        loaded = _Restricted(io.BytesIO(octets), encoding="latin-1").load()
    except Exception as error:  # a pickle that is damaged may raise anything at all
        raise ValueError(f"it is no record: {error}") from error
    return _of_state(loaded.state if isinstance(loaded, _Record) else loaded)


def _of_state(state: object) -> Observations:
    """A tuple of nine, or the older dictionary, which lacks three of them.

    @raise ValueError: other things are in it.
    """
    if isinstance(state, dict):
        known: dict[str, object] = {"ncnt": 0, "maxobs": _SIZE, "null": 0, **state}
        state = tuple(known.get(name) for name in _FIELDS)
    if not isinstance(state, tuple) or len(state) != len(_FIELDS):
        raise ValueError("it has not the nine fields")
    pointer, count, _hams, _nulls, size, first, last, ham, null = state
    for value in (pointer, count, size, ham, null):
        if type(value) is not int or value < 0:
            raise ValueError("a count or a mask is none")
    for moment in (first, last):
        if type(moment) not in (int, float) or not 0 <= moment < _LAST_SECOND:
            raise ValueError("a time is none")
    if not 1 <= size <= MAX_SIZE or pointer >= size or count > size:
        raise ValueError("its counts do not fit its size")
    total = size + pointer if count == size else count
    return repaired(Observations(size, total, ham & ~null, null, float(first), float(last)))


def _identity(key: bytes) -> Identity:
    """C{id:qualifier}, of which the first has no colon.

    @raise ValueError: it is none.
    """
    name, _, qualifier = key.decode("ascii", "backslashreplace").partition(":")
    return Identity(name, PEER) if qualifier == PEER and name else Identity.of(name, qualifier)


def read_reputation(path: Path) -> FoundReputation:
    """What is in C{gossip4.db}, or in another file that the module dbm can open.

    @raise ValueError: it is none that can be read here.
    @raise OSError: it cannot be opened.
    """
    found = FoundReputation()
    for key, value in _entries(path):
        try:
            found.records.append((_identity(key), observations_of(value)))
        except ValueError as error:
            found.troubles.append(f"{key[:100]!r}: {error}")
    return found


def _octets(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else value


def _entries(path: Path) -> Iterator[tuple[bytes, bytes]]:
    kind = dbm.whichdb(str(path))
    if kind is None:
        raise FileNotFoundError(2, "no such file, or not to be read", str(path))
    if not kind:
        raise ValueError(
            f"{path} is of a kind that is not read here (Berkeley DB has to be rewritten with Python's dbm.dumb)"
        )
    try:
        with dbm.open(str(path), "r") as database:
            for key in database.keys():  # noqa: SIM118 - some kinds do not iterate
                yield _octets(key), _octets(database[key])
    except (*dbm.error, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
