"""Tests of L{twistedmilter.observe.classic}: seed-spec 5, literally."""

from __future__ import annotations

import re
import time
from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.observe.records import connection, decision, full_record, record, refusal, transaction
from twistedmilter.interfaces.observers import ILog
from twistedmilter.model.address import parse_path
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.record import RecipientRecord
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Client, Recipient
from twistedmilter.model.verdict import Discard, Hold, Mark, Reason, TempFail
from twistedmilter.observe.classic import ClassicLog

NOON = time.mktime((2026, 11, 24, 13, 5, 11, 0, 0, -1))
LINE = re.compile(r"\d{4}(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\d\d \d\d:\d\d:\d\d \[\d+\] \S+.*")
hostile = st.text(alphabet=st.characters(), max_size=300)


class ClassicCase(SynchronousTestCase):
    """A log that keeps its lines."""

    def setUp(self) -> None:
        """Lines at 13:05:11 on 24 November 2026, local time."""
        self.lines: list[str] = []
        self.now = NOON
        self.log = ClassicLog(self.lines.append, lambda: self.now)

    def texts(self) -> list[str]:
        """The lines without date, time and id; the list is emptied."""
        texts = [line.split(" ", 3)[3] for line in self.lines]
        self.lines.clear()
        return texts

    def final(self, **fields: Any) -> str:
        """The final line of a record."""
        self.log.ended(record(**fields))
        return self.texts()[-2]


class LifeCycleTests(ClassicCase):
    """The data tags of seed-spec 5.2."""

    def test_the_log_is_one(self) -> None:
        """It has every method of the interface."""
        verifyObject(ILog, self.log)

    def test_connect(self) -> None:
        """B09: host, peer in tuple notation and class, after date, time and id."""
        self.log.connected(connection())
        self.assertEqual(
            ["2026Nov24 13:05:11 [12] connect from mail.example.net at ('1.2.3.4', 46513) EXTERNAL"], self.lines
        )

    def test_classes(self) -> None:
        """B09: a trusted relay is EXTERNAL TRUSTED, our own are INTERNAL."""
        for kind, word in (
            (ClientClass.TRUSTED_RELAY, "EXTERNAL TRUSTED"),
            (ClientClass.INTERNAL, "INTERNAL"),
            (ClientClass.AUTHENTICATED, "INTERNAL"),
        ):
            self.log.connected(connection(client_class=kind))
            self.assertEqual([f"connect from mail.example.net at ('1.2.3.4', 46513) {word}"], self.texts())

    def test_dynamic(self) -> None:
        """B05, B09: DYN stands last, also behind TRUSTED."""
        log = ClassicLog(self.lines.append, lambda: self.now, lambda each: each.client.name == "dyn.example.net")
        for kind, words in (
            (ClientClass.EXTERNAL, "EXTERNAL DYN"),
            (ClientClass.TRUSTED_RELAY, "EXTERNAL TRUSTED DYN"),
        ):
            for name, expected in (("dyn.example.net", words), ("mail.example.net", words.removesuffix(" DYN"))):
                log.connected(connection(client=Client(name, ip_address("1.2.3.4"), 46513), client_class=kind))
                self.assertEqual([f"connect from {name} at ('1.2.3.4', 46513) {expected}"], self.texts())

    def test_other_peers(self) -> None:
        """IPv6 has the same notation, a client without address the empty string (B08)."""
        self.log.connected(connection(client=Client("a", ip_address("2001:db8::1"), 25, "2001:db8::1")))
        self.log.connected(connection(client=Client("localhost", None)))
        self.assertEqual(
            ["connect from a at ('2001:db8::1', 25) EXTERNAL", "connect from localhost at '' EXTERNAL"], self.texts()
        )

    def test_hello(self) -> None:
        """C01: the name as it was said."""
        self.log.greeted(connection())
        self.assertEqual(["hello from mail.example.net"], self.texts())

    def test_mail(self) -> None:
        """Parameters are in tuple notation."""
        self.log.mail_began(transaction("<a@b>", ("SIZE=4410",)))
        self.assertEqual(["mail from <a@b> ('SIZE=4410',)"], self.texts())

    def test_null_reverse_path(self) -> None:
        """A bounce has empty brackets and no parameters an empty tuple."""
        self.log.mail_began(transaction("<>"))
        self.assertEqual(["mail from <> ()"], self.texts())

    def test_rcpt(self) -> None:
        """The recipient, with parameters."""
        self.log.recipient_named(transaction(), Recipient(parse_path("<x@y>")))
        self.assertEqual(["rcpt to <x@y> ()"], self.texts())

    def test_smtp_auth(self) -> None:
        """D03: user, mechanism, TLS bits and SSF."""
        macros = {"auth_authen": "joe", "auth_type": "PLAIN", "cipher_bits": "256", "auth_ssf": "0"}
        self.log.mail_began(transaction(connection=connection(macros)))
        self.assertEqual("SMTP AUTH: joe PLAIN sslbits = 256 ssf = 0 INTERNAL", self.texts()[1])

    def test_ssl_auth(self) -> None:
        """D04: subject of the client's certificate and how its verification went."""
        macros = {"verify": "OK", "cert_subject": "/CN=joe"}
        self.log.mail_began(transaction(connection=connection(macros)))
        self.assertEqual("SSL AUTH: /CN=joe verify = OK", self.texts()[1])

    def test_headers(self) -> None:
        """Our Received-SPF unfolded, the first Subject and X-Mailer decoded, however many there are."""
        of = transaction()
        of.raw_headers += [(b"SUBJECT", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\n =?utf-8?b?IQ==?="), (b"X-Mailer", b"mutt")]
        of.raw_headers += [(b"Subject", b"one of thousands")] * 1000
        self.log.mail_began(of)
        self.texts()
        self.log.ended(record(modifications=(InsertHeader(0, "Received-SPF", "pass\n\tclient-ip=1.2.3.4"),)))
        self.assertEqual(
            ["Received-SPF: pass client-ip=1.2.3.4", "Subject: Grüße!", "X-Mailer: mutt", "eom"], self.texts()[:4]
        )

    def test_service(self) -> None:
        """Start and end have no id; the start is how a report tool forgets open records (5.5)."""
        self.log.started("1.0")
        self.log.stopped()
        self.assertEqual(
            ["2026Nov24 13:05:11 bms milter startup", "2026Nov24 13:05:11 bms milter shutdown"], self.lines
        )

    def test_the_time_goes_on(self) -> None:
        """The stamp follows the wall clock."""
        self.log.greeted(connection())
        self.now += 49
        self.log.greeted(connection())
        self.assertEqual(["13:05:11", "13:06:00"], [line.split()[1] for line in self.lines])


class FinalTagTests(ClassicCase):
    """The final tags of seed-spec 5.3 and the texts of 5.4."""

    def test_reject_texts(self) -> None:
        """Reasons that the ancestor knew have its words."""
        for code, fields, text in (
            ("impossible-ptr", {"client_name": "localhost"}, "PTR is localhost"),
            ("helo-numeric", {"helo": "10.0.0.1"}, "numeric hello name: 10.0.0.1"),
            ("helo-own-name", {"helo": "mx.example.com"}, "spam from self: mx.example.com"),
            ("helo-missing", {}, "missing HELO"),
            ("three-strikes", {}, "no PTR, HELO or SPF"),
            ("own-domain-forged", {"mail_from": "boss@example.com"}, "spam from self example.com"),
            ("infected-client", {}, "zombie PC at  1.2.3.4  sending MAIL FROM  a@b.example"),
            ("spf-fail", {}, "SPF fail 550 because"),
            ("spf-softfail", {}, "SPF softfail 550 because"),
            ("spf-permerror", {}, "SPF permerror 550 because"),
            ("helo-spf-fail", {}, "hello SPF: fail 550 because"),
            ("spf-helo-fail", {}, "hello SPF: fail 550 because"),
            ("callback-invalid", {}, "CBV: 550 because"),
            ("virus-found", {}, "because"),
        ):
            self.assertEqual(f"REJECT: {text}", self.final(decision=refusal(code), **fields))

    def test_a_delayed_refusal_is_one_reject(self) -> None:
        """Two recipients that got the same refusal leave one final line, though the client aborts."""
        refused = tuple(RecipientRecord(f"{name}@y.example", "refuse", "spf-fail") for name in "ab")
        self.log.ended(record(decision=refusal("spf-fail"), recipients=refused, ended="abort"))
        self.assertEqual(["REJECT:", "NOTE:"], [text.split()[0] for text in self.texts()])

    def test_a_refused_recipient_ends_no_message(self) -> None:
        """A refusal of one recipient, while the message goes on, is a note that report tools skip."""
        recipients = (RecipientRecord("a@y", "refuse", "no-such-user"), RecipientRecord("b@y", "continue"))
        self.log.ended(record(recipients=recipients))
        texts = self.texts()
        self.assertEqual(["NOTE: refuse rcpt=a@y reason=no-such-user", "eom"], texts[:2])

    def test_tempfail(self) -> None:
        """SPF's and those of callbacks have the ancestor's words (G14), others their code and text."""
        verdict = TempFail(Reason("spf-temperror", "no answer"), 451, "4.7.24")
        self.assertEqual("TEMPFAIL: SPF error 451 no answer", self.final(decision=decision(verdict)))
        verdict = TempFail(Reason("callback-temporary", "greylisted"), 450, "4.2.0")
        self.assertEqual("TEMPFAIL: CBV: 450 greylisted", self.final(decision=decision(verdict)))
        verdict = TempFail(Reason("too-many-recipients", "send the rest separately"), 452, "4.5.3")
        self.assertEqual("TEMPFAIL: 452 send the rest separately", self.final(decision=decision(verdict)))

    def test_accepted(self) -> None:
        """What is delivered, marked or held ends with eom."""
        self.assertEqual("eom", self.final())
        self.assertEqual("eom", self.final(decision=decision(Hold(Reason("odd", "odd")))))

    def test_discard(self) -> None:
        """What is dropped says so."""
        self.assertEqual("DISCARD: dropped", self.final(decision=decision(Discard(Reason("trap", "dropped")))))

    def test_abort(self) -> None:
        """The client gave up before the end."""
        self.assertEqual("abort after 1234 body chars", self.final(ended="lost"))


class SummaryTests(ClassicCase):
    """The one line that joins all ids."""

    def test_summary(self) -> None:
        """Our id, the queue id, the Message-ID and the decision are one note."""
        self.log.ended(record(decision=refusal("spf-fail")))
        self.assertEqual(
            "NOTE: id=0abc queue=4XyZ message-id=<1@b.example> verdict=refuse check=spf reason=spf-fail"
            " stage=mail ended=end-of-message ms=42",
            self.texts()[-1],
        )

    def test_marks_and_absent_ids(self) -> None:
        """Marks are named, what is not known is a dash."""
        self.log.ended(record(marks=(Mark(Reason("spf-softfail", "soft")),), queue_id="", message_id=""))
        text = self.texts()[-1]
        self.assertIn("queue=- message-id=- verdict=continue check=default reason=-", text)
        self.assertTrue(text.endswith(" marks=spf-softfail"))

    def test_a_test_transaction_is_in_no_statistics(self) -> None:
        """A scan leaves its note and no line that a report tool would count."""
        of = transaction(connection=connection(is_test=True))
        self.log.connected(of.connection)
        self.log.greeted(of.connection)
        self.log.mail_began(of)
        self.log.recipient_named(of, Recipient(parse_path("<x@y>")))
        self.log.ended(record(is_test=True))
        (text,) = self.texts()
        self.assertTrue(text.startswith("NOTE: id=0abc "))
        self.assertTrue(text.endswith(" test=yes"))


class TroubleTests(ClassicCase):
    """Faults and violations."""

    def test_trouble(self) -> None:
        """The place and the problem, without an id in brackets, so that report tools skip it (5.5)."""
        self.log.trouble("0abc", "check spf", "boom\nbang")
        self.assertEqual([r"2026Nov24 13:05:11 TROUBLE: 0abc check spf: boom\nbang"], self.lines)

    def test_a_flood_is_ten_lines_a_second(self) -> None:
        """O2: the rest of a second is counted and told when the next one begins, other places are not hit."""
        for _ in range(50):
            self.log.trouble("", "wire", "bad frame")
        self.log.trouble("", "check spf", "boom")
        self.assertEqual(11, len(self.lines))
        self.lines.clear()
        self.now += 1
        self.log.trouble("", "wire", "bad frame")
        self.assertEqual("TROUBLE: - wire: suppressed 40 more", self.lines[0].split(" ", 2)[2])
        self.assertEqual(2, len(self.lines))

    def test_the_end_tells_what_was_suppressed(self) -> None:
        """Nothing stays untold at the end."""
        for _ in range(12):
            self.log.trouble("", "wire", "bad frame")
        self.log.stopped()
        self.assertIn("suppressed 2 more", self.lines[-2])

    def test_a_flood_that_is_over_is_told(self) -> None:
        """O2: without another trouble, as soon as its second is over and somebody asks."""
        for _ in range(12):
            self.log.trouble("", "wire", "bad frame")
        self.log.tell_suppressed()
        self.assertEqual(10, len(self.lines))
        self.now += 1
        self.log.tell_suppressed()
        self.log.tell_suppressed()
        self.assertEqual("TROUBLE: - wire: suppressed 2 more", self.lines[10].split(" ", 2)[2])
        self.assertEqual(11, len(self.lines))

    def test_a_gap(self) -> None:
        """Lost lines are a trouble."""
        self.log.lines_lost(7)
        self.assertEqual(["2026Nov24 13:05:11 TROUBLE: - log: 7 lines were lost"], self.lines)


class HostileTests(ClassicCase):
    """O1: no text of the network makes or breaks a line."""

    @given(st.lists(hostile, min_size=9, max_size=9))
    def test_one_event_is_one_line_that_parses(self, texts: list[str]) -> None:
        """HELO, PTR, paths, parameters, macros, headers, ids and reasons stay on their line."""
        self.lines.clear()
        name, helo, path, argument, user, header, message_id, because, other = texts
        on = connection({"auth_authen": user, "verify": other}, client=Client(name, None, 0, other), helo=helo)
        of = transaction(path, (argument,), connection=on)
        of.raw_headers.append((b"Subject", header.encode("utf-8", "surrogatepass")))
        self.log.connected(on)
        self.log.greeted(on)
        self.log.mail_began(of)
        self.log.recipient_named(of, Recipient(parse_path(path), (argument,)))
        self.log.ended(record(message_id=message_id, helo=helo, decision=refusal("spf-fail", because)))
        expected = 7 + bool(user) + bool(other)
        self.assertEqual(expected, len(self.lines))
        for line in self.lines:
            self.assertIsNotNone(LINE.fullmatch(line), line)
            self.assertTrue(line.isprintable())

    def test_a_thousand_parameters_are_one_short_line(self) -> None:
        """A line ends at 8 KiB."""
        self.log.mail_began(transaction("<a@b>", ("X" * 300,) * 1000))
        self.assertEqual(8192, len(self.lines[0].encode()))

    def test_every_part_of_a_record_can_be_told(self) -> None:
        """A record with everything in it is a final line and a note."""
        self.log.ended(full_record())
        self.assertEqual("REJECT: SPF fail 550 1.2.3.4 may not send for b.example see b.example", self.texts()[-2])
