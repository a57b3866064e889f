"""The lines of GOSSiP: what is asked, and what is answered (gossip spec 1.1, 1.2).

A request is a line and an empty one; so is the answer to a query.  What needs no words is answered by two empty lines.
Nothing here waits or decides: octets and values only.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.reputation import Identity, Opinion, Vote
from twistedmilter.wire.gossip_lines import LineDecoder

PORT: Final = 11_900
MAX_TTL: Final = 2  # hops; more are taken for this many (case 11)
MAX_PRINTED: Final = 18  # digits of a number that a peer sends
NO_UMIS: Final = "REQUEST_ERROR"
ACKNOWLEDGEMENT: Final = b"\n\n"

_UMIS: Final = r"[A-Za-z0-9._$+/=@-]{1,128}"
_FIELDS: Final = r"([A-Za-z0-9._-]{1,254}):([A-Za-z0-9._-]{1,64})"
_QUERY: Final = re.compile(rf"Q:{_FIELDS}:([0-9]{{1,9}}):({_UMIS})(?::.*)?".encode())
_FEEDBACK: Final = re.compile(rf"F:({_UMIS}):(0|1|Yes|No)(?::.*)?".encode())
_RESET: Final = re.compile(rf"R:{_FIELDS}(?::.*)?".encode())
_WITH_UMIS: Final = re.compile(rf"(?:Q(?::[^:]*){{3}}|F):({_UMIS})(?::.*)?".encode())
_REPLY: Final = re.compile(
    rf"(PREPEND|REJECT|ERROR) X-GOSSiP: ({_UMIS}),(-?[0-9]{{1,{MAX_PRINTED}}}),(-?[0-9]{{1,{MAX_PRINTED}}})".encode()
)
_VOTES: Final = {b"0": Vote.HAM, b"1": Vote.SPAM, b"No": Vote.HAM, b"Yes": Vote.SPAM}


class Query(Struct, frozen=True, gc=False):
    """The question what is thought of an identity.

    @ivar ttl: how far the question may travel: 0 is to be answered from own observations. [hops]
    @ivar umis: names the question, and the message.
    """

    identity: Identity
    ttl: int
    umis: str


class Feedback(Struct, frozen=True, gc=False):
    """What a message was that was asked about."""

    umis: str
    vote: Vote


class Reset(Struct, frozen=True, gc=False):
    """Forget an identity."""

    identity: Identity


class Unreadable(Struct, frozen=True, gc=False):
    """A line that is none of these; it is answered by C{ERROR}.

    @ivar umis: of the question, if so much could be read; else L{NO_UMIS}.
    """

    umis: str = NO_UMIS


class Reply(Struct, frozen=True, gc=False):
    """The answer to a query.

    @ivar action: C{PREPEND}, C{REJECT} or C{ERROR}.
    @ivar reputation: as it came: whoever uses it sees to its range. @ivar confidence: likewise.
    """

    action: str
    umis: str
    reputation: int
    confidence: int


class Acknowledgement(Struct, frozen=True, gc=False):
    """The answer to what is no query."""


Request = Query | Feedback | Reset | Unreadable


def parse_request(line: bytes) -> Request:
    """A line as a request; what follows the fields that are needed does not matter.

    @param line: without its end, not empty.
    """
    match = _QUERY.fullmatch(line)
    if match is not None:
        name, qualifier, ttl, umis = match.groups()
        try:
            identity = Identity.of(name.decode("ascii"), qualifier.decode("ascii"))
        except ValueError:
            return Unreadable(umis.decode("ascii"))
        return Query(identity, min(int(ttl), MAX_TTL), umis.decode("ascii"))
    match = _FEEDBACK.fullmatch(line)
    if match is not None:
        return Feedback(match[1].decode("ascii"), _VOTES[match[2]])
    return _parse_rare(line)


def _parse_rare(line: bytes) -> Request:
    match = _RESET.fullmatch(line)
    if match is not None:
        try:
            return Reset(Identity.of(match[1].decode("ascii"), match[2].decode("ascii")))
        except ValueError:
            return Unreadable()
    match = _WITH_UMIS.fullmatch(line)
    has_verdict = match is not None and (line[:1] == b"Q" or line.count(b":") > 1)
    return Unreadable(match[1].decode("ascii")) if match is not None and has_verdict else Unreadable()


class RequestDecoder:
    """The server's side: octets to requests, of which each is to be answered, in their order."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        """Start before a request."""
        self._lines = LineDecoder()

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        self._lines.receive_data(data)

    def next_request(self) -> Request | None:
        """The next request; None when more octets are needed.

        @raise ProtocolViolation: a line that is too long; it is answered by C{ERROR}, and nothing after it.
        """
        line = self.next_line()
        return parse_request(line) if line is not None else None

    def next_line(self) -> bytes | None:
        """The next request as it is written, never empty; None when more octets are needed.

        @raise ProtocolViolation: it is too long, as above.
        """
        while (line := self._lines.next_line()) is not None:
            if line:
                return line
        return None


class ReplyDecoder:
    """The client's side: octets to answers, in the order of the requests."""

    __slots__ = ("_blanks", "_lines")

    def __init__(self) -> None:
        """Start before an answer."""
        self._lines = LineDecoder()
        self._blanks = 0  # empty lines since the last answer; -1 if the one that ends it is still to come

    def receive_data(self, data: bytes) -> None:
        """Take octets as they came; they are not looked at yet."""
        self._lines.receive_data(data)

    def next_reply(self) -> Reply | Acknowledgement | None:
        """The next answer; None when more octets are needed.

        @raise ProtocolViolation: it is no answer: not these words, other numbers than integers, too long.
        """
        line = self.next_line()
        if line is None:
            return None
        return parse_reply(line) if line else Acknowledgement()

    def next_line(self) -> bytes | None:
        """The words of the next answer, which has none if it is an acknowledgement; None as above.

        @raise ProtocolViolation: it is too long.
        """
        while (line := self._lines.next_line()) is not None:
            if line:
                self._blanks = -1
                return line
            self._blanks += 1
            if self._blanks == 2:  # an acknowledgement
                self._blanks = 0
                return line
        return None


def parse_reply(line: bytes) -> Reply:
    """A line as the answer to a query.

    @raise ProtocolViolation: it is none.
    """
    match = _REPLY.fullmatch(line)
    if match is None:
        raise ProtocolViolation("an answer that is none", line)
    action, umis, reputation, confidence = match.groups()
    return Reply(action.decode("ascii"), umis.decode("ascii"), int(reputation), int(confidence))


def encode_query(query: Query) -> bytes:
    """A query on the wire.

    @raise LocalProtocolError: a field that could not be read on the other side.
    """
    identity = query.identity
    return _checked(f"Q:{identity.name}:{identity.qualifier}:{query.ttl}:{query.umis}", _QUERY)


def encode_feedback(feedback: Feedback) -> bytes:
    """Feedback on the wire; there is no word for no opinion.

    @raise LocalProtocolError: likewise.
    """
    return _checked(f"F:{feedback.umis}:{ {Vote.HAM: 0, Vote.SPAM: 1}.get(feedback.vote, '') }", _FEEDBACK)


def _checked(line: str, grammar: re.Pattern[bytes]) -> bytes:
    octets = line.encode("ascii", "replace")
    if grammar.fullmatch(octets) is None:
        raise LocalProtocolError(f"{line!r} cannot be sent")
    return octets + b"\n\n"


def encode_answer(umis: str, opinion: Opinion, *, is_bad: bool) -> bytes:
    """The answer to a query: the values cut off towards zero.

    @param is_bad: what to do with the mail, in the view of the node, which knows the values before that.
    """
    action = "REJECT" if is_bad else "PREPEND"
    return b"%s X-GOSSiP: %s,%d,%d\n\n" % (
        action.encode("ascii"),
        umis.encode("ascii"),
        opinion.reputation,
        opinion.confidence,
    )


def encode_error(umis: str = NO_UMIS) -> bytes:
    """The answer to a line that cannot be read, or to one that is refused."""
    return b"ERROR X-GOSSiP: %s,0,0\n\n" % umis.encode("ascii")
