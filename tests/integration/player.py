"""Plays one session against a mail server and says what was not as expected; all three runners use it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar, cast

from tests.integration.session_file import Assertion, Expect, Session, Step
from tests.integration.smtp_dialogue import Reply
from tests.integration.smtp_sink import Delivered

_DELIVERY = 20.0  # seconds an MTA may take to hand an accepted message on
_NO_DELIVERY = 0.7  # seconds after which a message is believed not to come
_SUCCESS = Expect(0, "2xx")

Aimed = TypeVar("Aimed", Expect, Assertion)


class Dialogue(Protocol):
    """One SMTP connection, seen by the client (L{tests.integration.smtp_dialogue.SmtpDialogue})."""

    def reply(self) -> Reply:
        """The greeting."""

    def command(self, line: str) -> Reply:
        """One command and its reply."""

    def pipeline(self, lines: list[str]) -> list[Reply]:
        """Commands sent together, and their replies."""

    def auth(self, user: str) -> Reply:
        """Authenticate."""

    def starttls(self, *, certificate: bool) -> Reply:
        """Begin TLS, with or without a client certificate; the reply to STARTTLS."""

    def content(self, octets: bytes, *, finish: bool = True, wait: bool = True) -> Reply:
        """The mail data after 354; without its end, or without waiting for the reply to that, there is none."""

    def close(self) -> None:
        """QUIT and close."""

    def drop(self) -> None:
        """Close without a word."""


class MailServer(Protocol):
    """An MTA with our milter behind it."""

    runner: str

    def connect(self, address: str, name: str, role: str) -> Dialogue:
        """Open an SMTP connection from a client address; C{name} is its PTR name, or empty."""

    def submit(self, sender: str, recipient: str, content: bytes) -> Reply:
        """Hand over a message by the MTA's own command instead of SMTP; 250 when it was taken."""

    def next_message(self, timeout: float) -> Delivered | None:
        """The next message that the MTA delivered."""

    def holds(self) -> bool:
        """Whether a message came to lie in the MTA's quarantine since this was last asked."""

    def kill(self) -> None:
        """Kill the process that serves the SMTP connection."""

    def shutdown(self) -> None:
        """Send the milter SIGTERM and come back while it still has its session."""

    def wait(self, seconds: int) -> None:
        """Let time go by."""

    def records(self, count: int) -> list[Mapping[str, object]]:
        """The records of the session so far, in order; waits a moment for C{count} of them."""


def values_at(value: object, path: str) -> Iterator[str]:
    """All values below a dotted key; lists are searched through, what is not text is given as JSON."""
    if isinstance(value, list):
        for item in value:
            yield from values_at(item, path)
    elif path and isinstance(value, Mapping):
        for key in value:
            if path == key:
                yield from values_at(value[key], "")
            elif path.startswith(f"{key}."):
                yield from values_at(value[key], path[len(key) + 1 :])
    elif not path:
        yield value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def reason_codes(record: Mapping[str, object]) -> set[str]:
    """Every reason code that was acted on: of the decision, the marks and the recipients."""
    return {code for key in ("decision.code", "marks.code", "recipients.code") for code in values_at(record, key)}


def addressable(record: Mapping[str, object]) -> dict[str, object]:
    """The record with C{evidence.CHECK.NAME}, C{outcomes.CHECK.KEY} and C{auth_results.METHOD.KEY} as keys."""
    view = dict(record)
    for name, key in (("outcomes", "check"), ("auth_results", "method"), ("evidence", "check")):
        grouped: dict[str, list[object]] = {}
        for item in cast("list[dict[str, object]]", record.get(name, [])):
            one = {item["name"]: item["value"]} if name == "evidence" else item
            grouped.setdefault(str(item[key]), []).append(one)
        view[name] = grouped
    return view


def matches(reply: Reply, expect: Expect) -> bool:
    """Whether a reply is as expected; reason codes are matched on the record later."""
    code = str(reply.code or "000")
    return (
        all(want in ("x", got) for want, got in zip(expect.code, code, strict=True))
        and expect.status in ("", reply.status)
        and (not expect.text or fnmatchcase(reply.text, expect.text))
    )


def smtp_line(step: Step) -> str:
    """The SMTP command of a step."""
    if step.verb == "MAIL":
        return f"MAIL FROM:{step.argument}"
    if step.verb == "RCPT":
        return f"RCPT TO:{step.argument}"
    return f"{step.verb} {step.argument}" if step.argument and step.verb != "DATA" else step.verb


class Player:
    """Plays one session once; L{problems} are the sentences that say what went wrong, with file and line."""

    def __init__(self, session: Session, server: MailServer) -> None:
        """Take a session that this server's runner can play."""
        self.problems: list[str] = []
        self._session = session
        self._server = server
        self._dialogue: Dialogue | None = None
        self._transactions = 0
        self._later: list[tuple[int, Expect | Assertion]] = []

    def play(self) -> list[str]:
        """Every step in order, then the records; the problems found."""
        try:
            for step in self._session.steps:
                self._play_step(step)
        except OSError as trouble:
            self._fail(0, f"the connection failed: {trouble}")
        if self._dialogue is not None:
            self._dialogue.close()
        self._judge_records()
        return self.problems

    def _fail(self, line: int, problem: str) -> None:
        self.problems.append(f"{self._session.name}.session:{line}: {problem}")

    def _play_step(self, step: Step) -> None:
        if step.verb == "CONNECT":
            if self._dialogue is not None:
                self._dialogue.close()
            address, _, name = step.argument.partition(" ")
            self._dialogue = self._server.connect(address, name.strip(), self._session.role)
            self._judge(step, self._dialogue.reply())
        elif step.verb == "SHUTDOWN":
            self._server.shutdown()
        elif step.verb == "WAIT":
            self._server.wait(int(step.argument))
        elif step.verb == "SUBMIT":
            self._transactions += 1
            sender, recipient = step.argument.split()
            self._judge(step, self._server.submit(sender, recipient, step.content))
        elif self._dialogue is None:
            self._fail(step.line, f"{step.verb} without a connection")
        elif step.verb == "KILL":
            self._server.kill()
            self._dialogue.drop()
            self._dialogue = None
            self._judge_content(step)
        else:
            self._play_command(self._dialogue, step)

    def _play_command(self, dialogue: Dialogue, step: Step) -> None:
        steps = step.inner or (step,)
        if step.verb == "AUTH":
            replies = [dialogue.auth(step.argument)]
        elif step.verb == "STARTTLS":
            replies = [dialogue.starttls(certificate=bool(step.argument))]
        else:
            replies = dialogue.pipeline([smtp_line(inner) for inner in steps])
        for inner, given in zip(steps, replies, strict=True):
            reply = given
            self._transactions += inner.verb == "MAIL"
            if inner.verb == "DATA" and reply.code == 354:
                how = inner.argument
                reply = dialogue.content(inner.content, finish=how != "unfinished", wait=how != "unanswered")
                if how:
                    self._judge_content(inner)
                    continue
            self._judge(inner, reply)

    def _mine(self, expected: tuple[Aimed, ...]) -> list[Aimed]:
        return [one for one in expected if one.only in ("", self._server.runner)]

    def _judge(self, step: Step, reply: Reply) -> None:
        expects = self._mine(step.expects)
        expects = [one for one in expects if one.only] or expects or [_SUCCESS]
        for expect in expects:
            if not matches(reply, expect):
                wanted = " ".join(filter(None, (expect.code, expect.status, expect.text)))
                self._fail(expect.line or step.line, f"{step.verb} {step.argument}: expected {wanted}, got {reply}")
            if expect.reason:
                self._later.append((self._transactions, expect))
        self._judge_content(step, taken=step.verb in ("DATA", "SUBMIT") and reply.code == 250)

    def _judge_content(self, step: Step, *, taken: bool = False) -> None:
        assertions = self._mine(step.assertions)
        fate = next((one for one in assertions if one.kind == "FATE"), Assertion(step.line, "FATE", "", "delivered"))
        message = self._fate(step, fate) if taken else None
        for assertion in assertions:
            if assertion.kind.endswith("RECORD"):
                self._later.append((self._transactions, assertion))
            elif assertion.kind.endswith("HEADER") and message is not None:
                self._judge_header(assertion, message)

    def _fate(self, step: Step, fate: Assertion) -> Delivered | None:
        wanted = fate.pattern == "delivered"
        message = self._server.next_message(_DELIVERY if wanted else _NO_DELIVERY)
        if (message is not None) is not wanted:
            self._fail(fate.line, f"expected the message to be {fate.pattern}; it was {'not ' * wanted}delivered")
        if self._server.holds() is not (fate.pattern == "held"):
            self._fail(fate.line, f"expected the message to be {fate.pattern}; the quarantine says otherwise")
        if wanted and message is not None and message.body() != step.content.partition(b"\r\n\r\n")[2]:
            self._fail(step.line, f"the body changed on its way: {message.body()[:200]!r}")
        return message

    def _judge_header(self, assertion: Assertion, message: Delivered) -> None:
        fields = message.headers()
        if assertion.index is not None:
            fields = fields[assertion.index : assertion.index + 1]
        found = any(
            name.lower() == assertion.name.lower() and fnmatchcase(value, assertion.pattern) for name, value in fields
        )
        if found is not (assertion.kind == "HEADER"):
            shown = "\n    ".join(f"{name}: {value[:300]}" for name, value in message.headers())
            self._fail(assertion.line, f"{assertion.kind} {assertion.name}: {assertion.pattern} among\n    {shown}")

    def _judge_records(self) -> None:
        if not self._later:
            return
        records = self._server.records(self._transactions)
        for number, wanted in self._later:
            if not 1 <= number <= len(records):
                self._fail(wanted.line, f"there is no record of transaction {number}, only {len(records)}")
                continue
            record = records[number - 1]
            if isinstance(wanted, Expect):
                if wanted.reason not in reason_codes(record):
                    self._fail(wanted.line, f"no reason {wanted.reason} in the record {json.dumps(record)}")
            else:
                self._judge_record(wanted, record)

    def _judge_record(self, assertion: Assertion, record: Mapping[str, object]) -> None:
        found = any(fnmatchcase(value, assertion.pattern) for value in values_at(addressable(record), assertion.name))
        if found is not (assertion.kind == "RECORD"):
            what = f"{assertion.kind} {assertion.name} {assertion.pattern}"
            self._fail(assertion.line, f"{what} does not hold for {json.dumps(record)}")
