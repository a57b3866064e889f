"""Tests of L{twistedmilter.cli.scan}: the command as a user runs it, in process, without the DNS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.observe.records import full_record
from twistedmilter.cli import main
from twistedmilter.cli.scan_message import Given, derive, parse_message
from twistedmilter.cli.scan_result import ScanResult
from twistedmilter.cli.scan_text import modification_text, result_lines
from twistedmilter.model.modification import (
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    Quarantine,
)
from twistedmilter.observe.record_dict import record_to_dict

CONFIG = """\
[policy]
checks = ["trusted_client", "helo"]
"""
MESSAGE = b"From: a@b.example\nTo: joe@example.org\nSubject: x\x1b[31m\nMessage-ID: <1@b.example>\n\nHello\n"
STRANGER = ("--client-ip", "192.0.2.9", "--client-name", "mail.example.net", "--helo", "mail.example.net")
NUMERIC = ("--client-ip", "192.0.2.9", "--helo", "10.0.0.1")


class ScanCase(SynchronousTestCase):
    """A configuration and a message in a directory."""

    def setUp(self) -> None:
        """Write both."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.message = self.write("a.eml", MESSAGE)
        self.config = self.write("c.toml", CONFIG.encode())

    def write(self, name: str, octets: bytes) -> str:
        """A file in the directory."""
        path = self.directory / name
        path.write_bytes(octets)
        return str(path)

    def scan(self, *arguments: str, **extra: Any) -> Result:
        """Run the command."""
        return CliRunner().invoke(main, ["scan", "--config", self.config, *arguments], **extra)


class InProcessTests(ScanCase):
    """Without a daemon."""

    def test_a_message_that_goes_on(self) -> None:
        """Exit 0, the verdict first, then why and with what envelope."""
        result = self.scan(*STRANGER, "--mail-from", "<>", self.message)
        self.assertEqual(0, result.exit_code, result.output)
        lines = result.output.splitlines()
        self.assertEqual(f"{self.message}: continue", lines[0])
        self.assertEqual("  reason: no check objected", lines[1])
        self.assertIn("  client: 192.0.2.9 mail.example.net, HELO mail.example.net, external (in no list)", lines)
        self.assertIn("  sender: <>", lines)
        self.assertIn("  recipient: <joe@example.org> continue", lines)

    def test_a_message_that_is_refused(self) -> None:
        """Exit 1, the reason and the reply that the client would see (C02)."""
        result = self.scan(*NUMERIC, self.message)
        self.assertEqual(1, result.exit_code, result.output)
        self.assertIn("  reason: helo-numeric: HELO 10.0.0.1 is a bare address", result.output)
        self.assertRegex(result.output, r"(?m)^  reply: 550 5\.7\.1 HELO 10\.0\.0\.1 .* \(ref [0-9a-z]{10}\)$")
        self.assertIn("  recipient: <joe@example.org> refuse helo-numeric", result.output)

    def test_json(self) -> None:
        """One object with the record; the Message-ID and the header count are of this message."""
        event = json.loads(self.scan(*STRANGER, "--json", self.message).output)
        self.assertEqual((self.message, "continue"), (event["message"], event["decision"]["verdict"]))
        self.assertEqual(("<1@b.example>", 4, 7), (event["message_id"], event["header_count"], event["body_size"]))
        self.assertTrue(event["is_test"])

    def test_standard_input(self) -> None:
        """A dash reads the message from a pipe."""
        result = self.scan(*STRANGER, "-", input=MESSAGE)
        self.assertEqual((0, "stdin: continue"), (result.exit_code, result.output.splitlines()[0]))

    def test_an_mbox_and_a_file(self) -> None:
        """One object a line, in order; the exit code is the highest."""
        mbox = self.write("a.mbox", b"From a@b.example x\n" + MESSAGE + b"\nFrom c@d.example x\n" + MESSAGE)
        result = self.scan(*NUMERIC, "--json", mbox, self.message)
        labels = [json.loads(line)["message"] for line in result.output.splitlines()]
        self.assertEqual([f"{mbox}:1", f"{mbox}:2", self.message], labels)
        self.assertEqual(1, result.exit_code)

    def test_auth_and_role(self) -> None:
        """An authenticated client is no stranger (D03), and says 10.0.0.1 as it likes (C03)."""
        result = self.scan(*NUMERIC, "--auth", "joe", "--role", "submission", "--json", self.message)
        event = json.loads(result.output)
        self.assertEqual(("submission", "authenticated"), (event["role"], event["client_class"]))

    def test_several_recipients(self) -> None:
        """Each gets its own answer: postmaster is always reachable."""
        recipients = ("--rcpt", "postmaster@example.org", "--rcpt", "joe@example.org")
        event = json.loads(self.scan(*NUMERIC, *recipients, "--json", self.message).output)
        self.assertEqual(["continue", "refuse"], [each["verdict"] for each in event["recipients"]])

    def test_nothing_is_written(self) -> None:
        """A scan leaves no trace on the disk."""
        before = sorted(self.directory.rglob("*"))
        self.scan(*STRANGER, self.message)
        self.assertEqual(before, sorted(self.directory.rglob("*")))


class UsageTests(ScanCase):
    """Exit 3, one line, no traceback."""

    def test_wrong_usage(self) -> None:
        """No message, an address that is none, a file that is not there, a broken configuration."""
        broken = self.write("b.toml", b"[nonsense]\n")
        for arguments in (
            (),
            ("--client-ip", "1.2.3", self.message),
            (str(self.directory / "nobody.eml"),),
            ("--config", broken, self.message),
            ("--milter", "unix:" + str(self.directory / "nobody"), self.message),
            ("--milter", "carrier-pigeon:1", self.message),
        ):
            result = self.scan(*arguments)
            self.assertEqual(3, result.exit_code, result.output)
            self.assertNotIn("Traceback", result.output)


class TerminalTests(ScanCase):
    """Progress on a terminal."""

    def test_progress(self) -> None:
        """It is on stderr while the results go elsewhere; they are not disturbed."""
        terminal, side = os.openpty()
        self.addCleanup(os.close, terminal)
        program = "from twistedmilter.cli import main; main()"
        command = [
            sys.executable,
            "-c",
            program,
            "scan",
            "--config",
            self.config,
            *STRANGER,
            self.message,
            self.message,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=side, check=False, timeout=30)
        os.close(side)
        self.assertEqual(0, done.returncode)
        self.assertIn(b"100%", os.read(terminal, 65536))
        self.assertEqual(2, done.stdout.count(b": continue\n"))


class TextTests(SynchronousTestCase):
    """The result for people."""

    def result(self, **fields: Any) -> ScanResult:
        """A result with everything in it."""
        _, envelope = derive(parse_message(MESSAGE), Given())
        known = full_record()
        return ScanResult(
            "a\x1b.eml", envelope, "refuse", "550 5.7.23 no", known.modifications, record_to_dict(known), **fields
        )

    def test_everything_is_told(self) -> None:
        """Reason, details, marks, checks with mode and note, evidence, results and changes."""
        text = "\n".join(result_lines(self.result()))
        for line in (
            "  reason: spf-fail: 1.2.3.4 may not send for b.example",
            "  detail: see b.example",
            "  decided: by spf at mail",
            "  mark: spf-softfail: softfail of b.example",
            "  check: spf at mail of <x@y.example>: refuse, spf-fail: 1.2.3.4 may not send for b.example [late], 1.2",
            "  check: helo at helo (observe): mark, spf-softfail: softfail of b.example, 0.1 ms",
            "  check: iprev at connect: no opinion, 0.2 ms",
            "  evidence: spf mechanism: -all",
            "  result: spf=fail reason=because smtp.mailfrom=b.example",
            "  change: insert at 0: Received-SPF: fail",
            "  change: replace the body: 5 octets",
        ):
            self.assertIn(line, text)

    def test_every_line_is_printable(self) -> None:
        """O1: no escape sequence of a message reaches the terminal."""
        for line in result_lines(self.result()):
            self.assertTrue(line.isprintable(), line)

    def test_changes(self) -> None:
        """Every kind of change is a sentence."""
        for change, text in (
            (ChangeHeader("Subject", 1, "a\n\tb"), "change Subject number 1: a b"),
            (DeleteHeader("Subject", 2), "delete Subject number 2"),
            (AddRecipient("a@b", ("NOTIFY=NEVER",)), "add recipient <a@b> NOTIFY=NEVER"),
            (DeleteRecipient("a@b"), "delete recipient <a@b>"),
            (ChangeSender("a@b"), "change sender to <a@b>"),
            (Quarantine("odd"), "hold: odd"),
        ):
            self.assertEqual(text, modification_text(change))

    def test_exit_codes(self) -> None:
        """Refused and dropped are 1, not now is 2, everything else is delivered."""
        _, envelope = derive(parse_message(MESSAGE), Given())
        words = ("accept", "continue", "mark", "hold", "refuse", "discard", "tempfail")
        codes = [ScanResult("", envelope, word, "", ()).exit_code for word in words]
        self.assertEqual([0, 0, 0, 0, 1, 1, 2], codes)
