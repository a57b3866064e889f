"""A scan in this process: the checks of a configuration, on a reactor of its own, without any listener.

Nothing but the DNS is asked, and the transactions are marked as tests: no check learns from them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.cli.scan_message import Envelope, Message
from twistedmilter.cli.scan_result import ScanResult
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.milter_proto import reply_to
from twistedmilter.model.record import Record
from twistedmilter.model.transaction import Client, Connection, Recipient, Transaction
from twistedmilter.model.verdict import Refuse, TempFail
from twistedmilter.observe.record_dict import record_to_dict
from twistedmilter.policy.judge import Answer, MaybeLater, Policy, SessionJudge
from twistedmilter.wire.replies import ReplyCode

CHUNK = 65_535  # octets; what an MTA sends at once
MAX_SLEEP = 1.0  # seconds without a look at the result
T = TypeVar("T")


@implementer(IObserver)
class RecordKeeper:
    """Keeps the last record, and tells of trouble.

    @param tell: takes one line for the user.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.record: Record | None = None

    def connected(self, connection: Connection) -> None:
        """The record tells it."""

    def greeted(self, connection: Connection) -> None:
        """The record tells it."""

    def mail_began(self, transaction: Transaction) -> None:
        """The record tells it."""

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """The record tells it."""

    def ended(self, record: Record) -> None:
        """Keep it."""
        self.record = record

    def disconnected(self, connection: Connection) -> None:
        """Nothing is left to tell."""

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:  # noqa: ARG002 - the interface's
        """Tell it."""
        self._tell(f"{where}: {problem}")


class InProcessScan:
    """Shows one message after the other to a policy.

    @param keeper: an observer of the policy.
    @param own_name: what an MTA would call its host, macro j.
    """

    def __init__(self, policy: Policy, keeper: RecordKeeper, own_name: str) -> None:
        self._policy = policy
        self._keeper = keeper
        self._own_name = own_name
        self._number = 0

    async def scan(self, message: Message, envelope: Envelope) -> ScanResult:
        """What the policy says of a message, until the MTA would have given up."""
        self._number += 1
        judge = SessionJudge(self._policy, self._connection(envelope))
        ended = await self._session(judge, message, envelope)
        judge.closed(ended)
        judge.disconnected("quit")
        record = self._keeper.record
        assert record is not None
        return ScanResult(
            message.label,
            envelope,
            record.decision.word,
            record.reply,
            record.modifications,
            record=record_to_dict(record),
        )

    def _connection(self, envelope: Envelope) -> Connection:
        macros = {"j": self._own_name}
        if envelope.auth:
            macros |= {"auth_authen": envelope.auth, "auth_type": "PLAIN"}
        return Connection(
            number=self._number,
            client=Client(envelope.client_name, envelope.client_ip, 0, str(envelope.client_ip)),
            listener="scan",
            role=envelope.role,
            role_reason="given",
            macro=lambda name: macros.get(name.strip("{}")),
            own_name=self._own_name,
            is_test=True,
        )

    async def _session(self, judge: SessionJudge, message: Message, envelope: Envelope) -> str:
        """Everything that an MTA would tell, in its order; how it ended."""
        # a refusal before MAIL stands at MAIL again, where it has a record
        await _settled(judge.connected())
        await _settled(judge.greeted(envelope.helo))
        if _is_refused(judge, await _settled(judge.mail_began(envelope.mail_from, ()))):
            return "abort"
        answers = [await _settled(judge.recipient_named(path, ())) for path in envelope.recipients]
        if all([_is_refused(judge, answer) for answer in answers]):  # noqa: C419 - each reply is told
            return "abort"
        judge.headers(message.fields)
        if _is_refused(judge, await _settled(judge.headers_ended())):
            return "abort"
        for start in range(0, len(message.body), CHUNK):
            judge.body_chunk(message.body[start : start + CHUNK])
        _is_refused(judge, await _settled(judge.message_ended()))
        return "end-of-message"


async def _settled(answer: MaybeLater) -> Answer:
    return answer if isinstance(answer, Answer) else await answer


def _is_refused(judge: SessionJudge, answer: Answer) -> bool:
    """Whether the MTA is told no; the judge learns what it was told."""
    reply = reply_to(answer)
    judge.told(str(reply) if isinstance(reply, ReplyCode) else "")
    return isinstance(answer.decision.verdict, (Refuse, TempFail))


class PrivateReactor:
    """A reactor that only this command knows; nothing is installed, and it can be run again and again."""

    def __init__(self) -> None:
        from twisted.internet.epollreactor import EPollReactor

        self.reactor: Any = EPollReactor()

    def run(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Run until the coroutine has its result, or raises.

        The reactor is iterated and not started: its signal handlers and its end are not wanted here.
        """
        outcome: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        while not outcome:
            timeout = self.reactor.timeout()
            self.reactor.iterate(MAX_SLEEP if timeout is None else min(timeout, MAX_SLEEP))
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result


@contextmanager
def silent_log() -> Iterator[None]:
    """Twisted's own log, which would print tracebacks on stderr as nobody reads it, says nothing meanwhile."""
    from twisted.logger import globalLogBeginner

    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    yield
