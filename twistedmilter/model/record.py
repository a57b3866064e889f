"""The record of one transaction: one value that log, history, metrics and C{scan} read."""

from __future__ import annotations

from msgspec import Struct, field

from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import Modification
from twistedmilter.model.stage import Stage
from twistedmilter.model.transaction import Evidence, Outcome
from twistedmilter.model.verdict import Verdict


class Decision(Struct, frozen=True):
    """What was decided, where and by whom.

    @ivar verdict: None means no check objected: the message goes on.
    @ivar check: the check's name, or C{default}.
    """

    stage: Stage
    verdict: Verdict | None
    check: str

    @property
    def word(self) -> str:
        """The verdict's word; C{continue} when nobody objected."""
        return self.verdict.word if self.verdict is not None else "continue"


NO_OBJECTION = Decision(Stage.END_OF_MESSAGE, None, "default")


class RecipientRecord(Struct, frozen=True):
    """One recipient and the answer it got; encoded it has the shape of docs/log.md.

    @ivar word: C{continue} or the verdict's word. @ivar code: reason code, or empty.
    """

    address: str
    word: str = field(name="verdict")
    code: str = ""


class Record(Struct, frozen=True):
    """Everything known of one transaction when it ended.

    @ivar time: wall clock at its end. [seconds since the epoch]
    @ivar ended: C{end-of-message}, C{refused} (before it, as a whole), C{abort}, C{quit}, C{lost} or C{fault}.
    @ivar milliseconds: from MAIL to the end.
    @ivar waited: of these, how long the MTA waited for us. [milliseconds]
    @ivar reply: the SMTP reply text that was given, or empty.
    """

    id: str
    time: float
    connection: int
    listener: str
    role: str
    role_reason: str
    client_ip: str
    client_name: str
    client_port: int
    client_class: str
    class_reason: str
    helo: str
    mail_from: str
    recipients: tuple[RecipientRecord, ...]
    queue_id: str
    message_id: str
    decision: Decision
    marks: tuple[Verdict, ...]
    outcomes: tuple[Outcome, ...]
    evidence: tuple[Evidence, ...]
    auth_results: tuple[AuthResult, ...]
    modifications: tuple[Modification, ...]
    ended: str
    milliseconds: float
    waited: float
    header_count: int
    body_size: int
    is_test: bool
    reply: str = ""
