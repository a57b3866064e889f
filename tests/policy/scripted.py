"""Checks that say what a test tells them to, and a policy made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import alsoProvides, implementer

from twistedmilter.interfaces import checks as stage_interfaces
from twistedmilter.interfaces.observers import IObserver
from twistedmilter.model.record import Record
from twistedmilter.model.settings import MilterSettings, PolicySettings, RuleSettings, Settings
from twistedmilter.model.stage import Stage
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.model.verdict import Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.chain import ChainEntry, CheckChain
from twistedmilter.policy.enforcement import Enforcement
from twistedmilter.policy.judge import Policy
from twistedmilter.policy.rules import Rules

INTERFACES = {
    Stage.CONNECT: stage_interfaces.IConnectCheck,
    Stage.HELO: stage_interfaces.IHeloCheck,
    Stage.MAIL: stage_interfaces.IMailCheck,
    Stage.RCPT: stage_interfaces.IRcptCheck,
    Stage.HEADERS: stage_interfaces.IHeaderCheck,
    Stage.END_OF_MESSAGE: stage_interfaces.IEndOfMessageCheck,
}

Script = Verdict | None | Exception | Deferred[Verdict | None] | Callable[[], Verdict | None]


def refuse(code: str = "test-refusal") -> Refuse:
    """A refusal with that reason code."""
    return Refuse(Reason(code, f"refused because of {code}"))


def tempfail(code: str = "test-tempfail") -> TempFail:
    """A temporary refusal with that reason code."""
    return TempFail(Reason(code, f"not now because of {code}"))


class ScriptedCheck:
    """A check that answers from a script: a verdict, None, an exception, or a Deferred of one."""

    def __init__(self, stage: Stage, script: Script = None, *, name: str = "scripted", local: bool = True) -> None:
        self.name = name
        self.local = local
        self.script = script
        self.asked: list[tuple[object, ...]] = []
        alsoProvides(self, INTERFACES[stage])

    async def _answer(self, *subject: object) -> Verdict | None:
        self.asked.append(subject)
        script = self.script
        if isinstance(script, Exception):
            raise script
        if isinstance(script, Awaitable):
            return await script
        return script() if callable(script) else script

    check_connect = check_helo = check_mail = check_rcpt = check_headers = check_end_of_message = _answer


@implementer(stage_interfaces.IClientClassifier)
class ScriptedClassifier(ScriptedCheck):
    """A check that classes the client when a test says so."""

    def __init__(self, script: Script) -> None:
        super().__init__(Stage.CONNECT, script, name="classifier")


@implementer(stage_interfaces.ILastCheck)
class LastCheck:
    """A check that is asked after all others."""

    def __init__(self, script: Verdict | Deferred[Verdict | None]) -> None:
        self.name = "last"
        self.local = False
        self.script = script
        self.asked: list[Transaction] = []

    async def check_last(self, transaction: Transaction) -> Verdict | None:
        """Say what the script says."""
        self.asked.append(transaction)
        return await self.script if isinstance(self.script, Deferred) else self.script


@implementer(stage_interfaces.IBodyCheck)
class BodyReader:
    """Reads the body, and gives its verdict at the end."""

    def __init__(self, script: Verdict | None = None) -> None:
        self.name = "body_reader"
        self.local = True
        self.octets = b""
        self.script = script

    def body_chunk(self, transaction: Transaction, octets: bytes) -> None:
        """Collect."""
        self.octets += octets

    async def check_end_of_message(self, transaction: Transaction) -> Verdict | None:
        """Say what the script says."""
        return self.script


@implementer(IObserver)
class RecordingObserver:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.records: list[Record] = []
        self.troubles: list[str] = []

    def connected(self, connection: Connection) -> None:
        """Keep the event."""
        self.events.append("connected")

    def greeted(self, connection: Connection) -> None:
        """Keep the event."""
        self.events.append("greeted")

    def mail_began(self, transaction: Transaction) -> None:
        """Keep the event."""
        self.events.append("mail")

    def recipient_named(self, transaction: Transaction, recipient: Recipient) -> None:
        """Keep the event."""
        self.events.append("rcpt")

    def ended(self, record: Record) -> None:
        """Keep the record."""
        self.events.append("ended")
        self.records.append(record)

    def disconnected(self, connection: Connection) -> None:
        """Keep the event."""
        self.events.append("disconnected")

    def trouble(self, transaction_id: str, where: str, problem: str) -> None:
        """Keep the line."""
        self.troubles.append(problem)


class PolicyBuilder:
    """A policy of scripted checks on a test clock."""

    def __init__(self, *checks: object) -> None:
        self.clock = Clock()
        self.observer = RecordingObserver()
        self.bugs: list[tuple[str, str]] = []
        self.entries = [check if isinstance(check, ChainEntry) else entry_of(check) for check in checks]
        self.rules: list[RuleSettings] = []
        self.policy = PolicySettings()
        self.milter = MilterSettings()

    def build(self) -> Policy:
        """The policy."""
        chain = CheckChain(
            tuple(self.entries),
            on_bug=self.policy.on_bug,
            clock=self.clock.seconds,
            report=lambda check, reference: self.bugs.append((check, reference)),
        )
        rules = Rules.from_settings(self.rules, Path("/nonexistent"))
        numbers = iter(range(1, 10_000))
        return Policy(
            settings=Settings(policy=self.policy, milter=self.milter),
            chain=chain,
            enforcement=Enforcement(chain, rules, observe=self.policy.mode == "observe"),
            observer=self.observer,
            reactor=self.clock,
            wall=lambda: 1_795_525_200.0,
            next_id=lambda: f"id{next(numbers)}",
        )


def entry_of(check: object, **settings: object) -> ChainEntry:
    """A chain entry with the check's own name."""
    return ChainEntry(check=check, name=check.name, **settings)  # type: ignore[arg-type,attr-defined]
