"""What the judge promises to an MTA: in order, in time, for the right recipient."""

from __future__ import annotations

from ipaddress import ip_address

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.scripted import (
    BodyReader,
    LastCheck,
    PolicyBuilder,
    ScriptedCheck,
    ScriptedClassifier,
    entry_of,
    refuse,
    tempfail,
)
from twistedmilter.errors import TemporaryFailure
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import InsertHeader, Quarantine
from twistedmilter.model.record import Record
from twistedmilter.model.settings import MilterSettings, PolicySettings, RuleSettings
from twistedmilter.model.stage import ClientClass, Stage
from twistedmilter.model.transaction import Client, Connection
from twistedmilter.model.verdict import Accept, Discard, Hold, Mark, Reason, Verdict
from twistedmilter.policy.judge import Answer, MaybeLater, SessionJudge


class Session:
    """One session told to a judge; answers that come later are waited for on the test clock."""

    def __init__(self, builder: PolicyBuilder, **connection: object) -> None:
        self.builder = builder
        client = Client("mail.example.net", ip_address("192.0.2.9"), 4321, "192.0.2.9")
        self.connection = Connection(1, client, **connection)  # type: ignore[arg-type]
        self.judge = SessionJudge(builder.build(), self.connection)

    def begin(self, helo: str = "mail.example.net", sender: str = "<a@example.net>") -> Session:
        """CONNECT, HELO and MAIL."""
        self.judge.connected()
        self.judge.greeted(helo)
        self.judge.mail_began(sender, ())
        return self

    def rcpt(self, path: str = "<bob@example.com>") -> str:
        """The word that RCPT was answered."""
        return word(self.judge.recipient_named(path, ()))

    def finish(self) -> Answer:
        """End of message, told to the MTA."""
        answer = now(self.judge.message_ended())
        self.judge.told()
        self.judge.closed("end-of-message")
        return answer


def now(answer: MaybeLater) -> Answer:
    """The answer, which must be there already."""
    if isinstance(answer, Deferred):
        results: list[Answer] = []
        answer.addCallback(results.append)
        assert results, "no answer yet"
        return results[0]
    return answer


def word(answer: MaybeLater) -> str:
    """The verdict's word of an answer that must be there already."""
    return now(answer).decision.word


class DelayedRefusalTests(SynchronousTestCase):
    """What was decided at CONNECT, HELO or MAIL is said at RCPT."""

    def test_a_refusal_of_the_client_is_given_at_rcpt(self) -> None:
        """CONNECT, HELO and MAIL go on; RCPT is refused with the id of the transaction (B11)."""
        for stage in (Stage.CONNECT, Stage.HELO, Stage.MAIL):
            session = Session(PolicyBuilder(ScriptedCheck(stage, refuse())))
            self.assertEqual(word(session.judge.connected()), "continue")
            self.assertEqual(word(session.judge.greeted("mail.example.net")), "continue")
            self.assertEqual(word(session.judge.mail_began("<a@example.net>", ())), "continue")
            answer = now(session.judge.recipient_named("<bob@example.com>", ()))
            self.assertEqual((answer.decision.word, answer.decision.stage, answer.reference), ("refuse", stage, "id1"))

    def test_it_can_be_turned_off(self) -> None:
        """With delay_refusals off the command itself is refused."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))
        builder.policy = PolicySettings(delay_refusals=False)
        session = Session(builder)
        session.judge.connected()
        self.assertEqual(word(session.judge.mail_began("<a@example.net>", ())), "refuse")

    def test_role_accounts_are_always_reachable(self) -> None:
        """Postmaster and abuse are not refused by the shipped rule (RFC 5321 section 4.5.1)."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))).begin()
        words = [session.rcpt(path) for path in ("<Postmaster@example.com>", "<abuse@example.com>", "<postmaster>")]
        self.assertEqual([*words, session.rcpt()], ["continue", "continue", "continue", "refuse"])
        self.assertEqual(session.finish().decision.word, "continue")

    def test_authentication_cancels_what_was_held_against_the_client(self) -> None:
        """A refusal of CONNECT or HELO is void after AUTH, one of MAIL is not."""
        for stage, expected in ((Stage.CONNECT, "continue"), (Stage.HELO, "continue"), (Stage.MAIL, "refuse")):
            session = Session(PolicyBuilder(ScriptedCheck(stage, refuse()))).begin()
            session.connection.client_class = ClientClass.AUTHENTICATED
            self.assertEqual(session.rcpt(), expected)

    def test_a_refused_sender_does_not_outlive_its_transaction(self) -> None:
        """The next MAIL of the connection is judged anew, the client's refusal stays (LL-18)."""
        check = ScriptedCheck(Stage.MAIL, refuse())
        session = Session(PolicyBuilder(check)).begin()
        self.assertEqual(session.rcpt(), "refuse")
        session.judge.closed("abort")
        check.script = None
        session.judge.mail_began("<b@example.net>", ())
        self.assertEqual(session.rcpt(), "continue")

    def test_a_refused_client_stays_refused(self) -> None:
        """A refusal decided on the client lasts for the connection (LL-18)."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.CONNECT, refuse()))).begin()
        session.rcpt()
        session.judge.closed("abort")
        session.judge.mail_began("<b@example.net>", ())
        self.assertEqual(session.rcpt(), "refuse")

    def test_a_new_helo_is_judged_anew(self) -> None:
        """What was said of an earlier HELO name is void."""
        check = ScriptedCheck(Stage.HELO, refuse())
        session = Session(PolicyBuilder(check))
        session.judge.connected()
        session.judge.greeted("192.0.2.9")
        check.script = None
        session.judge.greeted("mail.example.net")
        session.judge.mail_began("<a@example.net>", ())
        self.assertEqual(session.rcpt(), "continue")

    def test_a_late_verdict_on_an_earlier_helo_is_void(self) -> None:
        """Every client that starts TLS says EHLO twice; what is said of the first name ends with it (LL-18)."""
        late: Deferred[Verdict | None] = Deferred()
        helo = ScriptedCheck(Stage.HELO, late)
        session = Session(PolicyBuilder(helo))
        session.judge.connected()
        session.judge.greeted("bad.example.net")
        helo.script = None
        session.judge.greeted("good.example.net")
        session.judge.mail_began("<a@example.net>", ())
        self.assertEqual(session.rcpt(), "continue")

    def test_what_came_after_a_void_verdict_counts(self) -> None:
        """A look at the client that ends while its HELO is refused still counts after a new HELO."""
        client: Deferred[Verdict | None] = Deferred()
        helo = ScriptedCheck(Stage.HELO, refuse("helo"), name="of_helo")
        session = Session(PolicyBuilder(ScriptedCheck(Stage.CONNECT, client, name="of_client"), helo))
        session.judge.connected()
        session.judge.greeted("192.0.2.9")
        client.callback(refuse("client"))
        helo.script = None
        session.judge.greeted("mail.example.net")
        session.judge.mail_began("<a@example.net>", ())
        answer = now(session.judge.recipient_named("<bob@example.com>", ()))
        self.assertEqual((answer.decision.word, answer.decision.check), ("refuse", "of_client"))

    def test_local_submission_is_never_refused_at_rcpt(self) -> None:
        """Postfix's non_smtpd_milters take it for a configuration error: the end says it (milter-spec 3.4)."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse())), local_submission=True).begin()
        self.assertEqual((session.rcpt(), session.finish().decision.word), ("continue", "refuse"))


class RuleTests(SynchronousTestCase):
    """[[rule]] tables exempt and tighten."""

    def test_one_recipient_exempt(self) -> None:
        """The refusal is for the others only."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))
        builder.rules = [RuleSettings(name="list", recipients=["list@example.com"], checks=["scripted"], mode="off")]
        session = Session(builder).begin()
        self.assertEqual([session.rcpt("<list@example.com>"), session.rcpt()], ["continue", "refuse"])

    def test_a_rule_tightens_an_observed_check(self) -> None:
        """A check that is observed elsewhere is enforced where the rule says so."""
        builder = PolicyBuilder(entry_of(ScriptedCheck(Stage.MAIL, refuse()), mode="observe"))
        builder.rules = [RuleSettings(name="ceo", recipients=["ceo@example.com"], mode="enforce")]
        session = Session(builder).begin()
        self.assertEqual([session.rcpt("<ceo@example.com>"), session.rcpt()], ["refuse", "continue"])

    def test_a_network_rule_turns_a_refusal_into_a_mark(self) -> None:
        """The action of a rule replaces that of the check."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))
        builder.rules = [RuleSettings(name="partner", networks=["192.0.2.0/24"], action="mark")]
        session = Session(builder).begin()
        self.assertEqual(session.rcpt(), "continue")
        self.assertEqual([mark.reason.code for mark in self._finished(session).marks], ["test-refusal"])

    def _finished(self, session: Session) -> Record:
        session.finish()
        return session.builder.observer.records[-1]

    def test_the_mildest_action_counts_whatever_the_order(self) -> None:
        """One recipient's rule marks what refuses the other: neither loses mail by the order of RCPT."""
        for order in (("<a@example.com>", "<b@example.com>"), ("<b@example.com>", "<a@example.com>")):
            builder = PolicyBuilder(ScriptedCheck(Stage.END_OF_MESSAGE, refuse()))
            builder.rules = [RuleSettings(name="a", recipients=["a@example.com"], action="mark")]
            session = Session(builder).begin()
            for path in order:
                session.rcpt(path)
            self.assertEqual(session.finish().decision.word, "continue")

    def test_a_late_verdict_that_exempts_one_recipient_marks_for_all(self) -> None:
        """One answer goes to all at end of message: nobody loses mail that he may have."""
        builder = PolicyBuilder(ScriptedCheck(Stage.END_OF_MESSAGE, refuse()))
        session = Session(builder).begin()
        session.rcpt("<postmaster@example.com>")
        session.rcpt()
        self.assertEqual(session.finish().decision.word, "continue")
        self.assertEqual(len(builder.observer.records[0].marks), 1)


class ModeTests(SynchronousTestCase):
    """observe, actions, and what a settled message still asks."""

    def test_observe_refuses_nothing_and_records_all(self) -> None:
        """The whole chain in observe: the outcome is in the record."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))
        builder.policy = PolicySettings(mode="observe")
        session = Session(builder).begin()
        self.assertEqual((session.rcpt(), session.finish().decision.word), ("continue", "continue"))
        outcome = builder.observer.records[0].outcomes[0]
        self.assertEqual((outcome.verdict, outcome.mode), (refuse(), "enforce"))

    def test_hold_by_action(self) -> None:
        """The action "hold" takes the message and quarantines it."""
        session = Session(PolicyBuilder(entry_of(ScriptedCheck(Stage.MAIL, refuse()), action="hold"))).begin()
        self.assertEqual(session.rcpt(), "continue")
        answer = session.finish()
        self.assertEqual(answer.decision.word, "hold")
        self.assertIn(Quarantine("refused because of test-refusal"), answer.modifications)

    def test_discard_goes_without_modifications(self) -> None:
        """A discarded message is not changed."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, Discard(Reason("junk", "junk"))))).begin()
        self.assertEqual(session.rcpt(), "continue")
        answer = session.finish()
        self.assertEqual((answer.decision.word, answer.modifications), ("discard", ()))

    def test_accept_ends_the_judging_not_the_recording(self) -> None:
        """After an accept a later refusal is recorded only, and the network is left alone."""
        local = ScriptedCheck(Stage.MAIL, refuse("later"), name="later")
        network = ScriptedCheck(Stage.MAIL, refuse("network"), name="network", local=False)
        accepting = ScriptedCheck(Stage.CONNECT, Accept(Reason("friend", "a friend")), name="friend")
        builder = PolicyBuilder(accepting, local, network)
        session = Session(builder).begin()
        self.assertEqual(session.rcpt(), "continue")
        self.assertEqual(session.finish().decision.word, "accept")
        outcomes = builder.observer.records[0].outcomes
        self.assertEqual([(each.check, each.mode) for each in outcomes], [("friend", "enforce"), ("later", "recorded")])
        self.assertEqual(network.asked, [])

    def test_what_authentication_may_undo_settles_nothing_yet(self) -> None:
        """After a refusal at CONNECT the network is asked of the client all the same: AUTH at MAIL voids it (B11)."""
        refusing = ScriptedCheck(Stage.CONNECT, refuse(), name="refusing")
        connect, helo, mail = (
            ScriptedCheck(stage, name=stage.value, local=False) for stage in (Stage.CONNECT, Stage.HELO, Stage.MAIL)
        )
        session = Session(PolicyBuilder(refusing, connect, helo, mail)).begin()
        self.assertEqual([len(each.asked) for each in (connect, helo, mail)], [1, 1, 0])
        session.connection.client_class = ClientClass.AUTHENTICATED
        session.judge.mail_began("<a@example.net>", ())
        self.assertEqual((len(mail.asked), session.rcpt()), (1, "continue"))

    def test_a_sender_may_undo_what_was_accepted_at_connect(self) -> None:
        """A rule about senders is not known to hold before MAIL; then the verdict settles the matter, or does not."""
        for sender, asked in (("<a@example.net>", 0), ("<a@exempt.example>", 1)):
            accepting = ScriptedCheck(Stage.CONNECT, Accept(Reason("friend", "a friend")), name="friend")
            connect, mail = (ScriptedCheck(each, name=each.value, local=False) for each in (Stage.CONNECT, Stage.MAIL))
            builder = PolicyBuilder(accepting, connect, mail)
            builder.rules = [RuleSettings(name="x", senders=["@exempt.example"], checks=["friend"], mode="off")]
            Session(builder).begin(sender=sender)
            self.assertEqual((len(connect.asked), len(mail.asked)), (1, asked))

    def test_a_greeting_settles_nothing_for_the_connection(self) -> None:
        """A HELO name lasts until the next one; what is asked of the client lasts longer."""
        classifying: Deferred[Verdict | None] = Deferred()
        holding = ScriptedCheck(Stage.HELO, Hold(Reason("held", "held")), name="holding")
        first = ScriptedCheck(Stage.CONNECT, classifying, name="first")
        connect = ScriptedCheck(Stage.CONNECT, name="connect", local=False)
        Session(PolicyBuilder(first, connect, holding)).begin()
        classifying.callback(None)
        self.assertEqual(len(connect.asked), 1)

    def test_the_first_deciding_verdict_wins(self) -> None:
        """In the order of the chain."""
        first = ScriptedCheck(Stage.MAIL, refuse("first"), name="first")
        second = ScriptedCheck(Stage.MAIL, tempfail("second"), name="second")
        session = Session(PolicyBuilder(first, second)).begin()
        answer = now(session.judge.recipient_named("<bob@example.com>", ()))
        self.assertEqual(answer.decision.check, "first")

    def test_marks_add_up(self) -> None:
        """Two marks are two marks, and the message goes on."""
        marks = [
            ScriptedCheck(Stage.MAIL, Mark(Reason(code, code)), name=code.replace("-", "_")) for code in ("one", "two")
        ]
        builder = PolicyBuilder(*marks)
        session = Session(builder).begin()
        session.rcpt()
        answer = session.finish()
        self.assertEqual([mark.reason.code for mark in builder.observer.records[0].marks], ["one", "two"])
        added = [each for each in answer.modifications if "mark" in str(getattr(each, "name", "")).lower()]
        self.assertEqual(len(added), 2)

    def test_a_check_of_the_recipient_refuses_that_one(self) -> None:
        """A verdict at RCPT is about one recipient."""
        answers: list[Verdict | None] = [refuse("unknown-user"), None]
        session = Session(PolicyBuilder(ScriptedCheck(Stage.RCPT, lambda: answers.pop(0)))).begin()
        self.assertEqual([session.rcpt("<x@example.com>"), session.rcpt()], ["refuse", "continue"])
        self.assertEqual(session.finish().decision.word, "continue")


class LastCheckTests(SynchronousTestCase):
    """What costs others something is done only for a message that would go on (G01)."""

    def test_it_decides_when_nothing_else_did(self) -> None:
        """Its refusal is the answer at end of message."""
        session = Session(PolicyBuilder(LastCheck(refuse("last")), ScriptedCheck(Stage.MAIL))).begin()
        self.assertEqual(session.rcpt(), "continue")
        self.assertEqual(session.finish().decision.verdict, refuse("last"))

    def test_it_is_not_asked_when_another_decided(self) -> None:
        """A hold or a refusal at end of message leaves it unasked, wherever it stands in the list."""
        for verdict in (refuse(), Hold(Reason("held", "held"))):
            last = LastCheck(refuse("last"))
            session = Session(PolicyBuilder(last, ScriptedCheck(Stage.END_OF_MESSAGE, verdict))).begin()
            session.rcpt()
            self.assertEqual(session.finish().decision.verdict, verdict)
            self.assertEqual(last.asked, [])

    def test_it_is_not_asked_when_another_would_have_decided(self) -> None:
        """A configuration that only observes calls nobody about a message that it would refuse."""
        for verdict, asked in ((refuse(), 0), (Mark(Reason("marked", "marked")), 1)):
            last = LastCheck(refuse("last"))
            builder = PolicyBuilder(last, ScriptedCheck(Stage.MAIL, verdict))
            builder.policy = PolicySettings(mode="observe")
            session = Session(builder).begin()
            self.assertEqual((session.rcpt(), session.finish().decision.word), ("continue", "continue"))
            self.assertEqual(len(last.asked), asked)

    def test_it_shares_the_budget_of_the_message(self) -> None:
        """What is not known when the time is over counts as a temporary failure of the check."""
        last = LastCheck(Deferred())
        builder = PolicyBuilder(entry_of(last, on_temporary_failure="tempfail"))
        session = Session(builder).begin()
        session.rcpt()
        answer = session.judge.message_ended()
        builder.clock.advance(builder.policy.message_budget)
        self.assertEqual(word(answer), "tempfail")


class ReferenceTests(SynchronousTestCase):
    """What a line of trouble refers to."""

    def test_a_connection_is_one_word(self) -> None:
        """Before MAIL there is no transaction; a blank would be escaped in the log."""
        builder = PolicyBuilder(ScriptedCheck(Stage.CONNECT, ValueError("boom")))
        Session(builder).judge.connected()
        self.assertEqual(builder.bugs, [("scripted", "connection-1")])


class ObserverTests(SynchronousTestCase):
    """When observers are told."""

    def test_what_the_client_is_to_us_is_known_first(self) -> None:
        """Where that takes a lookup, the events wait for it and keep their order; later ones do not wait."""
        looked_up: Deferred[Verdict | None] = Deferred()
        builder = PolicyBuilder(ScriptedClassifier(looked_up))
        session = Session(builder).begin()
        self.assertEqual(builder.observer.events, [])
        looked_up.callback(None)
        self.assertEqual(builder.observer.events, ["connected", "greeted", "mail"])
        session.rcpt()
        self.assertEqual(builder.observer.events[3:], ["rcpt"])

    def test_an_mta_that_leaves_before(self) -> None:
        """What has happened is told nevertheless, the end last."""
        builder = PolicyBuilder(ScriptedClassifier(Deferred()))
        Session(builder).begin().judge.disconnected("lost")
        self.assertEqual(builder.observer.events, ["connected", "greeted", "mail", "ended", "disconnected"])


class WaitingTests(SynchronousTestCase):
    """The answer that is already there, the one that comes later, the one that never comes."""

    def test_an_answer_that_comes_in_time(self) -> None:
        """RCPT waits for the sender's verdict."""
        verdict: Deferred[Verdict | None] = Deferred()
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, verdict))).begin()
        answer = session.judge.recipient_named("<bob@example.com>", ())
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        session.builder.clock.advance(7.9)
        verdict.callback(refuse())
        self.assertEqual(word(answer), "refuse")

    def test_undecided_at_rcpt_is_decided_at_end_of_message(self) -> None:
        """After the command budget RCPT goes on; the refusal comes at the end (CORRECTIONS 8)."""
        verdict: Deferred[Verdict | None] = Deferred()
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, verdict))).begin()
        answer = session.judge.recipient_named("<bob@example.com>", ())
        session.builder.clock.advance(8)
        self.assertEqual(word(answer), "continue")
        self.assertEqual(session.rcpt("<second@example.com>"), "continue")
        final = session.judge.message_ended()
        session.builder.clock.advance(30)
        verdict.callback(refuse())
        self.assertEqual(word(final), "refuse")
        self.assertEqual(session.builder.clock.getDelayedCalls(), [])

    def test_an_answer_that_never_comes_is_a_temporary_failure(self) -> None:
        """At the end of the message budget on_temporary_failure decides."""
        for setting, expected in (("skip", "continue"), ("tempfail", "tempfail")):
            never: Deferred[Verdict | None] = Deferred()
            entry = entry_of(ScriptedCheck(Stage.MAIL, never), on_temporary_failure=setting)
            session = Session(PolicyBuilder(entry)).begin()
            session.judge.recipient_named("<bob@example.com>", ())
            session.builder.clock.advance(8)
            final = session.judge.message_ended()
            session.builder.clock.advance(60)
            self.assertEqual(word(final), expected)

    def test_losing_the_mta_cancels_what_is_asked(self) -> None:
        """Nothing goes on for a session that is gone, and the record says how it ended."""
        cancelled: list[object] = []
        never: Deferred[Verdict | None] = Deferred(lambda _deferred: cancelled.append(1))
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, never))
        session = Session(builder).begin()
        answer = session.judge.recipient_named("<bob@example.com>", ())
        assert isinstance(answer, Deferred)
        answer.cancel()
        session.judge.disconnected("lost")
        self.failureResultOf(answer, CancelledError)
        self.assertEqual((cancelled, builder.observer.records[0].ended), ([1], "lost"))
        self.assertEqual(builder.clock.getDelayedCalls(), [])

    def test_two_runs_wait_side_by_side(self) -> None:
        """A slow look at the client does not keep the sender's from starting."""
        client: Deferred[Verdict | None] = Deferred()
        sender: Deferred[Verdict | None] = Deferred()
        of_sender = ScriptedCheck(Stage.MAIL, sender, name="of_sender")
        session = Session(PolicyBuilder(ScriptedCheck(Stage.CONNECT, client, name="of_client"), of_sender)).begin()
        self.assertEqual(len(of_sender.asked), 1)
        answer = session.judge.recipient_named("<bob@example.com>", ())
        sender.callback(None)
        client.callback(refuse())
        self.assertEqual(word(answer), "refuse")

    def test_checks_of_the_recipient_know_what_those_of_the_sender_found(self) -> None:
        """RCPT is judged after MAIL, or, once the command budget is spent, without waiting any longer."""
        for wait, asked_by_then in ((7.9, 0), (8.0, 1)):
            verdict: Deferred[Verdict | None] = Deferred()
            of_recipient = ScriptedCheck(Stage.RCPT, name="of_recipient")
            builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, verdict, name="of_sender"), of_recipient)
            session = Session(builder).begin()
            answer = session.judge.recipient_named("<bob@example.com>", ())
            self.assertEqual(of_recipient.asked, [])
            builder.clock.advance(wait)
            self.assertEqual(len(of_recipient.asked), asked_by_then)
            verdict.callback(None)
            self.assertEqual((word(answer), len(of_recipient.asked)), ("continue", 1))

    def test_a_recipient_of_a_lost_session_is_not_judged(self) -> None:
        """What was to be asked after the sender's verdict is not asked when the transaction is over."""
        of_recipient = ScriptedCheck(Stage.RCPT, name="of_recipient")
        verdict: Deferred[Verdict | None] = Deferred()
        session = Session(PolicyBuilder(ScriptedCheck(Stage.MAIL, verdict, name="of_sender"), of_recipient)).begin()
        session.judge.recipient_named("<bob@example.com>", ())
        session.judge.closed("abort")
        self.assertEqual(of_recipient.asked, [])


class ClassificationTests(SynchronousTestCase):
    """What the client is to us is known before anybody else is asked."""

    def test_everybody_waits_for_the_class(self) -> None:
        """A network by name takes a lookup: HELO and MAIL are judged after it, RCPT waits."""
        known: Deferred[Verdict | None] = Deferred()
        helo = ScriptedCheck(Stage.HELO, refuse(), name="of_helo")
        session = Session(PolicyBuilder(ScriptedClassifier(known), helo)).begin()
        answer = session.judge.recipient_named("<bob@example.com>", ())
        self.assertEqual(helo.asked, [])
        known.callback(None)
        self.assertEqual((len(helo.asked), word(answer)), (1, "refuse"))

    def test_the_class_comes_first_wherever_it_stands(self) -> None:
        """A chain that names another check before it still knows the client."""
        asked: list[str] = []
        judging = ScriptedCheck(Stage.CONNECT, lambda: asked.append("judging"), name="judging")
        classing = ScriptedClassifier(lambda: asked.append("classing"))
        Session(PolicyBuilder(judging, classing)).begin()
        self.assertEqual(asked, ["classing", "judging"])

    def test_a_class_that_is_never_known(self) -> None:
        """After the message budget the others are asked no more; the mail goes on as that of a stranger."""
        never: Deferred[Verdict | None] = Deferred()
        later: Deferred[Verdict | None] = Deferred()
        builder = PolicyBuilder(ScriptedClassifier(never), ScriptedCheck(Stage.MAIL, later, name="of_mail"))
        session = Session(builder).begin()
        session.judge.recipient_named("<bob@example.com>", ())
        builder.clock.advance(8)
        final = session.judge.message_ended()
        builder.clock.advance(60)
        self.assertEqual(word(final), "continue")
        session.judge.disconnected("quit")
        self.assertEqual(builder.clock.getDelayedCalls(), [])

    def test_a_session_lost_before_it_is_known(self) -> None:
        """What was held is dropped, and nothing is left behind."""
        never: Deferred[Verdict | None] = Deferred()
        helo = ScriptedCheck(Stage.HELO, refuse(), name="of_helo")
        builder = PolicyBuilder(ScriptedClassifier(never), helo)
        Session(builder).begin().judge.disconnected("lost")
        self.assertEqual((helo.asked, builder.clock.getDelayedCalls()), ([], []))


class FaultTests(SynchronousTestCase):
    """What goes wrong delays mail at most."""

    def test_a_temporary_failure_by_setting(self) -> None:
        """Either goes on, or answers 451 with the check's name in the code."""
        for setting, expected in (("skip", "continue"), ("tempfail", "tempfail")):
            check = ScriptedCheck(Stage.MAIL, TemporaryFailure("no answer"))
            session = Session(PolicyBuilder(entry_of(check, on_temporary_failure=setting))).begin()
            self.assertEqual(session.rcpt(), expected)

    def test_a_bug_in_a_check_is_skipped_marked_and_reported_once(self) -> None:
        """on_bug = "skip": the mail goes on with a mark, the report names check and transaction."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, ZeroDivisionError()))
        session = Session(builder).begin()
        self.assertEqual(session.rcpt(), "continue")
        session.finish()
        self.assertEqual(builder.bugs, [("scripted", "id1")])
        self.assertEqual([mark.reason.code for mark in builder.observer.records[0].marks], ["check-failed"])

    def test_an_answer_that_is_no_verdict_is_a_bug(self) -> None:
        """It is reported like any other fault of a check, and the record is made all the same."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, lambda: "spam"))  # type: ignore[arg-type,return-value]
        session = Session(builder).begin()
        self.assertEqual(session.rcpt(), "continue")
        session.finish()
        self.assertEqual((builder.bugs, len(builder.observer.records)), ([("scripted", "id1")], 1))

    def test_a_bug_in_a_check_tempfails_if_told_to(self) -> None:
        """on_bug = "tempfail" answers 451 4.3.0."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, ZeroDivisionError()))
        builder.policy = PolicySettings(on_bug="tempfail")
        self.assertEqual(Session(builder).begin().rcpt(), "tempfail")


class LimitTests(SynchronousTestCase):
    """What the client controls has a limit."""

    def test_too_many_recipients(self) -> None:
        """Over the limit 452 4.5.3 for each further one; told once, and counted in the record."""
        builder = PolicyBuilder()
        builder.milter = MilterSettings(max_recipients=2)
        session = Session(builder).begin()
        words = [session.rcpt(f"<r{number}@example.com>") for number in range(3)]
        self.assertEqual(words, ["continue", "continue", "tempfail"])
        session.rcpt("<r4@example.com>")
        session.finish()
        told = [(fact.name, fact.value) for fact in builder.observer.records[0].evidence]
        self.assertEqual((told, len(builder.observer.troubles)), ([("recipients_over_limit", "2")], 1))

    def test_too_much_header_is_a_tempfail(self) -> None:
        """Row 39: the rest is not kept, the message is answered 4xx, the next one is judged as ever."""
        builder = PolicyBuilder()
        builder.milter = replace(builder.milter, max_header_fields=3)
        session = Session(builder).begin()
        session.rcpt()
        for _ in range(5):
            session.judge.headers([(b"X-Many", b"v")])
        self.assertEqual(len(session.judge.transaction.raw_headers), 3)  # type: ignore[union-attr]
        self.assertEqual(session.finish().decision.word, "tempfail")
        session.judge.mail_began("<a@example.net>", ())
        session.rcpt()
        self.assertEqual(session.finish().decision.word, "continue")

    def test_the_body_goes_to_disk_and_is_cut_at_its_limit(self) -> None:
        """A body check may read it again at the end; what is over the limit is counted only."""
        reader = BodyReader()
        builder = PolicyBuilder(reader)
        builder.milter = MilterSettings(body_in_memory=10, max_body=25)
        session = Session(builder).begin()
        session.rcpt()
        for _ in range(4):
            session.judge.body_chunk(b"0123456789")
        transaction = session.judge.transaction
        assert transaction is not None
        self.assertEqual((b"".join(transaction.body()), transaction.body_size), (b"0123456789" * 2 + b"01234", 40))
        self.assertEqual(reader.octets, b"0123456789" * 4)


class RecordTests(SynchronousTestCase):
    """One record for each transaction."""

    def test_the_record_of_a_message_that_goes_on(self) -> None:
        """It names client, sender, recipients, Message-ID and the modifications."""
        builder = PolicyBuilder()
        session = Session(builder, own_name="mx.example.com").begin()
        session.rcpt()
        session.judge.headers([(b"Message-Id", b"<1@example.net>")])
        assert session.judge.transaction is not None
        session.judge.transaction.auth_results.append(AuthResult("spf", "none"))
        answer = session.finish()
        record = builder.observer.records[0]
        self.assertEqual(
            (record.client_ip, record.mail_from, record.message_id, record.ended, record.decision.word),
            ("192.0.2.9", "a@example.net", "<1@example.net>", "end-of-message", "continue"),
        )
        self.assertEqual(record.modifications, answer.modifications)
        inserted = [each for each in answer.modifications if isinstance(each, InsertHeader)]
        self.assertEqual([each.name for each in inserted], ["Authentication-Results"])

    def test_a_message_whose_recipients_were_all_refused(self) -> None:
        """The record of the aborted transaction carries the refusal."""
        builder = PolicyBuilder(ScriptedCheck(Stage.MAIL, refuse()))
        session = Session(builder).begin()
        session.rcpt()
        session.judge.closed("abort")
        record = builder.observer.records[0]
        self.assertEqual((record.decision.word, record.decision.check, record.ended), ("refuse", "scripted", "abort"))
        self.assertEqual(record.recipients[0].code, "test-refusal")

    def test_recipients_that_were_refused_one_by_one(self) -> None:
        """Where none is left the record carries the first refusal; where one is accepted, none."""
        for answers, expected in (
            ([refuse("no-user"), refuse("full")], "refuse"),
            ([refuse("no-user"), None], "continue"),
        ):
            script = iter(answers)
            builder = PolicyBuilder(ScriptedCheck(Stage.RCPT, lambda script=script: next(script)))  # type: ignore[misc]
            session = Session(builder).begin()
            session.rcpt("<x@example.com>")
            session.rcpt("<y@example.com>")
            session.judge.closed("abort")
            self.assertEqual(builder.observer.records[0].decision.word, expected)

    def test_recipients_that_the_mta_refused_itself(self) -> None:
        """No check is asked about one, it is told, and it keeps no refusal of the others out of the record."""
        check = ScriptedCheck(Stage.RCPT, refuse("no-user"))
        builder = PolicyBuilder(check)
        session = Session(builder).begin()
        answer = session.judge.recipient_named("<x@example.com>", (), refused_by_mta=True)
        self.assertEqual((word(answer), builder.observer.events[-1]), ("continue", "rcpt"))
        self.assertEqual(session.rcpt("<y@example.com>"), "refuse")
        session.judge.closed("abort")
        record = builder.observer.records[0]
        self.assertEqual([each.word for each in record.recipients], ["refused-by-mta", "refuse"])
        self.assertEqual((record.decision.word, len(record.outcomes)), ("refuse", 1))

    def test_headers_can_be_refused_before_the_body(self) -> None:
        """A verdict on the header section is given at its end."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.HEADERS, refuse()))).begin()
        session.rcpt()
        self.assertEqual(word(session.judge.headers_ended()), "refuse")

    def test_a_hold_waits_for_the_end_of_message(self) -> None:
        """Only refusals are given early."""
        session = Session(PolicyBuilder(ScriptedCheck(Stage.HEADERS, Hold(Reason("look", "look at it"))))).begin()
        session.rcpt()
        self.assertEqual(word(session.judge.headers_ended()), "continue")
        self.assertEqual(session.finish().decision.word, "hold")
