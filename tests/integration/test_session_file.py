"""The session format: what is read, and how mistakes are told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.corpus import SESSIONS, client_zone, whole_zone
from tests.integration.session_file import (
    RUNNERS,
    Assertion,
    Expect,
    Session,
    SessionFileError,
    expand,
    parse_session,
    read_sessions,
)
from tests.zonetext import Zone

EXAMPLE = """\
# A forged sender is refused.
# More about it.
CONFIG
    [policy]
    checks = ["spf"]
ZONE
    forged.example  TXT  "v=spf1 -all"
ROLE submission
ONLY memory postfix -- it is an example

CONNECT 192.0.2.9 mail.forged.example
EHLO mail.forged.example
MAIL <alice@forged.example> SIZE=10
RCPT <bob@test.invalid>
EXPECT 550 5.7.23 reason=spf-fail text=no way
EXPECT@sendmail 55x
DATA
    Subject: one
      folded

    body

HEADER [2] X-A: *b: c*
NOHEADER X-B
RECORD outcomes.spf.verdict refuse
FATE held
KILL
"""


def parsed(text: str) -> Session:
    """The session of a text."""
    return parse_session("t.session", text)


class ParseSessionTests(SynchronousTestCase):
    """L{parse_session}."""

    def test_the_preamble_is_read(self) -> None:
        """Title, configuration, zone, role and runners come before the first command."""
        session = parsed(EXAMPLE)
        self.assertEqual((session.name, session.title), ("t", "A forged sender is refused."))
        self.assertEqual(session.config, '[policy]\nchecks = ["spf"]')
        self.assertEqual(session.zone, 'forged.example  TXT  "v=spf1 -all"')
        self.assertEqual((session.role, session.only), ("submission", {"memory", "postfix"}))
        self.assertEqual(session.why, "it is an example")

    def test_files(self) -> None:
        """Each file has its name and its text, blank lines too."""
        session = parsed("# t\nFILE access\n    a: OK\n\n    b: OK\nFILE more\n    c\nCONNECT 192.0.2.1\n")
        self.assertEqual(session.files, (("access", "a: OK\n\nb: OK"), ("more", "c")))

    def test_without_a_preamble_all_runners_play_it_inbound(self) -> None:
        """The defaults are those of an ordinary session."""
        session = parsed("# t\nCONNECT 192.0.2.1\n")
        self.assertEqual((session.role, session.only, session.config), ("inbound", RUNNERS, ""))

    def test_commands_keep_their_order_and_lines(self) -> None:
        """Each command is a step that knows where it stands."""
        steps = [(step.line, step.verb, step.argument) for step in parsed(EXAMPLE).steps]
        self.assertEqual(
            steps,
            [
                (11, "CONNECT", "192.0.2.9 mail.forged.example"),
                (12, "EHLO", "mail.forged.example"),
                (13, "MAIL", "<alice@forged.example> SIZE=10"),
                (14, "RCPT", "<bob@test.invalid>"),
                (17, "DATA", ""),
                (27, "KILL", ""),
            ],
        )

    def test_what_is_expected_belongs_to_its_command(self) -> None:
        """EXPECT and assertions are kept with the command above them."""
        steps = parsed(EXAMPLE).steps
        self.assertEqual(
            steps[3].expects,
            (Expect(15, "550", "5.7.23", "spf-fail", "no way"), Expect(16, "55x", only="sendmail")),
        )
        self.assertEqual(
            steps[4].assertions,
            (
                Assertion(23, "HEADER", "X-A", "*b: c*", 2),
                Assertion(24, "NOHEADER", "X-B", "*"),
                Assertion(25, "RECORD", "outcomes.spf.verdict", "refuse"),
                Assertion(26, "FATE", "fate", "held"),
            ),
        )

    def test_a_message_keeps_its_folds_and_loses_its_indent(self) -> None:
        """Four blanks are the block's, more are the message's; lines end in CRLF."""
        self.assertEqual(parsed(EXAMPLE).steps[4].content, b"Subject: one\r\n  folded\r\n\r\nbody\r\n")

    def test_a_pipeline_holds_steps(self) -> None:
        """The block of PIPELINE is read like the file itself, DATA with its own block included."""
        text = "# t\nCONNECT ::1\nPIPELINE\n    MAIL <>\n    EXPECT 550\n    RSET\n    DATA\n        a: b\n"
        [_, pipeline] = parsed(text).steps
        self.assertEqual([(step.line, step.verb) for step in pipeline.inner], [(4, "MAIL"), (6, "RSET"), (7, "DATA")])
        self.assertEqual(pipeline.inner[0].expects, (Expect(5, "550"),))
        self.assertEqual(pipeline.inner[2].content, b"a: b\r\n")

    def test_mistakes_are_told_with_file_and_line(self) -> None:
        """Whoever writes a session learns where it is wrong."""
        for line, wrong in (
            (1, "CONNECT 192.0.2.1"),  # no comment that says what it promises
            (2, "# t\nEHLO a"),
            (2, "# t\nCONNECT 300.1.1.1"),
            (3, "# t\nCONNECT ::1\nBDAT 1"),
            (3, "# t\nCONNECT ::1\nMAIL"),
            (3, "# t\nCONNECT ::1\nRSET now"),
            (2, "# t\nSUBMIT <a>\n    b: c"),
            (2, "# t\nWAIT a while"),
            (3, "# t\nCONNECT ::1\nEXPECT 99"),
            (3, "# t\nCONNECT ::1\nEXPECT 250 5.7"),
            (3, "# t\nCONNECT ::1\nEXPECT@exim 250"),
            (3, "# t\nCONNECT ::1\nHEADER no colon"),
            (3, "# t\nCONNECT ::1\nFATE unknown"),
            (3, "# t\nCONNECT ::1\nDATA quickly"),
            (3, "# t\nCONNECT ::1\nSTARTTLS now"),
            (3, "# t\nCONNECT ::1\n    stray"),
            (2, "# t\nEXPECT 250"),
            (2, "# t\nFILE ../x\n    a\nCONNECT ::1"),
            (2, "# t\nROLE outbound\nCONNECT ::1"),
            (2, "# t\nONLY postfix\nCONNECT ::1"),
            (2, "# t\nCONFIG\n    a = \nCONNECT ::1"),
            (5, "# t\nCONNECT ::1\nPIPELINE\n    MAIL <>\nEXPECT 250"),
            (3, "# t\nCONNECT ::1\nPIPELINE\n    DATA\n    RSET"),
        ):
            failure = self.assertRaises(SessionFileError, parsed, wrong)
            self.assertIn(f"t.session:{line}: ", str(failure), wrong)

    @given(st.text())
    def test_garbage_is_refused_and_nothing_else(self, text: str) -> None:
        """Any text is a session or a L{SessionFileError}."""
        try:
            parsed(text)
        except SessionFileError:
            return


class ExpandTests(SynchronousTestCase):
    """L{expand}."""

    def test_octets_and_repetitions(self) -> None:
        r"""C{\xNN} is an octet, C{@{N*text}} a repetition, other backslashes are left alone."""
        self.assertEqual(expand(r"a\xe9@{3*b\r\n}\t\\ \q" + "\nü"), b"a\xe9b\r\nb\r\nb\r\n\t\\ \\q\r\n\xc3\xbc")

    def test_octets_in_header_patterns(self) -> None:
        """A pattern may hold octets that are not UTF-8, as the field it is held against."""
        [step] = parsed("# t\nCONNECT ::1\nHEADER S: a\\xe9*\n").steps
        self.assertEqual(step.assertions[0].pattern.encode("utf-8", "surrogateescape"), b"a\xe9*")


class WholeZoneTests(SynchronousTestCase):
    """L{whole_zone}: one name server for all sessions."""

    def test_clients_have_their_names_both_ways(self) -> None:
        """CONNECT with a name makes PTR and address records."""
        session = parsed("# t\nCONNECT 192.0.2.9 a.example\nCONNECT 2001:db8::1 b.example\nCONNECT 192.0.2.10\n")
        self.assertEqual(
            [line.split()[1:] for line in client_zone(session)],
            [["PTR", "a.example."], ["A", "192.0.2.9"], ["PTR", "b.example."], ["AAAA", "2001:db8::1"]],
        )

    def test_sessions_must_agree(self) -> None:
        """Two sessions that say different things of one name would disturb each other through the cache."""
        one = parsed("# t\nZONE\n    a.example TXT one\nCONNECT ::1\n")
        two = parsed("# t\nZONE\n    A.example TXT two\nCONNECT ::1\n")
        self.assertIn("a.example TXT one", whole_zone([one, one]))
        self.assertRaises(SessionFileError, whole_zone, [one, two])


class CorpusTests(SynchronousTestCase):
    """The files that are there."""

    def test_all_can_be_read(self) -> None:
        """Every session parses, and their zones make one."""
        sessions = read_sessions(SESSIONS)
        self.assertGreaterEqual(len(sessions), 25)
        Zone.parse(whole_zone(sessions))

    def test_each_promises_something_of_its_own(self) -> None:
        """No two sessions have the same title."""
        titles = [session.title for session in read_sessions(SESSIONS)]
        self.assertEqual(sorted(set(titles)), sorted(titles))

    def test_real_mtas_are_left_out_with_a_reason_only(self) -> None:
        """What cannot be played by all says why."""
        left_out = [session for session in read_sessions(SESSIONS) if session.only != RUNNERS]
        self.assertEqual([session.name for session in left_out if not session.why], [])
