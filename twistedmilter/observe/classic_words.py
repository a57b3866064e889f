"""The final tags of the classic log and the ancestor's texts after C{REJECT:} (seed-spec 5.3, 5.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from twistedmilter.model.record import Record
from twistedmilter.model.verdict import Discard, Reason, Refuse, TempFail
from twistedmilter.observe.sanitise import one_line

_SPF_CODE = re.compile(r"(?P<helo>helo-)?spf-(?P<helo_too>helo-)?(?P<result>[a-z]+)")

_CALLBACKS = frozenset({"callback-invalid", "callback-temporary", "dsn-refused"})  # the ancestor's CBV

_TEXTS: Mapping[str, Callable[[Record], str]] = MappingProxyType(
    {
        "impossible-ptr": lambda record: f"PTR is {one_line(record.client_name)}",
        "helo-numeric": lambda record: f"numeric hello name: {one_line(record.helo)}",
        "helo-own-name": lambda record: f"spam from self: {one_line(record.helo)}",
        "helo-missing": lambda _record: "missing HELO",
        "three-strikes": lambda _record: "no PTR, HELO or SPF",
        "sender-blacklisted": lambda record: f"BLACKLIST {one_line(record.mail_from.strip('<>'))}",
        "client-banned": lambda _record: "BANNED IP",
        "recipient-unknown": lambda record: f"RCPT TO: {_refused(record, 'recipient-unknown')}",
        "recipient-takes-no-mail": lambda record: f"RCPT TO: {_refused(record, 'recipient-takes-no-mail')}",
        "recipient-private": lambda record: f"RELAY: {_refused(record, 'recipient-private')}",
        "own-domain-forged": lambda record: f"spam from self {one_line(_domain(record.mail_from))}",
        # the double blanks are in the ancestor's log (seed-spec D08)
        "infected-client": lambda record: (
            f"zombie PC at  {one_line(record.client_ip)}  sending MAIL FROM  {one_line(record.mail_from.strip('<>'))}"
        ),
    }
)


def _refused(record: Record, code: str) -> str:
    """The first recipient that was refused for this reason."""
    return one_line(next((f"<{each.address}>" for each in record.recipients if each.code == code), ""))


def _domain(path: str) -> str:
    """What stands behind the last C{@}."""
    return path.strip("<>").rpartition("@")[2]


def _explained(reason: Reason) -> str:
    return one_line(" ".join([reason.text, *reason.details]))


def reject_text(record: Record, verdict: Refuse) -> str:
    """What follows C{REJECT:}; a reason that the ancestor did not know tells its own text."""
    code = verdict.reason.code
    if code in _TEXTS:
        return _TEXTS[code](record)
    if match := _SPF_CODE.fullmatch(code):
        is_helo = match["helo"] or match["helo_too"]
        words = f"{'hello SPF:' if is_helo else 'SPF'} {match['result']} {verdict.code}"
        return f"{words} {_explained(verdict.reason)}"
    if code in _CALLBACKS:
        return f"CBV: {verdict.code} {_explained(verdict.reason)}"
    return _explained(verdict.reason)


def tempfail_text(verdict: TempFail) -> str:
    """What follows C{TEMPFAIL:}."""
    explained = f"{verdict.code} {_explained(verdict.reason)}"
    if verdict.reason.code in _CALLBACKS:
        return f"CBV: {explained}"
    return f"SPF error {explained}" if _SPF_CODE.fullmatch(verdict.reason.code) else explained


def final_line(record: Record) -> str:
    """The tag that ends this message for a report tool, with its rest."""
    verdict = record.decision.verdict
    if isinstance(verdict, Refuse):
        return f"REJECT: {reject_text(record, verdict)}"
    if isinstance(verdict, TempFail):
        return f"TEMPFAIL: {tempfail_text(verdict)}"
    if record.ended != "end-of-message":
        return f"abort after {record.body_size} body chars"
    if isinstance(verdict, Discard):
        return f"DISCARD: {_explained(verdict.reason)}"
    return "eom"
