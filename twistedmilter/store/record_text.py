"""A record as text, for a store."""

from __future__ import annotations

import json

from msgspec.json import Encoder

from twistedmilter.model.record import Record
from twistedmilter.observe.record_dict import record_to_dict

_ENCODER = Encoder()


def record_text(record: Record) -> str:
    """The record in the shape of the JSON log."""
    fields = record_to_dict(record)
    try:
        return _ENCODER.encode(fields).decode()
    except UnicodeEncodeError:  # a lone surrogate, for an octet that is no text
        return json.dumps(fields)
