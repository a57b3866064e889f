"""A model of an MTA, small enough to read: SMTP commands in, milter commands to the filter, its answers obeyed.

It does what sendmail and Postfix have in common (milter-spec 3.2, 3.4 and 4); where they differ a session says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from tests.integration.certificates import AUTHORITY, CLIENT
from tests.integration.memory_link import MilterLink
from tests.integration.sandbox import HOST_NAME
from tests.integration.smtp_dialogue import LOST, Reply
from tests.integration.smtp_sink import Delivered
from twistedmilter.model.modification import (
    AddHeader,
    ChangeHeader,
    DeleteHeader,
    InsertHeader,
    Modification,
    Quarantine,
    ReplaceBody,
    encode,
)
from twistedmilter.wire import letters
from twistedmilter.wire.frames import MAX_PAYLOAD
from twistedmilter.wire.parsed_replies import ParsedReply

Field = tuple[bytes, bytes]
_OK = Reply(250, "2.0.0", "Ok")
_BAD_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
_REFUSALS = {
    letters.REJECT: Reply(550, "5.7.1", "Command rejected"),
    letters.TEMPFAIL: Reply(451, "4.7.1", "Service unavailable - try again later"),
}


def refusal_of(answer: ParsedReply | None) -> Reply | None:
    """The SMTP reply of a refusal; None when the mail goes on."""
    if answer is None:
        return None
    if answer.letter == letters.REPLY_CODE:
        return Reply(answer.code, answer.status, " ".join(answer.lines))
    return _REFUSALS.get(answer.letter)


def split_message(content: bytes) -> tuple[list[Field], bytes]:
    """Header fields, values with their leading blank and folds as LF, and the body."""
    section, _, body = content.partition(b"\r\n\r\n")
    fields: list[Field] = []
    for line in section.removesuffix(b"\r\n").split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b"\n" + line)
        else:
            name, _, value = line.partition(b":")
            fields.append((name, value))
    return fields, body


def modified(own: Field, fields: list[Field], body: bytes, changes: Iterable[Modification]) -> bytes:
    """The message as it goes on: the MTA's own field on top, then the filter's changes in their order."""
    result = [own, *fields]
    for change in changes:
        if isinstance(change, InsertHeader):
            result.insert(change.position, (encode(change.name), b" " + encode(change.value)))
        elif isinstance(change, AddHeader):
            result.append((encode(change.name), b" " + encode(change.value)))
        elif isinstance(change, ChangeHeader | DeleteHeader):
            _change(result, own, change)
        elif isinstance(change, ReplaceBody):
            body = change.body
    lines = [name + b":" + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in result]
    return b"".join(lines) + b"\r\n" + body


def _change(fields: list[Field], own: Field, change: ChangeHeader | DeleteHeader) -> None:
    """Change or delete one field; those of the MTA itself cannot be reached."""
    wanted = encode(change.name).lower()
    places = [index for index, each in enumerate(fields) if each[0].lower() == wanted and each is not own]
    if change.occurrence > len(places):
        return
    place = places[change.occurrence - 1]
    if isinstance(change, DeleteHeader):
        del fields[place]
    else:
        fields[place] = (encode(change.name), b" " + encode(change.value))


@dataclass(slots=True)
class _Transaction:
    sender: str
    recipients: list[str] = field(default_factory=list)
    discarded: bool = False


@dataclass(slots=True)
class Mailbags:
    """What became of the messages: delivered ones in order, and whether one came to be held."""

    delivered: list[Delivered] = field(default_factory=list)
    held: int = 0


class MemoryDialogue:
    """One SMTP session of the model; the methods are those of L{tests.integration.player.Dialogue}."""

    def __init__(self, link: MilterLink, address: str, name: str, bags: Mailbags) -> None:
        """A client has connected; without an address it is a program of this host that submits (milter-spec 3.2)."""
        self._link = link
        self._milter = link.client
        self._is_local = not address
        self._address = address or "127.0.0.1"
        self._name = name or ("localhost" if self._is_local else f"[{address}]")
        self._bags = bags
        self._refused: Reply | None = None  # a refusal of the client or its HELO name
        self._user = ""
        self._tls: dict[str, str] = {}  # macros of the session's protection
        self._transaction: _Transaction | None = None

    def reply(self) -> Reply:
        """CONNECT; the greeting."""
        version = "Postfix 3.7.11" if self._is_local else "Model 1.0"
        macros = {"j": HOST_NAME, "_": f"{self._name} [{self._address}]", "v": version, "daemon_name": "model"}
        self._link.tell(self._milter.macros(letters.CONNECT, macros))
        family, port = str(ip_address(self._address).version), 0 if self._is_local else 40_001
        answer = self._link.ask(self._milter.connect(self._name, family, port, self._address))
        self._refused = refusal_of(answer)
        return Reply(554, "", "no SMTP service here") if self._refused else Reply(220, "", f"{HOST_NAME} ESMTP")

    def command(self, line: str) -> Reply:
        """One SMTP command."""
        verb, _, argument = line.partition(" ")
        handlers: dict[str, Callable[[str], Reply]] = {
            "HELO": self._helo,
            "EHLO": self._helo,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._reset,
            "QUIT": self._quit,
        }
        return handlers[verb](argument)

    def pipeline(self, lines: list[str]) -> list[Reply]:
        """One command after the other; the model reads no faster."""
        return [self.command(line) for line in lines]

    def auth(self, user: str) -> Reply:
        """AUTH: the user is believed."""
        self._user = user
        return Reply(235, "2.7.0", "Authentication successful")

    def starttls(self, *, certificate: bool) -> Reply:
        """STARTTLS: both MTAs tell of it with the next EHLO."""
        self._reset("")
        self._tls = {"tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "cipher_bits": "256"}
        if certificate:
            self._tls |= {"cert_subject": f"/CN={CLIENT}", "cert_issuer": f"/CN={AUTHORITY}", "verify": "OK"}
        return Reply(220, "2.0.0", "Ready to start TLS")

    def _helo(self, name: str) -> Reply:
        self._reset("")
        self._link.tell(self._milter.macros(letters.HELO, self._tls))
        self._refused = refusal_of(self._link.ask(self._milter.helo(name)))
        return Reply(250, "", HOST_NAME)  # as both MTAs say, whatever the filter said

    def _mail(self, argument: str) -> Reply:
        if self._transaction is not None:
            return _BAD_SEQUENCE
        if self._refused is not None:
            return self._refused
        path, *arguments = argument.removeprefix("FROM:").split(" ") if '"' not in argument else [argument[5:]]
        auth = {"auth_type": "PLAIN", "auth_authen": self._user} if self._user else {}
        self._link.tell(self._milter.macros(letters.MAIL, {"i": "MODEL1", "mail_addr": path.strip("<>"), **auth}))
        refusal = refusal_of(self._link.ask(self._milter.mail(path, arguments)))
        if refusal is not None:
            return refusal
        self._transaction = _Transaction(path)
        return _OK

    def _rcpt(self, argument: str) -> Reply:
        if self._transaction is None:
            return _BAD_SEQUENCE
        path, *arguments = argument.removeprefix("TO:").split(" ") if '"' not in argument else [argument[3:]]
        self._link.tell(self._milter.macros(letters.RCPT, {"i": "MODEL1", "rcpt_addr": path.strip("<>")}))
        answer = self._link.ask(self._milter.rcpt(path, arguments))
        refusal = refusal_of(answer)
        if refusal is not None:
            return refusal
        self._note_discard(answer)
        self._transaction.recipients.append(path)
        return _OK

    def submit(self, sender: str, recipient: str, content: bytes) -> Reply:
        """A whole message of a program of this host: paths come without brackets."""
        replies = [self.reply()]
        paths = f"MAIL FROM:{sender.strip('<>')}", f"RCPT TO:{recipient.strip('<>')}"
        replies += self.pipeline(["HELO localhost", *paths, "DATA"])
        refused = next((reply for reply in replies if reply.code >= 400), None)
        reply = refused or self.content(content)
        self.close()
        return reply

    def _data(self, _argument: str) -> Reply:
        if self._transaction is None or not self._transaction.recipients:
            return _BAD_SEQUENCE
        refusal = refusal_of(self._link.ask(self._milter.data()))
        return refusal or Reply(354, "", "End data with <CR><LF>.<CR><LF>")

    def _reset(self, _argument: str) -> Reply:
        if self._transaction is not None:
            self._transaction = None
            self._link.tell(self._milter.abort())
        return _OK

    def _quit(self, _argument: str) -> Reply:
        self._transaction = None
        if not self._link.lost:
            self._link.tell(self._milter.quit())
            self._link.lose()
        return Reply(221, "2.0.0", "Bye")

    def content(self, octets: bytes, *, finish: bool = True, wait: bool = True) -> Reply:
        """The mail data: shown to the filter when it is whole, as both MTAs do.

        @param wait: False: the filter's last answer is not waited for, and what comes of the message stays open.
        """
        transaction = self._transaction
        assert transaction is not None
        if not finish:
            return LOST
        fields, body = split_message(octets)
        refusal = self._show(fields, body) or self._end_content(wait=wait)
        if not wait:
            return LOST
        self._transaction = None
        if refusal is not None:
            return refusal
        if not transaction.discarded:
            self._deliver(transaction, fields, body)
        return _OK

    def _show(self, fields: list[Field], body: bytes) -> Reply | None:
        """Header section and body; the first refusal ends it."""
        milter = self._milter
        for name, value in fields:
            if refusal := refusal_of(self._link.ask(milter.header(name, value))):
                return refusal
        if refusal := refusal_of(self._link.ask(milter.end_of_headers())):
            return refusal
        for start in range(0, len(body), MAX_PAYLOAD):
            if refusal := refusal_of(self._link.ask(milter.body(body[start : start + MAX_PAYLOAD]))):
                return refusal
        return None

    def _end_content(self, *, wait: bool) -> Reply | None:
        milter = self._milter
        self._link.tell(milter.macros(letters.END_OF_MESSAGE, {"i": "MODEL1"}))
        if not wait:
            self._link.tell(milter.end_of_message())
            return None
        answer = self._link.ask(milter.end_of_message())
        self._note_discard(answer)
        return refusal_of(answer)

    def _note_discard(self, answer: ParsedReply | None) -> None:
        if answer is not None and answer.letter == letters.DISCARD and self._transaction is not None:
            self._transaction.discarded = True

    def _deliver(self, transaction: _Transaction, fields: list[Field], body: bytes) -> None:
        changes = self._milter.modifications
        own = (b"Received", f" from {self._name} ([{self._address}])\n\tby {HOST_NAME} (Model)".encode())
        content = modified(own, fields, body, changes)
        if any(isinstance(change, Quarantine) for change in changes):
            self._bags.held += 1
        else:
            self._bags.delivered.append(Delivered(transaction.sender, tuple(transaction.recipients), content))

    def close(self) -> None:
        """QUIT."""
        self._quit("")

    def drop(self) -> None:
        """The model's client hangs up; what the filter sees of it is L{MilterLink.lose}."""
