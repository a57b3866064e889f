"""The milter face over a transport: order of answers, losses, hostile input, faults."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.scripted import PolicyBuilder, ScriptedCheck, entry_of, refuse
from twistedmilter.milter_proto import MAX_BUFFERED, MilterFactory, MilterProtocol
from twistedmilter.milter_sessions import MilterSessions
from twistedmilter.model.record import Record
from twistedmilter.model.settings import PolicySettings
from twistedmilter.model.stage import Role, Stage
from twistedmilter.model.verdict import Mark, Reason, Refuse, Verdict
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.policy.wants import wants_of
from twistedmilter.wire.frames import FrameDecoder, encode_frame

OFFER = bytes.fromhex("0000000d4f00000006000001ff001fffff")  # V01, what both MTAs send
CONNECT = encode_frame(ord("C"), b"mail.example.net\0" + b"4\x10\xe1" + b"192.0.2.9\0")
HELO = encode_frame(ord("H"), b"mail.example.net\0")
MAIL = encode_frame(ord("M"), b"<a@example.net>\0")
RCPT = encode_frame(ord("R"), b"<bob@example.com>\0")
HEADER = encode_frame(ord("L"), b"Subject\0hi\0")
END = encode_frame(ord("E"))
ABORT = encode_frame(ord("A"))
QUIT = encode_frame(ord("Q"))
ENVELOPE = (CONNECT, HELO, MAIL)


class AbortableTransport(StringTransport):
    """A string transport that can be aborted."""

    def abortConnection(self) -> None:
        """Lose the connection at once."""
        self.disconnected = self.disconnecting = True


class MTA:
    """The other side of one protocol."""

    def __init__(self, builder: PolicyBuilder) -> None:
        self.builder = builder
        policy = builder.build()
        self.sessions = MilterSessions(policy, wants_of(policy.chain, policy.settings.policy))
        self.factory = MilterFactory(self.sessions, "inet:8890@127.0.0.1", Role.INBOUND)
        self.connect()

    def connect(self) -> None:
        """A new connection."""
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        self.protocol: MilterProtocol = protocol
        self.transport = AbortableTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40000))
        self.decoder = FrameDecoder(1_000_000)
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def send(self, *frames: bytes) -> list[str]:
        """Send frames in one piece; the answers, each as its letter and text."""
        self.protocol.dataReceived(b"".join(frames))
        return self.replies()

    def replies(self) -> list[str]:
        """The answers since the last call."""
        self.decoder.receive_data(self.transport.value())
        self.transport.clear()
        frames = iter(self.decoder.next_frame, None)
        return [(bytes([letter]) + payload).decode("utf-8", "surrogateescape") for letter, payload in frames]

    def letters(self, *frames: bytes) -> str:
        """The letters of the answers."""
        return "".join(reply[0] for reply in self.send(*frames))

    @property
    def records(self) -> list[Record]:
        """The records so far."""
        return self.builder.observer.records

    @property
    def troubles(self) -> list[str]:
        """The lines of trouble so far."""
        return self.builder.observer.troubles


def greeted(*checks: object, policy: PolicySettings | None = None) -> MTA:
    """An MTA that has negotiated with a policy of these checks."""
    builder = PolicyBuilder(*checks)
    builder.policy = policy or builder.policy
    mta = MTA(builder)
    mta.send(OFFER)
    return mta


class OrderTests(SynchronousTestCase):
    """Exactly what is owed is answered, in order."""

    def test_a_message_without_objection(self) -> None:
        """Negotiation, then the verdict at end of message; nothing else is owed (NR granted)."""
        mta = greeted()
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, HEADER), "")
        self.assertEqual(mta.letters(END), "c")

    def test_modifications_come_before_the_verdict(self) -> None:
        """A marked message gets its header field between END-OF-MESSAGE and the answer."""
        mta = greeted(ScriptedCheck(Stage.MAIL, Mark(Reason("odd", "it is odd"))))
        mta.send(*ENVELOPE, RCPT, HEADER)
        modification, verdict = mta.send(END)
        self.assertIn("odd; it is odd", modification)
        self.assertEqual(verdict, "c")

    def test_everything_in_one_segment(self) -> None:
        """Row 56: two pipelined messages are judged strictly in order."""
        mta = greeted(ScriptedCheck(Stage.MAIL))
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, RCPT, HEADER, END, MAIL, RCPT, HEADER, END), "ccccc")

    def test_a_refusal_names_its_reference(self) -> None:
        """The reply at RCPT has code, status, reason and our id."""
        mta = greeted(ScriptedCheck(Stage.MAIL, refuse()))
        self.assertEqual(mta.send(*ENVELOPE, RCPT), ["y550 5.7.1 refused because of test-refusal (ref id1)\0"])

    def test_a_percent_sign_is_doubled(self) -> None:
        """A single one makes sendmail drop the text (LL-28)."""
        mta = greeted(ScriptedCheck(Stage.MAIL, Refuse(Reason("junk", "100% junk\r\n250 ok"))))
        reply = mta.send(*ENVELOPE, RCPT)[0]
        self.assertIn("100%% junk", reply)
        self.assertNotIn("\r\n250", reply)

    def test_a_long_sender_does_not_push_the_reference_out(self) -> None:
        """What is quoted of the client is cut."""
        mta = greeted(ScriptedCheck(Stage.MAIL, Refuse(Reason("junk", "x" * 60_000))))
        self.assertIn("(ref id1)", mta.send(*ENVELOPE, RCPT)[0])

    def test_an_old_mta_gets_every_answer(self) -> None:
        """Protocol 2 knows no NR flags: each step is answered."""
        mta = MTA(PolicyBuilder())
        mta.send(bytes.fromhex("0000000d4f000000020000003f0000007f"))
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, HEADER), "ccccc")

    def test_several_messages_and_sessions_on_one_connection(self) -> None:
        """QUIT_NC begins a new session with a new number."""
        mta = greeted()
        mta.send(*ENVELOPE, RCPT, HEADER, END, encode_frame(ord("K")), *ENVELOPE, RCPT, HEADER, END)
        self.assertEqual([record.connection for record in mta.records], [1, 2])


class WaitingTests(SynchronousTestCase):
    """A check that waits holds up its own session only."""

    def test_later_frames_wait_for_the_answer(self) -> None:
        """One frame at a time: what is pipelined behind a waiting RCPT is judged after it."""
        verdict: Deferred[Verdict | None] = Deferred()
        mta = greeted(ScriptedCheck(Stage.MAIL, verdict))
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, HEADER, END), "")
        verdict.callback(None)
        self.assertEqual("".join(reply[0] for reply in mta.replies()), "cc")

    def test_progress_only_between_end_of_message_and_verdict(self) -> None:
        """Every five seconds there, never elsewhere: sendmail takes it for a protocol error (milter-spec 3.8)."""
        verdict: Deferred[Verdict | None] = Deferred()
        mta = greeted(ScriptedCheck(Stage.MAIL, verdict))
        mta.send(*ENVELOPE, RCPT)
        mta.builder.clock.pump([1] * 8)
        self.assertEqual("".join(reply[0] for reply in mta.replies()), "c")
        self.assertEqual(mta.letters(HEADER, END), "")
        mta.builder.clock.pump([1] * 12)
        self.assertEqual("".join(reply[0] for reply in mta.replies()), "pp")
        verdict.callback(None)
        self.assertEqual("".join(reply[0] for reply in mta.replies()), "c")
        self.assertEqual(mta.builder.clock.getDelayedCalls(), [])

    def test_a_late_verdict_of_a_lost_session_is_dropped(self) -> None:
        """Row 59: nothing is written, the check is cancelled, the record says lost."""
        cancelled: list[int] = []
        verdict: Deferred[Verdict | None] = Deferred(lambda _deferred: cancelled.append(1))
        mta = greeted(ScriptedCheck(Stage.MAIL, verdict))
        mta.send(*ENVELOPE, RCPT)
        mta.protocol.connectionLost()
        self.assertEqual((cancelled, mta.replies(), mta.records[0].ended), ([1], [], "lost"))
        self.assertEqual((mta.builder.clock.getDelayedCalls(), len(mta.sessions)), ([], 0))

    def test_reading_pauses_while_an_answer_is_awaited(self) -> None:
        """Row 12: an MTA that goes on sending is not read beyond a bound."""
        verdict: Deferred[Verdict | None] = Deferred()
        mta = greeted(ScriptedCheck(Stage.MAIL, verdict))
        mta.send(*ENVELOPE, RCPT)
        for _ in range(MAX_BUFFERED // 60_000 + 1):
            mta.send(encode_frame(ord("L"), b"X\0" + b"x" * 60_000 + b"\0"))
        self.assertEqual(mta.transport.producerState, "paused")
        verdict.callback(None)
        self.assertEqual(mta.transport.producerState, "producing")

    def test_nothing_is_answered_while_the_mta_does_not_read(self) -> None:
        """Row 57: a full outgoing buffer stops the judging until it is read."""
        mta = greeted()
        mta.protocol.pauseProducing()
        self.assertEqual(mta.send(*ENVELOPE, RCPT, HEADER, END), [])
        mta.protocol.resumeProducing()
        self.assertEqual("".join(reply[0] for reply in mta.replies()), "c")


class HostileTests(SynchronousTestCase):
    """A clear line, a closed connection, no traceback (milter-spec 8.1)."""

    def violated(self, frames: Iterable[bytes], words: str) -> None:
        """The frames close the connection with one line that has these words."""
        mta = MTA(PolicyBuilder())
        mta.send(*frames)
        self.assertTrue(mta.transport.disconnected, words)
        self.assertEqual(len(mta.troubles), 1, mta.troubles)
        self.assertRegex(mta.troubles[0], words)
        self.assertEqual(mta.send(OFFER), [])

    def test_not_a_milter_client(self) -> None:
        """Rows 3 to 9: HTTP, SMTP, TLS and PROXY are named."""
        self.violated([b"GET / HTTP/1.0\r\n\r\n"], "HTTP")
        self.violated([b"EHLO mail.example.net\r\n"], "SMTP")
        self.violated([bytes.fromhex("16030100c8010000c40303")], "TLS")
        self.violated([b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"], "PROXY")
        self.violated([b"\0\0\0\0"], "length|frame")
        self.violated([b"\xff\xff\xff\xff"], "length|frame")

    def test_illegal_order(self) -> None:
        """Rows 15, 22, 32, 36, 43: what cannot follow closes."""
        for frames in ([MAIL], [OFFER, OFFER], [OFFER, CONNECT, HELO, END, END], [OFFER, *ENVELOPE, RCPT, END, END]):
            mta = MTA(PolicyBuilder())
            mta.send(*frames)
            self.assertTrue(mta.transport.disconnected, frames)

    def test_a_truncated_frame_at_the_end(self) -> None:
        """Row 13: one line, everything closed."""
        mta = greeted()
        mta.send(*ENVELOPE, RCPT[:7])
        mta.protocol.connectionLost()
        self.assertRegex(mta.troubles[0], "inside a frame")
        self.assertEqual(mta.records[0].ended, "lost")

    def test_a_health_check_is_quiet(self) -> None:
        """Row 1: a connection that says nothing is nobody's trouble."""
        mta = MTA(PolicyBuilder())
        mta.protocol.connectionLost()
        self.assertEqual((mta.troubles, mta.records), ([], []))

    def test_frames_after_quit_are_dropped(self) -> None:
        """Row 55."""
        mta = greeted()
        self.assertEqual(mta.send(CONNECT, QUIT, MAIL, END), [])
        self.assertEqual((mta.troubles, mta.transport.disconnecting), ([], True))

    def test_who_is_not_on_the_allow_list(self) -> None:
        """Nobody else may speak milter to us: he could claim AUTH."""
        mta = MTA(PolicyBuilder())
        factory = MilterFactory(mta.sessions, "inet:1@192.0.2.1", Role.INBOUND, allow=NetworkSet.parse(["127.0.0.0/8"]))
        self.assertIsNone(factory.buildProtocol(IPv4Address("TCP", "192.0.2.66", 1)))
        self.assertRegex(mta.troubles[0], "192.0.2.66 may not connect")
        self.assertIsNotNone(factory.buildProtocol(IPv4Address("TCP", "127.0.0.3", 1)))


class FaultTests(SynchronousTestCase):
    """Our own faults delay mail, they do not lose it (I1)."""

    def test_a_fault_of_the_core_is_answered_451(self) -> None:
        """Logged once with its traceback and the id; the process lives on."""
        mta = greeted(ScriptedCheck(Stage.MAIL))
        mta.builder.observer.recipient_named = lambda *_arguments: 1 / 0  # type: ignore[method-assign,assignment]
        self.assertRegex(mta.send(*ENVELOPE, RCPT)[0], r"y451 4\.3\.0 .*ref id1")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_fault_where_nothing_can_be_answered_closes(self) -> None:
        """The MTA then does what it is told to do for a filter that fails."""
        mta = greeted()
        mta.builder.observer.mail_began = lambda *_arguments: 1 / 0  # type: ignore[method-assign,assignment]
        mta.send(*ENVELOPE)
        self.assertTrue(mta.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_fault_at_the_end_does_not_reach_the_next_message(self) -> None:
        """What is judged after it on the same connection is judged as ever."""
        broken = ScriptedCheck(Stage.END_OF_MESSAGE, Mark(Reason("broken", None)), name="broken")  # type: ignore[arg-type]
        sender = ScriptedCheck(Stage.MAIL, None, name="sender")
        mta = greeted(broken, sender)
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, HEADER, END), "cy")
        sender.script = refuse()
        postmaster = encode_frame(ord("R"), b"<postmaster@example.com>\0")
        self.assertEqual(mta.letters(MAIL, postmaster, RCPT), "cy")
        self.assertEqual([record.ended for record in mta.records], ["fault"])
        self.assertEqual(mta.records[0].decision.word, "tempfail")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_fault_after_waiting_is_answered_too(self) -> None:
        """An answer that came later and cannot be given is a 451, not silence."""
        later: Deferred[Verdict | None] = Deferred()
        mta = greeted(ScriptedCheck(Stage.END_OF_MESSAGE, later))
        mta.send(*ENVELOPE, RCPT, HEADER, END)
        later.callback(Mark(Reason("broken", None)))  # type: ignore[arg-type]
        self.assertRegex(mta.replies()[-1], r"y451 4\.3\.0")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class RecordTests(SynchronousTestCase):
    """What the record says of the protocol."""

    def test_ends(self) -> None:
        """A message that is ended and one that is given up, by ABORT or by QUIT, are told apart."""
        for frames, ended in (
            ((RCPT, HEADER, END), "end-of-message"),
            ((RCPT, ABORT), "abort"),
            ((RCPT, QUIT), "abort"),
        ):
            mta = greeted()
            mta.send(*ENVELOPE, *frames)
            self.assertEqual([record.ended for record in mta.records], [ended])

    def test_a_refusal_of_the_header_section_ends_it(self) -> None:
        """The record does not wait for what the MTA says next."""
        mta = greeted(ScriptedCheck(Stage.HEADERS, refuse()))
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, HEADER, encode_frame(ord("N"))), "y")
        self.assertEqual([record.ended for record in mta.records], ["refused"])

    def test_macros_reach_the_record(self) -> None:
        """The MTA's queue id is in it, given as late as at the end (Postfix)."""
        mta = greeted()
        mta.send(*ENVELOPE, RCPT, HEADER, encode_frame(ord("D"), b"Ei\0004jYQ\0"), END)
        self.assertEqual(mta.records[0].queue_id, "4jYQ")

    def test_octets_that_are_not_utf8(self) -> None:
        """They survive as surrogate escapes (V27)."""
        mta = greeted()
        mta.send(*ENVELOPE[:2], encode_frame(ord("M"), b"<caf\xe9@example.net>\0"), RCPT, HEADER, END)
        self.assertEqual(mta.records[0].mail_from.encode("utf-8", "surrogateescape"), b"caf\xe9@example.net")

    def test_a_test_transaction_needs_a_unix_socket(self) -> None:
        """A peer over TCP cannot be known: its macro is not believed."""
        mta = greeted()
        mta.send(encode_frame(ord("D"), b"C{twistedmilter_test}\0001\0"), *ENVELOPE, RCPT, HEADER, END)
        self.assertFalse(mta.records[0].is_test)

    def test_postfix_with_an_unavailable_client(self) -> None:
        """Row 25 and V14: the text is kept, there is no address."""
        mta = greeted()
        connect = bytes.fromhex("0000001443756e6b6e6f776e00340401756e6b6e6f776e00")
        mta.send(connect, HELO, MAIL, RCPT, HEADER, END)
        self.assertEqual(mta.records[0].client_ip, "unknown")


class StopTests(SynchronousTestCase):
    """SIGTERM lets a session in flight finish."""

    def test_a_message_in_flight_is_answered_then_closed(self) -> None:
        """Row 62."""
        mta = greeted()
        mta.send(*ENVELOPE, RCPT)
        stopped = mta.sessions.stop(25)
        self.assertFalse(mta.transport.disconnecting)
        self.assertEqual(mta.letters(HEADER, END), "c")
        self.assertTrue(mta.transport.disconnecting)
        mta.protocol.connectionLost()
        self.successResultOf(stopped)

    def test_an_idle_session_is_closed_at_once(self) -> None:
        """Between messages there is nothing to wait for."""
        mta = greeted()
        mta.send(CONNECT, HELO)
        stopped = mta.sessions.stop(25)
        self.assertTrue(mta.transport.disconnecting)
        mta.protocol.connectionLost()
        self.successResultOf(stopped)


class ImmediateTests(SynchronousTestCase):
    """delay_refusals = false."""

    def test_refused_at_connect(self) -> None:
        """The answer to CONNECT is the refusal; there is a record of it although no mail began."""
        mta = greeted(entry_of(ScriptedCheck(Stage.CONNECT, refuse())), policy=PolicySettings(delay_refusals=False))
        reply = mta.send(CONNECT)[0]
        mta.send(QUIT)
        record = mta.records[0]
        self.assertIn(f"(ref {record.id})", reply)
        self.assertEqual((record.decision.word, record.decision.stage, record.mail_from), ("refuse", "connect", ""))

    def test_several_at_once(self) -> None:
        """Many connections are many sessions, none in the other's way."""
        verdict: Deferred[Verdict | None] = Deferred()
        check = ScriptedCheck(Stage.MAIL, verdict)
        slow = greeted(check)
        slow.send(*ENVELOPE, RCPT)
        check.script = None
        first = (slow.protocol, slow.transport)
        slow.connect()
        self.assertEqual(slow.letters(OFFER, *ENVELOPE, RCPT, HEADER, END), "Occ")
        self.assertEqual(first[1].value(), b"")
        first[0].connectionLost()


def limited(**limits: object) -> MTA:
    """An MTA against a policy with other limits."""
    builder = PolicyBuilder()
    builder.milter = replace(builder.milter, **limits)
    mta = MTA(builder)
    mta.send(OFFER)
    return mta


class LimitTests(SynchronousTestCase):
    """Bounded memory."""

    def test_a_frame_over_the_limit(self) -> None:
        """Row 5: 65537 closes before the payload is buffered."""
        mta = limited()
        mta.send(CONNECT, bytes.fromhex("0001000142"))
        self.assertTrue(mta.transport.disconnected)

    def test_a_million_header_fields(self) -> None:
        """Row 39, scaled down: tempfail at the end of message, the next message is fine."""
        mta = limited(max_header_fields=10)
        self.assertEqual(mta.letters(*ENVELOPE, RCPT, *([HEADER] * 1000), END), "y")
        self.assertEqual(mta.letters(MAIL, RCPT, HEADER, END), "c")
