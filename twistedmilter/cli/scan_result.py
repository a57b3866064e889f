"""What a scan found, and how it is told as JSON and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from twistedmilter.cli.scan_message import Envelope
from twistedmilter.model.modification import Modification
from twistedmilter.observe.record_dict import modification_to_dict

EXIT_CODES: Mapping[str, int] = MappingProxyType({"refuse": 1, "discard": 1, "tempfail": 2})  # others: 0


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What became of one message.

    @ivar label: the file it came from.
    @ivar word: the verdict's word.
    @ivar reply: the SMTP reply text, or empty.
    @ivar record: everything that is known, with the keys of docs/log.md; None if a daemon does not tell more than
        an MTA is told.
    @ivar recipients: through a daemon, the answer that each recipient got.
    @ivar milter: through a daemon, where it listens.
    """

    label: str
    envelope: Envelope
    word: str
    reply: str
    modifications: tuple[Modification, ...]
    record: Mapping[str, Any] | None = None
    recipients: tuple[tuple[str, str], ...] = ()
    milter: str = ""

    @property
    def exit_code(self) -> int:
        """0: delivered, marked or held; 1: refused or dropped; 2: not now."""
        return EXIT_CODES.get(self.word, 0)


def result_to_dict(result: ScanResult) -> dict[str, object]:
    """The keys of docs/log.md as far as they are known, C{message}: the file, and C{milter}: the daemon, if any."""
    origin = {"message": result.label} | ({"milter": result.milter} if result.milter else {})
    if result.record is not None:
        return {**origin, **result.record}
    envelope = result.envelope
    return {
        **origin,
        "decision": {"verdict": result.word},
        "reply": result.reply,
        "role": envelope.role.value,
        "client_ip": str(envelope.client_ip),
        "client_name": envelope.client_name,
        "helo": envelope.helo,
        "mail_from": envelope.mail_from.removeprefix("<").removesuffix(">"),
        "recipients": [{"address": address, "verdict": word} for address, word in result.recipients],
        "modifications": [modification_to_dict(each) for each in result.modifications],
    }
