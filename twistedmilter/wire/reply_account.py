"""The MTA's reading of a filter: which answers are owed, and what each MTA would not like (milter-spec 8.2).

Real MTAs do not detect a surplus answer, which shifts every later verdict (milter-spec 2.7); this does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from twistedmilter.errors import ProtocolViolation
from twistedmilter.model.modification import Modification, ReplaceBody
from twistedmilter.wire import letters
from twistedmilter.wire.flags import OLDEST_VERSION, Action, ProtocolFlag
from twistedmilter.wire.frames import FrameDecoder
from twistedmilter.wire.parsed_replies import (
    MODIFICATIONS,
    VERDICTS,
    Agreement,
    ParsedReply,
    has_lone_percent,
    parse_agreement,
    parse_modification,
    parse_reply_code,
)
from twistedmilter.wire.replies import action_needed

MAX_REPLY_FRAME: Final = 1_048_577  # octets; libmilter never exceeds 65,536
MAX_PROGRESS: Final = 1_000  # of one message
MAX_CHANGES: Final = 10_000  # modification frames of one message, without those of the body
MAX_NEW_BODY: Final = 64 * 1_048_576  # octets
MAX_NEW_BODY_CHUNKS: Final = 65_536

_SKIP_ENDS_FILTERING: Final = frozenset(b"CHMRT")
_WITHOUT_PAYLOAD: Final = frozenset(b"cartdsp")


class ReplyAccount:
    """The replies of one filter, checked against what is owed.

    Give C{receive_data} what came, then call C{next_reply} until it returns None.

    @ivar agreement: the filter's answer to the offer; None before.
    @ivar strict: what either MTA would refuse is a violation; else only what both would, the rest is a warning.
    """

    def __init__(self, offer: tuple[int, int, int], *, strict: bool = True, max_frame: int = MAX_REPLY_FRAME) -> None:
        """Owe nothing.

        @param offer: version, actions and protocol steps.
        @param max_frame: the largest length word allowed. [octets]
        """
        self.strict = strict
        self.agreement: Agreement | None = None
        self._offer = offer
        self._decoder = FrameDecoder(max_frame, peer="filter")
        self._owed: deque[int] = deque()  # letters of the commands whose answers are awaited
        self._last = 0  # letter of the last command sent
        self._warnings: list[str] = []
        self._skipping = False
        self._forget_message()

    def _forget_message(self) -> None:
        self._changes: list[Modification] = []
        self._new_body: list[bytes] = []  # chunks
        self._new_body_size = 0
        self._body_interrupted = False  # something else came after the first chunk
        self._progress = 0

    @property
    def replies_owed(self) -> int:
        """How many answers the filter owes."""
        return len(self._owed)

    @property
    def awaited(self) -> str:
        """The name of the command whose answer comes next; empty if none is owed."""
        return letters.command_name(self._owed[0]) if self._owed else ""

    def take_warnings(self) -> list[str]:
        """What one or the other MTA would not like, since the last call."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came."""
        self._decoder.receive_data(data)

    def receive_eof(self) -> None:
        """The filter closed the connection.

        @raise ProtocolViolation: inside a frame, or while an answer is owed.
        """
        if self._owed and self.agreement is None:
            raise ProtocolViolation("filter did not negotiate: it closed the connection")
        if self._decoder.pending:
            raise ProtocolViolation("filter closed the connection inside a frame")
        if self._owed:
            raise ProtocolViolation(f"filter closed the connection, {self.awaited} was not answered")

    def next_reply(self) -> ParsedReply | None:
        """The next frame of the filter; None when more octets are needed.

        @raise ProtocolViolation: naming the frame (rows 65 to 78).
        """
        frame = self._decoder.next_frame()
        if frame is None:
            return None
        letter, payload = frame
        try:
            return self._read(letter, payload)
        except ProtocolViolation as violation:
            self._decoder.stop(violation)
            raise

    def _read(self, letter: int, payload: bytes) -> ParsedReply:
        if self.agreement is None:
            return self._read_agreement(letter, payload)
        if letter in _WITHOUT_PAYLOAD and payload:
            self._odd(f"{letters.reply_name(letter)} with payload: Postfix would refuse it", payload)
        if letter in VERDICTS:
            return self._read_verdict(letter, payload)
        if letter == letters.PROGRESS:
            return self._read_progress()
        if letter in MODIFICATIONS:
            return self._read_modification(letter, payload)
        raise ProtocolViolation(f"{letters.reply_name(letter)} from the filter", payload)

    def _odd(self, text: str, payload: bytes = b"") -> None:
        """Something that only one of the MTAs takes."""
        if self.strict:
            raise ProtocolViolation(text, payload)
        self._warnings.append(text)

    def _has(self, flag: ProtocolFlag) -> bool:
        return self.agreement is not None and bool(self.agreement.protocol & flag)

    def _read_agreement(self, letter: int, payload: bytes) -> ParsedReply:
        if letter != letters.OPTNEG or not self._owed:
            raise ProtocolViolation(f"filter did not negotiate: {letters.reply_name(letter)} came", payload)
        agreement = parse_agreement(payload)
        version, actions, protocol = self._offer
        if not OLDEST_VERSION <= agreement.version <= version:
            self._odd(f"OPTNEG answers version {agreement.version} to an offer of {version}")
        if extra := agreement.actions & ~actions:
            self._odd(f"OPTNEG asks for actions 0x{extra:x} that were not offered: MTAs would refuse it")
        if extra := agreement.protocol & ~protocol:
            self._odd(f"OPTNEG asks for protocol steps 0x{extra:x} that were not offered: sendmail would refuse it")
        for oddity in agreement.oddities:
            self._odd(f"OPTNEG: {oddity}")
        self._owed.popleft()
        # a bit that was not offered has no effect
        self.agreement = replace(agreement, protocol=agreement.protocol & protocol)
        return ParsedReply(letter, letters.OPTNEG, payload)

    def _read_verdict(self, letter: int, payload: bytes) -> ParsedReply:
        if not self._owed:
            after = letters.command_name(self._last)
            raise ProtocolViolation(
                f"surplus reply {letters.reply_name(letter)}: nothing is owed after {after}", payload
            )
        command = self._owed[0]
        reply = parse_reply_code(payload) if letter == letters.REPLY_CODE else ParsedReply(letter, 0, payload)
        self._owed.popleft()
        self._warn_of_verdict(letter, command, reply)
        if letter == letters.SKIP and command == letters.BODY:
            self._skipping = True
        return replace(reply, answers=command)

    def _warn_of_verdict(self, letter: int, command: int, reply: ParsedReply) -> None:
        name = letters.command_name(command)
        if letter == letters.SKIP and command != letters.BODY:
            effect = "end filtering for the connection" if command in _SKIP_ENDS_FILTERING else "misread it"
            self._warnings.append(f"SKIP at {name}: sendmail would {effect}")
        if letter == letters.SKIP and not self._has(ProtocolFlag.SKIP):
            self._warnings.append(f"SKIP at {name} was not negotiated: sendmail would refuse it")
        if letter == letters.DISCARD and command in {letters.CONNECT, letters.HELO}:
            self._warnings.append(f"DISCARD at {name}: sendmail would end or ignore the filter, Postfix would warn")
        if has_lone_percent(reply):
            self._warnings.append(f"REPLY-CODE at {name} has a single %: sendmail would drop the text")

    def _at_end_of_message(self) -> bool:
        return bool(self._owed) and self._owed[0] == letters.END_OF_MESSAGE

    def _read_progress(self) -> ParsedReply:
        if not self._at_end_of_message():
            self._warnings.append("PROGRESS before END-OF-MESSAGE: sendmail would refuse it, Postfix would take it")
        self._progress += 1
        if self._progress > MAX_PROGRESS:
            raise ProtocolViolation(f"more than {MAX_PROGRESS} PROGRESS frames for one message")
        return ParsedReply(letters.PROGRESS, self._owed[0] if self._owed else 0)

    def _read_modification(self, letter: int, payload: bytes) -> ParsedReply:
        reply = parse_modification(letter, payload, leading_space=self._has(ProtocolFlag.HDR_LEADSPC))
        if not self._at_end_of_message():
            self._warnings.append(f"{reply.name} before END-OF-MESSAGE: sendmail and Postfix would drop the filter")
            return reply
        if reply.modification is None:
            self._warnings.append(f"{reply.name} holds what no careful filter sends: MTAs differ in what they do")
        elif isinstance(reply.modification, ReplaceBody):
            self._take_body(reply.modification)
        else:
            self._take_change(reply.modification)
        return reply

    def _warn_of_action(self, modification: Modification) -> None:
        needed = action_needed(modification)
        if self.agreement is not None and not self.agreement.actions & needed:
            self._warnings.append(f"{Action(needed).name} was not negotiated: sendmail would complain")

    def _take_change(self, modification: Modification) -> None:
        self._warn_of_action(modification)
        self._body_interrupted = bool(self._new_body)
        self._changes.append(modification)
        if len(self._changes) > MAX_CHANGES:
            raise ProtocolViolation(f"more than {MAX_CHANGES} modifications of one message")

    def _take_body(self, chunk: ReplaceBody) -> None:
        if not self._new_body:
            self._warn_of_action(chunk)
        if self._body_interrupted:
            self._warnings.append("REPLACE-BODY frames with another modification between: Postfix would refuse them")
        self._new_body.append(chunk.body)
        self._new_body_size += len(chunk.body)
        if self._new_body_size > MAX_NEW_BODY or len(self._new_body) > MAX_NEW_BODY_CHUNKS:
            raise ProtocolViolation(f"new body of more than {MAX_NEW_BODY} octets")

    @property
    def modifications(self) -> list[Modification]:
        """Those of the current message, in order; the new body, if there is one, in one piece at the end."""
        return [*self._changes, ReplaceBody(b"".join(self._new_body))] if self._new_body else list(self._changes)
