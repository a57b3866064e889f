"""The player finds what is wrong: a corpus that cannot fail promises nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.player import Player, addressable, reason_codes, values_at
from tests.integration.session_file import parse_session
from tests.integration.smtp_dialogue import LOST, Reply, reply_of
from tests.integration.smtp_sink import Delivered

SESSION = """\
# One message.
CONNECT 192.0.2.9
MAIL <a@example.com>
RCPT <b@example.com>
EXPECT 250 2.1.5
DATA
    A: 1

    body
EXPECT 250 2.0.0 reason=all-well text=*queued*
HEADER [0] X-Top: one two
HEADER a: 1
NOHEADER X-Bad: *
RECORD decision.verdict continue
NORECORD ended lost
"""
MESSAGE = b"X-Top: one\r\n\ttwo\r\nA: 1\r\n\r\nbody\r\n"
RECORD: Mapping[str, object] = {
    "decision": {"verdict": "continue", "code": "all-well"},
    "marks": [],
    "recipients": [{"address": "b@example.com", "code": ""}],
    "outcomes": [{"check": "spf", "verdict": None}],
    "evidence": [{"check": "m:C", "name": "octets", "value": "5"}],
    "ended": "end-of-message",
}


@dataclass
class ScriptedServer:
    """A mail server that says what it is told to.

    @ivar replies: by SMTP verb. @ivar messages: what is delivered. @ivar told: the record.
    """

    replies: dict[str, Reply] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=lambda: [MESSAGE])
    told: list[Mapping[str, object]] = field(default_factory=lambda: [RECORD])
    held: bool = False
    runner: str = "memory"
    seen: list[str] = field(default_factory=list)

    def connect(self, address: str, name: str, role: str) -> ScriptedServer:
        """The server is its own dialogue."""
        return self

    def submit(self, sender: str, recipient: str, content: bytes) -> Reply:
        """Remember it; what is told for the final dot."""
        self.seen.append(f"submit {sender} {recipient}")
        return self.replies.get(".", Reply(250, "2.0.0", "taken"))

    def next_message(self, timeout: float) -> Delivered | None:
        """What was told to be delivered."""
        return Delivered("", (), self.messages.pop(0)) if self.messages else None

    def holds(self) -> bool:
        """As told."""
        return self.held

    def kill(self) -> None:
        """Remember it."""
        self.seen.append("kill")

    def shutdown(self) -> None:
        """Remember it."""
        self.seen.append("shutdown")

    def wait(self, seconds: int) -> None:
        """Remember it."""
        self.seen.append(f"wait {seconds}")

    def records(self, count: int) -> list[Mapping[str, object]]:
        """As told."""
        return self.told

    def reply(self) -> Reply:
        """The greeting."""
        return self.replies.get("CONNECT", Reply(220, "", "ESMTP"))

    def command(self, line: str) -> Reply:
        """What is told for the verb."""
        self.seen.append(line)
        verb = line.split(" ", maxsplit=1)[0]
        if verb == "DATA":
            return self.replies.get("DATA", Reply(354, "", ""))
        return self.replies.get(verb, Reply(250, "2.1.5", "ok"))

    def pipeline(self, lines: list[str]) -> list[Reply]:
        """One after the other."""
        return [self.command(line) for line in lines]

    def auth(self, user: str) -> Reply:
        """AUTH works."""
        return Reply(235, "", user)

    def starttls(self, *, certificate: bool) -> Reply:
        """TLS works."""
        return Reply(220, "2.0.0", "go ahead")

    def content(self, octets: bytes, *, finish: bool = True, wait: bool = True) -> Reply:
        """What is told for the final dot."""
        if not (finish and wait):
            self.seen.append("unanswered" if finish else "unfinished")
            return LOST
        return self.replies.get(".", Reply(250, "2.0.0", "queued as 1"))

    def close(self) -> None:
        """Remember it."""
        self.seen.append("close")

    def drop(self) -> None:
        """Remember it."""
        self.seen.append("drop")


def problems(server: ScriptedServer, text: str = SESSION) -> str:
    """All problems of a session with this server."""
    return "\n".join(Player(parse_session("t.session", text), server).play())


class PlayerTests(SynchronousTestCase):
    """L{Player}."""

    def test_what_is_as_expected_is_no_problem(self) -> None:
        """A session that is right has no problems, and its commands went out in order."""
        server = ScriptedServer()
        self.assertEqual(problems(server), "")
        self.assertEqual(server.seen, ["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA", "close"])

    def test_replies_are_judged(self) -> None:
        """Code, enhanced code and text count; without EXPECT it must be 2xx."""
        for verb, reply, line in (
            ("CONNECT", Reply(554, "", ""), 2),
            ("MAIL", Reply(550, "5.7.1", ""), 3),
            ("MAIL", LOST, 3),
            ("RCPT", Reply(250, "2.0.0", ""), 5),
            ("DATA", Reply(554, "5.5.1", ""), 10),
            (".", Reply(250, "2.0.0", "thrown away"), 10),
        ):
            self.assertIn(f"t.session:{line}: ", problems(ScriptedServer({verb: reply})), (verb, reply))

    def test_headers_are_judged(self) -> None:
        """A missing field, one at another place and one that must not be there are told."""
        for message, line in (
            (b"Received: x\r\n" + MESSAGE, 11),
            (MESSAGE.replace(b"A: 1", b"A: 2"), 12),
            (MESSAGE.replace(b"A: 1", b"A: 1\r\nx-bad: "), 13),
        ):
            self.assertIn(f"t.session:{line}: ", problems(ScriptedServer(messages=[message])))

    def test_the_body_must_arrive_as_it_was(self) -> None:
        """One octet more is told."""
        self.assertIn("t.session:6: the body changed", problems(ScriptedServer(messages=[MESSAGE + b"\r\n"])))

    def test_the_fate_is_judged(self) -> None:
        """Lost, held and delivered messages are told apart."""
        self.assertIn("was not delivered", problems(ScriptedServer(messages=[])))
        self.assertIn("quarantine", problems(ScriptedServer(held=True)))
        held = "# t\nCONNECT ::1\nDATA\n    a: b\nFATE held\n"
        self.assertEqual(problems(ScriptedServer(messages=[], held=True), held), "")
        self.assertIn("it was delivered", problems(ScriptedServer(messages=[MESSAGE], held=True), held))
        self.assertIn("quarantine", problems(ScriptedServer(messages=[]), held))

    def test_records_are_judged(self) -> None:
        """Reason, key and value count, and there must be a record."""
        other = {**RECORD, "decision": {"verdict": "refuse", "code": "other"}, "ended": "lost"}
        found = problems(ScriptedServer(told=[other]))
        for line in (10, 14, 15):
            self.assertIn(f"t.session:{line}: ", found)
        self.assertIn("no record of transaction 1", problems(ScriptedServer(told=[])))

    def test_each_transaction_has_its_own_record(self) -> None:
        """RECORD is about the last MAIL above it."""
        text = "# t\nCONNECT ::1\nMAIL <a>\nRECORD n 1\nRSET\nMAIL <b>\nRECORD n 2\n"
        self.assertEqual(problems(ScriptedServer(told=[{"n": 1}, {"n": 2}]), text), "")
        self.assertIn("t.session:4: ", problems(ScriptedServer(told=[{"n": 2}, {"n": 2}]), text))

    def test_what_is_for_one_runner_counts_there_only(self) -> None:
        """C{EXPECT@memory} takes the place of the general one; that of another runner is not looked at."""
        text = "# t\nCONNECT ::1\nMAIL <a>\nEXPECT 550\nEXPECT@memory 250\nEXPECT@postfix 421\n"
        self.assertEqual(problems(ScriptedServer(), text), "")
        self.assertIn("t.session:6: ", problems(ScriptedServer(runner="postfix"), text))
        self.assertIn("t.session:4: ", problems(ScriptedServer(runner="sendmail"), text))

    def test_a_submitted_message_has_a_fate_and_a_record(self) -> None:
        """SUBMIT needs no connection; what becomes of the message is judged as with DATA."""
        text = "# t\nSUBMIT <a> <b>\n    A: 1\n\n    body\nHEADER A: 1\nRECORD ended end-of-message\n"
        server = ScriptedServer()
        self.assertEqual(problems(server, text), "")
        self.assertEqual(server.seen, ["submit <a> <b>"])
        self.assertIn("t.session:6: ", problems(ScriptedServer(messages=[b"B: 1\r\n\r\nbody\r\n"]), text))

    def test_a_message_without_an_answer_has_a_record(self) -> None:
        """No reply is expected of a message that does not end, or that is not waited for; its record is judged."""
        for how in ("unfinished", "unanswered"):
            with self.subTest(how):
                text = f"# t\nCONNECT ::1\nMAIL <a>\nDATA {how}\n    a: b\nRECORD ended lost\n"
                server = ScriptedServer(told=[{"ended": "lost"}])
                self.assertEqual(problems(server, text), "")
                self.assertIn(how, server.seen)
                self.assertIn("t.session:6: ", problems(ScriptedServer(), text))

    def test_events_reach_the_server(self) -> None:
        """KILL ends the dialogue without QUIT, SHUTDOWN and WAIT leave it open."""
        server = ScriptedServer()
        problems(server, "# t\nCONNECT ::1\nWAIT 2\nSHUTDOWN\nKILL\n")
        self.assertEqual(server.seen, ["wait 2", "shutdown", "kill", "drop"])


class RecordTests(SynchronousTestCase):
    """How keys of a record are found."""

    def test_checks_and_evidence_are_keys(self) -> None:
        """Lists by check can be addressed by its name, even one with dots and colons."""
        view = addressable(RECORD)
        self.assertEqual(list(values_at(view, "evidence.m:C.octets")), ["5"])
        self.assertEqual(list(values_at(view, "outcomes.spf.verdict")), ["null"])
        self.assertEqual(list(values_at(view, "outcomes.helo.verdict")), [])

    def test_reasons_that_were_not_acted_on_do_not_count(self) -> None:
        """Only those of decision, marks and recipients are reasons of the reply."""
        self.assertEqual(reason_codes({**RECORD, "outcomes": [{"check": "x", "code": "unheard"}]}), {"all-well", ""})


class ReplyTests(SynchronousTestCase):
    """L{reply_of}."""

    def test_lines_are_joined_without_their_codes(self) -> None:
        """Code and enhanced code are read once, repeated or not."""
        self.assertEqual(reply_of(["550-5.7.1 one", "550 5.7.1 two"]), Reply(550, "5.7.1", "one two"))
        self.assertEqual(reply_of(["250-mx", "250 SIZE"]), Reply(250, "", "mx SIZE"))
        self.assertEqual(reply_of([]), LOST)
