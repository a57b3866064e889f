"""The record as plain values: the one shape for the JSON log, C{scan --json} and C{why} (see docs/log.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from msgspec import to_builtins

from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import Modification, ReplaceBody
from twistedmilter.model.record import Decision, Record
from twistedmilter.model.transaction import Outcome
from twistedmilter.model.verdict import Mark, Refuse, TempFail, Verdict

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def verdict_to_dict(verdict: Verdict | None) -> dict[str, object]:
    """Word, reason and reply codes of a verdict; "no opinion" has the word null and nothing else."""
    if verdict is None:
        return {"verdict": None}
    reason = verdict.reason
    answer: dict[str, object] = {"verdict": verdict.word, "code": reason.code, "text": reason.text}
    if reason.details:
        answer["details"] = list(reason.details)
    if isinstance(verdict, (Refuse, TempFail)):
        answer["reply_code"] = verdict.code
        answer["status"] = verdict.status
    elif isinstance(verdict, Mark) and verdict.subject_tag:
        answer["subject_tag"] = verdict.subject_tag
    return answer


def _decision(decision: Decision) -> dict[str, object]:
    answer = verdict_to_dict(decision.verdict)
    answer["verdict"] = decision.word
    answer["check"] = decision.check
    answer["stage"] = str(decision.stage)
    return answer


def _outcome(outcome: Outcome) -> Outcome | dict[str, object]:
    """What was said with its reason; most say nothing, and then the value itself has the shape."""
    if outcome.verdict is None:
        return outcome
    answer = verdict_to_dict(outcome.verdict)
    answer["check"] = outcome.check
    answer["stage"] = str(outcome.stage)
    answer["mode"] = outcome.mode
    answer["milliseconds"] = outcome.milliseconds
    if outcome.note:
        answer["note"] = outcome.note
    if outcome.recipient:
        answer["recipient"] = outcome.recipient
    return answer


def _auth_result(found: AuthResult) -> dict[str, object]:
    return {
        "method": found.method,
        "result": found.result,
        "properties": dict(found.properties),
        "reason": found.reason,
    }


@cache
def _kind(class_name: str) -> str:
    """The name of a class in snake_case."""
    return _WORD_START.sub("_", class_name).lower()


def modification_to_dict(modification: Modification) -> dict[str, object]:
    """A change with its kind, e.g. C{insert_header}; a new body is told by its size."""
    kind = _kind(type(modification).__name__)
    if isinstance(modification, ReplaceBody):
        return {"kind": kind, "octets": len(modification.body)}
    fields: Mapping[str, object] = to_builtins(modification)
    return {"kind": kind, **fields}


def record_to_dict(record: Record) -> dict[str, object]:
    """A record as dicts, lists, text and numbers; text is as it came, not sanitised, not shortened."""
    fields: dict[str, object] = to_builtins(record_fields(record))
    return fields


def record_fields(record: Record) -> dict[str, object]:
    """A record for an encoder, which finds the shape of L{record_to_dict} in it.

    Values that have their shape by themselves are left as they are: to make a dict of each costs three times as much as
    to encode it.
    """
    return {
        "id": record.id,
        "queue_id": record.queue_id,
        "message_id": record.message_id,
        "time": record.time,
        "decision": _decision(record.decision),
        "marks": [verdict_to_dict(mark) for mark in record.marks],
        "reply": record.reply,
        "ended": record.ended,
        "connection": record.connection,
        "listener": record.listener,
        "role": record.role,
        "role_reason": record.role_reason,
        "client_ip": record.client_ip,
        "client_name": record.client_name,
        "client_port": record.client_port,
        "client_class": record.client_class,
        "class_reason": record.class_reason,
        "helo": record.helo,
        "mail_from": record.mail_from,
        "recipients": list(record.recipients),
        "outcomes": [_outcome(outcome) for outcome in record.outcomes],
        "evidence": list(record.evidence),
        "auth_results": [_auth_result(found) for found in record.auth_results],
        "modifications": [modification_to_dict(modification) for modification in record.modifications],
        "header_count": record.header_count,
        "body_size": record.body_size,
        "milliseconds": round(record.milliseconds, 3),
        "waited": round(record.waited, 3),
        "is_test": record.is_test,
    }
