"""Connections, transactions and records to be told of."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twistedmilter.model.address import parse_path
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import AddHeader, InsertHeader, ReplaceBody
from twistedmilter.model.record import NO_OBJECTION, Decision, RecipientRecord, Record
from twistedmilter.model.stage import ClientClass, Stage
from twistedmilter.model.transaction import Client, Connection, Evidence, Outcome, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, Verdict

NUMBER = 12


def connection(macros: dict[str, str] | None = None, **fields: Any) -> Connection:
    """An external client at 1.2.3.4."""
    client = Client("mail.example.net", ip_address("1.2.3.4"), 46513, "1.2.3.4")
    known: dict[str, Any] = {"client": client, "helo": "mail.example.net", "macro": (macros or {}).get} | fields
    return Connection(NUMBER, **known)


def transaction(path: str = "<a@b.example>", arguments: tuple[str, ...] = (), **fields: Any) -> Transaction:
    """A transaction with our id C{0abc} on L{connection}."""
    on = fields.pop("connection", None) or connection()
    return Transaction("0abc", on, parse_path(path), arguments, **fields)


def record(**fields: Any) -> Record:
    """What is known of L{transaction} when nobody objected."""
    known: dict[str, Any] = {
        "id": "0abc",
        "time": 1_795_525_511.5,
        "connection": NUMBER,
        "listener": "inet:8890@127.0.0.1",
        "role": "inbound",
        "role_reason": "configured",
        "client_ip": "1.2.3.4",
        "client_name": "mail.example.net",
        "client_port": 46513,
        "client_class": ClientClass.EXTERNAL.value,
        "class_reason": "in no list",
        "helo": "mail.example.net",
        "mail_from": "a@b.example",
        "recipients": (RecipientRecord("x@y.example", "continue"),),
        "queue_id": "4XyZ",
        "message_id": "<1@b.example>",
        "decision": NO_OBJECTION,
        "marks": (),
        "outcomes": (),
        "evidence": (),
        "auth_results": (),
        "modifications": (),
        "ended": "end-of-message",
        "milliseconds": 41.6,
        "waited": 12.0,
        "header_count": 7,
        "body_size": 1234,
        "is_test": False,
    }
    return Record(**(known | fields))


def refusal(code: str, text: str = "because", reply: int = 550, status: str = "5.7.1") -> Decision:
    """A refusal decided at MAIL and given at RCPT."""
    return decision(Refuse(Reason(code, text), reply, status))


def decision(verdict: Verdict, check: str = "spf") -> Decision:
    """What one check decided at MAIL."""
    return Decision(Stage.MAIL, verdict, check)


def full_record() -> Record:
    """A record in which every optional part is present."""
    mark = Mark(Reason("spf-softfail", "softfail of b.example"), subject_tag="[?]")
    refuse = Refuse(Reason("spf-fail", "1.2.3.4 may not send for b.example", ("see b.example",)), 550, "5.7.23")
    return record(
        recipients=(RecipientRecord("x@y.example", "refuse", "spf-fail"),),
        decision=decision(refuse),
        marks=(mark,),
        outcomes=(
            Outcome("spf", Stage.MAIL, refuse, "enforce", 1.235, "late", "x@y.example"),
            Outcome("helo", Stage.HELO, mark, "observe", 0.1),
            Outcome("iprev", Stage.CONNECT, None, "enforce", 0.2),
        ),
        evidence=(Evidence("spf", "mechanism", "-all"),),
        auth_results=(AuthResult("spf", "fail", (("smtp.mailfrom", "b.example"),), "because"),),
        modifications=(InsertHeader(0, "Received-SPF", "fail"), AddHeader("X-A", "b"), ReplaceBody(b"new\r\n")),
        reply="550 5.7.23 no",
    )
