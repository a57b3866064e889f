"""Notifications as messages: multipart/report of RFC 3464 and RFC 6522, for the sender of a message.

Pure: the time, the Message-ID and the token come in as arguments, and the same arguments give the same octets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import formatdate
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from twistedmilter import __version__
from twistedmilter.wire.smtp_replies import quotable

MAX_HEADERS: Final = 50_000  # octets of the header section that is sent back (reliability C12)
MAX_RECIPIENTS: Final = 50  # that are named
WIDTH: Final = 76  # characters of a line that needs no encoding

# RFC 3834 section 5: a comment may say more
_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {"neutral": "sender verification", "quarantine": "content analysis"}
)
# RFC 7372 section 3; a delay has a status of 4 (RFC 3464 section 2.3.4)
_STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fail": "4.7.23",
        "heloerror": "4.7.23",
        "neutral": "4.7.23",
        "permerror": "4.7.24",
        "quarantine": "4.7.0",
        "softfail": "4.7.23",
        "strike3": "4.7.25",
        "temperror": "4.7.24",
    }
)


class ToldRecipient(Struct, frozen=True):
    """A recipient whose delivery waits.

    @ivar original: the ORCPT parameter as it came, C{rfc822;bob@example.com}, or empty.
    """

    address: str
    original: str = ""


class Notice(Struct, frozen=True):
    """What is told.

    @ivar template: the name of its text. @ivar subject: filled in. @ivar text: filled in; lines end in LF.
    @ivar to: whom it is for, as C{local@domain}, ASCII. @ivar receiver: our own host name.
    @ivar reason: why, on one line; may quote hostile text.
    @ivar arrival: when the message came. [seconds since the epoch]
    @ivar fields: further header fields.
    @ivar envelope_id: the ENVID parameter of MAIL, or empty.
    @ivar headers: the header section of the message, as names and values with LF folds; goes back to its sender.
    """

    template: str
    subject: str
    text: str
    to: Sequence[str]
    receiver: str
    reason: str
    arrival: float
    helo: str = ""
    client_ip: str = ""
    recipients: Sequence[ToldRecipient] = ()
    fields: Sequence[tuple[str, str]] = ()
    envelope_id: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()


def status_of(template: str) -> str:
    """The enhanced status code that a notification has."""
    return _STATUS.get(template, "4.7.1")


def build_report(notice: Notice, *, date: float, message_id: str, token: str = "") -> bytes:
    """The message, ASCII, each line with CRLF and at most 998 octets.

    @param date: now. [seconds since the epoch]
    @param message_id: without angle brackets; not to be guessed, since the boundary is made of it.
    @param token: a signed sender, that a bounce of this message brings back (seed-spec G20).
    """
    report = MIMEMultipart(
        "report", boundary=_boundary(message_id), policy=compat32.clone(linesep="\r\n", max_line_length=None)
    )
    report.set_param("report-type", "delivery-status")
    for name, value in _fields(notice, date, message_id, token):
        report[name] = value
    report.attach(_text(notice.text, "plain"))
    report.attach(_delivery_status(notice))
    report.attach(_text(_header_section(notice.headers), "rfc822-headers"))
    return b"\r\n".join([*report.as_bytes().splitlines(), b""])


def _boundary(message_id: str) -> str:
    return f"=_{sha256(message_id.encode('utf-8')).hexdigest()[:40]}"


def _fields(notice: Notice, date: float, message_id: str, token: str) -> list[tuple[str, str]]:
    mailer = f"twistedmilter/{__version__}"
    postmaster = f"postmaster@{notice.receiver}"
    tracked = [("Sender", f"{token} <{postmaster}>")] if token else []
    return [
        ("Date", formatdate(date)),
        ("From", postmaster),
        *tracked,
        ("To", ", ".join(notice.to)),
        ("Subject", _encoded(notice.subject)),
        ("Message-ID", f"<{message_id}>"),
        ("Auto-Submitted", f"auto-replied ({_REASONS.get(notice.template, 'configuration error')})"),
        ("X-Mailer", f"{mailer} ({token})" if token else mailer),
        *((name, _encoded(value)) for name, value in notice.fields),
    ]


def _encoded(value: str) -> str:
    """A field's value on lines of its own making; what is not ASCII as encoded words (RFC 2047)."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in value).split())[:400]
    return Header(plain, None if plain.isascii() else "utf-8", maxlinelen=WIDTH).encode(linesep="\r\n")


def _text(text: str, subtype: str) -> Message:
    if text.isascii() and all(len(line) <= WIDTH for line in text.split("\n")):
        return MIMEText(text, subtype, "us-ascii")
    charset = Charset("utf-8")
    charset.body_encoding = QP
    part = MIMEText("", subtype, "us-ascii")
    del part["Content-Transfer-Encoding"]
    part.set_payload(text.encode("utf-8", "replace").decode("utf-8"), charset)
    return part


def _delivery_status(notice: Notice) -> Message:
    """RFC 3464 section 2: fields about the message, then some about each recipient."""
    about = Message()
    about["Reporting-MTA"] = f"dns; {notice.receiver}"
    if notice.envelope_id:
        about["Original-Envelope-Id"] = quotable(notice.envelope_id, 100)
    if notice.helo or notice.client_ip:
        about["Received-From-MTA"] = f"dns; {quotable(notice.helo, 255) or 'unknown'} ({notice.client_ip})"
    about["Arrival-Date"] = formatdate(notice.arrival)
    part = Message()
    part["Content-Type"] = "message/delivery-status"
    part.set_payload([about, *(_recipient(notice, each) for each in notice.recipients[:MAX_RECIPIENTS])])
    return part


def _recipient(notice: Notice, recipient: ToldRecipient) -> Message:
    about = Message()
    if recipient.original:
        about["Original-Recipient"] = quotable(recipient.original, 500)
    about["Final-Recipient"] = f"rfc822; {quotable(recipient.address, 320)}"
    about["Action"] = "delayed"
    about["Status"] = status_of(notice.template)
    about["Diagnostic-Code"] = f"x-twistedmilter; {quotable(notice.reason)}"
    return about


def _header_section(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The header section of the message as text, cut at a field; octets that are no UTF-8 are replaced."""
    lines: list[str] = []
    room = MAX_HEADERS
    for name, value in headers:
        octets = name + b": " + value.lstrip(b" ").replace(b"\r", b"").replace(b"\0", b"?")
        room -= len(octets)
        if room < 0:
            break
        lines.append(octets.decode("utf-8", "replace"))
    return "\n".join([*lines, ""])
