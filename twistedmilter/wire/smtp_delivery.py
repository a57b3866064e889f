"""The client's side of an SMTP session that delivers one message of ours (RFC 5321 section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from twistedmilter.model.address import Mailbox
from twistedmilter.wire.smtp_client import Event, Send, SMTPClientSession, SMTPStage
from twistedmilter.wire.smtp_replies import Reply

MAX_LINE: Final = 998  # octets of a line without its end (RFC 5322 section 2.1.1)

_LINE_START: Final = re.compile(rb"^\.", re.MULTILINE)
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def stuffed(content: bytes) -> bytes:
    """A message as it is sent after DATA: dots doubled, with the line that ends it (RFC 5321 section 4.5.2).

    @raise ValueError: it holds a bare CR or LF, NUL, what is not ASCII, or a line of more than L{MAX_LINE} octets;
        then servers may see an end in the midst of it (reliability C10).
    """
    if not content.isascii() or b"\0" in content or _BARE.search(content):
        raise ValueError("the message holds octets that cannot be sent as they are")
    if max(map(len, content.split(b"\r\n"))) > MAX_LINE:
        raise ValueError(f"the message has a line of more than {MAX_LINE} octets")
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    return _LINE_START.sub(b"..", content) + end + b".\r\n"


class SMTPDeliverySession(SMTPClientSession):
    """Delivers to one server what the first mailbox must take, and the others may.

    The reverse-path is null; a server that refuses it for good is asked once more with our postmaster (seed-spec G11).
    The message was taken if C{Finished} has the stage C{CONTENT} and a reply of 2xx.

    @ivar was_sent: whether the message was sent; if no reply follows, the server may have taken it.
    """

    def __init__(self, own_name: str, mailboxes: Sequence[Mailbox], content: bytes, *, starttls: bool = True) -> None:
        """Wait for the banner.

        @param content: header section and body, ASCII, each line with CRLF.
        @raise ValueError: a mailbox or the content cannot be sent; see L{stuffed}.
        """
        super().__init__(own_name, mailboxes, starttls=starttls)
        self._content = stuffed(content)
        self._reverse_path = ""
        self.was_sent = False
        self._reactions[SMTPStage.DATA] = self._on_data
        self._reactions[SMTPStage.CONTENT] = self._finish

    def _mail(self) -> list[Event]:
        return self._command(SMTPStage.MAIL, f"MAIL FROM:<{self._reverse_path}>")

    def _on_mail(self, reply: Reply) -> list[Event]:
        if reply.code // 100 == 5 and not self._reverse_path:
            self._reverse_path = f"postmaster@{self._own_name}"
            return self._mail()
        return super()._on_mail(reply)

    def _on_rcpt(self, reply: Reply) -> list[Event]:
        self._answers.append(reply)
        if reply.code == 421 or self._answers[0].code // 100 != 2:
            return self._finish(reply, quit_first=reply.code != 421)
        if len(self._answers) < len(self._paths):
            return self._rcpt()
        return self._command(SMTPStage.DATA, "DATA")

    def _on_data(self, reply: Reply) -> list[Event]:
        if reply.code != 354:
            return self._finish(reply)
        self._stage = SMTPStage.CONTENT
        self.was_sent = True
        return [Send(self._content)]
