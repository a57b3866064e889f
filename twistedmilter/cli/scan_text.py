"""A scan's result for people: one printable line a fact, whatever the message holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twistedmilter.cli.scan_result import ScanResult
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Modification,
    Quarantine,
    ReplaceBody,
)
from twistedmilter.observe.sanitise import one_line

_WIDTH = 1000  # characters of one fact
_Object = Mapping[str, Any]  # of the record; its keys are those of docs/log.md


def _shown(text: str) -> str:
    return one_line(text, _WIDTH)


def modification_text(change: Modification) -> str:
    """A change as a sentence; header values on one line."""
    match change:
        case InsertHeader():
            text = f"insert at {change.position}: {change.name}: {_flat(change.value)}"
        case AddHeader():
            text = f"add: {change.name}: {_flat(change.value)}"
        case ChangeHeader():
            text = f"change {change.name} number {change.occurrence}: {_flat(change.value)}"
        case DeleteHeader():
            text = f"delete {change.name} number {change.occurrence}"
        case ReplaceBody():
            text = f"replace the body: {len(change.body)} octets"
        case AddRecipient():
            text = f"add recipient {change.path} {' '.join(change.arguments)}".rstrip()
        case DeleteRecipient():
            text = f"delete recipient {change.path}"
        case ChangeSender():
            text = f"change sender to {change.path} {' '.join(change.arguments)}".rstrip()
        case Quarantine():
            text = f"hold: {change.reason}"
        case _:
            text = repr(change)
    return _shown(text)


def _flat(value: str) -> str:
    return " ".join(value.split())


def _outcome_text(outcome: _Object) -> str:
    recipient, mode, note = outcome.get("recipient"), outcome["mode"], outcome.get("note")
    about = f" of <{recipient}>" if recipient else ""
    verdict = "no opinion" if outcome["verdict"] is None else f"{outcome['verdict']}, {_reason_text(outcome)}"
    text = (
        f"{outcome['check']} at {outcome['stage']}{about}"
        + (f" ({mode})" if mode != "enforce" else "")
        + f": {verdict}"
        + (f" [{note}]" if note else "")
    )
    return _shown(f"{text}, {outcome['milliseconds']:.1f} ms")


def _reason_text(verdict: _Object) -> str:
    return f"{verdict['code']}: {verdict['text']}"


def result_lines(result: ScanResult) -> Iterator[str]:
    """The verdict first, then why, then what led to it and what would be changed."""
    yield f"{_shown(result.label)}: {result.word}"
    record = result.record
    if record is not None:
        yield from _why(record)
    yield from (f"  reply: {_shown(line)}" for line in result.reply.splitlines())
    envelope = result.envelope
    client_class = ""
    if record is not None:
        client_class = f", {record['client_class']} ({_shown(record['class_reason'])})"
    yield f"  client: {envelope.client_ip} {_shown(envelope.client_name)}, HELO {_shown(envelope.helo)}{client_class}"
    yield f"  sender: <{_shown(envelope.mail_from.strip('<>'))}>" + (
        f", authenticated as {_shown(envelope.auth)}" if envelope.auth else ""
    )
    for address, word in _recipients(result):
        yield f"  recipient: <{_shown(address)}> {_shown(word)}"
    if record is not None:
        yield from _evidence(record)
    yield from (f"  change: {modification_text(change)}" for change in result.modifications)
    if result.milter:
        yield f"  milter: {_shown(result.milter)}"
    if record is not None:
        yield f"  id: {record['id']}, {record['milliseconds']:.0f} ms"


def _recipients(result: ScanResult) -> Iterator[tuple[str, str]]:
    if result.record is None:
        yield from result.recipients
        return
    for each in result.record["recipients"]:
        yield each["address"], f"{each['verdict']} {each['code']}".rstrip()


def _why(record: _Object) -> Iterator[str]:
    decision = record["decision"]
    if "code" not in decision:
        yield "  reason: no check objected"
    else:
        yield f"  reason: {_shown(_reason_text(decision))}"
        yield from (f"  detail: {_shown(detail)}" for detail in decision.get("details", ()))
        yield f"  decided: by {_shown(decision['check'])} at {decision['stage']}"
    yield from (f"  mark: {_shown(_reason_text(mark))}" for mark in record["marks"])


def _evidence(record: _Object) -> Iterator[str]:
    yield from (f"  check: {_outcome_text(outcome)}" for outcome in record["outcomes"])
    for each in record["evidence"]:
        yield f"  evidence: {_shown('{check} {name}: {value}'.format_map(each))}"
    yield from (f"  result: {_shown(_result_text(each))}" for each in record["auth_results"])


def _result_text(each: _Object) -> str:
    return str(AuthResult(each["method"], each["result"], tuple(each["properties"].items()), each["reason"]))
