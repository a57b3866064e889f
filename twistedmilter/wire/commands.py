"""What an MTA says, as values; octets inside, nothing decoded (milter-spec 1.3 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_pton
from typing import ClassVar, Final, NamedTuple, NoReturn

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire import letters

MAX_ARGUMENTS: Final = 100  # ESMTP arguments of one MAIL or RCPT; MTAs send fewer than ten
_IP_PREFIX: Final = "ipv6:"  # sendmail writes it, Postfix does not
_NUL: Final = b"\0"
_new: Final = tuple.__new__  # half the time of calling the class; for what comes often


class Negotiated(
    NamedTuple("Negotiated", [("version", int), ("actions", int), ("protocol", int)]),
):
    """Option negotiation is over; on the filter's side these are the numbers that hold.

    @ivar actions: bits of L{Action}. @ivar protocol: bits of L{ProtocolFlag}.
    """

    __slots__ = ()
    letter: ClassVar[int] = letters.OPTNEG


class ConnectInfo(
    NamedTuple(
        "ConnectInfo",
        [
            ("host", bytes),
            ("family", str),
            ("port", int),
            ("address", bytes),
            ("ip", IPv4Address | IPv6Address | None),
        ],
    ),
):
    """The SMTP client, as the MTA sees it.

    @ivar host: its PTR name, its address in brackets, C{localhost} or C{unknown}.
    @ivar family: C{U} unknown, C{L} unix, C{4} IPv4, C{6} IPv6.
    @ivar port: 0 in local submission and where there is none.
    @ivar address: the text as it came; a path for a unix client.
    @ivar ip: None where the text is no address (Postfix may say C{unknown}).
    """

    __slots__ = ()
    letter: ClassVar[int] = letters.CONNECT


class Helo(NamedTuple("Helo", [("name", bytes)])):
    """HELO or EHLO."""

    __slots__ = ()
    letter: ClassVar[int] = letters.HELO


class MailFrom(NamedTuple("MailFrom", [("path", bytes), ("arguments", tuple[bytes, ...])])):
    """MAIL; the path may come without brackets, and empty, in local submission."""

    __slots__ = ()
    letter: ClassVar[int] = letters.MAIL


class RcptTo(NamedTuple("RcptTo", [("path", bytes), ("arguments", tuple[bytes, ...])])):
    """RCPT; the path may come without brackets in local submission."""

    __slots__ = ()
    letter: ClassVar[int] = letters.RCPT


class Data(NamedTuple("Data", [])):
    """DATA (protocol version 4 and later)."""

    __slots__ = ()
    letter: ClassVar[int] = letters.DATA


class UnknownCommand(NamedTuple("UnknownCommand", [("line", bytes)])):
    """An SMTP command that the MTA does not know: the whole line (sendmail) or the verb (Postfix)."""

    __slots__ = ()
    letter: ClassVar[int] = letters.UNKNOWN


class HeaderFields(NamedTuple("HeaderFields", [("fields", "list[HeaderField]")])):
    """Header fields that came in one piece and owe no answer, in order; at least one."""

    __slots__ = ()
    letter: ClassVar[int] = letters.HEADER


class HeaderField(NamedTuple("HeaderField", [("name", bytes), ("value", bytes)])):
    """One header field; folds are LF and white space, and a name may hold 8-bit octets."""

    __slots__ = ()
    letter: ClassVar[int] = letters.HEADER


class EndOfHeaders(NamedTuple("EndOfHeaders", [])):
    """The header section is over."""

    __slots__ = ()
    letter: ClassVar[int] = letters.END_OF_HEADERS


class BodyChunk(NamedTuple("BodyChunk", [("octets", bytes)])):
    """Some of the body, with CRLF line ends; may be cut between CR and LF."""

    __slots__ = ()
    letter: ClassVar[int] = letters.BODY


class EndOfMessage(NamedTuple("EndOfMessage", [])):
    """The message is whole; the one moment for modifications."""

    __slots__ = ()
    letter: ClassVar[int] = letters.END_OF_MESSAGE


class Abort(NamedTuple("Abort", [])):
    """The transaction is over without a message; the connection goes on."""

    __slots__ = ()
    letter: ClassVar[int] = letters.ABORT


class Quit(NamedTuple("Quit", [])):
    """The SMTP session is over; nothing more will come."""

    __slots__ = ()
    letter: ClassVar[int] = letters.QUIT


class QuitNewConnection(NamedTuple("QuitNewConnection", [])):
    """The SMTP session is over, and another one begins on this connection."""

    __slots__ = ()
    letter: ClassVar[int] = letters.QUIT_NEW_CONNECTION


Event = (
    Negotiated
    | ConnectInfo
    | Helo
    | MailFrom
    | RcptTo
    | Data
    | UnknownCommand
    | HeaderField
    | HeaderFields
    | EndOfHeaders
    | BodyChunk
    | EndOfMessage
    | Abort
    | Quit
    | QuitNewConnection
)

_DATA: Final = Data()
_END_OF_HEADERS: Final = EndOfHeaders()
_END_OF_MESSAGE: Final = EndOfMessage()
_ABORT: Final = Abort()
_QUIT: Final = Quit()
_QUIT_NEW_CONNECTION: Final = QuitNewConnection()


def _refuse(letter: int, wrong: str, payload: bytes) -> NoReturn:
    raise ProtocolViolation(f"{letters.command_name(letter)} {wrong}", payload)


def _parse_ip(family: str, address: bytes) -> IPv4Address | IPv6Address | None:
    """The address as a value, or None: Postfix says C{unknown} where it has none (milter-spec 5)."""
    try:
        text = address.decode("ascii")
        if family == "4":
            return IPv4Address(inet_pton(AF_INET, text))
        if text[: len(_IP_PREFIX)].lower() == _IP_PREFIX:
            text = text[len(_IP_PREFIX) :]
        text = text.removeprefix("[").removesuffix("]")
        if "%" in text:  # a scope id: only the slower way keeps it
            return IPv6Address(text)
        return IPv6Address(inet_pton(AF_INET6, text))
    except (ValueError, OSError):
        return None


def _parse_connect(payload: bytes) -> ConnectInfo:
    host, nul, rest = payload.partition(_NUL)
    if not nul or not rest:
        _refuse(letters.CONNECT, "without host or family", payload)
    family = chr(rest[0])
    if family == "U":
        return ConnectInfo(host, family, 0, b"", None)
    if family not in "L46":
        _refuse(letters.CONNECT, f"with family 0x{rest[0]:02x}", payload)
    address, nul, _trailing = rest[3:].partition(_NUL)
    if not nul:
        _refuse(letters.CONNECT, "without port or address", payload)
    port = int.from_bytes(rest[1:3], "big")
    return ConnectInfo(host, family, port, address, None if family == "L" else _parse_ip(family, address))


def _parse_helo(payload: bytes) -> Helo:
    name, nul, rest = payload.partition(_NUL)
    if not nul or rest:
        _refuse(letters.HELO, "is not one string", payload)
    return _new(Helo, (name,))


def _split_path(letter: int, payload: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """A path and its ESMTP arguments.

    @raise ProtocolViolation: no final NUL, or more than L{MAX_ARGUMENTS}.
    """
    path, *arguments = payload.split(_NUL, MAX_ARGUMENTS + 1)
    if not arguments or arguments.pop():
        wrong = f"with more than {MAX_ARGUMENTS} arguments" if payload.endswith(_NUL) else "without final NUL"
        _refuse(letter, wrong, payload)
    return path, tuple(arguments)


def _parse_mail(payload: bytes) -> MailFrom:
    return _new(MailFrom, _split_path(letters.MAIL, payload))


def _parse_rcpt(payload: bytes) -> RcptTo:
    return _new(RcptTo, _split_path(letters.RCPT, payload))


def _parse_header(payload: bytes) -> HeaderField:
    try:
        name, value, nothing = payload.split(_NUL)
    except ValueError:
        _refuse(letters.HEADER, "is not two strings", payload)
    if nothing or not name:
        _refuse(letters.HEADER, "without name or final NUL", payload)
    return _new(HeaderField, (name, value))


def _parse_unknown(payload: bytes) -> UnknownCommand:
    return UnknownCommand(payload.partition(_NUL)[0])


def parse_offer(payload: bytes) -> Negotiated:
    """The three words of an OPTNEG; what follows them is ignored here.

    @raise ProtocolViolation: fewer than 12 octets.
    """
    if len(payload) < 12:
        _refuse(letters.OPTNEG, f"of {len(payload)} octets, at least 12 are needed", payload)
    word = int.from_bytes
    return Negotiated(word(payload[:4], "big"), word(payload[4:8], "big"), word(payload[8:12], "big"))


PARSERS: Final[dict[int, Callable[[bytes], Event]]] = {
    letters.OPTNEG: parse_offer,
    letters.CONNECT: _parse_connect,
    letters.HELO: _parse_helo,
    letters.MAIL: _parse_mail,
    letters.RCPT: _parse_rcpt,
    letters.DATA: lambda _payload: _DATA,
    letters.UNKNOWN: _parse_unknown,
    letters.HEADER: _parse_header,
    letters.END_OF_HEADERS: lambda _payload: _END_OF_HEADERS,
    letters.BODY: BodyChunk,
    letters.END_OF_MESSAGE: lambda _payload: _END_OF_MESSAGE,
    letters.ABORT: lambda _payload: _ABORT,
    letters.QUIT: lambda _payload: _QUIT,
    letters.QUIT_NEW_CONNECTION: lambda _payload: _QUIT_NEW_CONNECTION,
}
"""The payload parser of each command but MACRO, whose payload is kept raw; each raises only ProtocolViolation."""


def parse_command(letter: int, payload: bytes) -> Event:
    """The value of one command; for OPTNEG the offer.

    The last body octets in an END-OF-MESSAGE are the session's business; MACRO is not an event.

    @raise ProtocolViolation: an unknown letter or a malformed payload.
    """
    parse = PARSERS.get(letter)
    if parse is None:
        raise ProtocolViolation(f"unknown {letters.command_name(letter)}", payload)
    return parse(payload)
