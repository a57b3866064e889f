"""A third party's check for the sessions: it says at each stage what its settings tell it to say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from twisted.internet import defer
from zope.interface import implementer

from twistedmilter.interfaces.checks import (
    IBodyCheck,
    IConnectCheck,
    IHeaderCheck,
    IHeloCheck,
    IMailCheck,
    IRcptCheck,
)
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.model.verdict import Discard, Hold, Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.registry import World

_VERDICTS = {"refuse": Refuse, "tempfail": TempFail, "hold": Hold, "discard": Discard}


@implementer(IConnectCheck, IHeloCheck, IMailCheck, IRcptCheck, IHeaderCheck, IBodyCheck)
class ScriptedCheck:
    """Says what its settings tell.

    @ivar settings: a word for each stage (connect, helo, mail, rcpt, headers, end_of_message): refuse, tempfail,
        hold, discard, mark or bug; C{subject_tag} for marks; C{only_to} names the one recipient it means;
        C{wait} seconds are taken at the end of the message, for one sender only if C{wait_for} names it.
    """

    local = True

    def __init__(self, name: str, settings: Mapping[str, Any], world: World) -> None:
        self.name = name
        self._settings = settings
        self._digests: dict[str, Any] = {}

    def _say(self, stage: str) -> Verdict | None:
        word = self._settings.get(stage)
        reason = Reason(f"scripted-{stage.replace('_', '-')}", f"scripted {word} at {stage}")
        if word == "bug":
            raise ZeroDivisionError(stage)
        if word == "mark":
            return Mark(reason, self._settings.get("subject_tag", ""))
        return _VERDICTS[word](reason) if word else None

    async def check_connect(self, connection: Connection) -> Verdict | None:
        return self._say("connect")

    async def check_helo(self, connection: Connection) -> Verdict | None:
        return self._say("helo")

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        return self._say("mail")

    async def check_rcpt(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        only = self._settings.get("only_to", recipient.mailbox.canonical)
        return self._say("rcpt") if recipient.mailbox.canonical == only else None

    async def check_headers(self, transaction: Transaction) -> Verdict | None:
        return self._say("headers")

    def body_chunk(self, transaction: Transaction, octets: bytes) -> None:
        self._digests.setdefault(transaction.id, hashlib.sha256()).update(octets)

    async def check_end_of_message(self, transaction: Transaction) -> Verdict | None:
        sender = transaction.mail_from.canonical
        if (wait := self._settings.get("wait")) and self._settings.get("wait_for", sender) == sender:
            transaction.note(self.name, "waits", f"{wait} s")
            await self._wait(wait)
        kept = hashlib.sha256()
        size = 0
        for chunk in transaction.body():
            kept.update(chunk)
            size += len(chunk)
        streamed = self._digests.pop(transaction.id, hashlib.sha256())
        transaction.note(self.name, "body_octets", str(size))
        transaction.note(self.name, "body_same", str(kept.digest() == streamed.digest()))
        return self._say("end_of_message")

    @staticmethod
    async def _wait(seconds: float) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - a check of the real service has no other clock

        waiting: defer.Deferred[None] = defer.Deferred(lambda _: timer.cancel())
        timer = reactor.callLater(seconds, waiting.callback, None)
        await waiting
