"""A record as JSON text, for the log and for a store."""

from __future__ import annotations

import json

from msgspec.json import Encoder

from twistedmilter.model.record import Record
from twistedmilter.observe.record_dict import record_fields, record_to_dict

_ENCODER = Encoder()


def record_text(record: Record) -> str:
    """The record in the shape of docs/log.md; not sanitised, not shortened."""
    try:
        return _ENCODER.encode(record_fields(record)).decode()
    except UnicodeEncodeError:  # a lone surrogate, for an octet that is no text
        return json.dumps(record_to_dict(record))


class RecordTexts:
    """The same, made once for several who want the text of the last record one after the other."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._last: Record | None = None
        self._text = ""

    def __call__(self, record: Record) -> str:
        """See L{record_text}."""
        if record is not self._last:
            self._text = record_text(record)
            self._last = record
        return self._text
