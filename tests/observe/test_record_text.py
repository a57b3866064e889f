"""A record as text."""

from __future__ import annotations

import json

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.observe.records import full_record
from twistedmilter.observe.json_log import JsonLog
from twistedmilter.observe.record_dict import record_to_dict
from twistedmilter.observe.record_text import RecordTexts, record_text


class RecordTextTests(SynchronousTestCase):
    """One shape, whoever asks."""

    def test_it_is_the_record(self) -> None:
        """Read back, it is what the manual tells, octets that are no text included."""
        for record in (full_record(), replace(full_record(), helo="a\x7f\u202e", client_name="caf\udce9")):
            self.assertEqual(json.loads(record_text(record)), record_to_dict(record))

    def test_made_once(self) -> None:
        """Of the last record; another one has its own."""
        texts, first, second = RecordTexts(), full_record(), replace(full_record(), id="other")
        self.assertIs(texts(first), texts(first))
        self.assertEqual((texts(second), texts(first)), (record_text(second), record_text(first)))

    def test_the_log_has_the_same(self) -> None:
        """A line of the log is the text with its event, where the text may stand in a line."""
        for helo in ("mx.example", "m\x07x", "m\x7fx", "m\u202ex", "caf\udce9", "\\ud800"):
            lines: list[str] = []
            record = replace(full_record(), helo=helo)
            JsonLog(lines.append, lambda: 1.0).ended(record)
            (line,) = lines
            self.assertTrue(line.isprintable())
            written = json.loads(line)
            self.assertEqual(written.pop("event"), "message")
            self.assertEqual(written, record_to_dict(replace(record, helo=helo.replace("\udce9", "\\xe9"))))
