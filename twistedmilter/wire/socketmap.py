"""The socketmap protocol of sendmail 8.13 and Postfix 2.10: what stands in its netstrings (gossip-srs-dns-spec 5.1).

A request is C{MAP SP KEY}, a reply C{STATUS SP VALUE}.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from msgspec import Struct

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.netstring import encode_netstring

MAX_REPLY: Final = 2_048  # octets; sendmail takes 1,000,000 and Postfix 100,000


class Status(Enum):
    """What became of a lookup."""

    OK = b"OK"
    NOTFOUND = b"NOTFOUND"
    TEMP = b"TEMP"
    TIMEOUT = b"TIMEOUT"
    PERM = b"PERM"


class Request(NamedTuple):
    """One lookup.

    @ivar map_name: as it was asked for. @ivar key: None if there was none at all.
    """

    map_name: bytes
    key: bytes | None


class Reply(Struct, frozen=True):
    """An answer.

    @ivar text: the value, or the reason; at most L{MAX_REPLY} octets, without line ends.
    """

    status: Status
    text: bytes = b""

    @property
    def payload(self) -> bytes:
        """What stands in the netstring: the blank is always there, since sendmail crashes on a bare C{OK}."""
        return self.status.value + b" " + self.text[:MAX_REPLY]


def found(value: bytes) -> Reply:
    """A value; an empty one is none, since sendmail cannot take it."""
    return Reply(Status.OK, value) if value else Reply(Status.NOTFOUND)


def not_found(reason: str = "") -> Reply:
    """No entry. @param reason: for the log of Postfix; sendmail does not read it."""
    return Reply(Status.NOTFOUND, reason.encode("ascii", "replace"))


INVALID_QUERY: Final = Reply(Status.PERM, b"Invalid query.")
INVALID_MAP: Final = Reply(Status.PERM, b"Invalid map.")
TOO_BIG: Final = Reply(Status.PERM, b"Too big.")
INTERNAL: Final = Reply(Status.TEMP, b"Internal error.")


def parse_request(payload: bytes) -> Request:
    """What a client asks; any octets can be read."""
    map_name, blank, key = payload.partition(b" ")
    return Request(map_name, key if blank else None)


def encode_request(map_name: bytes, key: bytes) -> bytes:
    """A request on the wire."""
    return encode_netstring(map_name + b" " + key)


def encode_reply(reply: Reply) -> bytes:
    """A reply on the wire."""
    return encode_netstring(reply.payload)


def parse_reply(payload: bytes) -> Reply:
    """What a server answers.

    @raise ProtocolViolation: it begins with no known status.
    """
    word, _, text = payload.partition(b" ")
    try:
        return Reply(Status(word), text)
    except ValueError:
        raise ProtocolViolation("a reply begins with no status", payload) from None
