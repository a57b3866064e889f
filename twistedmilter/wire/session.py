"""The filter's side of a milter connection: octets in, events out, and one answer for each that owes one.

Neither sendmail nor Postfix notices an answer that is not owed; it would be read as the answer to the next
command, and the refusal at end of message would never be read (milter-spec 2.7).  So the session keeps the
account: it refuses to answer what owes nothing, and to go on while something is owed.

This is the hot path: each frame costs one look-up in a table that was worked out at negotiation (L{plan}).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NoReturn, cast

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.modification import Modification, ReplaceBody
from twistedmilter.wire import letters, order, plan
from twistedmilter.wire.commands import PARSERS, Abort, BodyChunk, Event, HeaderField, HeaderFields
from twistedmilter.wire.flags import ProtocolFlag
from twistedmilter.wire.frames import HEAD, MAX_FRAME, SHORTEST, WORD, FrameDecoder, encode_frame
from twistedmilter.wire.macros import MacroSlots
from twistedmilter.wire.negotiation import Granted, Wants
from twistedmilter.wire.replies import CONTINUE, Reply, action_needed, encode_modification

_CONTINUE: Final = CONTINUE.frame
_PROGRESS: Final = encode_frame(letters.PROGRESS)
_END: Final = letters.END_OF_MESSAGE

# globals of this module: one look-up less on the hot path
_MACRO: Final = letters.MACRO
_HEADER: Final = letters.HEADER
_MAIL: Final = order.MAIL
_END_STATE: Final = order.END_OF_MESSAGE
_ILLEGAL: Final = plan.ILLEGAL
_unpack_head: Final = HEAD.unpack_from
_PARSE_HEADER: Final = cast("Callable[[bytes], HeaderField]", PARSERS[letters.HEADER])


class MilterSession(FrameDecoder):
    """One milter connection, from the filter's side.

    Give C{receive_data} what came, then call C{next_event} until it returns None; answer each event after
    which C{owes} is true before asking for the next; send what C{data_to_send} returns.

    @ivar owes: true while the last event owes exactly one answer: the letter of its command, else 0.
        A plain attribute, because it is asked for after each event; only the session sets it.
    @ivar granted: what was negotiated; None before.
    """

    __slots__ = (
        "_actions",
        "_attention",
        "_forget",
        "_held",
        "_leading_space",
        "_macros",
        "_new_body",
        "_outbox",
        "_skipping",
        "_state",
        "_table",
        "_wants",
        "_warnings",
        "granted",
        "owes",
    )

    def __init__(self, wants: Wants, *, max_frame: int = MAX_FRAME) -> None:
        """Wait for the MTA's offer.

        @param max_frame: the largest length word allowed. [octets]
        """
        super().__init__(max_frame)
        self.granted: Granted | None = None
        self._actions = 0  # as plain integers: enum operations are slow
        self._leading_space = False
        self._wants = wants
        self._table = plan.opening(wants)
        self._state = order.START
        self.owes = 0
        self._outbox: list[bytes] = []
        self._warnings: dict[str, bool] = {}  # text, and whether it was taken
        self._macros = MacroSlots(self._warnings)
        self._new_body: ReplaceBody | None = None  # goes out last, just before the answer
        self._skipping = False  # no more of this body is wanted
        # what next_event must do before it reads on; macros are forgotten late so that whoever
        # handles the end of a transaction can still look them up
        self._attention = False
        self._forget: Callable[[], None] | None = None
        self._held: tuple[int, bytes] | None = None  # a frame that was put back

    # what came

    def next_event(self) -> Event | None:
        """The next command of the MTA; None when more octets are needed.

        A transaction that ends because something else begins gives an L{Abort} first.

        @raise LocalProtocolError: the last event still owes its answer.
        @raise ProtocolViolation: the MTA broke the protocol; again at every later call.
        """
        if self.owes:
            raise LocalProtocolError(f"{letters.command_name(self.owes)} was not answered yet")
        try:
            if self._attention and (resumed := self._resume()) is not None:
                return resumed
            # L{next_frame} written out: a call less for each frame
            buffer = self._buffer
            start = self._offset
            size = len(buffer)
            while size - start >= SHORTEST:
                length, letter = _unpack_head(buffer, start)
                end = start + WORD + length
                if end > size or not 0 < length <= self._limit:
                    break
                payload = buffer[start + SHORTEST : end]
                self._offset = start = end
                if letter == _MACRO:
                    self._macros.keep(payload, _MAIL <= self._state <= _END_STATE)
                    continue
                step = self._table[self._state].get(letter, _ILLEGAL)
                parse, state, owed, kind = step
                if kind:
                    if (other := _ACTS[kind](self, letter, payload, step)) is not None:
                        return other
                    continue
                event = parse(payload)
                self._state = state
                self.owes = owed
                return event
            if start == size and not self._tail and not self._stopped:
                return None
            return self.next_event() if self._gather() else None
        except ProtocolViolation as violation:
            self.stop(violation)
            raise

    def _resume(self) -> Event | None:
        """Do what was left for later; the event of the frame that was put back, if any."""
        self._attention = False
        if self._forget is not None:
            self._forget()
            self._forget = None
        held, self._held = self._held, None
        return None if held is None else self._take(*held)

    def _take(self, letter: int, payload: bytes) -> Event | None:
        step = self._table[self._state].get(letter, _ILLEGAL)
        return _ACTS[step[3]](self, letter, payload, step)

    def _direct(self, _letter: int, payload: bytes, step: plan.Step) -> Event:
        event = step[0](payload)
        self._state = step[1]
        self.owes = step[2]
        return event

    def _refuse_step(self, letter: int, payload: bytes, _step: plan.Step) -> NoReturn:
        state = order.STATE_NAMES[self._state]
        if letter not in letters.COMMAND_NAMES:
            raise ProtocolViolation(f"unknown {letters.command_name(letter)} after {state}", payload)
        raise ProtocolViolation(f"{letters.command_name(letter)} is not legal after {state}", payload)

    def _end_transaction(self) -> None:
        self._state = order.READY
        self._new_body = None
        self._skipping = False
        self._forget = self._macros.end_transaction
        self._attention = True

    # the steps that are not direct

    def _negotiate(self, _letter: int, payload: bytes, _step: plan.Step) -> Event:
        agreed = plan.plan(self._wants, payload[: plan.OFFER])
        self.granted = agreed.granted
        self._actions = int(agreed.granted.actions)
        self._leading_space = ProtocolFlag.HDR_LEADSPC in agreed.granted.protocol
        self._table = agreed.table
        self._state = order.NEGOTIATED
        self._outbox.append(agreed.frame)
        return agreed.event

    def _automatic(self, _letter: int, payload: bytes, step: plan.Step) -> Event:
        event = step[0](payload)
        self._state = step[1]
        self._outbox.append(_CONTINUE)
        return event

    def _collect(self, _letter: int, payload: bytes, step: plan.Step) -> Event:
        """One event for a run of header fields: a message has dozens, and they mostly come in one piece.

        A malformed one ends the run and is left for the next call, which says so.
        """
        parse = _PARSE_HEADER
        fields = [parse(payload)]
        self._state = step[1]
        buffer = self._buffer
        start = self._offset
        size = len(buffer)
        while size - start >= SHORTEST:
            length, letter = _unpack_head(buffer, start)
            end = start + WORD + length
            if letter != _HEADER or end > size or not 0 < length <= self._limit:
                break
            try:
                fields.append(parse(buffer[start + SHORTEST : end]))
            except ProtocolViolation:
                break
            self._offset = start = end
        return HeaderFields(fields)

    def _unwanted(self, _letter: int, payload: bytes, step: plan.Step) -> None:
        step[0](payload)  # malformed is malformed, wanted or not
        self._state = step[1]
        if step[2]:
            self._outbox.append(_CONTINUE)

    def _ignored(self, _letter: int, _payload: bytes, _step: plan.Step) -> None:
        """An ABORT without a transaction: Postfix sends several."""

    def _body(self, letter: int, payload: bytes, step: plan.Step) -> Event | None:
        if not payload or self._skipping:
            self._unwanted(letter, payload, step)
            return None
        self._state = step[1]
        if step[2] and letter not in self._wants.answered:
            self._outbox.append(_CONTINUE)
        else:
            self.owes = step[2]
        return BodyChunk(payload)

    def _end(self, letter: int, payload: bytes, step: plan.Step) -> Event:
        if payload and not self._skipping and letters.BODY in self._wants.needed:
            # the last of the body rides along, and is not answered on its own
            self._held = (letter, b"")
            self._attention = True
            return BodyChunk(payload)
        self._state = step[1]
        self.owes = step[2]
        return step[0](payload)

    def _abort(self, _letter: int, payload: bytes, step: plan.Step) -> Event:
        self._end_transaction()
        return step[0](payload)

    def _abort_first(self, letter: int, payload: bytes, _step: plan.Step) -> Event:
        self._end_transaction()
        self._held = (letter, payload)
        return Abort()

    def _leave(self, _letter: int, payload: bytes, step: plan.Step) -> Event:
        self._state = step[1]
        self._forget = self._macros.end_connection
        self._attention = True
        if self._state == order.CLOSED:
            self.stop()
        return step[0](payload)

    # what is answered

    def answer(self, reply: Reply) -> None:
        """Answer the last event; what cannot be said at it becomes the nearest legal answer.

        SKIP is said at BODY only, to Postfix also at RCPT and HEADER; DISCARD not at CONNECT and HELO;
        of a recipient that the MTA itself refused nothing but CONTINUE.

        @raise LocalProtocolError: nothing is owed.
        """
        owed = self.owes
        if not owed:
            raise LocalProtocolError("no answer is owed")
        if reply is not CONTINUE:
            reply = self._adapted(owed, reply)
        self.owes = 0
        if owed == _END:
            self._send_body(reply.letter)
        self._outbox.append(reply.frame)
        state = order.AFTER_ANSWER[owed].get(reply.letter)
        if state == order.READY:
            self._end_transaction()
        elif state is not None:
            self._state = state

    def _adapted(self, owed: int, reply: Reply) -> Reply:
        """The reply itself where it is legal, else CONTINUE."""
        letter = reply.letter
        if letter == letters.SKIP:
            return self._skip(owed, reply)
        if letter in order.NOT_POSSIBLE.get(owed, b""):
            self._warnings.setdefault(f"reply {chr(letter)} at {letters.command_name(owed)} became continue", False)
            return CONTINUE
        if owed == letters.RCPT and self.recipient_refused_by_mta:
            return CONTINUE
        return reply

    def _skip(self, owed: int, reply: Reply) -> Reply:
        granted = self._has(ProtocolFlag.SKIP)
        if owed == letters.BODY:
            self._skipping = True
            return reply if granted else CONTINUE
        # elsewhere sendmail would stop filtering for the whole connection (milter-spec 3.7)
        at_once = granted and owed in {letters.RCPT, letters.HEADER} and self.peer_is_postfix
        return reply if at_once else CONTINUE

    def modify(self, modifications: Iterable[Modification]) -> list[Modification]:
        """Queue modifications in order, a new body last: Postfix wants its frames in one piece.

        The last of several new bodies wins; it is sent with an answer that lets the message go on.

        @return: those that were dropped because the MTA did not grant the action.
        @raise LocalProtocolError: not between END-OF-MESSAGE and its answer.
        """
        self._at_end_of_message()
        dropped = []
        for modification in modifications:
            if not int(action_needed(modification)) & self._actions:
                dropped.append(modification)
            elif isinstance(modification, ReplaceBody):
                self._new_body = modification
            else:
                self._outbox += encode_modification(modification, leading_space=self._leading_space)
        return dropped

    def progress(self) -> None:
        """Tell the MTA that the answer to END-OF-MESSAGE takes longer.

        @raise LocalProtocolError: not between END-OF-MESSAGE and its answer; elsewhere it is a protocol
            error to sendmail.
        """
        self._at_end_of_message()
        self._outbox.append(_PROGRESS)

    def _at_end_of_message(self) -> None:
        if self.owes != _END:
            raise LocalProtocolError("legal only between END-OF-MESSAGE and its answer")

    def _send_body(self, verdict: int) -> None:
        if self._new_body is not None and verdict in {letters.CONTINUE, letters.ACCEPT}:
            self._outbox += encode_modification(self._new_body, leading_space=False)

    def data_to_send(self) -> bytes:
        """Everything queued since the last call."""
        outbox = self._outbox
        if not outbox:
            return b""
        self._outbox = []
        return b"".join(outbox)

    # what is known

    @property
    def in_transaction(self) -> bool:
        """Whether a mail transaction is open: from MAIL until it was answered for good or aborted."""
        return _MAIL <= self._state <= _END_STATE

    @property
    def peer_is_postfix(self) -> bool:
        """Whether macro C{v} says so; False when it was not sent."""
        return (self.macro("v") or "").startswith("Postfix")

    @property
    def recipient_refused_by_mta(self) -> bool:
        """Whether the MTA tells of a recipient that it refused itself (RCPT_REJ, milter-spec 3.4)."""
        return self._has(ProtocolFlag.RCPT_REJ) and self.macro("rcpt_mailer") == "error"

    def _has(self, flag: ProtocolFlag) -> bool:
        return self.granted is not None and flag in self.granted.protocol

    def macro(self, name: str) -> str | None:
        """The value of an MTA macro, with or without braces; None if the MTA did not send it.

        The macros of a transaction are there until the event after its end is asked for.
        """
        return self._macros.get(name)

    def take_warnings(self) -> list[str]:
        """What was odd and tolerated since the last call; each kind is told once."""
        fresh = [text for text, taken in self._warnings.items() if not taken]
        self._warnings.update(dict.fromkeys(fresh, True))
        return fresh


# ruff: noqa: SLF001 - the table of the class above
_ACTS: Final[dict[int, Callable[[MilterSession, int, bytes, plan.Step], Event | None]]] = {
    plan.DIRECT: MilterSession._direct,
    plan.REFUSE: MilterSession._refuse_step,
    plan.AUTOMATIC: MilterSession._automatic,
    plan.UNWANTED: MilterSession._unwanted,
    plan.IGNORED: MilterSession._ignored,
    plan.COLLECT: MilterSession._collect,
    plan.NEGOTIATE: MilterSession._negotiate,
    plan.BODY: MilterSession._body,
    plan.END: MilterSession._end,
    plan.ABORT: MilterSession._abort,
    plan.ABORT_FIRST: MilterSession._abort_first,
    plan.LEAVE: MilterSession._leave,
}
