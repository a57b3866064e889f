"""The client's side of an SMTP session that asks about mailboxes: octets in, events out (RFC 5321 section 3).

The session goes in lock step: banner, EHLO (or HELO), STARTTLS where offered, MAIL, one RCPT for each mailbox, QUIT.
It never gets to DATA.  Who runs it sends what L{Send} holds, starts TLS when L{BeginTLS} says so, and stops at
L{Finished}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.address import Mailbox
from twistedmilter.wire.smtp_replies import Reply, ReplyDecoder

MAX_PATH: Final = 254  # characters of a path without brackets (RFC 5321 section 4.5.3.1.3)
MAX_LOCAL_PART: Final = 64  # octets (RFC 5321 section 4.5.3.1.1)

_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*|\[[0-9a-z.:]+\]", re.IGNORECASE)


class SMTPStage(StrEnum):
    """Which reply is being waited for."""

    BANNER = "banner"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    TLS = "TLS"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "the message"
    OVER = "over"


class Received(Struct, frozen=True):
    """A reply came.

    @ivar stage: what it answers.
    """

    stage: SMTPStage
    reply: Reply


class Send(Struct, frozen=True):
    """A command is to be sent; C{octets} are a line with its end."""

    octets: bytes


class BeginTLS(Struct, frozen=True):
    """TLS is to be started now; L{SMTPClientSession.tls_started} goes on."""


class Finished(Struct, frozen=True):
    """The session has said QUIT, or has nothing to say any more; whoever runs it closes.

    @ivar stage: what the last reply answered: RCPT, or what went wrong before.
    @ivar last: the last reply.
    @ivar answers: the reply to RCPT for each mailbox that was asked, in the order of the mailboxes; fewer when the
        server ended the session.
    @ivar is_ourselves: whether the server called itself by our own name (seed-spec G12, LL-05).
    """

    stage: SMTPStage
    last: Reply
    answers: tuple[Reply, ...] = ()
    is_ourselves: bool = False


Event = Received | Send | BeginTLS | Finished


def smtp_path(mailbox: Mailbox) -> str:
    """The path of a mailbox in the form in which it may be sent, without brackets.

    Nothing is rewritten but needless quotes (reliability C9).

    @raise ValueError: it has no domain, is too long, or holds what has no place in a command.
    """
    path = mailbox.canonical
    if not mailbox.local_part or _DOMAIN.fullmatch(mailbox.domain) is None:
        raise ValueError("the mailbox has no local part or no proper domain")
    if len(path) > MAX_PATH or len(mailbox.local_part) > MAX_LOCAL_PART:
        raise ValueError("the mailbox is too long")
    if not (path.isascii() and path.isprintable()):
        raise ValueError("the mailbox holds characters that cannot be sent")
    return path


class SMTPClientSession:
    """Asks one server about some mailboxes."""

    def __init__(self, own_name: str, mailboxes: Sequence[Mailbox], *, starttls: bool = True) -> None:
        """Wait for the banner.

        @param own_name: what we say in EHLO; a server of that name is ourselves.
        @param mailboxes: at least one.
        @param starttls: whether to use TLS when it is offered.
        @raise ValueError: a mailbox cannot be sent; see L{smtp_path}.
        """
        if not mailboxes:
            raise LocalProtocolError("there is no mailbox to ask about")
        self._own_name = own_name
        self._paths = [smtp_path(mailbox) for mailbox in mailboxes]
        self._starttls = starttls
        self._decoder = ReplyDecoder()
        self._answers: list[Reply] = []
        self._stage = SMTPStage.BANNER
        self._reactions = {
            SMTPStage.BANNER: self._on_banner,
            SMTPStage.EHLO: self._on_ehlo,
            SMTPStage.HELO: self._on_helo,
            SMTPStage.STARTTLS: self._on_starttls,
            SMTPStage.MAIL: self._on_mail,
            SMTPStage.RCPT: self._on_rcpt,
        }

    @property
    def stage(self) -> SMTPStage:
        """Which reply is being waited for."""
        return self._stage

    @property
    def answers(self) -> tuple[Reply, ...]:
        """The replies to RCPT so far, also when the session ended badly; in the order of the mailboxes."""
        return tuple(self._answers)

    def receive_data(self, data: bytes) -> list[Event]:
        """What follows from octets of the server, in order.

        @raise ProtocolViolation: they are no SMTP; the session is over.  Replies before them are lost with it.
        """
        if self._stage is SMTPStage.OVER:
            return []
        self._decoder.receive_data(data)
        try:
            return self._read()
        except ProtocolViolation:
            self._stage = SMTPStage.OVER
            raise

    def tls_started(self) -> list[Event]:
        """Go on within TLS: everything learnt before is forgotten (RFC 3207 section 4.2).

        @raise LocalProtocolError: nobody asked for TLS.
        """
        if self._stage is not SMTPStage.TLS:
            raise LocalProtocolError(f"TLS started at {self._stage}")
        self._starttls = False
        return self._command(SMTPStage.EHLO, f"EHLO {self._own_name}")

    def _read(self) -> list[Event]:
        events: list[Event] = []
        while self._stage not in {SMTPStage.OVER, SMTPStage.TLS}:
            reply = self._decoder.next_reply()
            if reply is None:
                return events
            events.append(Received(self._stage, reply))
            events += self._react(reply)
            if self.stage is not SMTPStage.OVER and not self._decoder.is_empty:
                # what was there before the command can be no answer to it; after STARTTLS it is an injection
                raise ProtocolViolation("the server said something before it was asked")
        return events

    def _react(self, reply: Reply) -> list[Event]:
        if reply.code == 421 and self._stage is not SMTPStage.RCPT:  # RFC 5321 section 3.8: it closes now
            return self._finish(reply, quit_first=False)
        return self._reactions[self._stage](reply)

    def _on_banner(self, reply: Reply) -> list[Event]:
        if reply.code // 100 != 2 or self._names_us(reply):
            return self._finish(reply)
        return self._command(SMTPStage.EHLO, f"EHLO {self._own_name}")

    def _on_ehlo(self, reply: Reply) -> list[Event]:
        if reply.code // 100 == 5:
            return self._command(SMTPStage.HELO, f"HELO {self._own_name}")
        if reply.code // 100 != 2 or self._names_us(reply):
            return self._finish(reply)
        if self._starttls and "STARTTLS" in {line.strip().upper() for line in reply.lines[1:]}:
            return self._command(SMTPStage.STARTTLS, "STARTTLS")
        return self._mail()

    def _on_helo(self, reply: Reply) -> list[Event]:
        if reply.code // 100 != 2 or self._names_us(reply):
            return self._finish(reply)
        return self._mail()

    def _on_starttls(self, reply: Reply) -> list[Event]:
        if reply.code != 220:  # RFC 3207 section 4: we may go on without
            return self._mail()
        self._stage = SMTPStage.TLS
        return [BeginTLS()]

    def _on_mail(self, reply: Reply) -> list[Event]:
        return self._rcpt() if reply.code // 100 == 2 else self._finish(reply)

    def _on_rcpt(self, reply: Reply) -> list[Event]:
        self._answers.append(reply)
        if reply.code == 421 or len(self._answers) == len(self._paths):
            return self._finish(reply, quit_first=reply.code != 421)
        return self._rcpt()

    def _names_us(self, reply: Reply) -> bool:
        return reply.first_word == self._own_name.lower().rstrip(".")

    def _mail(self) -> list[Event]:
        return self._command(SMTPStage.MAIL, "MAIL FROM:<>")

    def _rcpt(self) -> list[Event]:
        return self._command(SMTPStage.RCPT, f"RCPT TO:<{self._paths[len(self._answers)]}>")

    def _command(self, stage: SMTPStage, line: str) -> list[Event]:
        self._stage = stage
        return [Send(line.encode("ascii") + b"\r\n")]

    def _finish(self, reply: Reply, *, quit_first: bool = True) -> list[Event]:
        named = self._stage in {SMTPStage.BANNER, SMTPStage.EHLO, SMTPStage.HELO} and reply.code // 100 == 2
        finished = Finished(self._stage, reply, tuple(self._answers), is_ourselves=named)
        self._stage = SMTPStage.OVER
        return [Send(b"QUIT\r\n"), finished] if quit_first else [finished]
