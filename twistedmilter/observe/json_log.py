"""One JSON object a line, keys as docs/log.md tells them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import to_builtins
from msgspec.json import Encoder
from zope.interface import implementer

from twistedmilter.interfaces.observers import ILog
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.observe.flood import FloodGate
from twistedmilter.observe.record_dict import record_fields
from twistedmilter.observe.record_text import record_text
from twistedmilter.observe.sanitise import MAX_FIELD, MAX_LINE

_LISTS = ("modifications", "evidence", "outcomes", "auth_results", "marks", "recipients")
SHORTEN_OVER = MAX_LINE // 2  # octets; most lines are shorter, and looking at every text costs more than the rest
_LISTS_KEPT = (32, 8, 2, 0)  # entries kept of each list, tried until the line fits
_ENCODER = Encoder()
_NOT_TEXT = re.compile("[\ud800-\udfff]")


@implementer(ILog)
class JsonLog:
    """Writes one object for each message, for each connection that brought none, and for each trouble.

    @param write: takes one line without its line end.
    @param wall: seconds since the epoch.
    @param text_of: gives a record as text.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        wall: Callable[[], float],
        text_of: Callable[[Record], str] = record_text,
    ) -> None:
        self._write = write
        self._wall = wall
        self._text_of = text_of
        self._gate = FloodGate(wall)
        self._silent: set[int] = set()

    def started(self, version: str) -> None:
        """The event C{start}."""
        self._event("start", version=version)

    def stopped(self) -> None:
        """The event C{stop}."""
        self.tell_suppressed(at_end=True)
        self._event("stop")

    def connected(self, connection: Connection) -> None:
        """No line: its messages tell of the connection, else its end does."""
        self._silent.add(connection.number)

    def _tell_connection(self, connection: Connection) -> None:
        client = connection.client
        self._event(
            "connection",
            connection=connection.number,
            listener=connection.listener,
            role=connection.role.value,
            client_ip=str(client.ip) if client.ip is not None else "",
            client_name=client.name,
            client_port=client.port,
            client_class=connection.client_class.value,
            class_reason=connection.class_reason,
            is_test=connection.is_test,
        )

    def greeted(self, connection: Connection) -> None:
        """No line: the message tells it."""

    def mail_began(self, transaction: Transaction) -> None:
        """No line: the message tells it."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """No line: the message tells it."""

    def ended(self, record: Record) -> None:
        """The event C{message}: the whole record."""
        self._silent.discard(record.connection)
        text = self._text_of(record)
        # as most are: short, and of US-ASCII, of which the encoder leaves only DEL that is not printable
        if len(text) < SHORTEN_OVER and text.isascii() and "\x7f" not in text and "\\u" not in text:
            self._write(f'{{"event":"message",{text[1:]}')
        else:
            self._write(json_line({"event": "message", **record_fields(record)}))

    def disconnected(self, connection: Connection) -> None:
        """The event C{connection}, if no message told of it."""
        if connection.number in self._silent:
            self._silent.remove(connection.number)
            self._tell_connection(connection)

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """The event C{trouble}."""
        self.tell_suppressed()
        if self._gate.admits(where):
            self._event("trouble", id=transaction_id, where=where, problem=problem)

    def lines_lost(self, count: int) -> None:
        """The event C{trouble}, with C{lost}."""
        self._event("trouble", id="", where="log", problem=f"{count} lines were lost", lost=count)

    def tell_suppressed(self, *, at_end: bool = False) -> None:
        """The event C{trouble}, with C{suppressed}, for each place whose second is over.

        @param at_end: the running second counts as over.
        """
        for where, count in self._gate.suppressed(at_end=at_end):
            self._event("trouble", id="", where=where, problem=f"suppressed {count} more", suppressed=count)

    def _event(self, event: str, **fields: object) -> None:
        self._write(json_line({"event": event, "time": self._wall(), **fields}))


def json_line(event: dict[str, object]) -> str:
    """An event as one printable line of at most L{MAX_LINE} octets.

    In a line over L{SHORTEN_OVER} octets, text longer than L{MAX_FIELD} characters ends in C{...}.  When it is still
    too long, lists are shortened and named under C{shortened}.
    """
    line = encode(event)
    if len(line) <= SHORTEN_OVER and (line.isascii() or len(line.encode()) <= SHORTEN_OVER):
        return line
    event = to_builtins(event)
    _shorten(event)
    line = encode(event)
    for kept in _LISTS_KEPT:
        if len(line) <= MAX_LINE and (line.isascii() or len(line.encode()) <= MAX_LINE):
            return line
        too_long = [name for name in _LISTS if isinstance(value := event.get(name), list) and len(value) > kept]
        event.update({name: event[name][:kept] for name in too_long})  # type: ignore[index]
        event["shortened"] = sorted({*event.get("shortened", ()), *too_long})  # type: ignore[misc]
        line = encode(event)
    return line


def encode(value: object) -> str:
    r"""JSON on one line in which everything is printable: the rest is C{\uNNNN}.

    Octets that were not UTF-8 (surrogate escapes) become the text C{\xNN}: JSON has no octets.
    """
    try:
        octets = _ENCODER.encode(value)
    except UnicodeEncodeError:
        octets = _ENCODER.encode(_without_surrogates(to_builtins(value)))
    text = octets.decode()
    # of US-ASCII the encoder leaves only DEL that is not printable; to ask for more takes as long as to encode
    is_printable = (octets.isascii() and b"\x7f" not in octets) or text.isprintable()
    return text if is_printable else "".join(map(_escape, text))


def _escape(char: str) -> str:
    """Outside of strings JSON is printable, so whatever is not stands in a string and may be escaped."""
    if char.isprintable():
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return _NOT_TEXT.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(each) for each in value]
    return value


def _shorten(fields: dict[str, Any]) -> None:
    """Cut all text that is over the limit, in place: a record's values are seldom long, and copying costs more."""
    for name, value in fields.items():
        kind = type(value)
        if kind is str:
            if len(value) > MAX_FIELD:
                fields[name] = _short(value)
        elif kind is dict:
            _shorten(value)
        elif kind is list:
            for index, each in enumerate(value):
                if type(each) is dict:
                    _shorten(each)
                elif type(each) is str:
                    value[index] = _short(each)


def _short(text: str) -> str:
    return text if len(text) <= MAX_FIELD else text[: MAX_FIELD - 3] + "..."
