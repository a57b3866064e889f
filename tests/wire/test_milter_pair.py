"""Both sides of the protocol against each other, over random legal scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.test_frames import cut
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
from twistedmilter.wire import commands, letters
from twistedmilter.wire.flags import Action, ProtocolFlag
from twistedmilter.wire.milter_client import MilterClient
from twistedmilter.wire.negotiation import Wants
from twistedmilter.wire.parsed_replies import parse_modification, parse_reply_code
from twistedmilter.wire.replies import (
    ACCEPT,
    CONTINUE,
    DISCARD,
    REJECT,
    SKIP,
    TEMPFAIL,
    Reply,
    ReplyCode,
    encode_modification,
    reply_lines,
)
from twistedmilter.wire.session import MilterSession

OCTETS = st.binary(max_size=40).map(lambda octets: octets.replace(b"\0", b""))
NAMES = st.text("ABCxyz-9", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF), max_size=30)
PATHS = st.text("abc@.+", min_size=1, max_size=12).map(lambda path: f"<{path}>")
INDEXES = st.integers(1, 0x7FFFFFFF)
MODIFICATIONS = st.one_of(
    st.builds(AddHeader, NAMES, VALUES),
    st.builds(InsertHeader, st.integers(0, 0x7FFFFFFF), NAMES, VALUES),
    st.builds(ChangeHeader, NAMES, INDEXES, VALUES.filter(bool)),
    st.builds(DeleteHeader, NAMES, INDEXES),
    st.builds(ReplaceBody, st.binary(max_size=50)),
    st.builds(AddRecipient, PATHS, st.sampled_from([(), ("NOTIFY=NEVER",), ("NOTIFY=NEVER", "ORCPT=rfc822;a")])),
    st.builds(DeleteRecipient, PATHS),
    st.builds(ChangeSender, PATHS, st.sampled_from([(), ("RET=HDRS", "ENVID=x")])),
    st.builds(Quarantine, VALUES.filter(bool)),
)
REPLIES = st.sampled_from(
    [CONTINUE, CONTINUE, CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, SKIP, ReplyCode(550, "5.7.1", ("no", "100%"))]
)
WANTS = st.builds(
    Wants,
    needed=st.frozensets(st.sampled_from(sorted(letters.ANSWERABLE))),
    answered=st.frozensets(st.sampled_from(sorted(letters.ANSWERABLE))),
    actions=st.integers(0, 0xFF).map(Action),
    skip=st.booleans(),
    leading_space=st.booleans(),
)
CONNECTS = st.sampled_from(
    [("h", "U", 0, ""), ("mx", "4", 25, "192.0.2.1"), ("mx", "6", 0, "::1"), ("l", "L", 0, "/x")]
)
Envelope = tuple[bytes, list[bytes]]


@dataclass(frozen=True)
class Message:
    """What the MTA would send of one message, as far as the filter lets it go.

    @ivar ending: C{end}, or what comes instead of the content: C{abort}, C{mail}, C{helo}.
    """

    mail: Envelope
    rcpts: list[Envelope]
    headers: list[tuple[bytes, bytes]]
    body: list[bytes]
    tail: bytes
    ending: str


@dataclass(frozen=True)
class Script:
    """A session: what was offered and wanted, what the filter says, how the stream is cut."""

    wants: Wants
    protocol: int
    replies: list[Reply]
    changes: list[Modification]
    connect: tuple[str, str, int, str]
    messages: list[Message]
    places: list[int]


ENVELOPES = st.tuples(OCTETS, st.lists(OCTETS.filter(bool), max_size=3))
MESSAGES = st.builds(
    Message,
    ENVELOPES,
    st.lists(ENVELOPES, min_size=1, max_size=3),
    st.lists(st.tuples(OCTETS.filter(bool), OCTETS), max_size=4),
    st.lists(st.binary(min_size=1, max_size=50), max_size=3),
    st.binary(max_size=10),
    st.sampled_from(["end", "end", "abort", "mail", "helo"]),
)
SCRIPTS = st.builds(
    Script,
    WANTS,
    st.sampled_from([0x1FFFFF, 0x3FF, 0x7F, 0x1FF07F]),
    st.lists(REPLIES, max_size=7),
    st.lists(MODIFICATIONS, max_size=3),
    CONNECTS,
    st.lists(MESSAGES, max_size=3),
    st.lists(st.integers(0, 400), max_size=3),
)


class Pair:
    """A client and a session joined without a network, one command at a time as MTAs do.

    @ivar told: the events that the filter got. @ivar verdicts: letters that the MTA read.
    """

    def __init__(self, wants: Wants, protocol: int, replies: list[Reply], changes: list[Modification]) -> None:
        self.client = MilterClient(protocol=protocol)
        self.session = MilterSession(wants)
        self.replies = replies
        self.changes = changes
        self.dropped: list[Modification] = []
        self.told: list[commands.Event] = []
        self.verdicts: list[int] = []
        self.places: list[int] = []
        self.send(self.client.negotiate())

    def send(self, octets: bytes) -> int:
        """Give octets to the filter, the answers to the MTA; the letter of the last verdict."""
        for piece in cut(octets, self.places):
            self.session.receive_data(piece)
            while (event := self.session.next_event()) is not None:
                self.take(event)
        for piece in cut(self.session.data_to_send(), self.places):
            self.client.receive_data(piece)
            while (reply := self.client.next_reply()) is not None:
                if reply.is_verdict:
                    self.verdicts.append(reply.letter)
        assert not self.client.replies_owed, self.client.awaited
        assert not self.client.take_warnings()
        return self.verdicts[-1] if self.verdicts else letters.CONTINUE

    def take(self, event: commands.Event) -> None:
        """Be a filter."""
        self.told.append(event)
        if isinstance(event, commands.EndOfMessage):
            self.dropped = self.session.modify(self.changes)
        if self.session.owes:
            self.session.answer(self.replies[len(self.told) % len(self.replies)] if self.replies else CONTINUE)

    def goes_on(self, octets: bytes, stop: bytes = b"artdy") -> bool:
        """Whether the MTA goes on with the message after this command; a stopped one ends its message."""
        before = len(self.verdicts)
        self.send(octets)
        return not any(letter in stop for letter in self.verdicts[before:])


def content(client: MilterClient, message: Message) -> Iterator[bytes]:
    """The commands of the content, without its end."""
    yield client.data()
    for name, value in message.headers:
        yield client.header(name, value)
    yield client.end_of_headers()
    for chunk in message.body:
        yield client.body(chunk)


def run_message(pair: Pair, message: Message) -> bool:
    """One transaction, as far as the filter lets it go; whether the session goes on after it."""
    client = pair.client
    if not pair.goes_on(client.mail(*message.mail)):
        return True
    if not all(pair.goes_on(client.rcpt(*recipient), b"ad") for recipient in message.rcpts):
        return True
    if message.ending == "helo":
        return pair.goes_on(client.helo("again"), b"a")  # accepted there, the session is over (3.4)
    if message.ending == "abort":
        pair.send(client.abort())
    elif message.ending == "end" and all(pair.goes_on(octets) for octets in content(client, message)):
        pair.send(client.end_of_message(message.tail))
    return True


def header_fields(told: list[commands.Event]) -> list[commands.HeaderField]:
    """The fields that were told, one by one where each is answered, else in runs."""
    fields = []
    for event in told:
        if isinstance(event, commands.HeaderFields):
            fields += event.fields
        elif isinstance(event, commands.HeaderField):
            fields.append(event)
    return fields


class PairTests(SynchronousTestCase):
    """What one side says the other understands."""

    @settings(max_examples=150, deadline=None)
    @given(SCRIPTS)
    def test_any_legal_script(self, script: Script) -> None:
        """Whatever was negotiated, however it is cut: all that is owed is answered, nothing is surplus."""
        pair = Pair(script.wants, script.protocol, script.replies, script.changes)
        pair.places = script.places
        if pair.goes_on(pair.client.connect(*script.connect)) and pair.goes_on(pair.client.helo("h"), b"a"):
            # stops at the first message after which the session is over
            all(run_message(pair, message) for message in script.messages)
        pair.send(pair.client.quit())
        self.assertIsInstance(pair.told[-1], commands.Quit)
        self.assertEqual(pair.session.buffered, 0)

    @given(MESSAGES)
    def test_events_are_what_was_sent(self, message: Message) -> None:
        """Octets come out as they went in, whatever they are."""
        pair = Pair(Wants(leading_space=True), 0x1FFFFF, [], [])
        pair.send(pair.client.connect("h") + pair.client.helo("h"))
        run_message(pair, replace(message, ending="end"))
        told = pair.told[3:]
        self.assertEqual(told[0], (message.mail[0], tuple(message.mail[1])))
        self.assertEqual(header_fields(told), message.headers)
        body = b"".join(event.octets for event in told if isinstance(event, commands.BodyChunk))
        self.assertEqual(body, b"".join(message.body) + message.tail)

    @given(st.lists(MODIFICATIONS, max_size=5), st.integers(0, 0xFF), st.booleans())
    def test_modifications_arrive(self, changes: list[Modification], actions: int, leading_space: bool) -> None:
        """What was granted arrives in order, the last new body at the end; the rest is given back."""
        pair = Pair(Wants(actions=Action(actions), leading_space=leading_space), 0x1FFFFF, [], changes)
        pair.send(pair.client.connect("h") + pair.client.mail("<>") + pair.client.rcpt("<a@b>"))
        pair.send(pair.client.end_of_message())
        kept = [change for change in changes if not any(change is dropped for dropped in pair.dropped)]
        bodies = [change for change in kept if isinstance(change, ReplaceBody)]
        expected = [change for change in kept if not isinstance(change, ReplaceBody)] + bodies[-1:]
        self.assertEqual(pair.client.modifications, expected)

    @given(MODIFICATIONS, st.booleans())
    def test_modification_round_trip(self, change: Modification, leading_space: bool) -> None:
        """Decoding what was encoded gives the modification back."""
        (frame,) = encode_modification(change, leading_space=leading_space)
        self.assertEqual(parse_modification(frame[4], frame[5:], leading_space=leading_space).modification, change)

    @given(st.text(max_size=300))
    def test_reply_round_trip(self, text: str) -> None:
        """A text that was made legal arrives as it was made."""
        lines = reply_lines(text)
        parsed = parse_reply_code(ReplyCode(451, "4.7.1", lines).frame[5:])
        self.assertEqual((parsed.code, parsed.status, parsed.lines), (451, "4.7.1", lines))

    def test_macros(self) -> None:
        """Macros of one side are looked up on the other, octets unchanged."""
        pair = Pair(Wants(), 0x1FFFFF, [], [])
        pair.send(pair.client.macros(ord("C"), {"j": "mx", "{daemon_name}": b"\xff"}) + pair.client.connect("h"))
        self.assertEqual((pair.session.macro("j"), pair.session.macro("daemon_name")), ("mx", "\udcff"))

    def test_no_reply_steps_are_quiet(self) -> None:
        """2.7: with NR_all one message is three exchanges: the offer, E, and nothing else."""
        pair = Pair(Wants(answered=frozenset()), 0x1FFFFF, [], [])
        self.assertTrue(pair.client.agreement and pair.client.agreement.protocol & ProtocolFlag.NR_BODY)
        client = pair.client
        pair.send(client.connect("h") + client.mail("<>") + client.rcpt("<a@b>") + client.data())
        pair.send(client.header("A", "b") + client.end_of_headers() + client.body(b"x"))
        self.assertEqual(pair.verdicts, [])
