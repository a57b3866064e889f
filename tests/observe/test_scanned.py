"""Tests of L{twistedmilter.observe.scanned}."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observe.records import connection, full_record, record
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.transaction import Connection
from twistedmilter.observe.record_dict import record_to_dict
from twistedmilter.observe.scanned import KEPT, LONGEST_TEST_ID, TEST_ID, ScannedRecords


def scanning(number: int, name: str | None, *, is_test: bool = True) -> Connection:
    """A connection whose MTA gives this macro."""
    made = connection({} if name is None else {TEST_ID: name}, is_test=is_test)
    made.number = number
    return made


class ScannedRecordsTests(SynchronousTestCase):
    """What is kept, for whom, and how long."""

    def setUp(self) -> None:
        """Nothing was scanned yet."""
        self.scanned = ScannedRecords()

    def asked(self, name: object) -> Any:
        """The answer as the control socket sends it."""
        return json.loads(msgspec.json.encode(self.scanned.answer({"test_id": name})))

    def scan(self, number: int, name: str | None, **fields: Any) -> None:
        """One connection with one message."""
        self.scanned.connected(scanning(number, name))
        self.scanned.ended(record(connection=number, is_test=True, **fields))
        self.scanned.disconnected(scanning(number, name))

    def test_interface(self) -> None:
        """It can be told like every observer."""
        self.assertTrue(verifyObject(IObserver, self.scanned))

    def test_the_record_of_a_name(self) -> None:
        """Each scan gets its own, whole, after its connection is closed."""
        self.scan(1, "one", id="first")
        self.scanned.connected(scanning(2, "two"))
        self.scanned.ended(full := msgspec.structs.replace(full_record(), connection=2, is_test=True))
        self.assertEqual("first", self.asked("one")["id"])
        self.assertEqual(json.loads(msgspec.json.encode(record_to_dict(full))), self.asked("two"))

    def test_octets_that_are_no_text(self) -> None:
        """A record with them can be sent."""
        self.scan(1, "one", helo="\udcff")
        self.assertEqual("\\xff", self.asked("one")["helo"])

    def test_the_last_of_a_connection(self) -> None:
        """A second message takes the place of the first."""
        self.scanned.connected(scanning(1, "one"))
        for reference in ("first", "second"):
            self.scanned.ended(record(connection=1, id=reference))
        self.assertEqual("second", self.asked("one")["id"])

    def test_who_is_not_kept(self) -> None:
        """Mail is not, whatever its MTA says; nor is a test without a name, or with one of any length."""
        self.scanned.connected(scanning(1, "one", is_test=False))
        self.scanned.ended(record(connection=1))
        long = "x" * (LONGEST_TEST_ID + 1)
        for name in (None, "", long):
            self.scan(2, name)
        self.assertEqual([None] * 4, [self.asked(name) for name in ("one", "", long, 7)])
        self.assertIsNone(self.scanned.answer({}))

    def test_a_number_that_returns(self) -> None:
        """A name ends with its connection."""
        self.scan(1, "one", id="first")
        self.scanned.ended(record(connection=1, id="mail"))
        self.assertEqual("first", self.asked("one")["id"])

    def test_bounds(self) -> None:
        """The oldest goes when there are too many."""
        for number in range(KEPT + 1):
            self.scan(number, f"scan {number}")
        kept = [self.asked(f"scan {number}") is not None for number in range(KEPT + 1)]
        self.assertEqual([False] + [True] * KEPT, kept)
