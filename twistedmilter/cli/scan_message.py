"""Messages to be scanned: read from files and mboxes, with the envelope that they tell of themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from ipaddress import ip_address
from pathlib import Path
from typing import IO

from twistedmilter.model.stage import Role
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.received import believed_networks, find_real_client

MBOX_START = b"From "
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_LOOPBACK = "127.0.0.1"
_SOMEBODY = "somebody@localhost"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as an SMTP client would send it.

    @ivar label: where it comes from, e.g. C{inbox.mbox:3}.
    @ivar fields: header fields, names as written, values with LF folds and without the leading blank.
    @ivar body: octets with CRLF line ends.
    @ivar sender: the mbox's own note of the reverse-path, or empty.
    @ivar size: octets in the file, for progress.
    """

    label: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    sender: str = ""
    size: int = 0

    def values(self, name: str) -> list[str]:
        """The values of one field, the topmost first."""
        wanted = name.lower().encode()
        return [value.decode("utf-8", "surrogateescape").strip() for key, value in self.fields if key.lower() == wanted]


def parse_message(octets: bytes, label: str = "-") -> Message:
    """A message from octets with any line ends.

    The first line that is neither a field nor its continuation begins the body, as in sendmail.
    """
    lines = octets.replace(b"\r\n", b"\n").split(b"\n")
    sender = ""
    start = 0
    if lines[0].startswith(MBOX_START):
        sender, start = _mbox_sender(lines[0]), 1
    fields: list[tuple[bytes, bytes]] = []
    for index in range(start, len(lines)):
        line = lines[index]
        if line[:1] in {b" ", b"\t"} and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line)
        elif match := _FIELD.fullmatch(line):
            fields.append((match[1], match[2].removeprefix(b" ")))
        else:
            start = index if line else index + 1
            break
    else:
        start = len(lines)
    return Message(label, tuple(fields), b"\r\n".join(lines[start:]), sender, len(octets))


def _mbox_sender(line: bytes) -> str:
    """The address of an mbox's From line; MAILER-DAEMON stands for the null reverse-path."""
    words = line.decode("utf-8", "surrogateescape").split()
    sender = words[1] if len(words) > 1 else ""
    return "" if sender == "MAILER-DAEMON" or "@" not in sender else sender


def read_messages(paths: Sequence[str]) -> Iterator[Message]:
    """All messages of files and mboxes, one after the other; C{-} is the standard input.

    @raise OSError: a file cannot be read.
    """
    for path in paths:
        if path == "-":
            yield from _messages_of(sys.stdin.buffer, "stdin")
        else:
            with Path(path).open("rb") as file:
                yield from _messages_of(file, path)


def _messages_of(file: IO[bytes], label: str) -> Iterator[Message]:
    """The one message of a file, or those of an mbox, which is a file that begins with C{From }."""
    first = file.readline()
    if not first.startswith(MBOX_START):
        yield parse_message(first + file.read(), label)
        return
    for number, octets in enumerate(_split_mbox(first, file), 1):
        yield parse_message(octets, f"{label}:{number}")


def _split_mbox(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    """The messages of an mbox (mboxrd): each begins with C{From } after an empty line."""
    lines = [first]
    for line in rest:
        if line.startswith(MBOX_START) and lines[-1].strip() == b"":
            yield b"".join(lines[:-1])
            lines = []
        lines.append(line[1:] if re.match(rb">+From ", line) else line)
    yield b"".join(lines)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says of the envelope; None where it is silent."""

    client_ip: IPAddress | None = None
    client_name: str | None = None
    helo: str | None = None
    mail_from: str | None = None
    recipients: tuple[str, ...] = ()
    auth: str | None = None
    role: Role = Role.INBOUND


@dataclass(frozen=True, slots=True)
class Envelope:
    """With what a message is shown to the checks.

    @ivar auth: the authenticated user, or empty.
    """

    client_ip: IPAddress
    client_name: str
    helo: str
    mail_from: str
    recipients: tuple[str, ...]
    auth: str = ""
    role: Role = Role.INBOUND


def derive(message: Message, given: Given) -> tuple[Message, Envelope]:
    """The message as its client sent it, and its envelope.

    What is not given is taken from the message: the client from the first Received field that names a public
    address, and then this field and all above it are left out, for they were written later; the reverse-path from
    Return-Path, the mbox or From; the recipient from Delivered-To or To.
    """
    real = None
    if given.client_ip is None:
        real = find_real_client(message.values("Received"), believed_networks())
    ip = given.client_ip or (real.ip if real is not None else ip_address(_LOOPBACK))
    name = given.client_name or (real.name if real is not None else "")
    name = name or ("localhost" if ip.is_loopback else f"[{ip}]")
    helo = given.helo if given.helo is not None else (real.helo if real is not None else "") or name
    envelope = Envelope(
        client_ip=ip,
        client_name=name,
        helo=helo,
        mail_from=given.mail_from if given.mail_from is not None else _sender(message),
        recipients=given.recipients or (_recipient(message),),
        auth=given.auth or "",
        role=given.role,
    )
    return (message if real is None else _below(message, real.received_index)), envelope


def _sender(message: Message) -> str:
    return_path = message.values("Return-Path")
    if return_path:
        return return_path[0]
    return message.sender or _first_address(message.values("From"))


def _recipient(message: Message) -> str:
    for name in ("Delivered-To", "X-Original-To", "To"):
        address = _first_address(message.values(name))
        if address:
            return address
    return _SOMEBODY


def _first_address(values: list[str]) -> str:
    return next((address for _name, address in getaddresses(values) if "@" in address), "")


def _below(message: Message, index: int) -> Message:
    """The message without a Received field and what stands above it.

    @param index: which Received field, 0 the topmost.
    """
    positions = [at for at, (name, _value) in enumerate(message.fields) if name.lower() == b"received"]
    fields = message.fields[positions[index] + 1 :]
    return Message(message.label, fields, message.body, message.sender, message.size)
