"""Tests of L{twistedmilter.cli.scan_milter}, against our own milter face over a real socket."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.fakes import FakeResolver
from twistedmilter import milter_proto
from twistedmilter.cli import scan_milter
from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.scan_evidence import Evidence
from twistedmilter.cli.scan_in_process import RecordKeeper
from twistedmilter.cli.scan_message import Given, derive, parse_message
from twistedmilter.cli.scan_milter import milter_scan, scan_through
from twistedmilter.cli.scan_result import ScanResult, result_to_dict
from twistedmilter.cli.scan_text import result_lines
from twistedmilter.composition import build_policy
from twistedmilter.configfile import load_settings
from twistedmilter.control import ControlFactory
from twistedmilter.errors import ProtocolViolation, TemporaryFailure
from twistedmilter.milter_proto import _HANDLERS as HANDLERS
from twistedmilter.milter_proto import MilterFactory
from twistedmilter.milter_sessions import MilterSessions
from twistedmilter.model.listen import UnixListen
from twistedmilter.model.stage import Role
from twistedmilter.observe import scanned
from twistedmilter.observe.json_log import encode
from twistedmilter.observe.record_dict import record_to_dict
from twistedmilter.observe.scanned import ScannedRecords
from twistedmilter.policy.wants import wants_of
from twistedmilter.wire.commands import Quit

MESSAGE = b"From: a@b.example\nTo: joe@example.org\nMessage-ID: <1@b.example>\n\nHello\n"
STRANGER = Given(client_ip=ip_address("192.0.2.9"))


class ScanThroughTests(TestCase):
    """A service on a unix socket, and a scan in a thread."""

    def setUp(self) -> None:
        """A policy with local checks; the directory has a short name, for its socket."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.spec = UnixListen(str(self.directory / "milter"))
        self.keeper = RecordKeeper(self.fail)
        self.scanned = ScannedRecords()
        self.told: list[str] = []

    def serve(self, config: str = "") -> None:
        """Listen with a configuration."""
        path = self.directory / "c.toml"
        path.write_text(config or '[policy]\nchecks = ["trusted_client", "helo"]\n')
        policy = build_policy(load_settings(str(path)), reactor, time.time, [self.keeper, self.scanned], FakeResolver())  # type: ignore[arg-type]
        sessions = MilterSessions(policy, wants_of(policy.chain, policy.settings.policy))
        self.listen(MilterFactory(sessions, str(self.spec), Role.INBOUND, own_uid=os.geteuid()))

    def listen(self, factory: Factory) -> None:
        """Listen with any factory."""
        port = reactor.listenUNIX(self.spec.path, factory)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)

    def serve_control(self) -> Evidence:
        """Answer at a control socket; who asks there tells in C{self.told}."""
        path = str(self.directory / "control")
        factory = ControlFactory({"scan-record": self.scanned.answer}, own_uid=os.geteuid(), reactor=reactor)
        port = reactor.listenUNIX(path, factory)  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return Evidence(path, self.told.append)

    async def scan(self, given: Given, message: bytes = MESSAGE, evidence: Evidence | None = None) -> ScanResult:
        """Scan a message in a thread."""
        envelope = derive(parse_message(message, "a.eml"), given)
        return await deferToThread(scan_through, self.spec, *envelope, evidence)

    async def test_a_message_that_goes_on(self) -> None:
        """The service judges the whole message, and knows it as a test."""
        self.serve()
        result = await self.scan(STRANGER)
        self.assertEqual(("continue", 0, ""), (result.word, result.exit_code, result.reply))
        self.assertEqual((("joe@example.org", "continue"),), result.recipients)
        await self.ended()
        record = self.keeper.record
        assert record is not None
        self.assertTrue(record.is_test)
        self.assertEqual(("192.0.2.9", "<1@b.example>", 3), (record.client_ip, record.message_id, record.header_count))

    async def test_changes_are_told(self) -> None:
        """What the service would change is in the result: here its Authentication-Results."""
        self.serve()
        result = await self.scan(Given(STRANGER.client_ip, auth="joe"))
        self.assertIn("Authentication-Results", str(result.modifications))
        self.assertEqual(len(result.modifications), len(result_to_dict(result)["modifications"]))  # type: ignore[arg-type]
        self.assertIn("  change: insert at 0: Authentication-Results: ", "\n".join(result_lines(result)))

    async def test_a_message_that_is_refused(self) -> None:
        """The reply is the one that the client would see, with our reference (C02)."""
        self.serve()
        result = await self.scan(Given(STRANGER.client_ip, helo="10.0.0.1"))
        self.assertEqual(("refuse", 1), (result.word, result.exit_code))
        self.assertRegex(result.reply, r"^550 5\.7\.1 HELO 10\.0\.0\.1 .* \(ref [0-9a-z]{10}\)$")
        self.assertEqual((("joe@example.org", "refuse"),), result.recipients)
        await self.ended()
        record = self.keeper.record
        assert record is not None
        self.assertEqual("abort", record.ended)

    async def ended(self) -> None:
        """The service has read that the scan is over, which nobody answers."""
        while self.keeper.record is None:
            await deferLater(reactor, 0.01)

    async def test_what_each_check_said(self) -> None:
        """The service is asked for it, and it is told as of a scan in process, for people and as JSON."""
        self.serve()
        evidence = self.serve_control()
        for given, word in ((STRANGER, "continue"), (Given(STRANGER.client_ip, helo="10.0.0.1"), "refuse")):
            with self.subTest(word):
                result = await self.scan(given, evidence=evidence)
                kept = self.keeper.record
                assert kept is not None
                self.assertEqual(word, result.word)
                self.assertEqual(
                    json.loads(encode({"message": "a.eml", "milter": str(self.spec), **record_to_dict(kept)})),
                    result_to_dict(result),
                )
                told = "\n".join(result_lines(result))
                self.assertRegex(told, rf"(?m)^  check: helo at helo: {word if word == 'refuse' else 'no opinion'}")
                self.assertIn(f"  id: {kept.id}, ", told)
        self.assertEqual([], self.told)

    async def test_no_control_socket(self) -> None:
        """One line says so, once; what an MTA is told is known all the same."""
        self.serve()
        evidence = Evidence(str(self.directory / "nobody"), self.told.append)
        for _ in range(2):
            result = await self.scan(STRANGER, evidence=evidence)
            self.assertEqual(("continue", None), (result.word, result.record))
        [line] = self.told
        self.assertEqual(
            f"what each check said is not known: no service answers at {self.directory}/nobody: "
            "No such file or directory",
            line,
        )

    async def test_no_record(self) -> None:
        """A service that did not judge the message knows nothing of it; of the next it may."""
        self.serve()
        evidence = self.serve_control()
        hidden = self.patch(scanned, "LONGEST_TEST_ID", 0)
        result = await self.scan(STRANGER, evidence=evidence)
        hidden.restore()
        self.assertEqual(("continue", None), (result.word, result.record))
        [line] = self.told
        self.assertIn(f"a.eml: the service at {self.directory}/control has no record of it: ", line)
        self.assertIsNotNone((await self.scan(STRANGER, evidence=evidence)).record)

    async def test_a_filter_that_stays(self) -> None:
        """A filter that does not hang up after QUIT is not waited for."""
        self.serve()
        self.patch(scan_milter, "CLOSING", 0.05)
        self.patch(milter_proto, "_HANDLERS", {kind: each for kind, each in HANDLERS.items() if kind is not Quit})
        self.assertEqual("continue", (await self.scan(STRANGER)).word)

    async def test_one_of_two_recipients(self) -> None:
        """Postmaster is always reachable, so the message goes on."""
        self.serve()
        recipients = ("joe@example.org", "postmaster@example.org")
        result = await self.scan(Given(STRANGER.client_ip, helo="10.0.0.1", recipients=recipients))
        self.assertEqual(["refuse", "continue"], [word for _, word in result.recipients])
        self.assertEqual("continue", result.word)

    async def test_refused_at_once(self) -> None:
        """Without delayed refusals HELO ends it."""
        self.serve('[policy]\nchecks = ["trusted_client", "helo"]\ndelay_refusals = false\n')
        result = await self.scan(Given(STRANGER.client_ip, helo="10.0.0.1"))
        self.assertEqual(("refuse", ()), (result.word, result.recipients))

    async def test_auth(self) -> None:
        """The user reaches the service as macro {auth_authen} (D03)."""
        self.serve()
        await self.scan(Given(STRANGER.client_ip, helo="10.0.0.1", auth="joe"))
        await self.ended()
        record = self.keeper.record
        assert record is not None
        self.assertEqual("authenticated as joe", record.class_reason)

    async def test_a_large_body(self) -> None:
        """The body goes in chunks."""
        self.serve()
        result = await self.scan(STRANGER, MESSAGE + b"x" * 200_000)
        self.assertEqual("continue", result.word)

    async def test_nobody_listens(self) -> None:
        """One sentence that names the address."""
        with self.assertRaises(TemporaryFailure) as caught:
            await self.scan(STRANGER)
        self.assertEqual(f"the milter at {self.spec}: No such file or directory", str(caught.exception))

    async def test_no_milter_listens(self) -> None:
        """Something that hangs up, and something that talks another protocol, are told as such."""
        for said in (b"", b"220 mx.example.org ESMTP\r\n"):
            with self.subTest(said):
                await self.refuse_to_talk(said)

    async def refuse_to_talk(self, said: bytes) -> None:
        """A scan through a server that says something and hangs up."""

        class Stranger(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(said)  # type: ignore[union-attr]
                self.transport.loseConnection()  # type: ignore[union-attr]

        port = reactor.listenUNIX(self.spec.path, Factory.forProtocol(Stranger))  # type: ignore[attr-defined]
        with self.assertRaises(ProtocolViolation) as caught:
            await self.scan(STRANGER)
        self.assertIn(f"the milter at {self.spec}: ", str(caught.exception))
        await port.stopListening()

    def test_tcp_is_warned_of(self) -> None:
        """Only a unix socket tells who we are, so over TCP a scan counts as mail, and that is said."""
        self.open("inet:8890@127.0.0.1")
        [line] = self.told
        self.assertIn("over TCP inet:8890@127.0.0.1 cannot know this as a test", line)

    def test_what_is_no_address(self) -> None:
        """Neither nonsense nor a name within systemd can be connected to."""
        for text in ("carrier-pigeon:1", "systemd:milter"):
            error = self.assertRaises(CommandError, self.open, text)
            self.assertIn(f"--milter {text}: ", str(error))

    def open(self, text: str) -> Iterator[Any]:
        """Begin to scan through a spec."""
        with milter_scan(text, self.control_path, self.told.append):
            return iter(())

    def control_path(self) -> str:
        """There is none."""
        raise CommandError("control.listen is off")

    def test_control_is_off(self) -> None:
        """One line says so; the service is asked all the same."""
        self.open(str(self.spec))
        self.assertEqual(["what each check said is not known: control.listen is off"], self.told)
