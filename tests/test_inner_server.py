"""Tests of asking the inner server (G27), against a scripted SMTP server on loopback."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.test_callback import VerifierTestCase
from twistedmilter.callback import CallbackVerifier
from twistedmilter.inner_server import make_inner_verifier
from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.model.address import parse_path
from twistedmilter.model.conduct_settings import RecipientsSettings
from twistedmilter.model.settings import Settings

NO_SUCH_USER = "550 5.1.1 no such user"


class InnerServerTests(VerifierTestCase):
    """Whatever the domain, the same host is asked."""

    def inner(self, server: Any, **fields: Any) -> CallbackVerifier:
        """What asks that server."""
        section = RecipientsSettings(**{"mode": "enforce", "ask": f"127.0.0.1:{server.port}", **fields})
        made = make_inner_verifier(Settings(recipients=section), reactor, "mx.example.org")
        assert made is not None
        self.addCleanup(lambda: deferLater(reactor, 0.02))  # sockets close
        return made

    async def test_who_exists(self) -> None:
        """One that is there and one that is not, in domains that the DNS does not know."""
        server = self.serve(**{"RCPT TO:<eve@inner.invalid>": NO_SUCH_USER})
        inner = self.inner(server)
        known = await inner.verify(parse_path("<bob@other.invalid>"))
        unknown = await inner.verify(parse_path("<eve@inner.invalid>"))
        self.assertEqual((known.result, unknown.result), (CallbackResult.VALID, CallbackResult.INVALID))
        self.assertEqual(unknown.text, NO_SUCH_USER)
        self.assertIn("MAIL FROM:<>", server.heard)

    async def test_answers_are_remembered(self) -> None:
        """The second question about a recipient asks nobody."""
        server = self.serve(RCPT=NO_SUCH_USER)
        inner = self.inner(server)
        outcomes = [await inner.verify(parse_path("<eve@inner.invalid>")) for _ in range(2)]
        self.assertEqual([each.from_cache for each in outcomes], [False, True])
        self.assertEqual(server.sessions, 1)

    async def test_it_is_away(self) -> None:
        """That says nothing about anybody."""
        server = self.serve(banner="421 not now")
        outcome = await self.inner(server).verify(parse_path("<bob@inner.invalid>"))
        self.assertEqual(outcome.result, CallbackResult.TEMPORARY)

    def test_nobody_is_asked_unless_told_to(self) -> None:
        """Neither without a server nor while the check is off."""
        for section in (RecipientsSettings(mode="enforce"), RecipientsSettings(ask="192.0.2.1")):
            self.assertIsNone(make_inner_verifier(Settings(recipients=section), reactor, "mx.example.org"))
