"""Reading pygossip's shelf (gossip spec 1.10, case 17, reliability P9)."""

from __future__ import annotations

import dbm.dumb
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.reputation import PEER, Identity, Observations
from twistedmilter.store.ancestor_reputation import observations_of, read_reputation

STATE = (3, 3, 2, 0, 1_024, 1_000.0, 2_000.0, 0b101, 0)


def as_object(state: object, *, protocol: int = 2, module: str = "gossip.server") -> bytes:
    """A pickle of the ancestor's class with this state."""
    there = ModuleType(module)
    record = type("Observations", (), {"__module__": module, "__getstate__": lambda self: state})
    there.Observations = record  # type: ignore[attr-defined]
    parent = module.partition(".")[0]
    before = {name: sys.modules.get(name) for name in (parent, module)}
    sys.modules[parent] = sys.modules[module] = there
    try:
        return pickle.dumps(record(), protocol)
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old


class Evil:
    """Would do something when it is read."""

    def __reduce__(self) -> Any:
        """As exploits do."""
        return os.system, ("touch /tmp/should-not-be",)


class RecordTests(SynchronousTestCase):
    """One record."""

    def test_the_tuple_of_nine(self) -> None:
        """Bare, and as the class wrote it, in each protocol of that time."""
        expected = Observations(1_024, 3, 0b101, 0, 1_000.0, 2_000.0)
        self.assertEqual(observations_of(pickle.dumps(STATE, 2)), expected)
        for protocol in (0, 1, 2):
            self.assertEqual(observations_of(as_object(STATE, protocol=protocol)), expected)

    def test_the_older_dictionary(self) -> None:
        """It has no nulls, and the default size."""
        old = {"bptr": 1, "bcnt": 1, "hcnt": 1, "firstseen": 5, "lastseen": 6, "obs": 1}
        self.assertEqual(observations_of(pickle.dumps(old, 2)), Observations(1_024, 1, 1, 0, 5.0, 6.0))

    def test_a_ring_that_has_come_round(self) -> None:
        """The slots are where they were; a null is no ham."""
        found = observations_of(pickle.dumps((1, 3, 1, 1, 3, 5.0, 6.0, 0b011, 0b010), 2))
        self.assertEqual((found.pointer, found.count, found.hams, found.nulls, found.spams), (1, 3, 1, 1, 1))

    def test_what_cannot_be_is_repaired(self) -> None:
        """Bits beyond the count, and a last time before the first."""
        found = observations_of(pickle.dumps((1, 1, 9, 9, 1_024, 9.0, 6.0, 0b111, 0), 2))
        self.assertEqual((found.hams, found.count, found.first_seen, found.last_seen), (1, 1, 9.0, 9.0))

    def test_nothing_is_called(self) -> None:
        """Neither a system command, nor a class of ours, nor what merely looks harmless."""
        bomb = pickle.dumps(Evil(), 2)
        for octets in (
            bomb,
            as_object(STATE, module="os.path"),
            pickle.dumps(Path("x"), 2),
            b"cos\nsystem\n(S'x'\ntR.",
        ):
            with self.assertRaises(ValueError):
                observations_of(octets)
        self.assertFalse(Path("/tmp/should-not-be").exists())

    def test_other_values_are_refused(self) -> None:
        """Numbers that are none, too many, too large, negative."""
        for place, value in (
            (0, -1),
            (1, True),
            (4, 0),
            (4, 2**40),
            (5, float("nan")),
            (6, 1e300),
            (7, "x"),
            (0, 1_024),
        ):
            state = (*STATE[:place], value, *STATE[place + 1 :])
            with self.subTest(state), self.assertRaises(ValueError):
                observations_of(pickle.dumps(state, 2))
        for octets in (pickle.dumps(STATE[:8], 2), pickle.dumps("x" * 100_000, 2), pickle.dumps(None, 2), b""):
            with self.assertRaises(ValueError):
                observations_of(octets)

    @given(st.binary(max_size=200))
    def test_garbage(self, octets: bytes) -> None:
        """Gives an error, and nothing else."""
        with self.assertRaises(ValueError):
            observations_of(octets)


class FileTests(SynchronousTestCase):
    """A whole file."""

    def test_a_shelf(self) -> None:
        """What can be read is; what cannot is told with its key."""
        path = Path(self.mktemp())
        with dbm.dumb.open(str(path), "c") as shelf:
            shelf[b"Example.COM:SPF"] = as_object(STATE)
            shelf[b"peer.example:PEER"] = as_object(STATE)
            shelf[b"bad.example:SPF"] = b"x"
            shelf[b"no name:SPF"] = as_object(STATE)
        found = read_reputation(path)
        identities = {identity for identity, _ in found.records}
        self.assertEqual(identities, {Identity("example.com", "SPF"), Identity("peer.example", PEER)})
        self.assertEqual(len(found.troubles), 2)

    def test_what_is_no_file_of_it(self) -> None:
        """Not there, or of another kind."""
        path = Path(self.mktemp())
        self.assertRaises(OSError, read_reputation, path)
        path.write_bytes(b"nothing of that kind")
        self.assertRaises(ValueError, read_reputation, path)
