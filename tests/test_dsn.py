"""Tests of notifications against a scripted SMTP server on loopback."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.test_callback import BOB, CLOSE, SILENT, VerifierTestCase
from twistedmilter.dsn import FileSigner, Notifier, read_or_make_secret
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.interfaces.signing import IAddressSigner
from twistedmilter.model.address import parse_path

CONTENT = b"Subject: x\r\n.hello\r\n"  # no empty line: to the scripted server that is a verb
POSTMASTER = parse_path("<postmaster@example.com>")
TAKES = {"DATA": "354 go on", ".": "250 2.0.0 queued", "SUBJ": SILENT, "..HE": SILENT}


class DeliveryTests(VerifierTestCase):
    """One notification."""

    def make(self, total: float = 5.0, **script: str) -> tuple[Any, Notifier]:
        """A server with this script, and who delivers to it."""
        server = self.serve(**{**TAKES, **script})
        return server, Notifier(reactor, self.verifier(server), "mx.example.org", total=total)

    async def deliver(self, *more: Any, **script: str) -> CallbackOutcome:
        """What a new notifier makes of a server with this script; what was heard is kept."""
        server, notifier = self.make(5.0, **script)
        outcome = await notifier.deliver([BOB, *more], CONTENT)
        await deferLater(reactor, 0.02)
        self.heard, self.sessions = server.heard, server.sessions
        return outcome

    async def test_taken(self) -> None:
        """G10: with a null reverse-path, on one connection, with a postmaster who may refuse (G26)."""
        outcome = await self.deliver(POSTMASTER)
        self.assertEqual((outcome.result, outcome.stage), (CallbackResult.VALID, "the message"))
        self.assertEqual(self.sessions, 1)
        self.assertEqual(
            self.heard,
            [
                *("EHLO mx.example.org", "MAIL FROM:<>", "RCPT TO:<bob@example.com>"),
                *("RCPT TO:<postmaster@example.com>", "DATA", "Subject: x", "..hello", ".", "QUIT"),
            ],
        )

    async def test_null_sender_refused(self) -> None:
        """G11: a server that refuses the null reverse-path is asked once more, as postmaster, and then given up."""
        outcome = await self.deliver(MAIL="550 no null sender here")
        self.assertEqual((outcome.result, outcome.stage), (CallbackResult.UNKNOWN, "MAIL"))
        self.assertEqual(
            [line for line in self.heard if line.startswith("MAIL")],
            ["MAIL FROM:<>", "MAIL FROM:<postmaster@mx.example.org>"],
        )

    async def test_each_stage(self) -> None:
        """What is refused where: only RCPT speaks of the mailbox, and nothing is sent after a refusal of it."""
        for verb, said, result, stage in (
            ("RCPT", "550 5.1.1 nobody", CallbackResult.INVALID, "RCPT"),
            ("RCPT", "451 greylisted", CallbackResult.TEMPORARY, "RCPT"),
            ("DATA", "554 no", CallbackResult.UNKNOWN, "DATA"),
            (".", "554 5.7.1 spam", CallbackResult.UNKNOWN, "the message"),
            (".", "451 later", CallbackResult.TEMPORARY, "the message"),
            ("DATA", CLOSE, CallbackResult.TEMPORARY, "connection"),
        ):
            outcome = await self.deliver(**{verb: said})
            self.assertEqual((outcome.result, outcome.stage), (result, stage), (verb, said))
            self.assertEqual("DATA" in self.heard, verb != "RCPT", (verb, said))

    async def test_not_acknowledged(self) -> None:
        """C14: when the answer to the message is lost, no second server gets it, and the mailbox counts as told."""
        for said in (CLOSE, SILENT):
            server, notifier = self.make(5.0, **{".": said})
            outcome = await notifier.deliver([parse_path("<bob@two.example>")], CONTENT)
            self.assertEqual((outcome.result, outcome.stage), (CallbackResult.VALID, "the message"))
            self.assertIn("not acknowledged", outcome.text)
            self.assertEqual(server.sessions, 1)

    async def test_next_exchanger(self) -> None:
        """G13: a server that goes away before MAIL is followed by the next."""
        server, notifier = self.make(EHLO=CLOSE)
        outcome = await notifier.deliver([parse_path("<bob@two.example>")], CONTENT)
        self.assertEqual((outcome.result, server.sessions), (CallbackResult.TEMPORARY, 2))

    async def test_remembered(self) -> None:
        """G15: what the exchanger said of the mailbox answers the next callback; a bad one is not called again."""
        server = self.serve(RCPT="550 5.1.1 nobody")
        verifier = self.verifier(server)
        notifier = Notifier(reactor, verifier, "mx.example.org")
        verifyObject(INotifier, notifier)
        await notifier.deliver([BOB], CONTENT)
        again = await notifier.deliver([BOB], CONTENT)
        self.assertEqual((again.result, again.from_cache), (CallbackResult.INVALID, True))
        self.assertTrue((await verifier.verify(BOB)).from_cache)
        self.assertEqual(server.sessions, 1)

    async def test_time(self) -> None:
        """C3: a server that never answers costs no more than the total."""
        _server, notifier = self.make(total=0.1, EHLO=SILENT)
        outcome = await notifier.deliver([BOB], CONTENT)
        self.assertEqual((outcome.result, outcome.text), (CallbackResult.TEMPORARY, "no answer within 0.1 s"))

    async def test_cancelled(self) -> None:
        """C14: whoever cancels a delivery learns whether anything of it can have been sent."""
        for verb, kind in (("RCPT", NotSentError), ("DATA", NotSentError), (".", CancelledError)):
            server, notifier = self.make(5.0, **{verb: SILENT})
            delivering = Deferred.fromCoroutine(notifier.deliver([BOB], CONTENT))
            expected = "." if verb == "." else verb
            while not any(line.startswith(expected) for line in server.heard[-1:]):
                await deferLater(reactor, 0.01)
            delivering.cancel()
            failure = await self.assertFailure(delivering, CancelledError)
            self.assertIs(type(failure), kind, verb)

    async def test_cannot_be_sent(self) -> None:
        """C9, C10: a mailbox or a message that cannot be sent opens nothing."""
        server, notifier = self.make()
        for mailbox, content in ((parse_path("<a b\r\n@example.com>"), CONTENT), (BOB, b"x\n.\n")):
            outcome = await notifier.deliver([mailbox], content)
            self.assertEqual((outcome.result, outcome.stage), (CallbackResult.UNKNOWN, "address"))
        self.assertEqual(server.sessions, 0)


class SecretTests(SynchronousTestCase):
    """The secret of the tokens."""

    def test_made_once(self) -> None:
        """It is made for us alone, and read afterwards."""
        path = Path(self.mktemp())
        self.assertEqual(read_or_make_secret(path, lambda count: b"x" * count), b"x" * 32)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(read_or_make_secret(path, lambda count: b"y" * count), b"x" * 32)

    def test_unusable(self) -> None:
        """A short one is not used, a directory that is not there is told."""
        path = Path(self.mktemp())
        path.write_bytes(b"short")
        for bad in (path, path / "below"):
            self.assertRaises(TemporaryFailure, read_or_make_secret, bad, bytes)

    def test_full_disk(self) -> None:
        """A secret that could not be written whole is not there; the next time is a new one."""
        path = Path(self.mktemp())

        def open_full(handle: int, mode: str) -> IO[Any]:
            os.close(handle)
            return Path("/dev/full").open(mode)

        with mock.patch("os.fdopen", open_full):
            self.assertRaises(TemporaryFailure, read_or_make_secret, path, lambda count: b"x" * count)
        self.assertEqual(read_or_make_secret(path, lambda count: b"y" * count), b"y" * 32)

    def test_signer(self) -> None:
        """The file is made when the first token is, not before."""
        path = Path(self.mktemp())
        signer = FileSigner(path, lambda count: b"x" * count)
        verifyObject(IAddressSigner, signer)
        self.assertFalse(path.exists())
        token = signer.sign("bob@example.com", 1e9)
        self.assertEqual(FileSigner(path, bytes).find(token, 1e9), "bob@example.com")
