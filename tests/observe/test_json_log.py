"""Tests of L{twistedmilter.observe.json_log} and of the shape that docs/log.md promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observe.records import connection, full_record, record, refusal
from twistedmilter.interfaces.observers import ILog
from twistedmilter.model.modification import (
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    Quarantine,
)
from twistedmilter.model.record import RecipientRecord
from twistedmilter.model.transaction import Evidence
from twistedmilter.observe.json_log import JsonLog
from twistedmilter.observe.record_dict import modification_to_dict, record_to_dict

MANUAL = Path(__file__).parents[2] / "docs" / "log.md"
ALL_CHANGES = (
    ChangeHeader("Subject", 1, "x"),
    DeleteHeader("Subject", 1),
    AddRecipient("a@b", ("NOTIFY=NEVER",)),
    DeleteRecipient("a@b"),
    ChangeSender("a@b"),
    Quarantine("odd"),
)


def keys(value: Any, prefix: str = "") -> Iterator[str]:
    """Every key below a value in the notation of the manual: C{a.b}, C{list[].key}."""
    if isinstance(value, dict):
        for name, each in value.items():
            key = f"{prefix}.{name}" if prefix else name
            yield key
            if name != "properties":
                yield from keys(each, key)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                yield from keys(each, f"{prefix}[]")


def documented() -> set[str]:
    """The keys of the manual's table of messages."""
    _, _, rest = MANUAL.read_text().partition("<!-- message keys")
    table, _, _ = rest.partition("<!-- end of message keys")
    return set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))


class JsonCase(SynchronousTestCase):
    """A log that keeps its lines."""

    def setUp(self) -> None:
        """Events at the second 1000.5."""
        self.lines: list[str] = []
        self.log = JsonLog(self.lines.append, lambda: 1000.5)

    def events(self) -> list[dict[str, Any]]:
        """The lines, read back."""
        return [json.loads(line) for line in self.lines]


class ManualTests(SynchronousTestCase):
    """docs/log.md is the promise."""

    def test_every_key_is_documented_and_exists(self) -> None:
        """The manual's table and a record with everything in it have the same keys."""
        full = full_record()
        found = set(keys(record_to_dict(replace(full, modifications=(*full.modifications, *ALL_CHANGES)))))
        optional = {f"outcomes[].{name}" for name in ("subject_tag", "details")}
        self.assertEqual(set(), found - documented())
        self.assertEqual(set(), documented() - found - optional)

    def test_every_event_key_is_documented(self) -> None:
        """The other events have no key that the manual does not name."""
        lines: list[str] = []
        log = JsonLog(lines.append, lambda: 1.0)
        log.started("1")
        log.connected(connection())
        log.disconnected(connection())
        for _ in range(12):
            log.trouble("a", "b", "c")
        log.stopped()
        names = set(re.findall(r"^\| `([^`]+)` \|", MANUAL.read_text(), re.MULTILINE))
        for line in lines:
            self.assertEqual(set(), set(keys(json.loads(line))) - names)

    def test_kinds(self) -> None:
        """Each kind of change is one that the manual names."""
        row = next(line for line in MANUAL.read_text().splitlines() if line.startswith("| `modifications[].kind`"))
        for change in (*ALL_CHANGES, *full_record().modifications):
            self.assertIn(f"`{modification_to_dict(change)['kind']}`", row)


class EventTests(JsonCase):
    """One object a line."""

    def test_the_log_is_one(self) -> None:
        """It has every method of the interface."""
        verifyObject(ILog, self.log)

    def test_message(self) -> None:
        """The whole record with decision, reason and codes."""
        self.log.ended(full_record())
        (event,) = self.events()
        self.assertEqual("message", event["event"])
        self.assertEqual(
            ("refuse", "spf-fail", 550, "5.7.23", "mail"),
            tuple(event["decision"][key] for key in ("verdict", "code", "reply_code", "status", "stage")),
        )
        self.assertEqual(1.235, event["outcomes"][0]["milliseconds"])
        self.assertIsNone(event["outcomes"][2]["verdict"])
        self.assertEqual({"smtp.mailfrom": "b.example"}, event["auth_results"][0]["properties"])
        self.assertEqual({"kind": "replace_body", "octets": 5}, event["modifications"][2])

    def test_nobody_objected(self) -> None:
        """The decision is continue, by nobody, with no reason."""
        self.log.ended(record())
        self.assertEqual(
            {"verdict": "continue", "check": "default", "stage": "end-of-message"}, self.events()[0]["decision"]
        )

    def test_start_stop_and_a_connection_without_a_message(self) -> None:
        """The other events carry their time and their keys."""
        self.log.started("1.0")
        self.log.connected(connection())
        self.log.disconnected(connection())
        self.log.stopped()
        start, connect, stop = self.events()
        self.assertEqual({"event": "start", "time": 1000.5, "version": "1.0"}, start)
        self.assertEqual(("1.2.3.4", 46513, 12), tuple(connect[k] for k in ("client_ip", "client_port", "connection")))
        self.assertEqual("stop", stop["event"])

    def test_a_message_tells_of_its_connection(self) -> None:
        """A connection that brought one has no line of its own."""
        self.log.connected(connection())
        self.log.ended(record(connection=connection().number))
        self.log.disconnected(connection())
        self.assertEqual(["message"], [event["event"] for event in self.events()])

    def test_a_flood_of_trouble_is_counted(self) -> None:
        """O2: ten lines a second for one place, then a number."""
        for _ in range(25):
            self.log.trouble("", "wire", "bad frame")
        self.log.stopped()
        self.assertEqual(12, len(self.lines))
        self.assertEqual(15, self.events()[10]["suppressed"])

    def test_a_gap(self) -> None:
        """Lost lines are a trouble with a number."""
        self.log.lines_lost(7)
        (event,) = self.events()
        self.assertEqual(("trouble", "log", 7), (event["event"], event["where"], event["lost"]))


class HostileTests(JsonCase):
    """O1 for JSON."""

    @given(st.text(alphabet=st.characters(), max_size=400), st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
    def test_one_event_is_one_line_that_parses(self, hostile: str, text: str) -> None:
        """Whatever comes is one printable line of valid JSON, and text is read back as it was."""
        self.lines.clear()
        self.log.ended(record(helo=hostile, message_id=text, decision=refusal("spf-fail", hostile)))
        (line,) = self.lines
        self.assertTrue(line.isprintable())
        self.assertEqual(text, json.loads(line)["message_id"])

    def test_octets_that_are_not_utf_8(self) -> None:
        """JSON has no octets: they are told as text."""
        self.log.ended(record(helo=b"\xff\xfe".decode("utf-8", "surrogateescape")))
        self.assertEqual(r"\xff\xfe", self.events()[0]["helo"])

    def test_a_long_field_ends_in_dots(self) -> None:
        """In a line over 4 KiB, 256 characters of a field are kept; a shorter line is whole."""
        self.log.ended(record(helo="x" * 300))
        self.assertEqual("x" * 300, self.events()[0]["helo"])
        self.lines.clear()
        self.log.ended(record(helo="x" * 300, client_name="y" * 4096))
        self.assertEqual("x" * 253 + "...", self.events()[0]["helo"])

    def test_a_line_has_8_kib(self) -> None:
        """Lists are shortened until the line fits, and named."""
        many = tuple(RecipientRecord(f"{n}@y.example", "continue") for n in range(1000))
        evidence = tuple(Evidence("spf", "record", "\u202e" * 250) for _ in range(20))
        self.log.ended(record(recipients=many, evidence=evidence))
        (line,) = self.lines
        self.assertLessEqual(len(line.encode()), 8192)
        event = json.loads(line)
        self.assertEqual(["evidence", "recipients"], event["shortened"])
        self.assertEqual({"address": "0@y.example", "verdict": "continue", "code": ""}, event["recipients"][0])
